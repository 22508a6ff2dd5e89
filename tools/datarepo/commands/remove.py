"""`tools/remove-asset`: assets out of use, or only their archives out of this clone.

remove          stages, parameters, ignore entries, part files; the cache keeps the data
free_archives   archives whose contents are unpacked and cached, and that can be had again
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarepo.archives import atomic_folder
from datarepo.azure import blob
from datarepo.azure.blob import Blob
from datarepo.azure.part_file import PartFile
from datarepo.commands.report import Report
from datarepo.console import size
from datarepo.errors import BlobNotFoundError, RepositoryError, SasError, StageError, UsageError
from datarepo.pipeline import catalogue, commit, dvc_lock, edits, import_stage
from datarepo.pipeline.location import Location
from datarepo.pipeline.remotes import Remotes
from datarepo.pipeline.repository import Repository
from datarepo.pipeline.root import at_root, find_root, part_files, writing

if TYPE_CHECKING:
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage
    from datarepo.pipeline.location import Presence


@dataclass(frozen=True)
class RemoveReport(Report):
    """The assets that were taken out of use, each with the paths that went from the workspace.

    `parts` are the bytes of interrupted downloads that went as well.
    """

    paths: Mapping[Asset, Sequence[str]]
    parts: Mapping[Asset, int]
    commit: str = ""

    def lines(self) -> Iterable[str]:
        """A line an asset, and what to run next."""
        for asset, paths in self.paths.items():
            part = self.parts.get(asset)
            gone = [*paths, *([f"{size(part)} of an interrupted download"] if part else [])]
            yield f"{asset.name}: out of use{f', with {_and(gone)}' if gone else ''}"
        yield f"next: {at_root(self.commit) or 'nothing, git sees no change'}"
        if any(self.paths.values()):
            yield "      the cache keeps the data; Freeing space in the README tells how to free it"

    def document(self) -> list[dict[str, Any]]:
        """A list of objects."""
        return [
            {"name": asset.name, "removed": list(paths), "part_file": self.parts.get(asset, 0)}
            for asset, paths in self.paths.items()
        ]


@dataclass(frozen=True)
class FreedReport(Report):
    """The assets whose archives were freed, each with the bytes of disk that came free.

    `places` tell where each archive is had again, UNKNOWN where nobody asked.
    """

    freed: Mapping[Asset, int]
    places: Mapping[Asset, Location]

    def lines(self) -> Iterable[str]:
        """A line an asset, and what brings the archives back."""
        for asset, count in self.freed.items():
            yield f"{asset.name}: {size(count)} freed; stage and contents stay"
        team = [asset for asset in self.freed if self.places[asset] is Location.TEAM]
        others = [asset.name for asset in self.freed if asset not in team]
        ways = [f"dvc pull {' '.join(asset.stage for asset in team)}"] if team else []
        ways += [f"tools/fetch-asset {' '.join(others)} --no-unzip"] if others else []
        yield f"next: nothing; '{at_root(' && '.join(ways))}' would bring the archives back"

    def document(self) -> list[dict[str, Any]]:
        """A list of objects, sizes in bytes."""
        return [{"name": asset.name, "freed": count} for asset, count in self.freed.items()]


def _and(words: Sequence[str]) -> str:
    """The words as a list: a, b and c."""
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), words[-1]])


def remove(names: Iterable[str], *, force: bool = False) -> RemoveReport:
    """Take the named assets out of use; their entries in the catalogue stay.

    What lies in the workspace goes too, since git would take it for new files; the cache still has
    it. Raises StageError, and changes nothing, when the cache does not, unless `force`.
    """
    root, names = find_root(), list(names)
    with _alone_with(root, names):
        text = catalogue.read_text(root)
        known = catalogue.parse(text)
        named = known.find(names)
        made = dvc_lock.read(root)
        parts = {asset: PartFile(part_files(root), asset.name).arrived for asset in named}
        going = commit.changed(root, [asset.stage for asset in named])  # of a run that was killed at its end
        assets = [
            asset
            for asset in named
            if asset.name in known.used
            or asset.name in made
            or parts[asset]
            or (root / asset.stage).exists()
            or asset.stage in going
        ]
        if not assets:  # some may be: a run that was killed took out the others
            unused = ", ".join(f"'{asset.name}'" for asset in named)
            raise UsageError(f"{unused} is not in use", "tools/list-assets shows which assets are")
        removed = Repository(root).remove(
            {asset: _outputs(root, asset, asset.name in known.used, asset.name in made) for asset in assets},
            force=force,
        )
        rest = [asset for asset in catalogue.assets_in_use(root, known) if asset not in assets]
        for asset in assets:
            _discard(root, asset)
        catalogue.save(root, catalogue.with_used(text, rest))  # last: until then the same command goes on
        line = commit.commit_line(root, commit.paths([*assets, *rest]), f"Remove {commit.names(assets)}")
    return RemoveReport(removed, parts, line)


def _outputs(root: Path, asset: Asset, is_used: bool, is_made: bool) -> list[str]:
    """What is the asset's in the workspace, by what is known of it: not every folder of that name is."""
    has_file = is_made or (root / asset.stage).exists()
    has_contents = bool(asset.suffix) and (is_made or is_used)
    return [*([asset.file] if has_file else []), *([asset.dir] if has_contents else [])]


@contextlib.contextmanager
def _alone_with(root: Path, names: Iterable[str]) -> Iterator[None]:
    """Hold the part files of assets, then the repository: tools/fetch-asset takes them in that order."""
    with contextlib.ExitStack() as held:
        for asset in catalogue.load(root).find(names):
            part_file = PartFile(part_files(root), asset.name)
            if part_file.lock.exists():
                held.enter_context(part_file.locked())
        held.enter_context(writing(root))
        yield


def _discard(root: Path, asset: Asset) -> None:
    """Remove what killed runs have left of an asset."""
    PartFile(part_files(root), asset.name).forget()
    atomic_folder.clear((root / asset.dir).resolve())


def free_archives(names: Iterable[str], *, force: bool = False) -> FreedReport:
    """Free the archives of the named assets in workspace and cache; stages and contents stay.

    Raises StageError, and deletes nothing, when the contents of one are not unpacked and cached, or are
    damaged, or when nobody says that they still have its archive, unless `force` for the latter.
    """
    root, names = find_root(), list(names)
    with _alone_with(root, names):
        known = catalogue.load(root)
        stages = {asset: _stage(root, asset) for asset in known.find(names)}
        repository = Repository(root)
        presences = repository.look(stages)
        for asset, stage in stages.items():
            if presences[asset].is_damaged:
                raise edits.damage(asset, presences[asset])
            if not repository.has_contents(asset, stage):
                verb = "verify-asset" if presences[asset].is_ready else "fetch-asset"
                raise StageError(
                    f"the contents of {asset.name} are not unpacked and cached, so its archive is needed",
                    f"tools/{verb} {asset.name} makes it so",
                )
        places = dict.fromkeys(stages, Location.UNKNOWN)
        if not force:
            places = _elsewhere(root, repository, stages, presences)
        archives = {asset: stage.md5 or "" for asset, stage in stages.items()}
        parts = {asset: PartFile(part_files(root), asset.name).arrived for asset in stages}
        freed = repository.free(archives, force=force)
        for asset in stages:
            _discard(root, asset)
    return FreedReport({asset: count + parts[asset] for asset, count in freed.items()}, places)


def _stage(root: Path, asset: Asset) -> ImportStage:
    stage = import_stage.read(root, asset)
    if not asset.suffix:
        raise UsageError(f"'{asset.name}' is no archive, so there is nothing beside its data to free")
    if stage is None:
        raise UsageError(f"'{asset.name}' is not in use", "tools/list-assets shows which assets are")
    return stage


def _elsewhere(
    root: Path,
    repository: Repository,
    stages: Mapping[Asset, ImportStage],
    presences: Mapping[Asset, Presence],
) -> dict[Asset, Location]:
    """Where each archive is had again, upstream or from the team remote; StageError when nowhere."""
    remotes = Remotes(root)
    answers: Mapping[str, Blob | RepositoryError]
    try:
        answers = blob.try_ask({asset.name: remotes.address(asset) for asset in stages})
    except SasError as error:  # it opens nothing: the team remote is left
        answers = {asset.name: error for asset in stages}
    away = {
        asset: stage
        for asset, stage in stages.items()
        if not (isinstance(answer := answers[asset.name], Blob) and stage.describes(answer))
    }
    asked = repository.ask_team(away, presences) if away else {}
    lost = {asset.name: each.archive for asset, each in asked.items() if each.archive is not Location.TEAM}
    if lost:
        silent = [
            answer.message
            for name in lost
            if isinstance(answer := answers[name], RepositoryError)
            and not isinstance(answer, BlobNotFoundError)
        ]
        upstream = f"upstream cannot be asked ({silent[0]})" if silent else "upstream has it no more"
        team = "cannot be asked" if Location.UNKNOWN in lost.values() else "does not have it"
        raise StageError(
            f"the archive of {', '.join(lost)} might never come back: {upstream}, and the team remote {team}",
            "dvc push brings it to the team remote; --force deletes it for good",
        )
    return {asset: Location.TEAM if asset in away else Location.UPSTREAM for asset in stages}
