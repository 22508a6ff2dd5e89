"""The part file: how a download begins, and what is claimed of what has arrived."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from datarepo.azure.blob import Blob
from datarepo.azure.part_file import PartFile, State, decide, merge, missing, parse
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

BLOB = Blob('"0xE"', 100, datetime(2023, 8, 28, tzinfo=timezone.utc))
FRESH = State(BLOB.etag, BLOB.size)
HALF = State(BLOB.etag, BLOB.size, ((0, 30), (40, 60)))


@pytest.mark.parametrize(
    ("state", "held", "begins", "why"),
    [
        (None, None, FRESH, ""),
        (HALF, None, FRESH, ""),
        (FRESH, 0, FRESH, ""),
        (HALF, 60, HALF, ""),
        (HALF, 100, HALF, ""),
        (HALF, 59, FRESH, "the part file was cut to 59 bytes"),
        (None, 60, FRESH, "what is known of the part file cannot be read"),
        (State('"0xOLD"', 100), 60, FRESH, 'the blob has changed: ETag "0xOLD" -> "0xE"'),
        (State('"0xE"', 99), 60, FRESH, "the blob has changed: 99 -> 100 bytes"),
    ],
)
def test_begins_where_the_state_and_the_file_allow(
    state: State | None, held: int | None, begins: State, why: str
) -> None:
    """Only a state of this ETag and length, whose bytes are there, is gone on from."""
    start = decide(state, held, BLOB)
    assert (start.state, start.why) == (begins, why)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"etag": "x"',
        '{"etag": "x", "size": 9, "done": [[0, 10]], "md5": null}',
        '{"etag": "x", "size": 9, "done": [[4, 4]], "md5": null}',
        '{"etag": "x", "size": 9, "done": [[4, 6], [0, 5]], "md5": null}',
        '{"etag": "x", "size": 9, "done": 3, "md5": null}',
    ],
)
def test_a_state_that_cannot_be_is_none(text: str) -> None:
    """A damaged state is never believed."""
    assert parse(text) is None


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20))), st.integers(1, 30))
def test_done_and_missing_are_the_whole(pairs: list[tuple[int, int]], step: int) -> None:
    """What is done and what is missing never overlap, and leave no byte out."""
    done = merge((start, start + length) for start, length in pairs)
    left = list(missing(done, 90, step))
    assert all(0 < end - start <= step for start, end in left)
    assert sorted(at for start, end in [*done, *left] for at in range(start, end)) == list(range(90))


def test_claims_survive_and_reset_with_another_blob(tmp_path: Path) -> None:
    """A claim is read back by the next run, and an opened restart empties the file."""
    part_file = PartFile(tmp_path, "vqa")
    with part_file.locked(), part_file.opened(part_file.start(BLOB)) as file:
        os.pwrite(file, b"x" * 30, 40)
        part_file.claim(file, [(40, 70)])
    start = PartFile(tmp_path, "vqa").start(BLOB)
    assert (start.state.done, start.here) == (((40, 70),), 30)
    other = Blob('"0xNEW"', 100, BLOB.modified)
    with part_file.opened(part_file.start(other)):
        assert part_file.path.stat().st_size == 0
    assert PartFile(tmp_path, "vqa").start(other).state == State('"0xNEW"', 100)
    part_file.discard()
    assert sorted(path.name for path in part_file.folder.iterdir()) == ["vqa.lock"]


def test_what_a_killed_run_was_writing_goes_with_the_next_one(tmp_path: Path) -> None:
    """Of this asset alone: the run on another may be at work."""
    for name in (".vqa.json-ab12cd_z", ".vqa2.json-ab12cd_z", ".vqa.json-2.json-ab12cd_z"):
        (tmp_path / name).touch()

    with PartFile(tmp_path, "vqa").locked():
        names = {path.name for path in tmp_path.iterdir()}

    assert names == {"vqa.lock", ".vqa2.json-ab12cd_z", ".vqa.json-2.json-ab12cd_z"}
