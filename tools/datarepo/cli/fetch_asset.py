"""`tools/fetch-asset`: the doorway to `datarepo.fetch`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import Annotated

import typer

from datarepo import console
from datarepo.azure.retry import JOBS, parse_rate
from datarepo.cli import complete_assets, new_app

app = new_app()

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME...", help="Assets in use.", autocompletion=complete_assets),
]


@app.command()
def fetch_asset(
    names: Names = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every asset in use.")] = False,
    path: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="Take the archive from a file; no network is needed."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Ranges at a time.")] = JOBS,
    limit_rate: Annotated[
        str | None,
        typer.Option("--limit-rate", metavar="RATE", help="Bytes a second in all, like 500k or 20M."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on even if the disk is too small.")] = False,
) -> None:
    """Bring the archives of assets in use here: downloaded, verified, and cached by DVC.

    Interrupted at any moment, the same command continues where it was. dvc repro unzips the archives
    then.

    Example: tools/fetch-asset vqa && dvc repro
    """
    from datarepo.commands.fetch import fetch

    rate = parse_rate(limit_rate) if limit_rate else None
    report = fetch(names or [], every=every, path=path, jobs=jobs, rate=rate, force=force, quiet=quiet)
    if json:
        console.show(report.document())
    else:
        for line in report.lines():
            console.say(line)


def main() -> None:
    """Run the command."""
    console.run(app, "fetch-asset")
