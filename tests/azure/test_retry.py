"""The pace of a download: its rate, its pauses."""

from __future__ import annotations

import asyncio

import pytest
from datarepo.azure.retry import RateLimit, RetryPolicy, parse_rate
from datarepo.errors import UsageError


@pytest.mark.parametrize(
    ("text", "rate"), [("500", 500), ("500k", 500e3), ("20M", 20e6), ("1.5GB/s", 1.5e9), (" 64K ", 64e3)]
)
def test_rates_have_suffixes(text: str, rate: float) -> None:
    """The forms of wget and curl are read, in powers of 1000."""
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "20 parsecs", "1e6"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """Also a rate at which nothing would ever arrive."""
    with pytest.raises(UsageError, match="is no rate"):
        parse_rate(text)


def test_all_downloads_share_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many spend at once, together they wait until the rate allows for all."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("datarepo.azure.retry.time.monotonic", lambda: 100.0)
    monkeypatch.setattr("asyncio.sleep", sleep)
    limiter = RateLimit(1000.0)

    async def spend() -> None:
        await asyncio.gather(*(limiter.spend(500) for _ in range(4)))

    asyncio.run(spend())
    assert waits == [0.5, 1.0, 1.5, 2.0]


def test_pauses_double_up_to_the_longest() -> None:
    """Each is spread upwards by at most half, never below what its turn is."""
    patience = RetryPolicy(pause=1.0, longest=16.0)
    for attempt, least in enumerate([1, 2, 4, 8, 16, 16, 16], start=1):
        assert least <= patience.before(attempt) <= 1.5 * least


def test_patience_is_stretched_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """DATAREPO_PATIENCE multiplies times, and neither attempts nor rates."""
    monkeypatch.setenv("DATAREPO_PATIENCE", "4")
    assert RetryPolicy.from_environment() == RetryPolicy(8, 4.0, 64.0, 120.0, 300.0)
    monkeypatch.setenv("DATAREPO_PATIENCE", "much")
    with pytest.raises(UsageError, match="DATAREPO_PATIENCE is no number"):
        RetryPolicy.from_environment()
