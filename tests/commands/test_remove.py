"""`tools/remove-asset`: out of use again, with cache and remote left alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests import samples

if TYPE_CHECKING:
    from tests.clones import Clone


def cached(clone: Clone) -> list[str]:
    """The objects of the cache."""
    top = clone.path / ".dvc/cache/files/md5"
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())


def test_stage_parameters_and_ignore_entries_go_and_the_cache_stays(clone: Clone) -> None:
    """Afterwards the repository is as before the asset was added, and says how to free the space."""
    clone.tool("add-asset", "GQA")
    clone.ok("dvc", "repro")
    before, objects = clone.files(), cached(clone)
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    kept = cached(clone)

    result = clone.tool("remove-asset", "vqa")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "vqa: out of use, with archives/vqa.zip and data/vqa",
        "next: git commit; 'dvc gc --workspace' frees the space, see Freeing space in the README",
    ]
    assert clone.files() == before
    assert cached(clone) == kept
    clone.ok("dvc", "gc", "--workspace", "--force")
    assert cached(clone) == objects


def test_git_and_dvc_bring_a_removed_asset_back(clone: Clone) -> None:
    """From git's history and DVC's cache, without any download."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add vqa")
    clone.tool("remove-asset", "vqa")
    assert not (clone.path / "data/vqa").exists()

    clone.ok("git", "checkout", "--", ".")
    clone.ok("dvc", "checkout")

    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert clone.ok("git", "status", "--porcelain") == ""


def test_an_asset_that_was_only_added_is_removed_too(clone: Clone) -> None:
    """Nothing was downloaded yet."""
    before = clone.files()
    clone.tool("add-asset", "vqa", "GQA")

    result = clone.tool("remove-asset", "vqa", "GQA")

    assert result.stdout.splitlines()[:2] == ["vqa: out of use", "GQA: out of use"]
    assert clone.files() == before


def test_paths_are_those_from_the_root_wherever_it_is_typed(clone: Clone) -> None:
    """What a program reads does not depend on the current folder."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")

    result = clone.run(clone.path / "tools/remove-asset", "vqa", "--json", cwd=clone.path / "tests")

    assert (result.code, json.loads(result.stdout)) == (
        0,
        [{"name": "vqa", "removed": ["archives/vqa.zip", "data/vqa"]}],
    )
    assert not (clone.path / "data/vqa").exists()


def test_data_that_no_cache_has_is_not_deleted(clone: Clone) -> None:
    """Somebody worked in the folder; nothing changes, unless forced."""
    clone.tool("add-asset", "GQA", "vqa")
    clone.ok("dvc", "repro")
    (clone.path / "data/vqa/notes.txt").write_text("mine")
    before = clone.files()

    result = clone.tool("remove-asset", "GQA", "vqa")
    forced = clone.tool("remove-asset", "GQA", "vqa", "--force")

    assert (result.code, result.stdout, result.stderr.splitlines()) == (
        1,
        "",
        [
            "error: data/vqa holds what the cache does not have",
            "hint: 'dvc commit' keeps it; --force deletes it",
        ],
    )
    assert before["data/vqa/notes.txt"] == b"mine"
    assert forced.code == 0
    assert not (clone.path / "data/vqa").exists()


def test_what_a_killed_run_has_left_of_a_folder_is_removed(clone: Clone) -> None:
    """It differs from what is recorded, and the cache has every file of it."""
    before = clone.files()
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    (clone.path / "data/vqa/train.feature.tsv").unlink()

    result = clone.tool("remove-asset", "vqa")

    assert (result.code, result.stderr) == (0, "")
    assert clone.files() == before


def test_an_asset_that_is_not_in_use_is_said_to_be_so(clone: Clone) -> None:
    """And an unknown name is met with the closest ones."""
    unused, unknown = clone.tool("remove-asset", "vqa"), clone.tool("remove-asset", "vqaa")

    assert (unused.code, unused.stderr.splitlines()) == (
        2,
        ["error: 'vqa' is not in use", "hint: tools/list-assets shows which assets are"],
    )
    assert (unknown.code, unknown.stderr.splitlines()[1]) == (2, "hint: did you mean vqa?")
