"""What a user sees: results on stdout, all else on stderr, nothing secret on either.

say      a line of the result
show     the result as one JSON document
note     a line about the work: what is awaited, what was found odd
Progress bytes done: a bar on a terminal, a line every few seconds elsewhere
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, cast

from datarepo.errors import RepositoryError
from datarepo.redact import RedactingStream, redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import typer
    from rich.progress import TaskID

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def say(text: str = "") -> None:
    """Print a line of the result."""
    print(text)


def show(document: object) -> None:
    """Print the result as one JSON document."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Print a line about the work on stderr."""
    print(text, file=sys.stderr, flush=True)


def size(count: float) -> str:
    """A number of bytes for people, in powers of 1000 as disks are sold.

    >>> size(999), size(12_345), size(91_000_000_000)
    ('999 B', '12.3 kB', '91.0 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 999.95 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(7.4), duration(83), duration(7380)
    ('7 s', '1 min 23 s', '2 h 3 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


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


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run a command to its exit: every failure ends in `error: …` and `hint: …`, with its code."""
    for standard, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, standard) is None:  # closed by the shell: `tools/list-assets >&-`
            setattr(sys, standard, Path(os.devnull).open(mode))  # noqa: SIM115  # open until exit
    sys.stdout = cast("IO[str]", RedactingStream(sys.stdout))
    sys.stderr = cast("IO[str]", RedactingStream(sys.stderr))
    quiet = logging.StreamHandler(sys.stderr)  # libraries report here; what they raise is told below
    quiet.setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(quiet)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which ends as Ctrl-C does: in order
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})  # see environment.run
        code = app(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        code = code if isinstance(code, int) else 0
        if code == INTERRUPTED:  # how Typer answers Ctrl-C
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            note("")  # the terminal has written ^C or a prompt on this line
        code = _fail("interrupted", "run the same command again, it continues or starts afresh", INTERRUPTED)
    except BrokenPipeError:  # `tools/list-assets | head`: nobody reads on, which is no failure
        sys.stdout = sys.stderr = cast("IO[str]", Path(os.devnull).open("w"))  # noqa: SIM115  # open until exit
        code = 0
    except RepositoryError as error:
        code = _fail(error.message, error.hint, error.exit_code)
    except Exception as error:  # noqa: BLE001  # the last resort: no traceback reaches a user
        code = _unforeseen(error, name)
    sys.exit(code)


def _unforeseen(error: Exception, name: str) -> int:
    from typer import TyperException

    if isinstance(error, TyperException):
        return _fail(error.format_message(), f"'{name} --help' lists arguments and options", error.exit_code)
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror}{where}", "", 1)
    if type(error).__module__.split(".")[0] == "dvc":
        return _fail(f"DVC says: {error}", "", 1)
    import traceback

    if os.environ.get("DATAREPO_DEBUG"):
        traceback.print_exception(error)
    return _fail(
        f"a defect of {name}: {type(error).__name__}: {error}",
        "with DATAREPO_DEBUG=1 the same command prints a traceback to report, signatures masked",
        1,
    )


def _fail(message: str, hint: str, code: int) -> int:
    note(f"error: {message}")
    if hint:
        note(f"hint: {hint}")
    return code
