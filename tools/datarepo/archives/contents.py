"""The contents of an archive, as its directory tells them: how many members, how many bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from datarepo.azure import blob as blobs
from datarepo.console import size
from datarepo.errors import ArchiveError, BlobError, RepositoryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from datarepo.azure.blob import Blob, Place


@dataclass(frozen=True)
class Contents:
    """The number of members of an archive, and the bytes they have when extracted."""

    members: int
    size: int

    def __str__(self) -> str:
        return f"{self.members} {'member' if self.members == 1 else 'members'}, {size(self.size)} extracted"


def survey(places: Mapping[str, Place], found: Mapping[str, Blob]) -> dict[str, Contents]:
    """Read the directories at the end of remote archives, side by side: a few small reads each.

    Raises ArchiveError when a blob is no zip archive.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=max(1, len(places))) as pool:
        jobs = {name: pool.submit(_survey, place, found[name]) for name, place in places.items()}
        return {name: job.result() for name, job in jobs.items()}


def of_file(path: Path) -> Contents:
    """Read the directory of an archive on this machine; ArchiveError when it is no zip archive."""
    with path.open("rb") as stream:
        return _read(stream, path, "is it another file?")


def _read(stream: IO[bytes], what: object, hint: str) -> Contents:
    import zipfile

    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile as error:
        if isinstance(error.__context__, OSError):  # zipfile takes a read that failed for a wrong format
            raise error.__context__ from None
        raise ArchiveError(f"{what} is no zip archive: {error}", hint) from None
    return Contents(len(members), sum(member.file_size for member in members))


def _survey(place: Place, blob: Blob) -> Contents:
    from obstore.exceptions import BaseError

    try:
        return _read(
            blobs.reader(place, blob), place, "tell its publisher; or is it the wrong blob in params.yaml?"
        )
    except (BaseError, OSError) as error:
        if isinstance(error, RepositoryError):
            raise
        status, code = blobs.status_and_code(str(error))
        if status:
            raise blobs.refusal(place, status, code) from None
        words = str(error).partition("\n")[0]
        raise BlobError(f"{place} cannot be read: {words}", "run the same command again") from None
