"""The disk: whether what is to come has room."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from datarepo.console import size
from datarepo.errors import DiskError

if TYPE_CHECKING:
    from pathlib import Path


def free(folder: Path) -> int:
    """The bytes free to this user on the disk of a folder."""
    return shutil.disk_usage(folder).free


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room: the disk's, a quota's, or a limit on a file's size."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check(folder: Path, archives: int, contents: int) -> None:
    """Raise DiskError when archives and their contents, in bytes, do not fit on the disk of a folder.

    No copy is counted for DVC's cache: with `cache.type = hardlink,symlink` it holds the same bytes.
    """
    needed, room = archives + contents, free(folder)
    if needed > room:
        raise DiskError(
            f"not enough disk: archives ({size(archives)}) and contents ({size(contents)}) need"
            f" {size(needed)}, and {size(room)} are free in {folder}: {size(needed - room)} short",
            "make room, or clone the repository on a larger disk; --force goes on regardless",
        )
