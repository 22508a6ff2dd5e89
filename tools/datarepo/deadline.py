"""Wait for answers, at most so many seconds: a name server, a firewall or a service may never give one."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from datarepo.console import note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Answer = TypeVar("Answer")

AT_A_TIME = 32  # questions asked side by side
PATIENCE = 2.0  # seconds after which people are told what is awaited


def ask_all(
    questions: Mapping[str, Callable[[], Answer]], seconds: float, awaited: str = ""
) -> dict[str, Answer]:
    """Ask side by side, and wait at most so many seconds for each AT_A_TIME; the answers by name.

    A question that raises, or takes too long, is not among the answers. `awaited` names them in the
    notes that tell how far it is. The threads are daemons, since what they wait for cannot be
    interrupted: the process ends without them.
    """
    left: queue.SimpleQueue[tuple[str, Callable[[], Answer]]] = queue.SimpleQueue()
    arriving: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
    for pair in questions.items():
        left.put(pair)

    def work() -> None:
        while True:
            try:
                name, question = left.get_nowait()
            except queue.Empty:
                return
            arriving.put((name, question()))

    for _ in range(min(AT_A_TIME, len(questions))):
        threading.Thread(target=work, daemon=True).start()
    answers: dict[str, Answer] = {}
    now = time.monotonic()
    end = now + seconds * -(-len(questions) // AT_A_TIME)
    next_note, pause = now + PATIENCE, PATIENCE
    while len(answers) < len(questions) and now < end:
        try:
            name, answer = arriving.get(timeout=min(end, next_note) - now)
            answers[name] = answer
        except queue.Empty:
            pass
        now = time.monotonic()
        if now >= next_note:
            pause *= 2
            next_note = now + pause
            if awaited:
                note(f"waiting for {awaited}: {len(answers)} of {len(questions)} have answered")
    return answers


def within(seconds: float, question: Callable[[], Answer], awaited: str = "") -> Answer:
    """Ask one thing; TimeoutError when the answer takes longer, or what the question raises.

    `awaited` is as in `ask_all`.
    """

    def attempt() -> tuple[Answer | None, BaseException | None]:
        try:
            return question(), None
        except BaseException as error:  # noqa: BLE001  # raised again where it was asked
            return None, error

    answers = ask_all({"it": attempt}, seconds, awaited)
    if "it" not in answers:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    answer, error = answers["it"]
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # None only if that was the answer
