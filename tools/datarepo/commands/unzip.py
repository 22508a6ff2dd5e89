"""`tools/unzip-asset`: an archive's contents shown, or extracted into a folder.

unzip
├── open_archive   its list of members                        (archives.formats)
├── lay_out        decides before anything is written         (archives.extract)
├── disk.check     whether the contents fit
└── extract        the folder appears, whole or not at all    (archives.extract)
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarepo import disk
from datarepo.archives.extract import extract, lay_out
from datarepo.archives.formats import open_archive, stem
from datarepo.archives.reader import FileReader
from datarepo.archives.safety import MAX_RATIO, Kind, Member, shown
from datarepo.commands.report import Report
from datarepo.console import size
from datarepo.errors import UsageError
from datarepo.pipeline import import_stage, state
from datarepo.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True)
class Listing(Report):
    """The members of an archive, sound or not."""

    members: Sequence[Member]

    def lines(self) -> Iterable[str]:
        """A line a member, and the sum."""
        for member in self.members:
            arrow = f" -> {shown(member.target)}" if member.kind is Kind.LINK else ""
            yield f"{size(member.size):>9}  {shown(member.name)}{arrow}"
        files = sum(member.kind is not Kind.FOLDER for member in self.members)
        yield f"{files} files, {size(sum(member.size for member in self.members))}"

    def document(self) -> list[dict[str, Any]]:
        """A list of objects, sizes in bytes."""
        return [member._asdict() | {"kind": member.kind.value} for member in self.members]


@dataclass(frozen=True)
class Extraction(Report):
    """A folder that has become the contents of an archive; `seconds` is what it took."""

    folder: str
    files: int
    size: int
    seconds: float

    def lines(self) -> Iterable[str]:
        """One line."""
        yield f"{self.folder}: {self.files} files, {size(self.size)} in {self.seconds:.1f} s"

    def document(self) -> dict[str, Any]:
        """Sizes in bytes, times in seconds."""
        return self.__dict__


def show_members(archive: Path) -> Listing:
    """Tell what is in the archive; nothing is extracted and nothing judged."""
    with FileReader(archive) as reader:
        entries = open_archive(reader, archive.name, math.inf).entries
        return Listing([entry.member for entry in entries])


def unzip(
    archive: Path,
    folder: Path,
    *,
    jobs: int = 0,
    max_ratio: float = MAX_RATIO,
    force: bool = False,
    quiet: bool = False,
) -> Extraction:
    """Make `folder` the contents of `archive`, replacing what was there.

    `jobs` threads work on it, one a core when 0; `max_ratio` is how many times its size the archive
    may unpack to; `force` goes on although the disk seems too small. Raises ArchiveError, DiskError
    or UsageError, with everything as it was before.
    """
    begun = time.monotonic()
    wrappers = {stem(archive), import_stage.published_stem(archive) or folder.name, folder.name}
    folder = folder.resolve()  # a symbolic link stays one, its target is replaced
    _check_folder(folder, archive)
    with FileReader(archive) as reader:
        opened = open_archive(reader, archive.name, max_ratio)
        layout = lay_out(opened, folder, wrappers, max_ratio)
        if not force:
            disk.check(folder, layout.size, "the contents need")
        hashed = state.wants_hashes(folder, layout.size, layout.files)
        with Progress(quiet) as progress:
            advance = progress.task(folder.name, layout.size)
            digests = extract(opened, layout, folder, jobs=jobs, advance=advance, hashed=hashed)
    if digests:
        state.record_hashes(folder, digests)
    return Extraction(folder.name, layout.files, layout.size, time.monotonic() - begun)


def _check_folder(folder: Path, archive: Path) -> None:
    """Raise when replacing the folder would cost more than the folder."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", "give the name of a folder, which need not exist")
    inmates = {"the archive itself": archive.parent.resolve(), "the current directory": Path.cwd()}
    for what, inside in inmates.items():
        if inside.is_relative_to(folder):
            raise UsageError(
                f"{folder} would be replaced, and contains {what}", "give the folder a name of its own"
            )
