"""The progress of work that is counted in bytes: a bar on a terminal, quiet lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from datarepo.console import duration, note, size
from datarepo.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rich.progress import TaskID


class Progress:
    """The progress of one or more named tasks, counted in bytes.

    On a terminal a bar each, and one for all, with rate and time left; elsewhere one line of all tasks
    together every `every` seconds, so that short work prints nothing; with `quiet` nothing at all.
    `advance` may be called from any thread, thousands of times a second.
    """

    def __init__(self, quiet: bool = False, every: float = 5.0) -> None:
        self._done: dict[str, int] = {}
        self._total: dict[str, int] = {}
        self._bars: dict[str, TaskID] = {}
        self._bar: Any = None
        self._all: TaskID | None = None
        self._every = every
        self._quiet = quiet
        self._begun = self._told = time.monotonic()
        self._resumed = 0

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )
            from rich.progress import Progress as Bars

            self._bar = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(file=sys.stderr, highlight=False),
                transient=True,
                refresh_per_second=5,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def task(self, name: str, total: int, done: int = 0) -> Callable[[int], None]:
        """Add a task of `total` bytes of which `done` are there already; the function to count on."""
        self._total[name] = total
        self._done[name] = done
        self._resumed += done
        if self._bar is not None:
            self._bars[name] = self._bar.add_task(redact(name), total=total, completed=done)
            if len(self._bars) == 2:
                self._all = self._bar.add_task("in total")

        def advance(count: int) -> None:
            self._done[name] += count
            if self._bar is not None:
                self._bar.update(self._bars[name], completed=self._done[name])
                if self._all is not None:
                    done_by_all, total_of_all = sum(self._done.values()), sum(self._total.values())
                    self._bar.update(self._all, completed=done_by_all, total=total_of_all)
            elif not self._quiet and time.monotonic() - self._told >= self._every:
                self._told = time.monotonic()
                note(self._line())

        return advance

    def _line(self) -> str:
        done, total = sum(self._done.values()), sum(self._total.values())
        rate = (done - self._resumed) / max(time.monotonic() - self._begun, 0.001)
        left = duration((total - done) / rate) if rate > 0 else "unknown"
        names = ", ".join(name for name in self._total if self._done[name] < self._total[name])
        share = f"{done / total:.0%}" if total else "100%"
        return f"{names}: {size(done)} of {size(total)} ({share}), {size(rate)}/s, {left} left"
