"""The root of the repository: where it is, who may write to it, and where nobody looks."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from datarepo.errors import StageError
from datarepo.files import locked


def find_root(start: Path | None = None) -> Path:
    """The root of the repository around a folder, by default the current one; StageError outside."""
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / ".dvc").is_dir():
            if any((above / ".git").exists() for above in (folder, *folder.parents)):
                return folder
            raise StageError(
                f"{folder} is a DVC repository without git",
                "clone the repository with git, or run 'git init' there",
            )
    raise StageError(
        f"{start} is in no DVC repository",
        "change into the clone of the repository, then run the command again",
    )


def scratch(root: Path) -> Path:
    """The folder for files that are still being written: neither git nor DVC looks there."""
    return root / ".dvc" / "tmp" / "datarepo"


def part_files(root: Path) -> Path:
    """The folder for what has arrived of archives."""
    return root / ".dvc" / "tmp" / "fetch"


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Hold the repository for one writer, and clear what a killed one left in the scratch folder.

    Another writer waits, and says so.
    """
    folder = scratch(root)
    with locked(
        folder.with_suffix(".lock"), "waiting for another command of tools/ that writes to this repository"
    ):
        if folder.exists():
            for path in folder.iterdir():
                path.unlink()
        yield


def at_root(command: str) -> str:
    """The command as it is to be typed in the current folder: `dvc repro` looks for dvc.yaml there."""
    place = os.path.relpath(find_root())
    return f"cd {place} && {command}" if command and place != "." else command


def with_place(hint: str) -> str:
    """A hint, and the folder that its commands are to be typed in, if that is not the current one."""
    try:
        place = os.path.relpath(find_root())
    except StageError:
        return hint
    has_commands = re.search(r"\b(tools/|dvc |git )", hint) and "cd " not in hint
    return f"{hint} (in {place})" if has_commands and place != "." else hint
