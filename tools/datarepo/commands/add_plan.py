"""What a run of `tools/add-asset` does for each asset: decided purely, then told to people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from datarepo.commands.report import Report
from datarepo.console import size
from datarepo.pipeline import edits, import_stage
from datarepo.pipeline.location import Condition, Location
from datarepo.pipeline.root import at_root

if TYPE_CHECKING:
    from datarepo.azure.blob import Blob
    from datarepo.commands.survey import Survey
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage
    from datarepo.pipeline.location import Presence


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
    def is_stale(self) -> bool:
        """Whether the `meta` of the import stage is missing, or about another blob.

        So it is after `dvc import-url` by hand, after `dvc update`, and where a run was killed.
        """
        return self.recorded is not None and self.recorded.modified is None

    @property
    def records(self) -> bool:
        """Whether a partial import stage is written, also over one whose `meta` is not of this blob."""
        return self.action is not Action.UNCHANGED or (self.is_stale and self.downloads)

    @property
    def describes(self) -> bool:
        """Whether only the `meta` of a complete import stage is written."""
        return self.is_stale and not self.downloads

    @property
    def data(self) -> Location | None:
        """Where what people work with is, as recorded; None when no unpacking is recorded."""
        return self.presence.data(self.asset)

    @property
    def is_edited(self) -> bool:
        """Whether what people work with is recorded, and differs from that in the workspace."""
        return self.data is not None and self.presence.condition is Condition.MODIFIED

    @property
    def steps(self) -> tuple[Step, ...]:
        """What brings the data from here, in order; nothing when it is here, or was edited."""
        if self.downloads:
            return (Step("fetch", self.asset.name),)
        if self.presence.is_damaged:
            return (Step("verify", self.asset.name),)
        if self.presence.is_ready or self.is_edited:
            return ()
        if self.data is Location.CACHE:
            return (Step("checkout", self.asset.target),)
        if self.data is Location.TEAM:
            return (Step("pull", self.asset.target),)
        if self.presence.archive is Location.WORKSPACE:
            return (Step("repro", self.asset.target),)
        if self.presence.archive is Location.CACHE:
            return Step("checkout", self.asset.stage), Step("repro", self.asset.target)
        if self.presence.archive is Location.TEAM:
            return Step("pull", self.asset.stage), Step("repro", self.asset.target)
        return (Step("fetch", self.asset.name),)  # upstream has it, whatever the team remote has

    @property
    def steps_of_dvc(self) -> tuple[Step, ...]:
        """The same with commands of DVC alone."""
        if self.steps == (Step("fetch", self.asset.name),):
            return (Step("repro" if self.downloads else "pull", self.asset.target),)
        return self.steps

    @property
    def replaces(self) -> bool:
        """Whether these steps replace what lies in the asset's folder and no record describes."""
        replacing = [step for step in self.steps if step.verb != "verify"]
        return bool(replacing) and self.presence.condition in (Condition.MODIFIED, Condition.DAMAGED)


class Step(NamedTuple):
    """A verb, of DVC or of `tools/`, and the target it is for."""

    verb: str
    target: str


_VERBS = ("checkout", "pull", "repro", "fetch", "verify")  # in the order in which they are typed
_TOOLS = {"fetch": "tools/fetch-asset", "verify": "tools/verify-asset"}
_FETCHING = "      goes on where it was interrupted, verifies, and unpacks on the way"
_WITHOUT = "      with DVC alone; begins again from zero when it was interrupted"
_WAITING = "      when the download is done: a commit before it makes the dvc pull of colleagues ask upstream"


@dataclass(frozen=True)
class AddReport(Report):
    """The result of a run: what was done for each asset, and the disk they go to."""

    plans: tuple[Plan, ...]
    free: int
    dry_run: bool
    every: bool = False  # asked for with --all
    commit: str = ""  # the command that commits what has changed, or will have by then
    sas_of: str = ""  # the source whose SAS is stored

    @property
    def next(self) -> str:
        """What to run next, empty when there is nothing to do."""
        return at_root(self._chain([plan.steps for plan in self.plans]) or self.commit)

    @property
    def alternative(self) -> str:
        """The same with DVC alone, empty when that is no other."""
        command = at_root(self._chain([plan.steps_of_dvc for plan in self.plans]) or self.commit)
        return "" if command == self.next else command

    def _chain(self, steps: Sequence[tuple[Step, ...]]) -> str:
        """One line of commands for the steps of all assets.

        The targets are named, as DVC's plain commands fail for archives of others that are not here;
        where a step is one of all assets in use, the group `unzip` stands for them.
        """
        commands = []
        unzips = {plan.asset.target for plan in self.plans if plan.asset.suffix}
        for verb in _VERBS:
            targets = [step.target for group in steps for step in group if step.verb == verb]
            if self.every and len(unzips) > 1 and unzips <= set(targets):
                targets = ["unzip", *(target for target in targets if target not in unzips)]
            if targets:
                named = "--all" if verb == "fetch" and self.every else " ".join(targets)
                commands.append(f"{_TOOLS.get(verb, f'dvc {verb}')} {named}")
        return " && ".join(commands)

    def lines(self) -> Iterable[str]:
        """The result for people: a line an asset, and what to run next."""
        for plan in self.plans:
            yield f"{plan.asset.name}: {sentence(plan, dry_run=self.dry_run)}"
        if self.sas_of:
            would = "would be" if self.dry_run else "is"
            yield f"source '{self.sas_of}': its SAS {would} stored in .dvc/config.local, which git ignores"
        if self.dry_run:
            archives, extracted = needed(self.plans)
            yield (
                f"disk: {size(archives)} of archives and {size(extracted)} of contents to come,"
                f" {size(self.free)} free"
            )
            yield "dry run: nothing was written"
        else:
            yield from self._what_next()

    def _what_next(self) -> Iterable[str]:
        if not self.next:
            is_ready = all(plan.presence.is_ready for plan in self.plans)
            is_whole = all(plan.presence.archive.is_here for plan in self.plans)
            here = f", {'all is' if is_whole else 'the contents are'} here as it is upstream"
            yield f"next: nothing{here if is_ready else ' to download'}"
            return
        fetches = any(step.verb == "fetch" for plan in self.plans for step in plan.steps)
        downloads = any(plan.downloads for plan in self.plans)
        yield f"next: {self.next}"
        if fetches:
            yield _FETCHING
        if self.alternative:
            yield f"or: {self.alternative}"
        if downloads:
            yield _WITHOUT
        if self.commit and self.next != at_root(self.commit):
            yield f"then: {self.commit}"
            if downloads:
                yield _WAITING

    def notes(self) -> Iterable[str]:
        """The remark on each archive that has one, as far as it was surveyed."""
        surveys = {plan.asset.name: plan.survey for plan in self.plans if plan.survey}
        return [f"{name}: {survey.remark}" for name, survey in surveys.items() if survey.remark]

    def document(self) -> dict[str, Any]:
        """The result for programs; sizes in bytes."""
        archives, extracted = needed(self.plans)
        return {
            "dry_run": self.dry_run,
            "assets": [facts(plan) for plan in self.plans],
            "disk": {"archives": archives, "contents": extracted, "free": self.free},
            "sas_stored": self.sas_of or None,
            "next": self.next,
            "alternative": self.alternative,
            "commit": self.commit,
        }


def decide(recorded: ImportStage | None, blob: Blob, presence: Presence) -> Action:
    """Choose what to do for an asset; contents as `dvc.lock` records them count as kept."""
    if recorded is None:
        return Action.ADDED
    if not recorded.describes(blob):
        return Action.CHANGED
    if presence.is_damaged:
        return Action.UNCHANGED  # mended first, from upstream too
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
    if plan.downloads and plan.presence.archive is Location.PART_FILE:
        return f"unchanged upstream, {size(plan.presence.arrived)} of {size(now.size)} here{told}"
    if plan.downloads:
        return f"unchanged upstream, not downloaded yet, {size(now.size)}{told}"
    if plan.presence.is_damaged:
        return f"unchanged upstream; {edits.damage(plan.asset, plan.presence).message}"
    if plan.is_edited:
        choice = edits.choice(plan.asset, plan.presence)
        return f"unchanged upstream; {plan.asset.outputs[-1]} was edited: {choice}"
    verbs = [step.verb for step in plan.steps]
    return {
        (): "unchanged upstream",
        ("checkout",): "unchanged upstream, and in the cache",
        ("pull",): "unchanged upstream, and on the team remote",
        ("pull", "repro"): "unchanged upstream, and its archive is on the team remote",
        ("checkout", "repro"): "unchanged upstream, and its archive is in the cache",
        ("repro",): "unchanged upstream, not unzipped yet",
        ("fetch",): "unchanged upstream; it is not here, and the team remote cannot be asked",
    }[tuple(verbs)]


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
        "remark": plan.survey.remark if plan.survey else "",
        "before": {"size": before.size, "etag": before.etag, "modified": before.modified} if before else None,
    }


def needed(plans: Iterable[Plan]) -> tuple[int, int]:
    """The bytes of archives and of contents that are still to come."""
    coming = [plan for plan in plans if plan.downloads]
    return sum(plan.blob.size for plan in coming), sum(plan.survey.size for plan in coming if plan.survey)
