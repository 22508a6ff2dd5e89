"""Waiting for what may never answer: a name server, a firewall that drops packets, a client that retries."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Answer = TypeVar("Answer")


def side_by_side(seconds: float, questions: Mapping[str, Callable[[], Answer]]) -> dict[str, Answer]:
    """Ask everything at once, in threads; the answers that came within so many seconds, by name.

    The threads are daemons, since what they wait for cannot be interrupted: the process ends without
    them. A question that raises never answers.
    """
    answers: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()

    def answer(name: str, question: Callable[[], Answer]) -> None:
        answers.put((name, question()))

    for name, question in questions.items():
        threading.Thread(target=answer, args=(name, question), daemon=True).start()
    found: dict[str, Answer] = {}
    end = time.monotonic() + seconds
    while len(found) < len(questions):
        try:
            name, result = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        found[name] = result
    return found


def within(seconds: float, question: Callable[[], Answer]) -> Answer:
    """Ask one thing; TimeoutError when the answer takes longer, or what the question raises."""

    def outcome() -> tuple[Answer | None, BaseException | None]:
        try:
            return question(), None
        except BaseException as error:  # noqa: BLE001  # raised again where it was asked
            return None, error

    found = side_by_side(seconds, {"it": outcome})
    if "it" not in found:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    answer, error = found["it"]
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # None only if that was the answer
