"""Waiting for answers, and no longer than a deadline."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from datarepo import deadline
from datarepo.deadline import AT_A_TIME, ask_all, within

if TYPE_CHECKING:
    from pathlib import Path


def test_what_does_not_answer_in_time_is_left_waiting(tmp_path: Path) -> None:
    """The others' answers count, and an error is raised where the question was asked."""
    never = threading.Event()
    answers = ask_all({"a": lambda: 1, "b": lambda: never.wait() and 2}, 0.1)
    assert (answers["a"], type(answers["b"])) == (1, TimeoutError)
    with pytest.raises(TimeoutError, match="no answer within 0 seconds"):
        within(0.1, never.wait)
    with pytest.raises(FileNotFoundError):
        within(9, (tmp_path / "missing").read_text)
    never.set()


def test_any_number_of_questions_is_asked_so_many_at_a_time() -> None:
    """Each is answered, and never more than the bound are under way."""
    under_way, most, lock = 0, 0, threading.Lock()
    all_there = threading.Barrier(AT_A_TIME)

    def question(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        if number < AT_A_TIME:
            all_there.wait(60)
        with lock:
            under_way -= 1
        return number

    numbers = range(3 * AT_A_TIME)
    answers = ask_all({str(number): partial(question, number) for number in numbers}, 60)

    assert answers == {str(number): number for number in numbers}
    assert most == AT_A_TIME


def test_the_deadline_grows_with_the_number_of_questions() -> None:
    """All of one round may take the whole time, and the next round has as much again."""
    never = threading.Event()
    questions = {str(number): never.wait for number in range(AT_A_TIME)} | {"late": never.is_set}
    threading.Timer(0.15, never.set).start()

    assert set(ask_all(questions, 0.1).values()) == {True}


def test_what_is_awaited_is_told_after_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, with how many have answered; at once here, after two seconds otherwise."""
    monkeypatch.setattr(deadline, "PATIENCE", 0.05)
    never = threading.Event()

    ask_all({"a": lambda: 1, "b": lambda: never.wait() and 2}, 0.08, "the service")
    never.set()

    assert capsys.readouterr().err == "waiting for the service: 1 of 2 have answered\n"
