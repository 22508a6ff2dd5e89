"""Bytes that can be read by position: the one thing an archive's reader needs to know of where they are."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Protocol


class Reader(Protocol):
    """A file, a blob, or a part file whose bytes are still arriving.

    `name` is what messages call it, `size` is in bytes; `read_at` may be called from several threads.
    """

    name: str
    size: int

    def read_at(self, offset: int, length: int, /) -> bytes:
        """The bytes from `offset` on: `length` of them, or fewer at the end."""
        ...


class FileReader:
    """A file on this machine, open while the block lasts."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._file).st_size

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the file, fewer than `length` at its end."""
        return os.pread(self._file, length, offset)


class Stream(io.RawIOBase):
    """A reader as a stream, for libraries that read one."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._position = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read again, from any position."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; the position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._reader.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's private Buffer
        """Fill the buffer as far as there are bytes; how far."""
        piece = self._reader.read_at(self._position, len(buffer))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
