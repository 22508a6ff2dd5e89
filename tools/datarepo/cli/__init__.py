"""The doorways: one module a command, each a Typer function with typed parameters and one call."""

from __future__ import annotations

import typer


def new_app() -> typer.Typer:
    """The frame of a command: plain help, its own words for errors, shell completion."""
    return typer.Typer(
        rich_markup_mode=None,  # plain text: fast to start, and the same on every terminal
        pretty_exceptions_enable=False,  # console.run words failures, and shows no local variables
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def complete_assets(incomplete: str) -> list[str]:
    """The names of the catalogue that begin like this; none when it cannot be read."""
    from datarepo.errors import RepositoryError
    from datarepo.pipeline import catalogue
    from datarepo.pipeline.repository import find_root

    try:
        known = catalogue.load(find_root()).assets
    except RepositoryError:
        return []
    return [name for name in known if name.lower().startswith(incomplete.lower())]
