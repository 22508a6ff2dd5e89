"""The disk: whether what is to come has room, and whether a failure means that it has not."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from datarepo.console import size
from datarepo.errors import DiskError


def free(folder: Path) -> int:
    """The bytes free to this user on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room: the disk's, a quota's, or a limit on a file's size."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check(folder: Path, needed: int, what: str) -> None:
    """Raise DiskError when so many bytes do not fit on the disk of a folder; `what` begins the message."""
    room = free(folder)
    if needed > room:
        raise DiskError(
            f"not enough disk: {what} {size(needed)}, and {size(room)} are free in {folder}:"
            f" {size(needed - room)} short",
            "make room, or clone the repository on a larger disk; --force goes on regardless",
        )
