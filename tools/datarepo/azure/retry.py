"""How a download bears with the network: ranges at a time, retries, and a limit on its rate."""

from __future__ import annotations

import os
import random
import re
import time
from dataclasses import dataclass

from datarepo.errors import UsageError

JOBS = 16

_RATE = re.compile(r"(\d+(?:\.\d+)?)([kKMG]?)B?(?:/s)?")
_UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True)
class RetryPolicy:
    """How long a download bears with the network; times in seconds.

    `attempts` are those in a row that bring no byte: time in all is not limited. A connection that
    brings less than `floor` bytes a second over a `window` has stalled.

    obstore does not tell the headers of a refusal, so a Retry-After cannot be read. The pauses are to
    exceed it instead: they double from `pause` to `longest`, over a minute in all, and are spread at
    random, so that the connections of a download do not all come back at once.
    """

    attempts: int = 8
    pause: float = 1.0
    longest: float = 16.0
    window: float = 30.0
    floor: float = 300.0

    @classmethod
    def from_environment(cls) -> RetryPolicy:
        """Every time multiplied by DATAREPO_PATIENCE: above 1 for a satellite link, below for tests."""
        text = os.environ.get("DATAREPO_PATIENCE", "1")
        try:
            factor = float(text)
        except ValueError:
            raise UsageError(
                f"DATAREPO_PATIENCE is no number: {text!r}", "unset it, or set it to 2"
            ) from None
        return cls(pause=cls.pause * factor, longest=cls.longest * factor, window=cls.window * factor)

    def before(self, attempt: int) -> float:
        """The pause before an attempt, the first repeated one being 1."""
        return min(self.pause * 2.0 ** (attempt - 1), self.longest) * random.uniform(1.0, 1.5)  # noqa: S311  # no secret


def parse_rate(text: str) -> float:
    """Read a number of bytes a second, with k, M or G for powers of 1000; UsageError for another text.

    >>> parse_rate("2.5M")
    2500000.0
    """
    match = _RATE.fullmatch(text.strip())
    if not match or not float(match[1]):
        raise UsageError(f"{text!r} is no rate", "give bytes a second, like 500k or 20M")
    number, unit = match[1], match[2]
    return float(number) * _UNITS[unit]


class RateLimit:
    """A limit on the bytes a second of all downloads together; None is no limit."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free = 0.0

    async def spend(self, count: int) -> None:
        """Wait until so many more bytes are within the limit."""
        if self._rate:
            import asyncio

            now = time.monotonic()
            self._free = max(self._free, now) + count / self._rate
            await asyncio.sleep(self._free - now)
