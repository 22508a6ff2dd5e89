"""DVC is told the hashes of what was just written, and finds its own trees again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from datarepo.pipeline import state

from tests.made_archives import Entry, tree, unpacked, with_zipfile, zipped

if TYPE_CHECKING:
    from pathlib import Path


def test_dvc_finds_the_same_tree_when_it_is_extracted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same `.dir` hash, and the cache, to which the replaced files were hard links, is untouched."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    archive = with_zipfile({"a": b"1" * 99, "b/c": b"2", "void": None})
    with Repo.init(no_scm=True) as repo:
        with repo.config.edit() as config:
            config["cache"]["type"] = ["hardlink", "symlink"]
        seen = []
        for _ in range(2):
            unpacked(archive, tmp_path)
            (stage,) = repo.add("out")
            seen.append(stage.outs[0].hash_info.value)
            cached = tree(tmp_path / ".dvc/cache/files/md5")
    assert seen[0] == seen[1]
    assert sorted(data for data in cached.values() if data in {b"1" * 99, b"2"}) == [b"1" * 99, b"2"]


def test_dvc_is_told_the_hashes_of_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it need not read the files again; those of links are its own business."""
    from dvc.repo import Repo

    monkeypatch.setattr(state, "MANY_FILES", 3)
    entries = [Entry("a", b"1" * 70_000), Entry("b/c"), Entry("l", b"a", mode=0o120777)]
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        unpacked(zipped(*entries), tmp_path)
        known = {name: repo.state.get(str(tmp_path / "out" / name), repo.fs)[1] for name in ("a", "b/c", "l")}
    assert {name: found and found.value for name, found in known.items()} == {
        "a": hashlib.md5(b"1" * 70_000, usedforsecurity=False).hexdigest(),
        "b/c": hashlib.md5(b"", usedforsecurity=False).hexdigest(),
        "l": None,
    }


def test_without_that_interface_of_dvc_all_else_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC's inside may change with any version."""
    from dvc.repo import Repo
    from dvc_data.hashfile.state import State

    monkeypatch.setattr(state, "MANY_FILES", 1)
    Repo.init(str(tmp_path), no_scm=True).close()
    monkeypatch.delattr(State, "save_many")
    assert unpacked(zipped(Entry("a", b"1")), tmp_path) == {"a": b"1"}


@pytest.mark.parametrize(
    ("size", "files", "told"), [(10**9, 1, True), (1, 10_000, True), (10**8, 100, False)]
)
def test_dvc_is_told_only_what_it_would_be_slower_to_find_out(
    size: int, files: int, told: bool, tmp_path: Path
) -> None:
    """Starting DVC for a small archive costs more than it saves; outside a repository nobody asks."""
    assert not state.wants_hashes(tmp_path / "out", size, files)
    (tmp_path / ".dvc").mkdir()
    assert state.wants_hashes(tmp_path / "out", size, files) is told
