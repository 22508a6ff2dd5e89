"""Files written whole or not at all."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from datarepo.files import replace_bytes, replace_text

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    """With the permissions the file had, or those asked for; folders are made where they are missing."""
    scratch = tmp_path / "scratch"
    replace_text(tmp_path / "folder/plain", "1", scratch=scratch)
    replace_bytes(tmp_path / "private", b"2", scratch=scratch, mode=0o600)
    (tmp_path / "folder/plain").chmod(0o640)
    replace_text(tmp_path / "folder/plain", "3", scratch=scratch)

    files = {path.name: path for path in tmp_path.rglob("*") if path.is_file()}
    modes = {name: stat.S_IMODE(path.stat().st_mode) for name, path in files.items()}
    assert modes == {"plain": 0o640, "private": 0o600}
    assert files["plain"].read_text() == "3"


def test_a_link_stays_one(tmp_path: Path) -> None:
    """Its target is what is replaced."""
    (tmp_path / "target").write_text("before")
    (tmp_path / "link").symlink_to("target")

    replace_text(tmp_path / "link", "after", scratch=tmp_path)

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "after"


def test_a_write_that_fails_leaves_the_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, for instance."""
    (tmp_path / "file").write_text("before")

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_text(tmp_path / "file", "after", scratch=tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "before"


def test_the_new_file_is_written_in_the_scratch_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where neither git nor DVC looks: what a killed run leaves may be a secret."""
    seen: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend((tmp_path / "scratch").iterdir()))

    replace_text(tmp_path / "config.local", "secret", scratch=tmp_path / "scratch")

    assert [path.name[:13] for path in seen] == [".config.local"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.local", "scratch"]
