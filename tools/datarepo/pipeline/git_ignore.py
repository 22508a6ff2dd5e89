"""The `.gitignore` files that keep data out of git: a line for each archive and folder of contents.

DVC writes the same lines, one at a time, and takes those back that a failed `dvc repro` has made, so
that git would see the data of the stages that had succeeded (treeverse/dvc#11091). Lines that were
there before stay.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from datarepo.files import replace_text
from datarepo.pipeline.root import scratch


def ignore(root: Path, paths: Iterable[str]) -> None:
    """Add the line of each path, given from the root, that is not there yet."""
    for file, entries in _by_file(root, paths).items():
        lines = _read(file)
        missing = sorted(entries.difference(lines))
        if missing:
            _write(root, file, [*lines, *missing])


def unignore(root: Path, paths: Iterable[str]) -> None:
    """Take out the line of each path; a file that is empty then goes."""
    for file, entries in _by_file(root, paths).items():
        lines = _read(file)
        kept = [line for line in lines if line not in entries]
        if not kept:
            file.unlink(missing_ok=True)
        elif kept != lines:
            _write(root, file, kept)


def entry(name: str) -> str:
    r"""The line of a name, beside the file: anchored, its wildcards escaped.

    >>> print(entry("vqa.zip"), entry("a[1].pt"))
    /vqa.zip /a\[1\].pt
    """
    return "/" + re.sub(r"([][!*#?])", r"\\\1", name)


def _by_file(root: Path, paths: Iterable[str]) -> dict[Path, set[str]]:
    entries = defaultdict(set)
    for path in paths:
        entries[(root / path).with_name(".gitignore")].add(entry((root / path).name))
    return entries


def _read(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _write(root: Path, file: Path, lines: list[str]) -> None:
    replace_text(file, "".join(f"{line}\n" for line in lines), scratch=scratch(root))
