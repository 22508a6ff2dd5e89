"""What a run of `tools/add-asset` does for each asset: decided purely, then told to people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from datarepo.commands.report import Report
from datarepo.console import size
from datarepo.pipeline import import_stage
from datarepo.pipeline.location import Condition, Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from datarepo.azure.blob import Blob
    from datarepo.commands.survey import Survey
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage
    from datarepo.pipeline.location import Presence


_MENDS = "dvc commit {0} keeps it, dvc checkout --force {0} undoes it"


class Action(Enum):
    """What a run does for an asset."""

    ADDED = "added"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    LOST = "lost"


@dataclass(frozen=True)
class Plan:
    """What is done for one asset, and the facts it follows from."""

    asset: Asset
    action: Action
    blob: Blob
    recorded: ImportStage | None
    presence: Presence
    survey: Survey | None = None

    @property
    def downloads(self) -> bool:
        """Whether the next `dvc repro` downloads the archive."""
        return self.action is not Action.UNCHANGED or (self.recorded is not None and not self.recorded.md5)

    @property
    def records(self) -> bool:
        """Whether the import stage is written: also a partial one whose `meta` is not of this blob.

        So it is after `dvc import-url` by hand, and after `dvc update --no-download`.
        """
        stale = self.recorded is not None and not self.recorded.md5 and self.recorded.modified is None
        return self.action is not Action.UNCHANGED or stale

    @property
    def next(self) -> str:
        """What DVC is to do to bring the data from here: a verb, empty when nothing is left to bring."""
        if self.downloads:
            return "repro"
        if self.presence.is_ready or self.presence.condition is Condition.MODIFIED:
            return ""
        if Location.CACHE in (self.presence.contents, None if self.asset.suffix else self.presence.archive):
            return "checkout"
        away = (Location.TEAM, Location.UNKNOWN)
        return "pull" if self.presence.archive in away or self.presence.contents in away else "repro"

    @property
    def target(self) -> str:
        """The asset as an argument of DVC's commands."""
        return f"unzip@{self.asset.name}" if self.asset.suffix else self.asset.stage


@dataclass(frozen=True)
class AddReport(Report):
    """The result of a run: what was done for each asset, and the disk they go to."""

    plans: tuple[Plan, ...]
    free: int
    dry_run: bool
    is_whole: bool = True  # no other asset is in use
    typed: Callable[[str], str] = str  # how a command is to be typed in the current folder

    @property
    def next(self) -> str:
        """What to run next, empty when there is nothing to do.

        The stages are named unless they are all there are: plain `dvc repro` and `dvc pull` fail for
        the archives of others that are not here.
        """
        commands = []
        for verb in ("checkout", "pull", "repro"):
            targets = [plan.target for plan in self.plans if plan.next == verb]
            plain = (
                self.is_whole
                and len(targets) == len(self.plans)
                and all(plan.asset.suffix for plan in self.plans)
            )
            if targets:
                commands.append(f"dvc {verb}" if plain else f"dvc {verb} {' '.join(targets)}")
        return self.typed(" && ".join(commands))

    def lines(self) -> Iterable[str]:
        """The result for people: a line an asset, and what to run next."""
        for plan in self.plans:
            yield f"{plan.asset.name}: {sentence(plan, dry_run=self.dry_run)}"
        if self.dry_run:
            archives, extracted = needed(self.plans)
            yield (
                f"disk: {size(archives)} of archives and {size(extracted)} of contents to come,"
                f" {size(self.free)} free"
            )
            yield "dry run: nothing was written"
        else:
            yield f"next: {self.next}" if self.next else "next: nothing, all is here as it is upstream"

    def document(self) -> dict[str, Any]:
        """The result for programs; sizes in bytes."""
        archives, extracted = needed(self.plans)
        return {
            "dry_run": self.dry_run,
            "assets": [facts(plan) for plan in self.plans],
            "disk": {"archives": archives, "contents": extracted, "free": self.free},
            "next": self.next,
        }


def decide(recorded: ImportStage | None, blob: Blob, presence: Presence) -> Action:
    """Choose what to do for an asset; contents as `dvc.lock` records them count as kept."""
    if recorded is None:
        return Action.ADDED
    if not recorded.describes(blob):
        return Action.CHANGED
    kept = {presence.archive, presence.contents} - {Location.UPSTREAM, Location.PART_FILE, None}
    return Action.UNCHANGED if kept or not recorded.md5 else Action.LOST


def sentence(plan: Plan, *, dry_run: bool = False) -> str:
    """Tell what happened to an asset, or would happen."""
    now, would = plan.blob, "would be " if dry_run else ""
    told = f", {plan.survey}" if plan.survey else ""
    if plan.action is Action.ADDED:
        return f"{would}added, {size(now.size)} of {now.modified:%Y-%m-%d}{told}"
    if plan.action is Action.CHANGED:
        return f"changed upstream, {would}recorded: {difference(plan.recorded, now)}{told}"
    if plan.action is Action.LOST:
        return (
            "unchanged upstream, but its archive is in neither the workspace nor the cache nor the team"
            f" remote: {would}made partial again, {size(now.size)} to download{told}"
        )
    if plan.downloads:
        return f"unchanged upstream, not downloaded yet, {size(now.size)}{told}"
    if plan.presence.condition is Condition.MODIFIED:
        return f"unchanged upstream; {plan.asset.outputs[-1]} was edited: {_MENDS.format(plan.target)}"
    if plan.next == "pull" and Location.TEAM in (plan.presence.archive, plan.presence.contents):
        return "unchanged upstream, and on the team remote: dvc pull gets it"
    if plan.next == "pull":
        return "unchanged upstream; its archive is not here, and the team remote cannot be asked"
    if plan.next == "checkout":
        return "unchanged upstream, and in the cache: dvc checkout links it"
    return "unchanged upstream" + (", not unzipped yet" if plan.next else "")


def difference(recorded: ImportStage | None, blob: Blob) -> str:
    """What changed of a blob: size, date, ETag, each as `before -> now`."""
    assert recorded
    parts = []
    if recorded.size != blob.size:
        parts.append(f"size {size(recorded.size)} -> {size(blob.size)}")
    now = import_stage.meta(blob)["modified"]
    if recorded.modified != now:
        parts.append(f"date {recorded.modified or 'unknown'} -> {now}")
    parts.append(f"ETag {recorded.etag} -> {blob.etag}")
    return ", ".join(parts)


def facts(plan: Plan) -> dict[str, Any]:
    """The facts of a plan, for programs."""
    before = plan.recorded
    return {
        "name": plan.asset.name,
        "action": plan.action.value,
        "file": plan.asset.file,
        "dir": plan.asset.dir,
        "size": plan.blob.size,
        "etag": plan.blob.etag,
        **import_stage.meta(plan.blob),
        "archive": plan.presence.archive.value,
        "contents": plan.presence.contents.value if plan.presence.contents else None,
        "condition": plan.presence.condition.value,
        "members": plan.survey.members if plan.survey else None,
        "extracted_size": plan.survey.size if plan.survey else None,
        "before": {"size": before.size, "etag": before.etag, "modified": before.modified} if before else None,
    }


def needed(plans: Iterable[Plan]) -> tuple[int, int]:
    """The bytes of archives and of contents that are still to come."""
    coming = [plan for plan in plans if plan.downloads]
    return sum(plan.blob.size for plan in coming), sum(plan.survey.size for plan in coming if plan.survey)
