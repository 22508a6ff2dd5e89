"""The commit that a command asks for: exactly the paths of ours that have changed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from datarepo.pipeline import commit
from datarepo.pipeline.catalogue import Asset

if TYPE_CHECKING:
    from pathlib import Path


def run(root: Path, command: str) -> None:
    """Run a line in bash, which must succeed."""
    identity = "-c user.name=A -c user.email=a@example.org"
    line = command.replace("git commit", f"git {identity} commit")
    subprocess.run(["bash", "-ec", line], cwd=root, check=True, capture_output=True)


@pytest.fixture(params=["", "below"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A repository with two files, which is that of git, or a folder in it."""
    root: Path = tmp_path / request.param
    run(tmp_path, f"git init -q && mkdir -p {root} && cd {root} && echo 1 > a && echo 1 > b")
    run(root, "git add . && git commit -qm first")
    return root


@pytest.mark.parametrize(
    ("change", "paths", "coming", "line"),
    [
        ("true", ["a", "b"], [], ""),
        ("true", [], [], ""),
        ("echo 2 > a; echo 2 > b", ["a"], [], 'git add a && git commit -m "M"'),
        ("echo 2 > c; rm a", ["c", "b", "a"], [], 'git add a c && git commit -m "M"'),
        ("echo 2 > a; git add a; rm b", ["a", "b"], [], 'git add a b && git commit -m "M"'),
        ("mkdir x; echo 2 > 'x/y z'", ["x/y z"], [], "git add 'x/y z' && git commit -m \"M\""),
        ("true", ["a"], ["b"], 'git add b && git commit -m "M"'),
        ("touch {1..5}.dvc", [f"{n}.dvc" for n in range(1, 6)], ["a"], "git add './*.dvc' a && git commit -m \"M\""),
        ("touch {1..6}.dvc", [f"{n}.dvc" for n in range(1, 6)], [], 'git add 1.dvc 2.dvc 3.dvc 4.dvc 5.dvc && git commit -m "M"'),
    ],
)  # fmt: skip
def test_the_line_names_what_has_changed_and_what_will_have(
    root: Path, change: str, paths: list[str], coming: list[str], line: str
) -> None:
    """Deleted, new, staged or edited; many stages of a folder by a pattern, when all of it is meant."""
    run(root, change)

    assert commit.commit_line(root, paths, "M", coming) == line


def test_the_line_leaves_nothing_of_ours_uncommitted(root: Path) -> None:
    """Typed as it stands."""
    run(root, "touch {1..5}.dvc; echo 2 > a; rm b")
    paths = ["a", "b", *(f"{number}.dvc" for number in range(1, 6))]

    run(root, commit.commit_line(root, paths, "M"))

    assert commit.changed(root, paths) == {}


def test_the_paths_of_assets_are_all_that_git_keeps_of_them() -> None:
    """An archive's stage and two ignore files; one for a file that is none."""
    archive, file = (Asset("n", "dataset", f"remote://s/{blob}", "data/n") for blob in ("n.zip", "n.pt"))
    shared = ["params.yaml", "dvc.lock", ".dvc/config"]

    assert commit.paths([archive]) == [
        *shared,
        "archives/n.zip.dvc",
        "archives/.gitignore",
        "data/.gitignore",
    ]
    assert commit.paths([file]) == [*shared, "data/n/n.pt.dvc", "data/n/.gitignore"]


def test_the_text_of_the_last_commit_is_read(root: Path) -> None:
    """Whatever the workspace has."""
    run(root, "echo 2 > a; echo 2 > c")

    assert [commit.at_head(root, path) for path in ("a", "c")] == ["1\n", ""]
