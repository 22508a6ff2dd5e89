"""A tar archive, compressed or not: its members, and the bytes of each, one after the other.

The list of members takes reading the whole archive once, so that everything can be judged before
anything is written; extraction reads it a second time. Formats: POSIX.1-2017 pax, "ustar", and what
GNU tar adds, all by Python's tarfile, which decides nothing here but where a member's bytes are.
"""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from isal import igzip, igzip_lib

from datarepo.archives.reader import Stream
from datarepo.archives.safety import AGAIN, HARMLESS, NO_ARCHIVE, Kind, Member, refuse
from datarepo.archives.sniff import kind
from datarepo.errors import ArchiveError, RepositoryError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from datarepo.archives.reader import Reader

CHUNK = 1 << 18  # bytes read at once

_COMPRESSIONS: dict[str, tuple[str, Callable[[BinaryIO], object]]] = {  # what it is by its first bytes
    ".tar": ("a tar archive", lambda stream: stream),
    ".tar.gz": ("gzip data", igzip.open),
    ".tgz": ("gzip data", igzip.open),
    ".tar.bz2": ("bzip2 data", bz2.open),
    ".tar.xz": ("xz data", lzma.open),
    ".tar.zst": ("Zstandard data", zstd.open),
}
BAD_DATA: tuple[type[Exception], ...] = (
    tarfile.TarError,
    EOFError,
    OSError,  # what bz2 and gzip raise
    igzip_lib.IsalError,  # type: ignore[assignment]  # isal's stub calls the class an instance
    lzma.LZMAError,
    zlib.error,
    zstd.ZstdError,
)


@dataclass(slots=True)
class Entry:
    """A member, and tarfile's own record of where its data are; `start` is that of its header."""

    member: Member
    flaw: str
    start: int
    info: tarfile.TarInfo


class TarArchive:
    """A tar archive, compressed as its name's suffix says.

    Raises ArchiveError when it is none, or damaged anywhere: listing it has unpacked all of it, with
    the checksums of the compression.
    """

    sequential = True

    def __init__(self, reader: Reader, compression: str, max_ratio: float) -> None:
        self._reader = reader
        self._compression = compression
        self._packed, unpacked = _COMPRESSIONS[compression]
        self.size = reader.size
        raw = io.BufferedReader(Stream(reader), CHUNK)
        self._tar: tarfile.TarFile | None = None
        self._stream = cast("BinaryIO", unpacked(cast("BinaryIO", raw)))
        try:
            self.entries = self._list(max(max_ratio * self.size, HARMLESS))
        except RepositoryError:
            raise
        except BAD_DATA as error:
            raise self._diagnosis(error) from None

    def contents(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a member, in pieces of at most CHUNK; to be asked for in the order of the entries."""
        left = entry.member.size
        try:
            data = self._tar.extractfile(entry.info) if self._tar else None
            assert data, "only files have contents"
            while left and (piece := data.read(min(CHUNK, left))):
                left -= len(piece)
                yield piece
        except RepositoryError:  # of the reader: a network's, for instance, which is an OSError too
            raise
        except BAD_DATA as error:
            raise refuse(entry.member.name, f"its data are damaged: {error}", AGAIN) from None
        if left:
            raise refuse(entry.member.name, "the archive ends within its data", AGAIN)

    def _list(self, enough: float) -> list[Entry]:
        """The entries; no more of them once they unpack to over `enough` bytes, which will be refused."""
        self._tar = archive = tarfile.open(  # noqa: SIM115  # open as long as the archive
            fileobj=self._stream, mode="r:", encoding="utf-8", errors="surrogateescape"
        )
        entries = []
        total = 0
        while total <= enough and (info := archive.next()) is not None:
            entries.append(_entry(info))
            total += info.size
        if total <= enough:
            self._check_end(archive.offset)
        return entries

    def _check_end(self, end: int) -> None:
        """Tell an archive that ends from one that was cut between two members, or goes on in secret."""
        if self._stream.tell() - end < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it has no end mark")
        while rest := self._stream.read(CHUNK):
            if rest.strip(b"\0"):
                raise tarfile.ReadError("something follows its end mark")

    def _diagnosis(self, error: Exception) -> ArchiveError:
        what = kind(self._reader.read_at(0, 4096))
        if what != self._packed or (self._tar is None and isinstance(error, tarfile.ReadError)):
            return _none(self._reader, self._compression, "" if what == self._packed else what)
        return ArchiveError(f"{self._reader.name}: damaged or truncated tar archive: {error}", AGAIN)


def check_kind(reader: Reader, compression: str) -> None:
    """Raise ArchiveError when the first bytes tell that it is something else; no more is read."""
    what = kind(reader.read_at(0, 4096))
    if what not in ("", _COMPRESSIONS[compression][0]):
        raise _none(reader, compression, what)


def _none(reader: Reader, compression: str, what: str) -> ArchiveError:
    but = f" but {what}" if what else ""
    return ArchiveError(f"{reader.name}: not a {compression} archive{but}", NO_ARCHIVE)


def _entry(info: tarfile.TarInfo) -> Entry:
    becomes, flaw = Kind.OTHER, ""
    if info.isreg():
        becomes = Kind.FILE
    elif info.isdir():
        becomes = Kind.FOLDER
    elif info.issym():
        becomes = Kind.LINK
    elif info.islnk():
        # What it names may be replaced later in the archive, or be a link itself.
        becomes, flaw = Kind.FILE, "it is a hard link, which is not supported"
    size = info.size if becomes is Kind.FILE else 0
    target = info.linkname if becomes is Kind.LINK else ""
    return Entry(Member(info.name, becomes, size, stat.S_IMODE(info.mode), target), flaw, info.offset, info)
