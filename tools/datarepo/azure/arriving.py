"""The bytes of a blob while they arrive in its part file: whoever reads them waits for them."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from datarepo.azure.part_file import merge

if TYPE_CHECKING:
    from datarepo.azure.part_file import Span

_CHUNK = 1024 * 1024


class Arriving:
    """A part file, read by position while it grows in any order.

    Bytes are there once they have been added; `read_at` waits for the others, and raises what the
    download failed with when they will not come. What is read comes from memory, as long as the
    system has any: it has just been given the bytes.
    """

    def __init__(self, name: str, file: int, size: int, done: Iterable[Span]) -> None:
        self.name = name
        self.size = size
        self._file = file
        self._done = merge(done)
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def add(self, start: int, end: int) -> None:
        """Let the readers have the bytes from `start` up to `end`."""
        with self._changed:
            self._done = merge([*self._done, (start, end)])
            self._changed.notify_all()

    def fail(self, failure: BaseException) -> None:
        """Tell the readers that no more bytes will come."""
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the blob, fewer than `length` at its end."""
        end = min(offset + length, self.size)
        with self._changed:
            self._changed.wait_for(lambda: self._failure or self._has(offset, end))
            if self._failure:
                raise self._failure
        piece = os.pread(self._file, end - offset, offset)
        if len(piece) < end - offset:
            raise OSError(errno.EIO, "the part file was cut by somebody else")
        return piece

    def _has(self, start: int, end: int) -> bool:
        return start >= end or any(first <= start and end <= last for first, last in self._done)

    def md5(self) -> str:
        """Read all of it, from the first byte to the last; the md5 in hexadecimal.

        The state of an md5 cannot be stored (hashlib has no way to), so a resumed download begins with
        the bytes on the disk, while the others arrive.
        """
        digest = hashlib.md5(usedforsecurity=False)
        for offset in range(0, self.size, _CHUNK):
            digest.update(self.read_at(offset, _CHUNK))
        return digest.hexdigest()
