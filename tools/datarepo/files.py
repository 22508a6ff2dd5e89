"""Files replaced whole or not at all, locks between processes, and the room on a disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from datarepo.console import note, size
from datarepo.errors import DiskError

if TYPE_CHECKING:
    from datarepo.errors import RepositoryError


def replace_bytes(path: Path, content: bytes, *, scratch: Path, mode: int | None = None) -> None:
    """Replace a file's content at one stroke, a link's target where it is one.

    The new file is written in the folder `scratch`, where nobody looks for secrets or data, unless
    that is on another disk. `mode` are its permissions; None keeps those it has, or takes 0644.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    if scratch.stat().st_dev != path.parent.stat().st_dev:
        scratch = path.parent
    if mode is None:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    # mkstemp makes the file with mode 0600, so a secret is at no time readable by others.
    handle, beside = tempfile.mkstemp(dir=scratch, prefix=_prefix(path))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        Path(beside).chmod(mode)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink()
        raise


def replace_text(path: Path, text: str, *, scratch: Path) -> None:
    """Replace a file's content by a text in UTF-8, line endings as they stand in it."""
    replace_bytes(path, text.encode(), scratch=scratch)


def clear(path: Path, *, scratch: Path) -> None:
    """Remove what killed runs have left of replacing a file, for a scratch folder that others use as well.

    Nobody may be replacing it meanwhile.
    """
    for beside in scratch.glob(f"{_prefix(path)}????????"):  # mkstemp's eight letters
        beside.unlink()


def _prefix(path: Path) -> str:
    return f".{path.name}-"


@contextlib.contextmanager
def locked(file: Path, busy: str | RepositoryError) -> Iterator[None]:
    """Hold a lock file, whose folder need not exist; a killed process holds nothing.

    While another process holds it, a text for `busy` is printed as a note and the lock awaited; an
    error is raised.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file, thread_local=False)  # a transfer ends in another thread than it began
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if not isinstance(busy, str):
            raise busy from None
        note(busy)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def free(folder: Path) -> int:
    """Bytes free to this user on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


def is_full(error: OSError) -> bool:
    """Whether a write failed for want of room: the disk's, a quota's, or a limit on a file's size."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_disk(folder: Path, needed: int, what: str) -> None:
    """Raise DiskError when so many bytes do not fit on the disk of a folder; `what` begins the message."""
    room = free(folder)
    if needed > room:
        raise DiskError(
            f"not enough disk: {what} {size(needed)}, and {size(room)} are free in {folder}:"
            f" {size(needed - room)} short",
            "make room, or clone the repository on a larger disk; --force goes on regardless",
        )
