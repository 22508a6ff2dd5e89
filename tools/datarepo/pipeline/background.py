"""DVC in a process of its own: its start and its work hold up neither a download nor what unpacks it.

DVC takes over a second of CPU time to start, which in a thread would be taken from the download,
since one interpreter runs one thread at a time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from datarepo.errors import RepositoryError
from datarepo.pipeline.repository import Repository, dvc_says

Answer = TypeVar("Answer")

_repository: Repository


class RepositoryProcess:
    """A repository whose methods run in another process, one after the other; it ends with the block."""

    def __init__(self, root: Path) -> None:
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_start, initargs=(root,)
        )
        self._pool.submit(int)  # it starts while others are asked, and bytes arrive

    def __enter__(self) -> RepositoryProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def call(self, method: Callable[..., Answer], *arguments: object) -> Answer:
        """Have a method of Repository run there, and wait for it; what it raises is raised here."""
        try:
            return self._pool.submit(_call, method, *arguments).result()
        except BrokenProcessPool:
            raise RepositoryError(
                "the process that DVC runs in was killed: is there enough memory?",
                "run the same command again, it goes on from what is here",
            ) from None


def _start(root: Path) -> None:
    """Begin the process: DVC started, and nothing printed between our lines."""
    global _repository  # noqa: PLW0603  # a process has one
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the parent ends what is under way
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # as long as the process
    _repository = Repository(root)


def _end_with_parent() -> None:
    """A killed parent cannot end its child."""
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _call(method: Callable[..., Answer], *arguments: object) -> Answer:
    try:
        return method(_repository, *arguments)
    except RepositoryError:
        raise
    except Exception as error:  # noqa: BLE001  # not each of DVC's can be sent to another process
        raise dvc_says(method.__name__, error) from None
