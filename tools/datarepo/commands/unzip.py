"""`tools/unzip-asset`: an archive's contents shown, or extracted into a folder.

unzip
├── _check_folder  what must not be replaced is not
├── _max_ratio     the catalogue's word on how far it may unpack
├── open_archive   its list of members                        (archives.formats)
├── lay_out        decides before anything is written         (archives.extract)
├── check_disk     whether the contents fit
├── appearing      the folder appears, whole or not at all    (archives.atomic_folder)
└── fill           with all members in it                     (archives.extract)
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datarepo.archives.atomic_folder import appearing, not_empty
from datarepo.archives.extract import fill, lay_out
from datarepo.archives.formats import open_archive, stem
from datarepo.archives.reader import FileReader
from datarepo.archives.safety import MAX_RATIO, Kind, Member, shown
from datarepo.commands.report import Report
from datarepo.console import size
from datarepo.errors import UsageError
from datarepo.files import check_disk
from datarepo.pipeline import import_stage, state
from datarepo.progress import Progress

REPOSITORY = {".git", ".dvc"}  # what makes a folder one


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
    remark: str = ""

    def lines(self) -> Iterable[str]:
        """One line."""
        yield f"{self.folder}: {self.files} files, {size(self.size)} in {self.seconds:.1f} s"

    def document(self) -> dict[str, Any]:
        """Sizes in bytes, times in seconds."""
        return self.__dict__

    def notes(self) -> Iterable[str]:
        """What is no hindrance here, but may be elsewhere."""
        return [self.remark] if self.remark else []


def show_members(archive: Path) -> Listing:
    """Tell what is in the archive; nothing is extracted and nothing judged."""
    with FileReader(archive) as reader:
        entries = open_archive(reader, archive.name, math.inf).entries
        return Listing([entry.member for entry in entries])


def unzip(
    archive: Path,
    folder: Path,
    *,
    replace: bool = False,
    jobs: int = 0,
    max_ratio: float | None = None,
    force: bool = False,
    quiet: bool = False,
) -> Extraction:
    """Make `folder` the contents of `archive`.

    What was in the folder goes if `replace`, and is an error if not. `jobs` threads work on it, one a core
    when 0; `max_ratio` is how many times its size the archive may unpack to, None for what the catalogue
    around it says; `force` goes on although the disk seems too small. Raises ArchiveError, CatalogueError,
    DiskError or UsageError, with everything as it was before.
    """
    begun = time.monotonic()
    wrappers = {stem(archive), import_stage.published_stem(archive) or folder.name, folder.name}
    folder = folder.resolve()  # a symbolic link stays one, its target is replaced
    _check_folder(folder, archive, replace=replace)
    max_ratio = max_ratio or _max_ratio(archive)
    with FileReader(archive) as reader:
        opened = open_archive(reader, archive.name, max_ratio)
        layout = lay_out(opened, folder, wrappers, max_ratio)
        if not force:
            check_disk(folder, layout.size, "the contents need")
        hashed = state.wants_hashes(folder, layout.size, layout.files)
        with Progress(quiet) as progress:
            advance = progress.task(folder.name, layout.size)
            with appearing(folder, replace=replace) as tree:
                digests = fill(opened, layout, tree, jobs=jobs, advance=advance, hashed=hashed)
    if digests:
        state.record_hashes(folder, digests)
    return Extraction(folder.name, layout.files, layout.size, time.monotonic() - begun, layout.remark)


def _check_folder(folder: Path, archive: Path, *, replace: bool) -> None:
    """Raise when making the folder anew would cost more than the folder, or, unasked, what is in it."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", "give the name of a folder, which need not exist")
    if keeper := _keeper(folder):
        raise UsageError(f"{folder} is {keeper.name}'s own", f"give a folder beside {keeper}")
    inmates = {
        "the archive itself": archive.parent.resolve(),
        "the current directory": Path.cwd(),
        "your home folder": Path(os.path.expanduser("~")).resolve(),  # noqa: PTH111  # Path.home() may raise
    }
    if repository := _repository(folder):
        inmates |= {f"the repository {repository}": repository}
    for what, inside in inmates.items():
        if inside.is_relative_to(folder):
            raise UsageError(
                f"{folder} would be replaced, and contains {what}", "give the folder a name of its own"
            )
    if not replace and folder.exists() and any(folder.iterdir()):
        raise not_empty(folder)


def _keeper(folder: Path) -> Path | None:
    """The `.git` or `.dvc` that a folder is, or lies in; a workspace of DVC's in there is one by itself."""
    for place in (folder, *folder.parents):
        if place.name in REPOSITORY:
            return place
        if any((place / name).exists() for name in REPOSITORY):
            return None
    return None


def _repository(folder: Path) -> Path | None:
    """The first repository that is in a folder, wherever."""
    for above, folders, files in os.walk(folder):
        if REPOSITORY & {*folders, *files}:
            return Path(above)
    return None


def _max_ratio(archive: Path) -> float:
    """How many times its size the archive of an asset may unpack to, as the catalogue around it says."""
    from datarepo.pipeline import catalogue

    folder = archive.parent.resolve()  # the archive itself may be a link into DVC's cache
    root = folder.parent
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if "max_ratio" not in (root / catalogue.FILE).read_text(encoding="utf-8"):
            return MAX_RATIO  # most say nothing of that, and are read in no time
        file = f"{folder.name}/{archive.name}"
        assets = catalogue.load(root).assets.values()
        return next((asset.max_ratio for asset in assets if asset.file == file), None) or MAX_RATIO
    return MAX_RATIO
