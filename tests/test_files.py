"""Files replaced at one stroke, and put back when the work around them fails."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from datarepo.atomic_file import replace_bytes, replace_text, undone_on_failure
from datarepo.deadline import side_by_side, within

if TYPE_CHECKING:
    from pathlib import Path


def test_a_failure_puts_back_what_was_written_here_and_nothing_else(tmp_path: Path) -> None:
    """What another program wrote in the meantime, `dvc repro` for instance, stays."""
    mine, new, theirs = (tmp_path / name for name in ("mine", "new", "theirs"))
    mine.write_text("before")
    theirs.write_text("before")

    def work() -> None:
        with undone_on_failure():
            replace_text(mine, "after")
            replace_text(mine, "after that")
            replace_text(new, "after")
            theirs.write_text("theirs")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()

    assert (mine.read_text(), new.exists(), theirs.read_text()) == ("before", False, "theirs")


def test_a_success_keeps_what_was_written(tmp_path: Path) -> None:
    """With the permissions the file had, or those asked for, and nothing beside it."""
    with undone_on_failure():
        replace_text(tmp_path / "plain", "1")
        replace_bytes(tmp_path / "private", b"2", mode=0o600)
        (tmp_path / "plain").chmod(0o640)
        replace_text(tmp_path / "plain", "3")

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"plain": 0o640, "private": 0o600}
    assert (tmp_path / "plain").read_text() == "3"


def test_what_does_not_answer_in_time_is_left_waiting(tmp_path: Path) -> None:
    """The others' answers count, and an error is raised where the question was asked."""
    import threading

    never = threading.Event()
    assert side_by_side(0.1, {"a": lambda: 1, "b": lambda: never.wait() and 2}) == {"a": 1}
    with pytest.raises(TimeoutError, match="no answer within 0 seconds"):
        within(0.1, never.wait)
    with pytest.raises(FileNotFoundError):
        within(9, (tmp_path / "missing").read_text)
    never.set()
