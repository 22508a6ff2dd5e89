"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from datarepo.archives.atomic_folder import appearing, delete, work_folder
from datarepo.commands.unzip import unzip
from datarepo.errors import ArchiveError, UsageError

from tests.made_archives import Entry, tree, unpacked, zipped

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_that_exists_is_replaced(tmp_path: Path) -> None:
    """With all that was in it, read-only folders and files too; the target of a link in it is left alone."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("precious")
    old = tmp_path / "out/deep/er"
    old.mkdir(parents=True)
    (old / "file").write_text("old")
    os.link(tmp_path / "kept/file", old / "hard")
    (old / "link").symlink_to(tmp_path / "kept")
    (old / "file").chmod(0o444)
    for folder in (old, old.parent, old.parent.parent):
        folder.chmod(0o555)
    assert unpacked(zipped(Entry("new", b"1")), tmp_path) == {"new": b"1"}
    assert tree(tmp_path / "kept") == {"file": b"precious"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "kept", "out"]


def test_what_is_put_into_the_folder_meanwhile_is_not_lost(tmp_path: Path) -> None:
    """A folder that was empty when the work began takes the new tree, unless somebody was there first."""
    out = tmp_path / "out"
    out.mkdir()
    with appearing(out, replace=False) as new:
        (new / "a").write_text("new")
    assert tree(out) == {"a": b"new"}
    with pytest.raises(UsageError) as refused, appearing(out, replace=False) as new:
        (new / "b").write_text("newer")
    assert refused.value.message == f"{out} is not empty, and would be replaced as a whole"
    assert tree(tmp_path) == {"out": None, "out/a": b"new"}


def test_a_deep_tree_can_be_deleted(tmp_path: Path) -> None:
    """Deeper than Python's stack."""
    os.mkdir(tmp_path / "t")  # noqa: PTH102
    here = os.open(tmp_path / "t", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    delete(tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_a_link_as_dir_stays_a_link(tmp_path: Path) -> None:
    """Whoever keeps the data on another disk keeps them there."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    assert unpacked(zipped(Entry("a", b"1")), tmp_path) == {"a": b"1"}
    assert tree(tmp_path)["out"] == "disk"


def test_two_runs_for_one_folder_do_not_mix(tmp_path: Path) -> None:
    """The second is told to wait, and touches nothing of the first."""
    out = tmp_path / "out"
    with appearing(out) as tree_of_first:
        (tree_of_first / "a").write_text("first")
        with pytest.raises(UsageError) as refused:
            unpacked(zipped(Entry("b", b"2")), tmp_path)
    assert refused.value.message == f"another run is extracting to {out}"
    assert tree(out) == {"a": b"first"}


def test_half_a_swap_is_undone(tmp_path: Path) -> None:
    """A run killed between its two renames leaves the old tree aside; even a run that fails puts it back."""
    out = tmp_path / "out"
    work = work_folder(out)
    (work / "old").mkdir(parents=True)
    (work / "old/before").write_text("as it was")
    (work / "tree").mkdir()
    (work / "lock").touch()
    archive = tmp_path / "archive.zip"
    archive.write_bytes(zipped(Entry("a", b"1", crc=2)))
    with pytest.raises(ArchiveError):
        unzip(archive, out, replace=True, quiet=True)
    assert tree(tmp_path) == {"archive.zip": archive.read_bytes(), "out": None, "out/before": b"as it was"}
