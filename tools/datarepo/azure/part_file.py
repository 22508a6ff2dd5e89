"""A part file: what has arrived of an archive so far, and how far it can be relied on.

fetch/
├── vqa.part       the bytes, each at its place; between the finished spans stands anything
├── vqa.json       {"etag": …, "size": …, "done": [[0, 8388608], …], "md5": null}
├── vqa.carried    instead of them, the copy of a file that is carried in by hand
├── vqa.unpacked   the md5 of each file of the contents, while DVC does not know yet that they are ours
└── vqa.lock       held by the run that works on them

The state is that of a blob's version (ETag and length), whatever URL and SAS brought the bytes. A span
is claimed after its bytes have reached the disk, so that neither kill -9 nor a power cut makes a claim
untrue; what is not claimed yet is downloaded again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from datarepo.files import clear, locked, replace_text

if TYPE_CHECKING:
    from datarepo.azure.blob import Blob

Span = tuple[int, int]  # from the first byte up to, not including, the second


@dataclass(frozen=True)
class State:
    """What is claimed of a part file; `md5` is known once all of it is there and was read."""

    etag: str
    size: int
    done: tuple[Span, ...] = ()
    md5: str | None = None

    def document(self) -> str:
        """The state as it is stored."""
        return json.dumps(self.__dict__)


def parse(text: str) -> State | None:
    """Read a stored state; None when it is none, or claims what cannot be.

    >>> parse('{"etag": "0xE", "size": 9, "done": [[0, 4]], "md5": null}')
    State(etag='0xE', size=9, done=((0, 4),), md5=None)
    """
    try:
        fields = json.loads(text)
        done = tuple((int(start), int(end)) for start, end in fields["done"])
        state = State(str(fields["etag"]), int(fields["size"]), done, fields["md5"])
    except (ValueError, KeyError, TypeError):
        return None
    sound = list(done) == merge(done) and all(0 <= start < end <= state.size for start, end in done)
    return state if sound else None


@dataclass(frozen=True)
class Start:
    """Where a download begins: the state to go on from, and why it is an empty one if it restarts."""

    state: State
    why: str = ""

    @property
    def here(self) -> int:
        """The bytes that are there already."""
        return sum(end - start for start, end in self.state.done)


def decide(state: State | None, held: int | None, blob: Blob) -> Start:
    """Resume or restart; `held` is the length of the part file in bytes, None where there is none."""
    fresh = State(blob.etag, blob.size)
    if held is None:
        return Start(fresh)
    if state is None:
        return Start(fresh, "what is known of the part file cannot be read")
    if state.etag != blob.etag:
        return Start(fresh, f"the blob has changed: ETag {state.etag} -> {blob.etag}")
    if state.size != blob.size:
        return Start(fresh, f"the blob has changed: {state.size} -> {blob.size} bytes")
    if state.done and held < state.done[-1][1]:
        return Start(fresh, f"the part file was cut to {held} bytes")
    return Start(state)


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same bytes in as few spans as possible, in order.

    >>> merge([(4, 8), (0, 2), (2, 4), (9, 10)])
    [(0, 8), (9, 10)]
    """
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def missing(done: Sequence[Span], size: int, step: int) -> Iterator[Span]:
    """What is left to download, in order, in spans of at most `step` bytes; `done` is merged.

    >>> list(missing([(0, 8), (9, 10)], 14, 3))
    [(8, 9), (10, 13), (13, 14)]
    """
    ends = [0, *(end for _, end in done)]
    starts = [*(start for start, _ in done), size]
    for gap_start, gap_end in zip(ends, starts, strict=True):
        for start in range(gap_start, gap_end, step):
            yield start, min(start + step, gap_end)


class PartFile:
    """The part file of one asset; the run that uses it holds its lock."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.path = self.folder / f"{name}.part"
        self.carried = self.folder / f"{name}.carried"
        self.mark = self.folder / f"{name}.unpacked"
        self.lock = self.folder / f"{name}.lock"
        self._state_file = self.folder / f"{name}.json"
        self._name = name
        self.state = State("", 0)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the part file; wait, and say so, while another run does."""
        busy = f"{self._name}: another run is at work on it; waiting until it is done"
        with locked(self.lock, busy):
            clear(self._state_file, scratch=self.folder)
            yield

    @property
    def arrived(self) -> int:
        """The bytes that are there, of whatever version of the blob."""
        state = self._read() if self.path.exists() else None
        return sum(end - start for start, end in state.done) if state else 0

    @property
    def etag(self) -> str | None:
        """The version of the blob whose bytes are there, None where nothing tells."""
        state = self._read()
        return state.etag if state else None

    @property
    def unpacked(self) -> dict[str, str]:
        """The md5 by path of each file that a run which was killed has let appear; none where none has."""
        try:
            document = json.loads(self.mark.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _read(self) -> State | None:
        try:
            return parse(self._state_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def start(self, blob: Blob) -> Start:
        """Decide how the download of this blob begins; changes nothing."""
        return decide(self._read(), self.path.stat().st_size if self.path.exists() else None, blob)

    @contextlib.contextmanager
    def opened(self, start: Start) -> Iterator[int]:
        """Open the bytes for reading and writing, emptied unless resumed; its file descriptor."""
        self._store(start.state)  # before the bytes of another blob come under it
        flags = os.O_RDWR | os.O_CREAT | (0 if start.state.done else os.O_TRUNC)
        file = os.open(self.path, flags, 0o644)
        try:
            yield file
        finally:
            os.close(file)

    def claim(self, file: int, spans: Iterable[Span]) -> None:
        """Claim these spans and no others, once their bytes are on the disk."""
        done = tuple(merge(spans))
        if done != self.state.done:
            os.fsync(file)
            self._store(replace(self.state, done=done))

    def seal(self, md5: str) -> None:
        """Record the md5 of the whole: a run killed before the import is complete has computed it."""
        self._store(replace(self.state, md5=md5))

    def _store(self, state: State) -> None:
        replace_text(self._state_file, state.document(), scratch=self.folder)
        self.state = state

    def discard(self) -> None:
        """Remove the bytes and the state."""
        # The bytes first: without a state they are a restart, never the reverse.
        for path in (self.path, self._state_file, self.carried):
            path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Discard what is there, and no longer take the contents for those of a killed run."""
        self.discard()
        self.mark.unlink(missing_ok=True)

    def drop(self) -> None:
        """Discard what is there of an archive that nobody waits for, once no other run is at work on it."""
        if any(path.exists() for path in (self.path, self._state_file, self.carried)):
            with self.locked():
                self.discard()
