"""What a run of `tools/fetch-asset` did for each asset, told to people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from datarepo.commands.report import Report
from datarepo.console import duration, few, size
from datarepo.pipeline.root import at_root

if TYPE_CHECKING:
    from datarepo.pipeline.catalogue import Asset


class Action(Enum):
    """What a run did to have an asset's data here."""

    READY = "ready"
    LINKED = "linked"
    UNPACKED = "unpacked"
    FETCHED = "fetched"
    RESUMED = "resumed"
    RESTARTED = "restarted"
    TAKEN = "taken"


@dataclass(frozen=True)
class AssetReport:
    """What was done for one asset.

    `size` and `md5` are the archive's, `here` those of its bytes that were not downloaded. `files` and
    `contents` tell what was unpacked, None when nothing was; `checked` whether there was an md5 to
    compare with; `remark` is what colleagues elsewhere should know.
    """

    asset: Asset
    action: Action
    size: int
    md5: str
    here: int = 0
    why: str = ""
    seconds: float = 0.0
    checked: bool = True
    files: int | None = None
    contents: int | None = None
    remark: str = ""

    @property
    def downloaded(self) -> int:
        """The bytes that came over the network."""
        return self.size - self.here

    def lines(self) -> Iterable[str]:
        """What was done to the archive, then what is ready."""
        name, whole = self.asset.name, size(self.size)
        checked = "md5 verified" if self.checked else f"md5 {self.md5}, and none published to compare with"
        rate = size(self.downloaded / max(self.seconds, 0.001))
        took = f"in {duration(self.seconds)} ({rate}/s), {checked}"
        match self.action:
            case Action.READY:
                yield f"{name}: {self.why or f'complete already, {whole}'}"
            case Action.LINKED:
                yield f"{name}: complete already, linked from the cache, {whole}"
            case Action.UNPACKED:
                yield f"{name}: unpacked from the archive that was here, {whole}"
            case Action.TAKEN:
                yield f"{name}: taken from {self.why}, {whole}, {checked}"
            case Action.RESUMED:
                percent = 100 * self.here / self.size
                yield f"{name}: resumed at {percent:.0f} %, {size(self.downloaded)} of {whole} {took}"
            case Action.RESTARTED:
                yield f"{name}: restarted because {self.why}; {whole} {took}"
            case Action.FETCHED:
                yield f"{name}: fetched, {whole} {took}"
        if self.files is not None and self.contents is not None:
            count = f"{self.files} {'file' if self.files == 1 else 'files'}"
            yield f"{self.asset.dir} is ready: {count}, {size(self.contents)}"

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "name": self.asset.name,
            "action": self.action.value,
            "file": self.asset.file,
            "size": self.size,
            "md5": self.md5,
            "verified": self.checked,
            "downloaded": self.downloaded,
            "seconds": round(self.seconds, 3),
            "why": self.why,
            "dir": self.asset.dir,
            "files": self.files,
            "contents_size": self.contents,
            "remark": self.remark,
        }


@dataclass(frozen=True)
class FetchReport(Report):
    """The result of a run: what was done for each asset, and what to run next."""

    assets: Sequence[AssetReport]
    targets: Sequence[str] = ()  # stages that are to unpack what was asked for without its contents
    commit: str = ""  # the command that commits what has changed
    pending: Sequence[str] = ()  # assets whose stages go with it, and whose archives are not here
    unsettled: Mapping[str, str] = field(default_factory=dict)  # why contents stay as they are, by asset

    @property
    def next(self) -> str:
        """What to run next, empty when there is nothing left to do."""
        return at_root(f"dvc repro {' '.join(self.targets)}" if self.targets else self.commit)

    def lines(self) -> Iterable[str]:
        """The lines of each asset, and what to run next."""
        for asset in self.assets:
            yield from asset.lines()
        nothing = "nothing" if self.unsettled else "nothing, it is here as it is recorded"
        yield f"next: {self.next or nothing}"
        if self.next and self.next == at_root(self.commit):
            if self.pending:
                until = "until then the dvc pull of colleagues asks upstream"
                yield f"      not downloaded yet: {few(self.pending)}; {until}"
            yield "then: dvc push && git push"
            yield "      shares it; tools/set-remote says where"

    def notes(self) -> Iterable[str]:
        """The remark on each asset that has one, then what is in the way of contents."""
        remarks = {report.asset.name: report.remark for report in self.assets if report.remark}
        told = [*remarks.items(), *self.unsettled.items()]
        return [f"{name}: {words}" for name, words in told]

    def document(self) -> dict[str, Any]:
        """Sizes in bytes, times in seconds."""
        return {
            "assets": [asset.facts() for asset in self.assets],
            "unsettled": dict(self.unsettled),
            "next": self.next,
        }
