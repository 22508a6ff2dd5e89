"""Sharing: push, pull, and other projects, through a folder."""

from __future__ import annotations

import sys

from tests import samples
from tests.clones import Clone


def test_a_colleague_pulls_identical_trees_of_all_nine_without_a_sas(clone: Clone) -> None:
    """Through the default remote, a folder beside the clone."""
    clone.tool("add-asset", "--all")
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add all")
    clone.ok("dvc", "push")
    theirs = clone.colleague()

    theirs.ok("dvc", "pull")

    for name in samples.NAMES:
        folder = f"{'data' if name in samples.DATASETS else 'models'}/{name}"
        assert theirs.tree(folder) == clone.tree(folder) == samples.tree(name)
    assert "up to date" in theirs.ok("dvc", "repro")
    assert theirs.ok("git", "status", "--porcelain") == ""


def test_pull_leaves_a_download_that_nobody_made_yet_to_repro(shared: Clone) -> None:
    """A second asset that is only added keeps no colleague from pulling the first."""
    shared.tool("add-asset", "GQA")
    shared.ok("git", "add", "--all")
    shared.ok("git", "commit", "--message", "Add GQA")
    shared.ok("dvc", "push")
    theirs = shared.colleague()

    theirs.ok("dvc", "pull", "unzip@vqa")

    assert theirs.tree("data/vqa") == samples.tree("vqa")


def test_another_project_gets_imports_and_opens_the_data(shared: Clone) -> None:
    """`dvc get`, `dvc import` and `dvc.api.open`, with the repository's URL and nothing else."""
    shared.ok("dvc", "push")
    shared.ok("rm", "-rf", ".dvc/cache", ".dvc/config.local")
    project = Clone(shared.path.parent / "project", shared.home)
    project.path.mkdir()
    project.ok("git", "init", "--quiet")
    project.ok("dvc", "init", "--quiet")

    project.ok("dvc", "get", str(shared.path), "data/vqa", "--out", "got")
    project.ok("dvc", "import", str(shared.path), "data/vqa", "--out", "imported")
    opened = project.ok(
        sys.executable,
        "-c",
        "import dvc.api, sys\n"
        f"with dvc.api.open('data/vqa/annotations/.splits', repo={str(shared.path)!r}) as stream:\n"
        "    sys.stdout.write(stream.read())",
    )

    assert project.tree("got") == project.tree("imported") == samples.tree("vqa")
    assert opened == "train val 1\n"


def test_another_project_can_bring_the_data_from_upstream(shared: Clone) -> None:
    """Nothing was pushed: the import stage's archive comes from the clone's cache."""
    project = Clone(shared.path.parent / "project", shared.home)
    project.path.mkdir()
    project.ok("git", "init", "--quiet")
    project.ok("dvc", "init", "--quiet")

    project.ok("dvc", "get", str(shared.path), "archives/vqa.zip")

    assert (project.path / "vqa.zip").read_bytes() == samples.archive("vqa")
