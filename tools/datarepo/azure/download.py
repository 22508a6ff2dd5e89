"""A download: the missing ranges of one blob, several at a time, each checked before it counts.

Download.run
├── _work       for each of the jobs: the next missing range, in the order of the blob
│   ├── _bring      attempts at a range, each from the byte reached
│   └── _attempt    one request: the answer compared with what was asked for
└── _claim      what has arrived, so many times a second: no kill costs more than that
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datarepo.azure import blob as blobs
from datarepo.azure.part_file import merge, missing
from datarepo.azure.retry import RetryPolicy
from datarepo.console import note
from datarepo.errors import BlobChangedError, BlobError, SasError

if TYPE_CHECKING:
    from obstore import GetOptions

    from datarepo.azure.arriving import Arriving
    from datarepo.azure.blob import Address, Blob
    from datarepo.azure.part_file import PartFile
    from datarepo.azure.retry import RateLimit
    from datarepo.errors import RepositoryError

RANGE = 4 * 1024 * 1024  # bytes: so small that readers of what has arrived wait little for the next
_CLAIM_SECONDS = 0.5

_RETRIED = {408, 416, 429, 500, 502, 503, 504}


class _FaultError(Exception):
    """An attempt failed and may be repeated; `counts` tells whether the bytes it brought are good."""

    def __init__(self, reason: str, *, counts: bool = True, status: int = 0, code: str = "") -> None:
        super().__init__(reason)
        self.counts = counts
        self.status = status
        self.code = code


@dataclass
class _Range:
    """A range being brought: its bytes from `start` up to `at` are there."""

    start: int
    end: int
    at: int


@dataclass
class Download:
    """What is missing of a blob, on its way into its part file, opened as `file`.

    `arriving` is given each range that is there, `advance` the bytes that count, and negative ones when
    they do not count after all.
    """

    address: Address
    blob: Blob
    part_file: PartFile
    file: int
    arriving: Arriving
    advance: Callable[[int], None]
    jobs: int
    rate_limit: RateLimit

    def __post_init__(self) -> None:
        # A request may take as long as it brings bytes: obstore's 30 seconds would cut slow ranges.
        # Its own retries are off, as they would ask for a whole range again.
        self._store = blobs.store(self.address.source, "7days", retries=0)
        self._policy = RetryPolicy.from_environment()
        self._done = list(self.part_file.state.done)
        self._under_way: list[_Range] = []
        self._is_told = False  # that it takes long, and why
        self._todo = missing(self.part_file.state.done, self.blob.size, RANGE)
        self._claiming = threading.Lock()  # an interrupted run claims the rest while a claim is under way

    def run(self) -> None:
        """Bring all that is missing; at the first failure, or Ctrl-C, claim what is there and end.

        Raises BlobChangedError when it is another blob by now, BlobError or SasError for what cannot be
        healed, OSError for the disk's troubles.
        """
        asyncio.run(self._run())

    async def _run(self) -> None:
        workers = [asyncio.ensure_future(self._work()) for _ in range(self.jobs)]
        claims = asyncio.ensure_future(self._claims())
        try:
            await asyncio.gather(*workers)
        finally:
            for task in (*workers, claims):
                task.cancel()
            await asyncio.gather(*workers, claims, return_exceptions=True)
            self._claim()

    async def _work(self) -> None:
        for start, end in self._todo:
            wanted = _Range(start, end, start)
            self._under_way.append(wanted)
            await self._bring(wanted)
            self._done = merge([*self._done, (start, end)])
            self._under_way.remove(wanted)
            self.arriving.add(start, end)

    async def _claims(self) -> None:
        while True:
            await asyncio.sleep(_CLAIM_SECONDS)
            await asyncio.to_thread(self._claim)

    def _claim(self) -> None:
        """Claim what is there, also of ranges that are under way."""
        with self._claiming:
            spans = [(wanted.start, wanted.at) for wanted in self._under_way if wanted.at > wanted.start]
            self.part_file.claim(self.file, [*self._done, *spans])

    async def _bring(self, wanted: _Range) -> None:
        failures = 0
        while wanted.at < wanted.end:
            before = wanted.at
            try:
                await self._attempt(wanted)
            except _FaultError as fault:
                if not fault.counts:
                    self.advance(before - wanted.at)
                    wanted.at = before
                failures = 1 if wanted.at > before else failures + 1
                if failures >= self._policy.attempts:
                    raise _given_up(self.address, fault, failures) from None
                if failures >= self._policy.attempts // 2 and not self._is_told:
                    self._is_told = True
                    most = self._policy.attempts
                    note(f"{_why(self.address, fault)}; tried again, {most} times in a row at most")
                await asyncio.sleep(self._policy.before(failures))

    async def _attempt(self, wanted: _Range) -> None:
        """Ask for what is missing of a range, and write it as it comes.

        obstore itself refuses an answer that is not 206, and one whose Content-Range is not that of
        the request (RFC 9110, section 15.3.7). It checks neither the ETag and the length of the whole
        blob in the answer, nor how long the body is: both are done here.
        """
        import obstore
        from obstore.exceptions import BaseError

        asked: GetOptions = {"range": (wanted.at, wanted.end), "if_match": self.blob.etag}
        heard, silent, window = 0, 0.0, self._policy.window
        try:
            answer = await asyncio.wait_for(
                obstore.get_async(self._store, self.address.path, options=asked), window
            )
            if (answer.meta["e_tag"], answer.meta["size"]) != (self.blob.etag, self.blob.size):
                raise _FaultError("the answer is that of another blob")
            # As the bytes come: those that a larger chunk waits for are lost when the connection breaks.
            stream = answer.stream(min_chunk_size=1).__aiter__()
            while True:
                since = time.monotonic()
                try:
                    chunk = await asyncio.wait_for(stream.__anext__(), window)
                except StopAsyncIteration:
                    break
                # The time of the disk and of --limit-rate is not the connection's.
                heard, silent = heard + len(chunk), silent + time.monotonic() - since
                if wanted.at + len(chunk) > wanted.end:
                    raise _FaultError("more bytes came than asked for", counts=False)
                _write(self.file, chunk, wanted.at)
                wanted.at += len(chunk)
                self.advance(len(chunk))
                if silent >= window:
                    if heard < self._policy.floor * silent:
                        raise _stalled(heard, silent)
                    heard, silent = 0, 0.0
                await self.rate_limit.spend(len(chunk))
        except (BaseError, FileNotFoundError) as error:  # obstore's 404 is Python's
            raise _judge(str(error), self.address) from None
        except asyncio.TimeoutError:
            raise _stalled(heard, silent + window) from None
        if wanted.at < wanted.end:
            raise _FaultError("fewer bytes came than asked for", counts=False)


def _write(file: int, chunk: bytes, at: int) -> None:
    rest = memoryview(chunk)
    while rest:  # a disk that is nearly full takes part of it
        count = os.pwrite(file, rest, at)
        rest, at = rest[count:], at + count


def _stalled(heard: int, seconds: float) -> _FaultError:
    return _FaultError(f"the connection stalled: {heard} bytes in {seconds:.1f} s")


def _judge(text: str, address: Address) -> _FaultError | RepositoryError:
    """Judge a failure that obstore put in these words: to be repeated, or final.

    Its exceptions have no fields; the first line of the text names the status and repeats the
    service's answer, and holds the URL without signature.
    """
    text = text.partition("\n\nDebug source:")[0]
    status, code = blobs.status_and_code(text)
    if status == 412:
        return BlobChangedError(f"{address} has changed while it was downloaded")
    if status == 0 or status in _RETRIED:
        return _FaultError(text.partition("\n")[0], status=status, code=code)
    try:
        address.check()  # the SAS may have expired in the meantime
    except SasError as error:
        return error
    return blobs.refusal(address, status, code)


def _why(address: Address, fault: _FaultError) -> str:
    return blobs.refusal(address, fault.status, fault.code).message if fault.status else f"{address}: {fault}"


def _given_up(address: Address, fault: _FaultError, attempts: int) -> BlobError:
    return BlobError(
        f"{_why(address, fault)}; {attempts} attempts in a row have brought nothing",
        "what has arrived is kept: run the same command again, it continues; if that does not help, look"
        " for a proxy on the way that changes what the service says",
    )
