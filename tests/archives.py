"""Archives and trees for the tests: valid ones, and ones no honest program would write."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14

Tree = dict[str, bytes | str | None]


def tree(folder: Path) -> Tree:
    """All below a folder: bytes of a file, target of a link, None for a folder."""
    result: Tree = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            result[name] = str(path.readlink())
        else:
            result[name] = None if path.is_dir() else path.read_bytes()
    return result


@dataclass
class Entry:
    """A member to write: true by default, a lie wherever a field is set.

    `size`, `crc`, `packed` and `start` are what the directory claims, `local_name` what the
    local header says; `raw` replaces the compressed data.
    """

    name: str | bytes
    data: bytes = b""
    mode: int = 0o100644
    method: int = DEFLATED
    system: int = 3
    flags: int = 0
    extra: bytes = b""
    comment: bytes = b""
    size: int | None = None
    crc: int | None = None
    packed: int | None = None
    start: int | None = None
    local_name: bytes | None = None
    raw: bytes | None = None

    def encoded(self) -> bytes:
        """The name in bytes; a str that is not ASCII sets the UTF-8 flag."""
        if isinstance(self.name, bytes):
            return self.name
        if not self.name.isascii():
            self.flags |= 1 << 11
        return self.name.encode()


def compress(data: bytes, method: int) -> bytes:
    """The data as a zip archive holds them; those of an unknown method are left as they are."""
    if method == DEFLATED:
        deflate = zlib.compressobj(wbits=-15)
        return deflate.compress(data) + deflate.flush()
    if method == BZIP2:
        return bz2.compress(data)
    if method == LZMA:  # APPNOTE 5.8.8: version, length of the properties, lc=3 lp=0 pb=2, dictionary
        filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}]
        properties = struct.pack("<2HBL", 9 << 8 | 4, 5, (2 * 5 + 0) * 9 + 3, 1 << 16)
        return properties + lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
    return data


def zipped(*entries: Entry, count: int | None = None, comment: bytes = b"") -> bytes:
    """A zip archive, byte by byte; `count` is how many members it claims to have."""
    body = bytearray()
    directory = bytearray()
    for entry in entries:
        name = entry.encoded()
        local_name = name if entry.local_name is None else entry.local_name
        data = compress(entry.data, entry.method) if entry.raw is None else entry.raw
        size = len(entry.data) if entry.size is None else entry.size
        packed = len(data) if entry.packed is None else entry.packed
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        start = len(body) if entry.start is None else entry.start
        fields = (entry.flags, entry.method, 0, 0x21, crc, packed, size)
        body += struct.pack("<4s5H3L2H", b"PK\3\4", 20, *fields, len(local_name), 0) + local_name + data
        lengths = (len(name), len(entry.extra), len(entry.comment))
        directory += struct.pack("<4s2B", b"PK\1\2", 20, entry.system)
        directory += struct.pack("<5H3L5H2L", 20, *fields, *lengths, 0, 0, entry.mode << 16, start)
        directory += name + entry.extra + entry.comment
    number = len(entries) if count is None else count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(directory), len(body), len(comment))
    return bytes(body + directory) + end + comment


def endless_zeros(name: str, size: int) -> bytes:
    """A small archive of one member that unpacks to `size` bytes, whole MB of zeros; its CRC is wrong."""
    deflate = zlib.compressobj(wbits=-15)
    block = deflate.compress(bytes(1_000_000)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return zipped(Entry(name, raw=block * (size // 1_000_000) + deflate.flush(), size=size))
