"""Adding assets, and refreshing those already there.

add
├── _sources      which SAS opens what (--sas-stdin), judged before any request
├── blob.ask      the blobs as they are now, side by side
├── decide        recorded stage + blob + where the archive is kept -> Action   (pure)
├── survey        members and extracted size of what is to be downloaded, against the free disk
└── _act          under the lock: SAS, import stages, params.yaml; undone if it fails
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from datarepo import blob as blobs
from datarepo import catalogue, contents, disk, sas, source, stage
from datarepo.blob import Place
from datarepo.console import size
from datarepo.errors import SasError, StageError, UsageError
from datarepo.repository import Kept, Repository, find_root, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from datarepo.blob import Blob
    from datarepo.catalogue import Asset, Catalogue
    from datarepo.contents import Contents
    from datarepo.source import Source
    from datarepo.stage import ImportStage


class Action(Enum):
    """What a run does for an asset."""

    ADDED = "added"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    LOST = "lost"


@dataclass(frozen=True)
class Outcome:
    """What happened, or would happen, for one asset."""

    asset: Asset
    action: Action
    blob: Blob
    recorded: ImportStage | None
    kept: Kept | None
    contents: Contents | None = None

    @property
    def downloads(self) -> bool:
        """Whether the next `dvc repro` downloads the archive."""
        return self.action is not Action.UNCHANGED or self.kept is None

    @property
    def next(self) -> str:
        """The command that brings the data from here, empty when nothing is left to bring."""
        if self.downloads:
            return "dvc repro"
        return "dvc pull" if self.kept in (Kept.TEAM, Kept.UNKNOWN) else ""


@dataclass(frozen=True)
class Report:
    """The result of a run: an outcome for each asset, and the disk they go to."""

    outcomes: tuple[Outcome, ...]
    free: int
    dry_run: bool

    @property
    def next(self) -> str:
        """What to run next, empty when there is nothing to do."""
        commands = {outcome.next for outcome in self.outcomes} - {""}
        return " && ".join(sorted(commands))  # pull comes before repro

    def lines(self) -> Iterable[str]:
        """The result for people: a line an asset, and what to run next."""
        for outcome in self.outcomes:
            yield f"{outcome.asset.name}: {sentence(outcome, dry_run=self.dry_run)}"
        if self.dry_run:
            archives, extracted = needed(self.outcomes)
            yield (
                f"disk: {size(archives)} of archives and {size(extracted)} of contents to come,"
                f" {size(self.free)} free"
            )
            yield "dry run: nothing was written"
        else:
            yield f"next: {self.next}" if self.next else "next: nothing, all is here as it is upstream"

    def document(self) -> dict[str, Any]:
        """The result for programs; sizes in bytes."""
        archives, extracted = needed(self.outcomes)
        return {
            "dry_run": self.dry_run,
            "assets": [facts(outcome) for outcome in self.outcomes],
            "disk": {"archives": archives, "contents": extracted, "free": self.free},
            "next": self.next,
        }


def decide(recorded: ImportStage | None, blob: Blob, kept: Kept | None) -> Action:
    """Choose what to do for an asset; `kept` says where a pinned archive is, None while partial."""
    if recorded is None:
        return Action.ADDED
    if not recorded.describes(blob):
        return Action.CHANGED
    return Action.LOST if kept is Kept.NOWHERE else Action.UNCHANGED


def sentence(outcome: Outcome, *, dry_run: bool = False) -> str:
    """Tell what happened to an asset, or would happen."""
    now, would = outcome.blob, "would be " if dry_run else ""
    told = f", {outcome.contents}" if outcome.contents else ""
    if outcome.action is Action.ADDED:
        return f"{would}added, {size(now.size)} of {now.modified:%Y-%m-%d}{told}"
    if outcome.action is Action.CHANGED:
        return f"changed upstream, {would}recorded: {difference(outcome.recorded, now)}{told}"
    if outcome.action is Action.LOST:
        return (
            "unchanged upstream, but its archive is in neither the workspace nor the cache nor the team"
            f" remote: {would}made partial again, {size(now.size)} to download{told}"
        )
    if outcome.kept is None:
        return f"unchanged upstream, not downloaded yet, {size(now.size)}{told}"
    if outcome.kept is Kept.TEAM:
        return f"unchanged upstream, and on the team remote: dvc pull gets it{told}"
    if outcome.kept is Kept.UNKNOWN:
        return f"unchanged upstream; its archive is not here, and the team remote cannot be asked{told}"
    return f"unchanged upstream{told}"


def difference(recorded: ImportStage | None, blob: Blob) -> str:
    """What changed of a blob: size, date, ETag, each as `before -> now`."""
    assert recorded
    parts = []
    if recorded.size != blob.size:
        parts.append(f"size {size(recorded.size)} -> {size(blob.size)}")
    now = stage.meta(blob)["modified"]
    if recorded.modified != now:
        parts.append(f"date {recorded.modified or 'unknown'} -> {now}")
    parts.append(f"ETag {recorded.etag} -> {blob.etag}")
    return ", ".join(parts)


def facts(outcome: Outcome) -> dict[str, Any]:
    """The facts of an outcome, for programs."""
    before = outcome.recorded
    return {
        "name": outcome.asset.name,
        "action": outcome.action.value,
        "archive": outcome.asset.archive,
        "dir": outcome.asset.dir,
        "size": outcome.blob.size,
        "etag": outcome.blob.etag,
        **stage.meta(outcome.blob),
        "kept": outcome.kept.value if outcome.kept else None,
        "members": outcome.contents.members if outcome.contents else None,
        "extracted_size": outcome.contents.size if outcome.contents else None,
        "before": {"size": before.size, "etag": before.etag, "modified": before.modified} if before else None,
    }


def needed(outcomes: Iterable[Outcome]) -> tuple[int, int]:
    """The bytes of archives and of contents that are still to come."""
    coming = [each for each in outcomes if each.downloads]
    return sum(each.blob.size for each in coming), sum(each.contents.size for each in coming if each.contents)


def add(
    names: Iterable[str],
    *,
    every: bool = False,
    sas_text: str | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> Report:
    """Add the named assets (or every one of the catalogue), or refresh those already there.

    `sas_text` is a SAS to store for their source; `force` skips the check of the disk. Either all
    assets are dealt with, or a RepositoryError is raised and no file has changed.
    """
    root = find_root()
    known = catalogue.load(root)
    assets = known.find(known.assets if every else names)
    if not assets:
        raise UsageError("no asset is named", f"name some of {', '.join(known.assets)}, or use --all")
    sources = _sources(root, assets, known, sas_text)
    places = {asset.name: Place(sources[asset.source], asset.path) for asset in assets}
    files = ["params.yaml", ".dvc/config.local", ".dvc/.gitignore", f"{catalogue.ARCHIVES}/.gitignore"]
    with writing(root, [*files, *(asset.stage for asset in assets)]):
        recorded = {asset.name: stage.read(root, asset) for asset in assets}
        _check_room_for_stages(root, assets, recorded)
        found = blobs.ask(places)
        repository = _Lazily(root)
        outcomes = [_judge(asset, recorded[asset.name], found[asset.name], repository) for asset in assets]
        looked_at = {
            each.asset.name: places[each.asset.name] for each in outcomes if dry_run or each.downloads
        }
        surveyed = contents.survey(looked_at, found)
        outcomes = [replace(each, contents=surveyed.get(each.asset.name)) for each in outcomes]
        if not force and not dry_run:
            disk.check(root, *needed(outcomes))
        report = Report(tuple(outcomes), disk.free(root), dry_run)
        if not dry_run:
            _act(root, report, sources.values() if sas_text is not None else (), repository)
    return report


class _Lazily:
    """DVC, started at first use: most refreshes need none of it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._started: Repository | None = None

    def __call__(self) -> Repository:
        self._started = self._started or Repository(self._root)
        return self._started


def _sources(root: Path, assets: list[Asset], known: Catalogue, sas_text: str | None) -> Mapping[str, Source]:
    names = dict.fromkeys(asset.source for asset in assets)
    sources = {name: source.load(root, name) for name in names}
    if sas_text is None:
        return sources
    if len(sources) > 1:
        raise UsageError(
            f"one SAS opens one source, and these assets come from {len(sources)}: {', '.join(sources)}",
            "give the SAS of each source with assets of that source alone",
        )
    given = sas.parse(sas_text)
    [(name, only)] = sources.items()
    if given.opens_one_blob and sum(asset.source == name for asset in known.assets.values()) > 1:
        raise SasError(
            f"the SAS opens a single blob (sr={given.fields['sr']}), and source '{name}' is a container",
            "ask the publisher of the data for a SAS of the container (sr=c)",
        )
    return {name: replace(only, sas=given)}


def _check_room_for_stages(
    root: Path, assets: list[Asset], recorded: Mapping[str, ImportStage | None]
) -> None:
    """Refuse to import over a file that no stage knows: DVC would delete it."""
    for asset in assets:
        if recorded[asset.name] is None and (root / asset.archive).exists():
            raise StageError(
                f"{asset.archive} is already there, and no import stage knows where it comes from",
                f"move it away, then run tools/add-asset {asset.name} again",
            )


def _judge(asset: Asset, recorded: ImportStage | None, blob: Blob, repository: _Lazily) -> Outcome:
    kept = None
    if recorded and recorded.md5 and recorded.describes(blob):
        kept = repository().where(asset, recorded.md5)
    return Outcome(asset, decide(recorded, blob, kept), blob, recorded, kept)


def _act(root: Path, report: Report, private: Iterable[Source], repository: _Lazily) -> None:
    for each in private:
        source.store_privately(root, each)
    for outcome in report.outcomes:
        if outcome.action is Action.ADDED:
            repository().import_partially(outcome.asset, outcome.blob)
        elif outcome.action is not Action.UNCHANGED:
            repository().make_partial(outcome.asset, outcome.blob)
    # The stage comes first: a run killed in between is made good by the next, which finds it there.
    for outcome in report.outcomes:
        catalogue.use(root, outcome.asset)
