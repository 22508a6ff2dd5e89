"""`python -m tests.bench`, the doorway."""

import contextlib
import signal
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.azurite import ROOT
from tests.bench import report
from tests.bench.parts import FULL_SIZE, PARTS, Bench
from tests.bench.server import Server


def main(
    *,
    parts: Annotated[list[str] | None, typer.Argument(metavar="[PART]...", help=", ".join(PARTS))] = None,
    size: Annotated[float, typer.Option(min=0.1, help="MB of the archive.")] = FULL_SIZE / 1e6,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each command.")] = 3,
) -> None:
    """Measure the parts named, or all; all together are written to docs/, table and plot."""
    if unknown := set(parts or ()) - set(PARTS):
        raise typer.BadParameter(f"{', '.join(unknown)}: the parts are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), Server(Path(folder, "blobs")), round(size * 1e6), runs)
        circumstances = report.circumstances(bench.size, runs, bench.scratch)
        with contextlib.closing(bench.server):
            for part in parts or PARTS:
                bench.measure(part)
    table = report.document(bench.groups, bench.notes, circumstances)
    print(table)
    if not parts:  # the plot shows what a user waits for
        plotted = {group: rows for group, rows in bench.groups.items() if group.startswith("Blob to data, ")}
        report.write(table, plotted, ROOT / "docs")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` cleans up as Ctrl-C does
    typer.run(main)
