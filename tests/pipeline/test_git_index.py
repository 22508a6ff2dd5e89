"""What git tracks, as the repository asks for it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from datarepo.pipeline.git_index import tracked

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """A git repository with two files in its index, and one that is not."""
    for name in ("data/a-b/c", "data/a/x y/ü", "data/new"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for command in (["init", "--quiet"], ["add", "data/a-b", "data/a"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_files_and_the_folders_around_them_are_tracked(git: Path) -> None:
    """Whatever is in the index, committed or not."""
    files = {"data/a-b/c", "data/a/x y/ü"}

    assert tracked(git) == files | {"data", "data/a-b", "data/a", "data/a/x y"}


def test_a_root_below_that_of_git_has_its_own_paths(git: Path) -> None:
    """What lies beside it does not count."""
    assert tracked(git / "data/a") == {"x y", "x y/ü"}
