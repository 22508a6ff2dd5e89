"""Files written whole or not at all: beside their final name, then renamed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_bytes(path: Path, content: bytes, *, scratch: Path, mode: int | None = None) -> None:
    """Replace a file's content at one stroke, a link's target where it is one.

    The new file is written in the folder `scratch`, where nobody looks for secrets or data, unless
    that is on another disk. `mode` are its permissions; None keeps those it has, or takes 0644.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    if scratch.stat().st_dev != path.parent.stat().st_dev:
        scratch = path.parent
    if mode is None:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    # mkstemp makes the file with mode 0600, so a secret is at no time readable by others.
    handle, beside = tempfile.mkstemp(dir=scratch, prefix=_prefix(path))
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


def clear(path: Path, *, scratch: Path) -> None:
    """Remove what killed runs have left of replacing a file, for a scratch folder that others use as well.

    Nobody may be replacing it meanwhile.
    """
    for beside in scratch.glob(f"{_prefix(path)}????????"):  # mkstemp's eight letters
        beside.unlink()


def _prefix(path: Path) -> str:
    return f".{path.name}-"


def replace_text(path: Path, text: str, *, scratch: Path) -> None:
    """Replace a file's content by a text in UTF-8, line endings as they stand in it."""
    replace_bytes(path, text.encode(), scratch=scratch)
