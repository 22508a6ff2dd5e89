"""What a run of `tools/fetch-asset` did for each asset, told to people and programs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from datarepo.console import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
class Outcome:
    """What happened for one asset; `here` are the bytes that need not be downloaded."""

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


@dataclass(frozen=True)
class Report:
    """The result of a run: an outcome for each asset."""

    outcomes: tuple[Outcome, ...]
    typed: Callable[[str], str] = str  # how a command is to be typed in the current folder

    @property
    def next(self) -> str:
        """What to run next, empty when there is nothing to unzip."""
        return self.typed("dvc repro") if any(each.asset.suffix for each in self.outcomes) else ""

    def lines(self) -> Iterable[str]:
        """The result for people: a line an asset, and what to run next."""
        for outcome in self.outcomes:
            yield f"{outcome.asset.name}: {sentence(outcome)}"
        yield f"next: {self.next or 'nothing, it is here as it is'}"

    def document(self) -> dict[str, Any]:
        """The result for programs; sizes in bytes, times in seconds."""
        return {"assets": [facts(outcome) for outcome in self.outcomes], "next": self.next}


def sentence(outcome: Outcome) -> str:
    """Tell what happened to an asset."""
    whole = size(outcome.size)
    if outcome.action is Action.COMPLETE:
        return f"complete already, {whole}"
    if outcome.action is Action.LINKED:
        return f"complete already, linked from the cache, {whole}"
    checked = "md5 verified" if outcome.checked else f"md5 {outcome.md5}, and none published to compare with"
    if outcome.action is Action.TAKEN:
        return f"taken from {outcome.why}, {whole}, {checked}"
    rate = size(outcome.downloaded / max(outcome.seconds, 0.001))
    took = f"in {duration(outcome.seconds)} ({rate}/s), {checked}"
    if outcome.action is Action.RESUMED:
        percent = 100 * outcome.here / outcome.size
        return f"resumed at {percent:.0f} %, {size(outcome.downloaded)} of {whole} {took}"
    if outcome.action is Action.RESTARTED:
        return f"restarted because {outcome.why}; {whole} {took}"
    return f"fetched, {whole} {took}"


def facts(outcome: Outcome) -> dict[str, Any]:
    """The facts of an outcome, for programs."""
    return {
        "name": outcome.asset.name,
        "action": outcome.action.value,
        "file": outcome.asset.file,
        "size": outcome.size,
        "md5": outcome.md5,
        "verified": outcome.checked,
        "downloaded": outcome.downloaded,
        "seconds": round(outcome.seconds, 3),
        "why": outcome.why,
    }
