"""What git tracks: its index, read once for any number of questions."""

from __future__ import annotations

import os
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def tracked(root: Path) -> set[str]:
    """The files that git tracks, and the folders around them, by their paths from the root."""
    from dulwich.repo import Repo

    with Repo.discover(root) as git:
        prefix = f"{os.path.relpath(root, git.path)}/".removeprefix("./")
        names = [os.fsdecode(name) for name in git.open_index()]
    below = [name[len(prefix) :] for name in names if name.startswith(prefix)]
    return {path for name in below for path in accumulate(name.split("/"), "{}/{}".format)}
