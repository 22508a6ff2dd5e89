"""`tools/remove-asset`: the doorway to `datarepo.remove`."""

from __future__ import annotations

from typing import Annotated

import typer

from datarepo import console
from datarepo.cli import complete_assets, new_app

app = new_app()


@app.command()
def remove_asset(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME...", help="Assets in use.", autocompletion=complete_assets),
    ],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Delete what lies in the workspace even if no cache has it.")
    ] = False,
) -> None:
    """Take assets out of use again: stages, parameters and ignore entries.

    The catalogue keeps them, and so do cache and remotes: 'git checkout' and 'dvc checkout' bring them
    back.

    Example: tools/remove-asset vqa
    """
    from datarepo.commands.remove import remove

    for removal in remove(names, force=force):
        gone = f", with {' and '.join(removal.paths)}" if removal.paths else ""
        console.say(f"{removal.asset.name}: out of use{gone}")
    console.say("next: git commit; 'dvc gc --workspace' frees the space, see Freeing space in the README")


def main() -> None:
    """Run the command."""
    console.run(app, "remove-asset")
