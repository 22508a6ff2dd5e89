"""A zip archive: its members, and the verified bytes of each.

    ┌ data in front, such as a self-extractor ┐ start of the archive
    │ local header, name, extra, data, …      │ ← Entry.start, up to Entry.limit
    │ central directory: a record a member    │ what `entries` come from
    │ [zip64 end record, zip64 locator]       │
    │ end record, comment                     │ end of the file
    └─────────────────────────────────────────┘

Sections "4.x" are those of APPNOTE.TXT 6.3.10 (https://pkware.com/appnote). Python's zipfile is
not used: it cuts names at NUL, decodes them differently from version to version, does not hold
the directory to its own count of members (so one damaged length hides the rest), and hands out
members one at a time.
"""

from __future__ import annotations

import bz2
import contextlib
import copy
import lzma
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from isal import igzip_lib, isal_zlib

from datarepo.archives.safety import AGAIN, LINK_BYTES, NO_ARCHIVE, Kind, Member, refuse, shown
from datarepo.archives.sniff import kind
from datarepo.errors import ArchiveError, RepositoryError

if TYPE_CHECKING:
    from datarepo.archives.reader import Reader

CHUNK = 1 << 18  # bytes read or unpacked at once; a local header (65565 at most) fits in one
WINDOW = 1 << 27  # the largest LZMA dictionary, which is memory: twice that of `xz -9`

END = struct.Struct("<4s4H2LH")  # 4.3.16
LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
RECORD = struct.Struct("<4s4B4H3L5H2L")  # 4.3.12
LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
METHODS = {  # 4.4.5
    1: "Shrink", 2: "Reduce", 3: "Reduce", 4: "Reduce", 5: "Reduce", 6: "Implode", 9: "Deflate64",
    10: "PKWARE Implode", 16: "IBM z/OS CMPSC", 18: "IBM TERSE", 19: "IBM LZ77", 20: "Zstandard",
    93: "Zstandard", 94: "MP3", 95: "XZ", 96: "JPEG", 97: "WavPack", 98: "PPMd", 99: "AES encryption",
}  # fmt: skip
ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13  # 4.4.4: by password, strongly, with masked headers
UTF8 = 1 << 11
UNIX, MACOS = 3, 19  # 4.4.2.2: systems that keep a Unix mode in the external attributes

ENDLESS = (STORED, LZMA)  # need not mark their end
BAD_DATA: tuple[type[Exception], ...] = (
    igzip_lib.IsalError,  # type: ignore[assignment]  # isal's stub calls the class an instance
    lzma.LZMAError,
    OSError,  # what bz2 raises
)


@dataclass(slots=True)
class Entry:
    """A member and where its data are.

    `name` is the undecoded one, `limit` the place of whatever comes next in the file, and `flaw`
    says why the data cannot be had, if so.
    """

    member: Member
    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    start: int
    flaw: str
    limit: int = 0


class Directory(NamedTuple):
    """From where to where the central directory is, how much is in front of the archive, how many entries.

    `members` is to be compared under `mask`: without zip64, 65536 members are recorded as 0.
    """

    begin: int
    end: int
    prefix: int
    members: int
    mask: int


class ZipArchive:
    """A zip archive over bytes that are read by position, so that threads share it.

    Raises ArchiveError when there is no sound directory; an entry's flaw is found here, but left
    to the caller, who may only want a list.
    """

    sequential = False

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.size = reader.size
        self.entries = self._directory()
        for entry in self.entries:
            if entry.member.kind is Kind.LINK and not entry.flaw:
                self._read_target(entry)

    def over(self, reader: Reader) -> ZipArchive:
        """The same archive, with the bytes of its members from another reader."""
        other = copy.copy(self)
        other._reader = reader
        return other

    def contents(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a member, in pieces of at most CHUNK.

        Raises ArchiveError, at the latest after the last piece, when size or CRC are not as promised.
        """
        name, left, crc = entry.member.name, entry.member.size, 0
        packed = self._packed(entry)
        fed = next(packed, b"")
        try:
            decoder, fed = _decoder(entry, fed)
            while not decoder.eof:
                if decoder.needs_input and not fed:
                    fed = next(packed, b"")
                    if not fed:
                        break
                piece = decoder.decompress(fed, min(CHUNK, left + 1))
                fed = b""
                left -= len(piece)
                if left < 0:
                    raise refuse(
                        name, f"its data are more than the {entry.member.size} bytes promised", AGAIN
                    )
                crc = isal_zlib.crc32(piece, crc)
                yield piece
        except RepositoryError:  # of the reader: a network's, for instance, which is an OSError too
            raise
        except BAD_DATA as error:
            raise refuse(name, f"its data are damaged: {error}", AGAIN) from None
        if left or not (decoder.eof or entry.method in ENDLESS):
            raise refuse(name, f"its data are less than the {entry.member.size} bytes promised", AGAIN)
        if decoder.unused_data or next(packed, b""):
            raise refuse(name, "its data go on after their end", AGAIN)
        if crc != entry.crc:
            raise refuse(name, f"its CRC-32 is {crc:08x}, not {entry.crc:08x} as promised", AGAIN)

    def _packed(self, entry: Entry) -> Iterator[bytes]:
        """The data of a member as they are in the file; a small member takes one system call in all."""
        block = self._reader.read_at(entry.start, min(CHUNK, entry.limit - entry.start))
        name = entry.member.name
        if len(block) < LOCAL.size or not block.startswith(b"PK\3\4"):
            raise refuse(name, "there is no local header where the directory says", AGAIN)
        _, _, flags, method, _, _, _, _, _, name_length, extra_length = LOCAL.unpack_from(block)
        same = method == entry.method and block[LOCAL.size : LOCAL.size + name_length] == entry.name
        # ASCII is the same text in UTF-8 and in CP437, so that the flag says nothing there.
        if not same or ((flags ^ entry.flags) & UTF8 and not entry.name.isascii()):
            raise refuse(name, "its local header is that of another member")
        begin = LOCAL.size + name_length + extra_length
        position, end = entry.start + len(block), entry.start + begin + entry.packed
        if end > entry.limit:
            raise refuse(name, "its data overlap what comes next in the archive")
        yield block[begin : begin + entry.packed]
        while position < end:
            block = self._reader.read_at(position, min(CHUNK, end - position))
            if not block:
                raise refuse(name, "the archive ends within its data", AGAIN)
            position += len(block)
            yield block

    def _read_target(self, link: Entry) -> None:
        """A link's target is its contents, and part of what is judged before anything is written."""
        if link.member.size > LINK_BYTES:
            link.flaw = f"its target has more than {LINK_BYTES} bytes"
        else:
            target = b"".join(self.contents(link)).decode("utf-8", "surrogateescape")
            link.member = link.member._replace(target=target)

    def _directory(self) -> list[Entry]:
        """The entries, in the order of the central directory."""
        where = self._find_directory()
        directory = self._reader.read_at(where.begin, where.end - where.begin)
        entries: list[Entry] = []
        at = 0
        while at < len(directory):
            if len(directory) - at < RECORD.size or directory[at : at + 4] != b"PK\1\2":
                raise self._damaged(f"damaged zip directory after {len(entries)} members")
            entry, length = _entry(directory, at, where.prefix)
            entries.append(entry)
            at += length
        if at != len(directory) or len(entries) & where.mask != where.members:
            raise self._damaged(f"damaged zip directory: {len(entries)} members instead of {where.members}")
        _set_limits(entries, where.begin)
        return entries

    def _find_directory(self) -> Directory:
        """The central directory, as the end records describe it."""
        reach = min(self.size, LOCATOR.size + END.size + 0xFFFF)
        tail = self._reader.read_at(self.size - reach, reach)
        at = tail.rfind(b"PK\5\6")
        while at >= 0 and (
            len(tail) - at < END.size or END.unpack_from(tail, at)[-1] != len(tail) - at - END.size
        ):
            at = tail.rfind(b"PK\5\6", 0, at)
        if at < 0:
            raise self._diagnosis(tail)
        end, mask = self.size - reach + at, 0xFFFF
        _, disk, first_disk, _, count, length, offset, _ = END.unpack_from(tail, at)
        if at >= LOCATOR.size and tail.startswith(b"PK\6\7", at - LOCATOR.size):
            _, _, recorded, _ = LOCATOR.unpack_from(tail, at - LOCATOR.size)
            end, mask = end - LOCATOR.size, -1
            # Data in front shift what was recorded; a record of the usual length stands just before.
            for place in (end - END64.size, recorded):
                record = self._reader.read_at(place, END64.size) if 0 <= place < end else b""
                if len(record) == END64.size and record.startswith(b"PK\6\6"):
                    break
            else:
                raise self._damaged("damaged zip: its zip64 end record is missing")
            end = place
            _, _, _, _, disk, first_disk, _, count, length, offset = END64.unpack(record)
        if disk or first_disk:
            raise ArchiveError(
                f"{self._reader.name}: one part of a split zip archive",
                "join its parts: zip -s 0 PARTS.zip --out WHOLE.zip",
            )
        prefix = end - length - offset
        if prefix < 0:
            raise self._damaged(f"truncated zip: {-prefix} bytes are missing before its end")
        return Directory(end - length, end, prefix, count, mask)

    def _diagnosis(self, tail: bytes) -> ArchiveError:
        """The error of bytes that do not end as a zip archive does."""
        head = self._reader.read_at(0, 4096)
        what = kind(head)
        if what and what != "a zip archive":
            return ArchiveError(f"{self._reader.name}: not a zip archive but {what}", NO_ARCHIVE)
        if b"PK\5\6" in tail:
            return self._damaged("damaged zip: its end record does not end the file")
        if head.startswith(b"PK"):
            return self._damaged("truncated zip: it has no end record")
        return ArchiveError(f"{self._reader.name}: not a zip archive", NO_ARCHIVE)

    def _damaged(self, how: str) -> ArchiveError:
        return ArchiveError(f"{self._reader.name}: {how}", AGAIN)


def _entry(directory: bytes, at: int, prefix: int) -> tuple[Entry, int]:
    """The entry whose record stands at `at`, and the length of the record."""
    (
        _, _, system, _, _, flags, method, _, _, crc, packed, size,
        name_length, extra_length, comment_length, _, _, attributes, start,
    ) = RECORD.unpack_from(directory, at)  # fmt: skip
    begin = at + RECORD.size
    raw = directory[begin : begin + name_length]
    extra = (
        _extra(directory[begin + name_length : begin + name_length + extra_length]) if extra_length else {}
    )
    name = _decode(raw, flags, system, extra)
    if 0xFFFFFFFF in (size, packed, start):
        size, packed, start = _wide(name, extra.get(0x0001, b""), size, packed, start)
    mode = attributes >> 16 if system in (UNIX, MACOS) else 0
    member = Member(name, _kind(name, mode), size, stat.S_IMODE(mode))
    flaw = _flaw(flags, method, size, packed)
    length = RECORD.size + name_length + extra_length + comment_length
    return Entry(member, raw, flags, method, crc, packed, start + prefix, flaw), length


def _extra(data: bytes) -> dict[int, bytes]:
    """The extra fields by their number (4.5.1); padding at the end, which aligners leave, is no field."""
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        number, length = struct.unpack_from("<2H", data, at)
        fields.setdefault(number, data[at + 4 : at + 4 + length])
        at += 4 + length
    return fields


def _wide(name: str, field: bytes, *values: int) -> list[int]:
    """The values with those of the zip64 field where 32 bits were too few (4.5.3)."""
    wide = (number for (number,) in struct.iter_unpack("<Q", field[: len(field) // 8 * 8]))
    try:
        return [next(wide) if value == 0xFFFFFFFF else value for value in values]
    except (StopIteration, RuntimeError):
        raise refuse(name, "its zip64 sizes are missing", AGAIN) from None


def _decode(raw: bytes, flags: int, system: int, extra: dict[int, bytes]) -> str:
    """A name as text: UTF-8 where the archive says so, or comes from a Unix and reads so; else CP437.

    4.4.4 bit 11, 4.6.9 and appendix D. The Unix rule is Info-ZIP's: macOS writes UTF-8 without a word.
    """
    if flags & UTF8 or (raw.isascii() and not extra):
        return raw.decode("utf-8", "surrogateescape")
    unicode_path = extra.get(0x7075, b"")
    if len(unicode_path) > 5 and unicode_path[1:5] == isal_zlib.crc32(raw).to_bytes(4, "little"):
        return unicode_path[5:].decode("utf-8", "surrogateescape")
    if system in (UNIX, MACOS):
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode("utf-8")
    return raw.decode("cp437")


def _kind(name: str, mode: int) -> Kind:
    """A folder is what ends in a slash, as for zipfile and unzip, whatever the attributes say."""
    if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR):
        return Kind.FOLDER if name.endswith("/") else Kind.FILE
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.OTHER


def _flaw(flags: int, method: int, size: int, packed: int) -> str:
    if flags & ENCRYPTED:
        return "it is encrypted"
    if method not in (STORED, DEFLATED, BZIP2, LZMA):
        name = METHODS.get(method, "an unknown method")
        return f"it is compressed with {name} ({method}), which is not supported"
    if method == STORED and size != packed:
        return f"it is stored without compression, yet {size} bytes are said to be {packed}"
    return ""


def _set_limits(entries: list[Entry], end: int) -> None:
    """Limit each entry by the next in the file, the last by `end`; a flaw where they overlap.

    A folder that is listed again with the same record overlaps itself, which harms nobody.
    """
    after: Entry | None = None
    for entry in sorted(entries, key=lambda entry: entry.start)[::-1]:
        if after is None:
            entry.limit = end
        else:
            entry.limit = after.limit if _is_same_folder(entry, after) else after.start
        if entry.start + LOCAL.size + len(entry.name) + entry.packed > entry.limit:
            other = f"those of {shown(after.member.name)}" if after else "the directory"
            entry.flaw = f"its data overlap {other}"
        after = entry


def _is_same_folder(one: Entry, other: Entry) -> bool:
    """Whether two entries are one folder without data, listed twice."""
    return (
        one.member.kind is Kind.FOLDER
        and one.member == other.member
        and (one.start, one.name, one.packed) == (other.start, other.name, 0)
    )


class _Decoder(Protocol):
    """What the decompressors of ISA-L, bzip2 and LZMA have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """The next bytes, at most `max_length`; what is not needed yet is kept."""


class _Stored:
    """The decompressor of what is not compressed."""

    eof = False
    needs_input = True
    unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:  # noqa: ARG002  # data are CHUNK at most
        return data


def _decoder(entry: Entry, data: bytes) -> tuple[_Decoder, bytes]:
    """The decompressor for a member, and what of its first data is for it."""
    if entry.method == DEFLATED:
        return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE), data
    if entry.method == BZIP2:
        return bz2.BZ2Decompressor(), data
    if entry.method == LZMA:
        return _lzma_decoder(entry, data)
    return _Stored(), data


def _lzma_decoder(entry: Entry, data: bytes) -> tuple[_Decoder, bytes]:
    """LZMA with the properties in front of the data (5.8.8): two of version, two of length, then five."""
    if len(data) < 9:
        raise refuse(entry.member.name, "its LZMA properties are missing", AGAIN)
    _, length, properties, dictionary = struct.unpack_from("<2HBL", data)
    if length != 5 or properties >= 9 * 5 * 5:
        raise refuse(entry.member.name, "its LZMA properties make no sense", AGAIN)
    # Beyond the member's own size the dictionary would stay empty.
    dictionary = max(min(dictionary, entry.member.size), 4096)
    if dictionary > WINDOW:
        raise refuse(entry.member.name, f"its LZMA dictionary would take {dictionary} bytes of memory")
    position_and_literal, context = divmod(properties, 9)
    position, literal = divmod(position_and_literal, 5)
    filters = [
        {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": context, "lp": literal, "pb": position}
    ]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters), data[9:]
