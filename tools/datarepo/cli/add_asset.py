"""`tools/add-asset`: the doorway to `datarepo.add`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from datarepo import console
from datarepo.cli import complete_assets, new_app
from datarepo.errors import UsageError

app = new_app()

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME...", help="Assets of the catalogue.", autocompletion=complete_assets),
]


@app.command()
def add_asset(
    names: Names = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every asset of the catalogue.")] = False,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="A blob's published URL to make an asset of; - for stdin."),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option("--dir", metavar="DIR", help="With --url: where it lands.  [default: data/NAME]"),
    ] = None,
    sas_stdin: Annotated[
        bool,
        typer.Option(
            "--sas-stdin", help="Read a SAS from standard input and store it for the source, privately."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and what it takes; write nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Go on even if the disk is too small.")] = False,
) -> None:
    """Add assets to the pipeline, or refresh those already there.

    Writes the import stage archives/NAME.zip.dvc without downloading, and puts the asset among those in
    use (params.yaml). For an asset already there, asks whether it has changed upstream.

    Example: tools/add-asset vqa && dvc repro
    """
    from datarepo.commands.add import add

    if sas_stdin and url == "-":
        raise UsageError("only one thing can be read from stdin", "the URL may hold the SAS")
    if (every and url) or (folder and not url):
        raise UsageError("these options do not go together", "--dir goes with --url, --all without it")
    sas_text = _read_secret("SAS") if sas_stdin else None
    if url == "-":
        url = _read_secret("URL")
    report = add(
        names or [],
        every=every,
        url=url,
        folder=folder,
        sas_text=sas_text,
        dry_run=dry_run,
        force=force,
    )
    if json:
        console.show(report.document())
    else:
        for line in report.lines():
            console.say(line)


def _read_secret(what: str) -> str:
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"{what} (not shown): ", sys.stderr)
    return sys.stdin.read()


def main() -> None:
    """Run the command."""
    console.run(app, "add-asset")
