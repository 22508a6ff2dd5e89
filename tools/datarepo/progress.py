"""The progress of work that is counted in bytes: a bar on a terminal, quiet lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from datarepo.console import duration, note, size
from datarepo.redact import redact


class Progress:
    """The progress of one or more named tasks, counted in bytes.

    On a terminal a bar each, with rate and time left; elsewhere a line about the first task that is not
    done, every `every` seconds, so that short work prints nothing; with `quiet` nothing at all. The
    functions to count on may be called from any thread, thousands of times a second.
    """

    def __init__(self, quiet: bool = False, every: float = 5.0) -> None:
        self._tasks: list[_Task] = []
        self._bars: Any = None
        self._every = every
        self._quiet = quiet
        self._told = time.monotonic()

    def __enter__(self) -> Progress:
        if not self._quiet and sys.stderr.isatty():
            from rich import console, progress

            self._bars = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=None),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=console.Console(file=sys.stderr, highlight=False),
                transient=True,
                refresh_per_second=5,
            )
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def task(self, name: str, total: int, done: int = 0) -> Callable[[int], None]:
        """Add a task of `total` bytes of which `done` are there already; the function to count on."""
        task = _Task(name, total, done)
        if not total:  # nothing that could be shown
            return task.advance
        self._tasks.append(task)
        bar = self._bars.add_task(redact(name), total=total, completed=done) if self._bars else None

        def advance(count: int) -> None:
            task.advance(count)
            if bar is not None:
                self._bars.update(bar, completed=task.done)
            elif not self._quiet and time.monotonic() - self._told >= self._every:
                self._told = time.monotonic()
                note(next((str(task) for task in self._tasks if task.done < task.total), f"{name}: all done"))

        return advance


class _Task:
    """A task with what is done of it; told in a line."""

    def __init__(self, name: str, total: int, done: int) -> None:
        self.name = name
        self.total = total
        self.done = self._before = done
        self._begun = time.monotonic()

    def advance(self, count: int) -> None:
        """Count bytes that are done."""
        self.done += count

    def __str__(self) -> str:
        rate = (self.done - self._before) / max(time.monotonic() - self._begun, 0.001)
        left = duration((self.total - self.done) / rate) if rate > 0 else "unknown"
        share = f"{self.done / self.total:.0%}"
        return f"{self.name}: {size(self.done)} of {size(self.total)} ({share}), {size(rate)}/s, {left} left"
