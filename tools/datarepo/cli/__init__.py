"""The doorways: one module a command, each a Typer function with typed parameters and one call."""
