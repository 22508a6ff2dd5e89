"""Wait for answers, at most so many seconds: a name server, a firewall or a service may never give one."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from datarepo.console import note

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")

AT_A_TIME = 32  # questions asked side by side
PATIENCE = 2.0  # seconds after which people are told what is awaited


def ask_all(
    questions: Mapping[Key, Callable[[], Answer]], seconds: float, awaited: str = ""
) -> dict[Key, Answer | BaseException]:
    """Ask side by side, and wait at most so many seconds for each AT_A_TIME; the answers in that order.

    An answer is an exception where the question raised it, a TimeoutError where it took too long: its
    thread waits on, since what it waits for cannot be interrupted, until the process ends. `awaited` names
    the questions in the notes that tell how far it is.
    """
    pool = ThreadPoolExecutor(AT_A_TIME)
    futures: dict[Key, Future[Answer]] = {key: pool.submit(ask) for key, ask in questions.items()}
    end = time.monotonic() + seconds * -(-len(questions) // AT_A_TIME)
    waiting, pause = set(futures.values()), PATIENCE
    while waiting and (left := end - time.monotonic()) > 0:
        waiting = wait(waiting, min(pause, left)).not_done
        if awaited and waiting and pause < left:
            note(f"waiting for {awaited}: {len(futures) - len(waiting)} of {len(futures)} have answered")
        pause *= 2
    pool.shutdown(wait=False, cancel_futures=True)
    late = TimeoutError(f"no answer within {seconds:.0f} seconds")
    return {
        key: late if future in waiting else future.exception() or future.result()
        for key, future in futures.items()
    }


def within(seconds: float, question: Callable[[], Answer], awaited: str = "") -> Answer:
    """Ask one thing; TimeoutError when the answer takes longer, or what the question raises.

    `awaited` is as in `ask_all`.
    """
    [answer] = ask_all({"": question}, seconds, awaited).values()
    if isinstance(answer, BaseException):
        raise answer
    return answer
