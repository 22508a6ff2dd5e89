"""The transfer of one asset: its archive arrives, and is unpacked while it does.

Transfer
├── hold      the lock of the part file
├── begin     it is opened; md5 and unpacking start beside
├── bring     the bytes: over the network, from a file carried in, or none where all are here
├── finish    everything compared with what was published and recorded; then the folder appears
└── close     what DVC has recorded by now is no part file any more
Recorder      finishes transfers and has DVC record them, as many at a time as are waiting
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarepo.archives.atomic_folder import appearing
from datarepo.archives.extract import fill
from datarepo.archives.zip import ZipArchive
from datarepo.azure.arriving import Arriving
from datarepo.azure.download import Download
from datarepo.azure.part_file import PartFile
from datarepo.commands.fetch_report import Action, AssetReport
from datarepo.commands.survey import blamed, survey
from datarepo.console import note, size
from datarepo.errors import ArchiveError, BlobChangedError, DiskError, RepositoryError
from datarepo.files import is_full, replace_text
from datarepo.pipeline.repository import Arrival, Repository, check_unchanged
from datarepo.pipeline.root import part_files, writing

if TYPE_CHECKING:
    from concurrent.futures import Future

    from datarepo.archives.formats import Archive
    from datarepo.azure.blob import Address, Blob
    from datarepo.azure.retry import RateLimit
    from datarepo.commands.survey import Survey
    from datarepo.pipeline.background import RepositoryProcess
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage

_CHUNK = 1024 * 1024
# Transfers that have arrived and are not recorded yet, of which each has three files open: many, as DVC
# parses .gitignore, a line an asset, each time it records some; few enough for macOS, which allows 256.
_WAITING = 40


@dataclass(frozen=True)
class Job:
    """What the transfers of a run have in common; the counters of progress are told bytes.

    `check` raises when an asset's folder, which is to be replaced, holds what no record knows.
    """

    root: Path
    jobs: int
    rate_limit: RateLimit
    unzips: bool
    arrived: Callable[[int], None]
    unpacked: Callable[[int], None]
    check: Callable[[Asset], None] = lambda _: None
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Incoming:
    """The bytes of an archive on their way: where they are gathered, and how they come.

    `md5` is known where nothing has to be read; `here` are the bytes that need not come, `why` tells a
    restart, or where they are taken from.
    """

    path: Path
    arriving: Arriving
    bring: Callable[[], None]
    action: Action
    md5: str | None = None
    here: int = 0
    why: str = ""


Opening = Callable[[PartFile], contextlib.AbstractContextManager[Incoming]]


@dataclass(eq=False)
class Transfer:
    """An asset on its way here; `published` is the md5 that its publisher says, if any."""

    job: Job
    asset: Asset
    stage: ImportStage
    opening: Opening
    published: str | None
    surveyed: Survey | None

    def __post_init__(self) -> None:
        self.part_file = PartFile(part_files(self.job.root), self.asset.name)
        self._held = contextlib.ExitStack()  # until DVC has recorded it
        self._building = contextlib.ExitStack()  # until all is verified
        self._pool = ThreadPoolExecutor(2)
        self._incoming: Incoming | None = None
        self._unpacking: Future[Mapping[str, str]] | None = None

    def hold(self) -> None:
        """Take the lock of the part file, which another run may have to let go of first."""
        self._held.enter_context(self.part_file.locked())
        self._held.callback(self._pool.shutdown)

    def release(self) -> None:
        """Let go of the part file; with the threads, which have nothing to do any more."""
        self._held.close()

    def begin(self) -> None:
        """Open what the bytes come into, and start what works on them as they come."""
        self._begun = time.monotonic()
        incoming = self._incoming = self._building.enter_context(self.opening(self.part_file))
        arriving = incoming.arriving
        self._md5 = self._pool.submit(lambda: incoming.md5 or arriving.md5())
        if self.job.unzips and self.asset.suffix:
            tree = self._building.enter_context(appearing((self.job.root / self.asset.dir).resolve()))
            self._unpacking = self._pool.submit(self._unpack, arriving, tree)
        self._building.callback(self._end_work)

    def _end_work(self) -> None:
        """Have no thread at work on what is about to be thrown away."""
        futures: list[Future[Any]] = [self._md5, *([self._unpacking] if self._unpacking else [])]
        if self._incoming and not all(future.done() for future in futures):
            self.job.cancelled.set()
            self._incoming.arriving.fail(RepositoryError("interrupted"))
            wait(futures)

    def _unpack(self, arriving: Arriving, tree: Path) -> Mapping[str, str]:
        if self.surveyed and isinstance(self.surveyed.archive, ZipArchive):
            archive: Archive = self.surveyed.archive.over(arriving)
        else:  # a tar archive has its list of members all over it
            self.surveyed = survey(self.job.root, self.asset, arriving)
            archive = self.surveyed.archive
        return fill(archive, self.surveyed.layout, tree, advance=self._advance, hashed=True, in_order=True)

    def _advance(self, count: int) -> None:
        if self.job.cancelled.is_set():
            raise RepositoryError("interrupted")
        self.job.unpacked(count)

    def bring(self) -> None:
        """Have all bytes here; what has arrived is kept when that fails."""
        assert self._incoming, "begun"
        try:
            self._incoming.bring()
        except BaseException as error:
            self._incoming.arriving.fail(error)
            raise

    def finish(self) -> tuple[Arrival, AssetReport]:
        """Wait for md5 and contents, compare, and let the folder appear.

        Raises ArchiveError, with what has arrived thrown away, when it is not what was published.
        """
        incoming = self._incoming
        assert incoming, "begun"
        with self._building:
            md5 = self._md5.result()
            said = {"the publisher's Content-MD5": self.published, self.asset.stage: self.stage.md5}
            expected = {whose: value for whose, value in said.items() if value}
            if wrong := _mismatch(md5, expected):
                if incoming.path == self.part_file.path:  # not for a wrong file carried in
                    self.part_file.forget()
                raise self._not_as_published(incoming, wrong)
            if incoming.path == self.part_file.path:
                self.part_file.seal(md5)
            digests = self._contents()
            check_unchanged(self.job.root, self.asset, self.stage)
            if digests is not None:
                self.job.check(self.asset)
                replace_text(self.part_file.mark, json.dumps(digests), scratch=self.part_file.folder)
        file = incoming.path if incoming.path.parent == self.part_file.folder else None
        layout = self.surveyed.layout if self.surveyed and digests is not None else None
        report = AssetReport(
            self.asset,
            incoming.action,
            self.stage.size,
            md5,
            incoming.here,
            incoming.why,
            time.monotonic() - self._begun,
            bool(expected),
            layout.files if layout else None,
            layout.size if layout else None,
            layout.remark if layout else "",
        )
        return Arrival(self.asset, self.stage, file, md5, digests), report

    def _contents(self) -> Mapping[str, str] | None:
        """The MD5s of the contents, once they are unpacked; None when nobody wants them."""
        try:
            return self._unpacking.result() if self._unpacking else None
        except ArchiveError as error:  # of an archive that has just been verified
            blame = (
                "its publisher made it so: tell them; tools/fetch-asset"
                f" {self.asset.name} --no-unzip brings the archive as it is"
            )
            raise blamed(self.asset, error, blame) from None

    def _not_as_published(self, incoming: Incoming, wrong: str) -> ArchiveError:
        if incoming.action is Action.TAKEN:
            return not_the_archive(self.asset, incoming.why, wrong)
        return ArchiveError(
            f"{self.asset.file} did not arrive as it was published: {wrong}; what arrived is removed",
            "run the same command again; if it fails again, tell the publisher of the data",
        )

    def abandon(self, error: BaseException) -> None:
        """Throw away what was built of the contents, and let go; the part file stays."""
        self.job.cancelled.set()
        if self._incoming:
            self._incoming.arriving.fail(error)
        with contextlib.suppress(BaseException):
            self._building.__exit__(type(error), error, None)
        self.release()

    def close(self) -> None:
        """Let go of what DVC has recorded by now."""
        self.part_file.forget()
        self.release()


def from_blob(job: Job, asset: Asset, address: Address, blob: Blob) -> Opening:
    """The bytes come over the network, as far as the part file has not got them."""

    @contextlib.contextmanager
    def opened(part_file: PartFile) -> Iterator[Incoming]:
        start = part_file.start(blob)
        if start.why:
            note(f"{asset.name}: starting again, because {start.why}")
        with part_file.opened(start) as file:
            arriving = Arriving(asset.file, file, blob.size, start.state.done)

            def bring() -> None:
                try:
                    Download(
                        address, blob, part_file, file, arriving, job.arrived, job.jobs, job.rate_limit
                    ).run()
                except BlobChangedError:
                    part_file.discard()
                    raise
                except OSError as error:
                    raise _told_if_full(error, asset, part_file) from None

            begun = Action.RESUMED if start.here else Action.FETCHED
            action = Action.RESTARTED if start.why else begun
            yield Incoming(part_file.path, arriving, bring, action, start.state.md5, start.here, start.why)

    return opened


def from_file(asset: Asset, path: Path) -> Opening:
    """The bytes are copied from a file carried in by hand, as a clone where the file system can."""

    @contextlib.contextmanager
    def opened(part_file: PartFile) -> Iterator[Incoming]:
        carried = part_file.carried
        carried.unlink(missing_ok=True)
        length = path.stat().st_size
        cloned = _reflink(path, carried)
        file = os.open(carried, os.O_RDWR | os.O_CREAT, 0o644)
        arriving = Arriving(str(path), file, length, [(0, length)] if cloned else [])

        def bring() -> None:
            try:
                with path.open("rb") as source:
                    for offset in range(0, 0 if cloned else length, _CHUNK):
                        chunk = source.read(_CHUNK)
                        os.pwrite(file, chunk, offset)
                        arriving.add(offset, offset + len(chunk))
                os.fsync(file)
            except OSError as error:
                raise _told_if_full(error, asset, part_file) from None

        try:
            yield Incoming(carried, arriving, bring, Action.TAKEN, None, length, str(path))
        except BaseException:
            carried.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)

    return opened


def from_archive(root: Path, asset: Asset, stage: ImportStage) -> Opening:
    """All bytes are here, in the archive in the workspace, to which the cache's was linked."""

    @contextlib.contextmanager
    def opened(_: PartFile) -> Iterator[Incoming]:
        path = root / asset.file
        file = os.open(path, os.O_RDONLY)
        try:
            arriving = Arriving(str(path), file, stage.size, [(0, stage.size)])
            yield Incoming(path, arriving, lambda: None, Action.UNPACKED, stage.md5, stage.size)
        finally:
            os.close(file)

    return opened


def _reflink(source: Path, target: Path) -> bool:
    from dvc_objects.fs.system import reflink

    try:
        reflink(str(source), str(target))  # type: ignore[no-untyped-call]  # DVC publishes no types
    except OSError:
        return False
    return True


def _mismatch(md5: str, expected: Mapping[str, str]) -> str:
    """What is wrong with an md5, empty when nothing is.

    >>> _mismatch("0a", {"the publisher's Content-MD5": "0b"})
    "its md5 is 0a, and the publisher's Content-MD5 says 0b"
    """
    wrong = [f"{whose} says {value}" for whose, value in expected.items() if value != md5]
    return f"its md5 is {md5}, and {' and '.join(wrong)}" if wrong else ""


def not_the_archive(asset: Asset, path: str, why: str) -> ArchiveError:
    """The error of a file carried in that is not what the import stage records."""
    return ArchiveError(
        f"{path} is not the archive of {asset.name}: {why}", "was it copied whole, and is it of this version?"
    )


def _told_if_full(error: OSError, asset: Asset, part_file: PartFile) -> OSError:
    if not is_full(error):
        return error
    return DiskError(
        f"the disk is full ({error.strerror}): {size(part_file.arrived)} of {asset.file} are there and kept",
        "make room, then run the same command again, it continues",
    )


class Recorder:
    """A thread that finishes transfers in their order, and has DVC record all that are finished at once.

    So the line does not idle while an asset is recorded, and `dvc.lock` is written as seldom as that
    allows. `reports` are those of what was recorded; after a failure nothing more is taken.
    """

    def __init__(self, root: Path, process: RepositoryProcess) -> None:
        self.reports: list[AssetReport] = []
        self._root = root
        self._process = process
        self._waiting: queue.Queue[Transfer | None] = queue.Queue(_WAITING)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def take(self, transfer: Transfer) -> None:
        """Take over a transfer whose bytes are here; raises what an earlier one failed with."""
        if self._failure:
            transfer.abandon(self._failure)
            raise self._failure
        self._waiting.put(transfer)

    def end(self) -> None:
        """Wait until all is recorded; raises what failed."""
        self._waiting.put(None)
        self._thread.join()
        if self._failure:
            raise self._failure

    def stop(self, failure: BaseException) -> None:
        """Record nothing that is not finished."""
        self._failure = self._failure or failure
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        transfer = self._waiting.get()
        while transfer:
            batch = [transfer]
            transfer = None
            with contextlib.suppress(queue.Empty):
                while transfer := self._waiting.get_nowait():
                    batch.append(transfer)
                self._waiting.put(None)  # the end has been seen
            self._record(batch)
            transfer = self._waiting.get()

    def _record(self, batch: list[Transfer]) -> None:
        finished: list[Transfer] = []
        arrivals, reports = [], []
        for transfer in batch:
            try:
                if self._failure:
                    transfer.abandon(self._failure)
                    continue
                arrival, report = transfer.finish()
            except BaseException as error:  # noqa: BLE001  # raised where the run goes on
                self._failure = error
                transfer.abandon(error)
                continue
            finished.append(transfer)
            arrivals.append(arrival)
            reports.append(report)
        try:
            if arrivals:
                with writing(self._root):
                    self._process.call(Repository.complete, arrivals)
            self.reports += reports
            for transfer in finished:
                transfer.close()
        except BaseException as error:  # noqa: BLE001  # as above
            self._failure = self._failure or error
            for transfer in finished:
                transfer.abandon(error)
