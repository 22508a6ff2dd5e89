"""What a run of `tools/fetch-asset` did for each asset, told to people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from datarepo.commands.report import Report
from datarepo.console import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from datarepo.pipeline.catalogue import Asset


class Action(Enum):
    """What a run did for an asset."""

    COMPLETE = "complete"
    LINKED = "linked"
    FETCHED = "fetched"
    RESUMED = "resumed"
    RESTARTED = "restarted"
    TAKEN = "taken"


@dataclass(frozen=True)
class Arrival:
    """What was done for one asset; `here` are the bytes that need not be downloaded."""

    asset: Asset
    action: Action
    size: int
    md5: str
    here: int = 0
    why: str = ""
    seconds: float = 0.0
    checked: bool = True

    @property
    def downloaded(self) -> int:
        """The bytes that came over the network."""
        return self.size - self.here

    def __str__(self) -> str:
        whole = size(self.size)
        if self.action is Action.COMPLETE:
            return f"{self.asset.name}: complete already, {whole}"
        if self.action is Action.LINKED:
            return f"{self.asset.name}: complete already, linked from the cache, {whole}"
        checked = "md5 verified" if self.checked else f"md5 {self.md5}, and none published to compare with"
        if self.action is Action.TAKEN:
            return f"{self.asset.name}: taken from {self.why}, {whole}, {checked}"
        rate = size(self.downloaded / max(self.seconds, 0.001))
        took = f"in {duration(self.seconds)} ({rate}/s), {checked}"
        if self.action is Action.RESUMED:
            percent = 100 * self.here / self.size
            return f"{self.asset.name}: resumed at {percent:.0f} %, {size(self.downloaded)} of {whole} {took}"
        if self.action is Action.RESTARTED:
            return f"{self.asset.name}: restarted because {self.why}; {whole} {took}"
        return f"{self.asset.name}: fetched, {whole} {took}"

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
        }


@dataclass(frozen=True)
class FetchReport(Report):
    """The result of a run: what was done for each asset."""

    arrivals: Sequence[Arrival]
    typed: Callable[[str], str] = str  # how a command is to be typed in the current folder

    @property
    def next(self) -> str:
        """What to run next, empty when there is nothing to unzip."""
        return self.typed("dvc repro") if any(arrival.asset.suffix for arrival in self.arrivals) else ""

    def lines(self) -> Iterable[str]:
        """A line an asset, and what to run next."""
        yield from map(str, self.arrivals)
        yield f"next: {self.next or 'nothing, it is here as it is'}"

    def document(self) -> dict[str, Any]:
        """Sizes in bytes, times in seconds."""
        return {"assets": [arrival.facts() for arrival in self.arrivals], "next": self.next}
