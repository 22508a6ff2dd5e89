"""`python -m tests.bench`, the doorway."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tests.azurite import ROOT
from tests.bench import plot, report
from tests.bench.parts import PARTS, Bench
from tests.bench.report import Results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.parts import Comparison, Growth

_MEGABYTE = 1_000_000
_ROOM = 12  # times the archive: DVC as it comes has archive and contents twice, besides the made ones


def bench(
    *,
    parts: Annotated[list[str] | None, typer.Argument(metavar="[PART]...", help=", ".join(PARTS))] = None,
    size: Annotated[float, typer.Option(min=0.1, help="MB of the archive.")] = 300,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each command.")] = 3,
    out: Annotated[Path, typer.Option(help="Where README.md and the plot are written.")] = ROOT,
) -> None:
    """Measure the parts named, or all; all together are written to the README and its plot."""
    unknown = sorted(set(parts or ()) - set(PARTS))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: the parts are {', '.join(PARTS)}")
    results = measure(parts or list(PARTS), round(size * _MEGABYTE), runs)
    table = report.document(results)
    print(table)
    if not parts:
        write(results, table, out)


def measure(parts: Sequence[str], size: int, runs: int) -> Results:
    """Run the parts in a scratch folder; one that fails becomes a line of the results."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_roomy(size * _ROOM)) as scratch:
        run = Bench(Path(scratch), size, runs, _tell)
        circumstances = report.circumstances(size, runs, run.scratch)
        found: list[Comparison | Growth] = []
        notes = [note for part in parts if (note := _failure(part, run, found))]
        return Results(found, circumstances, notes)


def _failure(part: str, run: Bench, found: list[Comparison | Growth]) -> str:
    """Run a part, adding what it found; why it failed, if it did."""
    try:
        found.extend(PARTS[part](run))
    except Exception as error:  # noqa: BLE001  # the bench fails no build, whatever happens
        _tell(f"{part} failed: {type(error).__name__}: {error}")
        return f"{part} failed: {' '.join(str(error).split())}"
    return ""


def write(results: Results, table: str, out: Path) -> None:
    """Put the table into the README, and the plot where the README shows it from."""
    readme = out / "README.md"
    shown = f"![The table as a plot]({report.PLOT})\n\n{table}"
    readme.write_text(report.into_readme(readme.read_text(encoding="utf-8"), shown), encoding="utf-8")
    (out / report.PLOT).parent.mkdir(parents=True, exist_ok=True)
    (out / report.PLOT).write_text(plot.svg(results.found), encoding="utf-8")
    _tell(f"written: {readme} and {report.PLOT}")


def _roomy(needed: int) -> Path:
    """A folder in memory, where it has room and lets programs run; else the temporary folder."""
    memory = Path("/dev/shm")  # noqa: S108  # a private folder is made in it
    if memory.is_dir():
        room = os.statvfs(memory)
        if shutil.disk_usage(memory).free > needed and not room.f_flag & os.ST_NOEXEC:
            return memory
    return Path(tempfile.gettempdir())


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    # `kill`, and a terminal that is closed, clean up as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    typer.run(bench)
