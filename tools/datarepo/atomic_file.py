"""Files written beside their final name and renamed, so that no half of one is ever seen."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_journals: list[dict[Path, bytes | None]] = []


@contextlib.contextmanager
def undone_on_failure() -> Iterator[None]:
    """Put back what was written here, and nothing that others wrote, when the block fails."""
    journal: dict[Path, bytes | None] = {}
    _journals.append(journal)
    try:
        yield
    except BaseException:
        _journals.remove(journal)
        for path, content in journal.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                replace_bytes(path, content)
        raise
    _journals.remove(journal)


def remember(path: Path) -> None:
    """Note a file as it is, before it is written, in the journals of the blocks at work."""
    path = path.resolve()
    for journal in _journals:
        if path not in journal:
            journal[path] = path.read_bytes() if path.exists() else None


def replace_bytes(path: Path, content: bytes, mode: int | None = None) -> None:
    """Replace a file's content at one stroke, a link's target where it is one.

    `mode` are its permissions; None keeps those it has, or takes 0644 for a new file.
    """
    path = path.resolve()
    remember(path)
    if mode is None:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    # mkstemp makes the file with mode 0600, so a secret is at no time readable by others.
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        Path(beside).chmod(mode)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink()
        raise


def replace_text(path: Path, text: str) -> None:
    """Replace a file's content by a text in UTF-8, line endings as they stand in it."""
    replace_bytes(path, text.encode())
