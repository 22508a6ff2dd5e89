"""What a run of `tools/add-asset` does for each asset: decided purely, then told to people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from datarepo.console import size
from datarepo.pipeline import import_stage as stage
from datarepo.pipeline.repository import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from datarepo.archives.contents import Contents
    from datarepo.azure.blob import Blob
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage


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
        if self.downloads:  # a file that is no archive is no part of dvc.yaml
            return "dvc repro" if self.asset.suffix else "dvc repro --all-pipelines"
        return "dvc pull" if self.kept in (Kept.TEAM, Kept.UNKNOWN) else ""


@dataclass(frozen=True)
class Report:
    """The result of a run: an outcome for each asset, and the disk they go to."""

    outcomes: tuple[Outcome, ...]
    free: int
    dry_run: bool
    typed: Callable[[str], str] = str  # how a command is to be typed in the current folder

    @property
    def next(self) -> str:
        """What to run next, empty when there is nothing to do."""
        commands = {outcome.next for outcome in self.outcomes} - {""}
        if "dvc repro --all-pipelines" in commands:  # which does all that dvc repro does
            commands -= {"dvc repro"}
        return self.typed(" && ".join(sorted(commands)))  # pull comes before repro

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
        "file": outcome.asset.file,
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
