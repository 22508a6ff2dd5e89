"""An archive of any format: what extraction asks of it, and which format a name stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datarepo.archives.reader import Reader
    from datarepo.archives.safety import Member

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


class Entry(Protocol):
    """A member with what extraction has to know of it.

    `flaw` is the end of a sentence on why its data cannot be had, empty when they can; `start` is where it
    begins in the archive, unpacked if that is compressed as a whole.
    """

    member: Member
    flaw: str
    start: int


class Archive(Protocol):
    """An open archive: its size in bytes, its entries, and the verified bytes of each.

    A `sequential` one gives its members one after the other, in the order of its entries; any other
    gives them to several threads at once.
    """

    size: int
    sequential: bool

    @property
    def entries(self) -> Sequence[Entry]:
        """All there is, in the order of the archive's own list."""
        ...

    def contents(self, entry: Any, /) -> Iterator[bytes]:  # noqa: ANN401  # each format has its own entries
        """The bytes of one of its entries; ArchiveError when they are not as promised."""
        ...


def suffix(name: str) -> str:
    """The archive suffix of a name, in lower case; empty when it is no archive's.

    >>> suffix("a/vqa.ZIP"), suffix("x.tar.gz"), suffix("model.pt.gz")
    ('.zip', '.tar.gz', '')
    """
    return next((each for each in SUFFIXES if name.lower().endswith(each)), "")


def stem(path: PurePath) -> str:
    """The name of an archive without its suffix."""
    return path.name[: len(path.name) - len(suffix(path.name))]


def open_archive(reader: Reader, name: str, max_ratio: float) -> Archive:
    """Open the archive that `name` says it is, a zip archive if it says nothing.

    Raises ArchiveError when there is no sound list of members. Where such a list takes unpacking the
    whole, it ends early beyond `max_ratio` times the archive's size.
    """
    if suffix(name) in ("", ".zip"):
        from datarepo.archives.zip import ZipArchive

        return ZipArchive(reader)
    from datarepo.archives.tar import TarArchive

    return TarArchive(reader, suffix(name), max_ratio)
