"""A lock between processes: a file that one of them holds; a killed one holds nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from datarepo.console import note

if TYPE_CHECKING:
    from datarepo.errors import RepositoryError


@contextlib.contextmanager
def locked(file: Path, busy: str | RepositoryError) -> Iterator[None]:
    """Hold the lock file, whose folder need not exist.

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
