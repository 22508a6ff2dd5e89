"""Archives made for the tests, valid ones and ones no honest program would write; and what becomes of them.

zipped, with_zipfile, tarred, noise    an archive in bytes
unpacked, refusal_of, tree             what extraction makes of it
verdict, StoredBlob                    what the survey says of it, before its data are here

Whatever is unpacked here was surveyed before as the blob it would be upstream, and both have to agree.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import re
import struct
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import obstore
import pytest
from datarepo.archives.formats import stem
from datarepo.azure.blob import Address, Blob, BlobReader
from datarepo.azure.download import RANGE
from datarepo.azure.source import Source
from datarepo.commands.survey import survey
from datarepo.commands.unzip import unzip
from datarepo.errors import ArchiveError
from datarepo.pipeline.catalogue import Asset
from obstore.store import MemoryStore

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tgz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": zstd.compress,
}
REFUSED = "archive refused: member "

Tree = dict[str, bytes | str | None]


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


def boastful(size: int) -> bytes:
    """A small archive whose one member is said to have `size` bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("huge.tsv", "not so huge")
        archive.infolist()[0].file_size = size
    return stream.getvalue()


def endless_zeros(name: str, size: int) -> bytes:
    """A small archive of one member that unpacks to `size` bytes, whole MB of zeros; its CRC is wrong."""
    deflate = zlib.compressobj(wbits=-15)
    block = deflate.compress(bytes(1_000_000)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return zipped(Entry(name, raw=block * (size // 1_000_000) + deflate.flush(), size=size))


def with_zipfile(entries: dict[str, bytes | None], method: int = DEFLATED) -> bytes:
    """A zip archive by Python's zipfile; None is a folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}/" if data is None else name, data or b"")
    return stream.getvalue()


def noise(length: int, seed: int = 0) -> bytes:
    """A zip archive of that length in bytes: one member of noise."""
    return with_zipfile({"vqa/noise.bin": random.Random(seed).randbytes(length - 124)}, STORED)


THREE_RANGES = noise(5 * RANGE // 2)  # what a download brings in three requests


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive to write, with any field of its header."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, len(data), 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar archive of the members, as GNU tar would end it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


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


class StoredBlob(BlobReader):
    """A blob read as from Azure, its store in memory, where it is called `name` in messages."""

    def __init__(self, content: bytes, name: str) -> None:
        source = Source("oscar", "oscar", "https://example.org")
        super().__init__(Address(source, "blob", "store"), Blob("", len(content), datetime.now(timezone.utc)))
        self.name = name
        store = MemoryStore()
        obstore.put(store, "blob", content)
        self._store = store  # type: ignore[assignment]  # not of Azure
        self._etag = obstore.head(store, "blob")["e_tag"] or ""


# What is in a zip archive between its directory and the data of a member: a survey reads none of that.
WITHIN_DATA = re.compile(
    r": (its data are (more|less|damaged)|its data go on after|its CRC-32 is|there is no local header"
    r"|its local header is|its data overlap what comes next|its LZMA|the archive ends within its data)"
)


def verdict(content: bytes, folder: Path, name: str = "archive.zip") -> str:
    """Why the survey refuses the archive upstream that is to land in `folder/out`; empty when it does not."""
    asset = Asset(stem(PurePosixPath(name)), "dataset", f"remote://oscar/{name}", "out")
    try:
        survey(folder, asset, StoredBlob(content, str(folder / name)))
    except ArchiveError as error:
        return error.message
    return ""


def unpacked(content: bytes, folder: Path, name: str = "archive.zip") -> Tree:
    """What the archive with that content becomes in `folder/out`, having checked that a survey foretells it."""
    foretold = verdict(content, folder, name)
    (folder / name).write_bytes(content)
    try:
        unzip(folder / name, folder / "out", replace=True, quiet=True)
    except ArchiveError as error:
        if foretold != error.message and (foretold or not WITHIN_DATA.search(error.message)):
            pytest.fail(f"the survey said {foretold!r} of an archive that was refused: {error.message}")
        raise
    assert foretold == ""
    return tree(folder / "out")


def refusal_of(content: bytes, folder: Path) -> str:
    """The message with which the archive is refused, having checked that nothing was left behind."""
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out/before").write_text("as it was")
    with pytest.raises(ArchiveError) as refused:
        unpacked(content, folder)
    assert tree(folder) == {"archive.zip": content, "out": None, "out/before": b"as it was"}
    return refused.value.message
