"""DVC's objects: what their bytes say, as a table, and their md5."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from datarepo.pipeline.objects import Finding, digests

OID, OTHER = "0a", "0b"
FILE = "data/vqa/train.tsv"


def finding(stored: str | None, file: str | None, linked: bool = False) -> Finding:
    """What was found of OID, which is recorded for FILE."""
    return Finding(OID, stored, {FILE: file}, frozenset([FILE] if linked else []))


@pytest.mark.parametrize(
    ("found", "is_here", "is_lacking", "sound_file", "modified"),
    [
        (finding(OID, OID, linked=True), True, False, FILE, []),
        (finding(OID, OID), True, False, FILE, []),
        (finding(OID, None), True, False, None, []),
        (finding(OID, OTHER), True, False, None, [FILE]),
        (finding(OTHER, OTHER, linked=True), True, True, None, []),
        (finding(OTHER, OTHER), True, True, None, [FILE]),
        (finding(OTHER, OID), True, True, FILE, []),
        (finding(OTHER, None), True, True, None, []),
        (finding("", None), True, True, None, []),
        (finding(None, OID), True, True, FILE, []),
        (finding(None, OTHER), True, True, None, [FILE]),
        (finding(None, None), False, False, None, []),
    ],
)
def test_an_object_and_its_file_are_judged_by_their_bytes(
    found: Finding, is_here: bool, is_lacking: bool, sound_file: str | None, modified: list[str]
) -> None:
    """Damaged, gone from under a file, edited by the user, or never here."""
    assert (found.is_here, found.is_lacking) == (is_here, is_lacking)
    assert (found.sound_file, found.modified) == (sound_file, modified)


def test_the_md5_of_files_of_every_size(tmp_path: Path) -> None:
    """Empty, tiny, larger than a read; by each of its names; nothing for what is not there."""
    expected = {}
    for size in (0, 1, 1 << 15, (1 << 15) + 1, 1 << 20, (1 << 21) + 7):
        path = tmp_path / str(size)
        content = bytes(range(251)) * (size // 251 + 1)
        path.write_bytes(content[:size])
        expected[path] = hashlib.md5(content[:size], usedforsecurity=False).hexdigest()
    (tmp_path / "link").hardlink_to(tmp_path / "1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "symlink").symlink_to("32768")

    read = digests(
        str(tmp_path / name) for name in ("gone", "folder", "link", "symlink", *map(str, expected))
    )
    assert {Path(path): file.md5 for path, file in read.items()} == {
        **expected,
        tmp_path / "link": expected[tmp_path / "1"],
        tmp_path / "symlink": expected[tmp_path / "32768"],
        tmp_path / "folder": "",
    }
