"""`tools/list-assets`: the doorway to `datarepo.listing`."""

from __future__ import annotations

from typing import Annotated

import typer

from datarepo import console
from datarepo.cli import new_app

app = new_app()


@app.command()
def list_assets(
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Ask upstream; exit code 1 when an asset in use has changed there."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")] = False,
) -> None:
    """List the catalogue, and where the data of each asset is now.

    Example: tools/list-assets --check
    """
    from datarepo.commands import list as listing

    found = listing.rows(check=check)
    if json:
        console.show(listing.document(found))
    else:
        for line in listing.table(found):
            console.say(line)
        for line in listing.advice(found):
            console.say(line)
    notes = list(listing.findings(found))
    for note in notes:
        console.note(note)
    if notes:
        raise typer.Exit(1)


def main() -> None:
    """Run the command."""
    console.run(app, "list-assets")
