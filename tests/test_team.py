"""Sharing: push, pull, and other projects, through folders and through an Azure remote."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests import samples
from tests.clones import Clone

if TYPE_CHECKING:
    from tests.azurite import Azurite


@pytest.fixture
def shared(clone: Clone) -> Clone:
    """A clone with vqa in use, downloaded, unzipped, committed, and not yet pushed."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add vqa")
    return clone


def colleague(shared: Clone, name: str = "colleague") -> Clone:
    """A colleague's clone beside the first: the committed files, and no SAS of their own."""
    shared.ok("git", "clone", "--quiet", ".", f"../{name}")
    theirs = Clone(shared.path.parent / name, shared.home)
    (theirs.path / ".venv").symlink_to(shared.path / ".venv")
    assert not (theirs.path / ".dvc/config.local").exists()
    return theirs


def test_a_colleague_pulls_identical_trees_of_all_nine_without_a_sas(clone: Clone) -> None:
    """Through the default remote, a folder beside the clone."""
    clone.tool("add-asset", "--all")
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add all")
    clone.ok("dvc", "push")
    theirs = colleague(clone)

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
    theirs = colleague(shared)

    theirs.ok("dvc", "pull", "unzip@vqa")

    assert theirs.tree("data/vqa") == samples.tree("vqa")


def test_one_command_points_the_team_remote_at_azure(shared: Clone, upstream: Azurite) -> None:
    """Push and pull through a container of the team's, whose key stays in the local configuration."""
    upstream.create_container("team")
    key = f"BlobEndpoint={upstream.endpoint};AccountName=biglmdiag;AccountKey={upstream.key}"
    shared.ok("dvc", "remote", "modify", "team", "url", "azure://team/oscar")
    shared.ok("git", "commit", "--all", "--message", "Share through Azure")
    theirs = colleague(shared)
    for each in (shared, theirs):
        each.ok("dvc", "remote", "modify", "--local", "team", "connection_string", key)

    shared.ok("dvc", "push")
    theirs.ok("dvc", "pull")

    assert theirs.tree("data/vqa") == samples.tree("vqa")
    assert upstream.key not in shared.ok("git", "log", "--patch")


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
