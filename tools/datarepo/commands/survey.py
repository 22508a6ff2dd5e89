"""The survey of an archive, wherever it lies: its members judged before it is downloaded or unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from datarepo.archives.extract import lay_out
from datarepo.archives.formats import open_archive, stem
from datarepo.archives.safety import AGAIN, HINT, MAX_RATIO, NO_ARCHIVE
from datarepo.azure.blob import DEADLINE, BlobReader, silent
from datarepo.console import size
from datarepo.deadline import ask_all
from datarepo.errors import ArchiveError
from datarepo.files import check_disk

if TYPE_CHECKING:
    from datarepo.archives.extract import Layout
    from datarepo.archives.formats import Archive
    from datarepo.archives.reader import Reader
    from datarepo.azure.blob import Address, Blob
    from datarepo.pipeline.catalogue import Asset


@dataclass(frozen=True)
class Survey:
    """An archive whose members were judged, and where they go."""

    archive: Archive
    layout: Layout

    @property
    def members(self) -> int:
        """How many members it has."""
        return len(self.archive.entries)

    @property
    def size(self) -> int:
        """The bytes of its contents."""
        return self.layout.size

    @property
    def remark(self) -> str:
        """What people should know of it, though it is no hindrance here; empty when there is nothing."""
        return self.layout.remark

    def __str__(self) -> str:
        count = f"{self.members} {'member' if self.members == 1 else 'members'}"
        return f"{count}, {size(self.size)} to be extracted"


def survey(root: Path, asset: Asset, reader: Reader) -> Survey:
    """Read the list of members, and judge each; ArchiveError when one must not be extracted."""
    max_ratio = asset.max_ratio or MAX_RATIO
    archive = open_archive(reader, asset.file, max_ratio)
    wrappers = {asset.name, stem(PurePosixPath(asset.path))}
    return Survey(archive, lay_out(archive, (root / asset.dir).resolve(), wrappers, max_ratio))


def blamed(asset: Asset, error: ArchiveError, blame: str) -> ArchiveError:
    """The error of an asset's archive, whose hint is `blame` where its own is to get the archive again."""
    hint = blame if error.hint in (AGAIN, HINT, NO_ARCHIVE) else error.hint
    return ArchiveError(f"{asset.name}: {error.message}", hint)


def survey_blobs(
    root: Path,
    addresses: Mapping[Asset, Address],
    blobs: Mapping[Asset, Blob],
    deadline: float = DEADLINE,
) -> dict[Asset, Survey]:
    """Survey zip archives upstream, side by side: a few small reads at the end of each.

    Of the others only the first bytes are read: what is no archive at all is told there. Raises
    ArchiveError for one that must not be extracted, BlobError for one that cannot be read within the
    deadline, in seconds.
    """

    def attempt(asset: Asset) -> Survey | None:
        reader = BlobReader(addresses[asset], blobs[asset])
        try:
            if asset.suffix == ".zip":
                return survey(root, asset, reader)
            from datarepo.archives.tar import check_kind  # whose decompressors a zip archive does not need

            check_kind(reader, asset.suffix)
            return None
        except ArchiveError as error:
            raise blamed(asset, error, "is it the right blob? then tell its publisher") from None

    questions = {asset: partial(attempt, asset) for asset in addresses if asset.suffix}
    surveys = {}
    for asset, answer in ask_all(questions, deadline, "the directories of the archives").items():
        if isinstance(answer, BaseException):
            raise silent(addresses[asset], deadline) if isinstance(answer, TimeoutError) else answer
        if answer:
            surveys[asset] = answer
    return surveys


def check_room(root: Path, archives: int, contents: int) -> None:
    """Raise DiskError when archives and their contents, in bytes, do not fit.

    No copy is counted for DVC's cache: with `cache.type = hardlink,symlink` it holds the same bytes.
    """
    check_disk(root, archives + contents, f"archives ({size(archives)}) and contents ({size(contents)}) need")
