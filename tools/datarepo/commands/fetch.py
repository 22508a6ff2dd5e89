"""`tools/fetch-asset`: the archives of assets in use, brought into workspace and cache.

fetch
├── Repository.look   what is here already needs no network
├── blob.ask          the others must still be the blobs that their import stages record
├── check_room        what is left of the archives, and their contents, against the free disk
└── _Run.bring        under the lock of the asset's part file
    ├── download      what is missing of it
    ├── _mismatch     the publisher's Content-MD5 and the md5 in the import stage against its own
    └── Repository.complete    cached, linked, recorded
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from datarepo import console, disk
from datarepo.archives.reader import FileReader
from datarepo.azure import blob as blobs
from datarepo.azure.blob import Address
from datarepo.azure.download import download
from datarepo.azure.part_file import PartFile
from datarepo.azure.retry import RateLimit
from datarepo.commands.fetch_report import Action, Arrival, FetchReport
from datarepo.commands.survey import check_room, survey, survey_blobs
from datarepo.console import size
from datarepo.errors import ArchiveError, BlobChangedError, DiskError, StageError, UsageError
from datarepo.pipeline import catalogue, import_stage
from datarepo.pipeline.location import Location
from datarepo.pipeline.remotes import Remotes
from datarepo.pipeline.repository import Repository
from datarepo.pipeline.root import at_root, find_root, part_files, writing
from datarepo.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from datarepo.azure.blob import Blob
    from datarepo.pipeline.catalogue import Asset, Catalogue
    from datarepo.pipeline.import_stage import ImportStage

_CHUNK = 1024 * 1024


def fetch(
    names: Iterable[str],
    *,
    every: bool = False,
    path: Path | None = None,
    jobs: int = 16,
    rate: float | None = None,
    force: bool = False,
    quiet: bool = False,
) -> FetchReport:
    """Fetch the archives of the named assets, or of all in use.

    `path` is an archive carried in by hand, for a single asset; `rate` limits the bytes a second;
    `force` skips the check of the disk. A RepositoryError ends the run at the first asset that fails:
    the ones before it are complete, and what has arrived of it is kept.
    """
    root = find_root()
    assets = _wanted(root, catalogue.load(root), names, every=every)
    if path and len(assets) != 1:
        raise UsageError(
            f"--from brings one archive, and {len(assets)} assets are named", "name the one it is of"
        )
    if path and not path.is_file():
        raise UsageError(f"there is no file {path}", "--from takes the path of an archive")
    with ThreadPoolExecutor(1) as pool:
        # DVC takes about a second to start, which the network can use.
        run = _Run(root, pool.submit(_start, root, assets[0]), jobs, RateLimit(rate))
        coming = [asset for asset in assets if run.look(asset, path) is None]
        if path:
            arrival = run.take(coming[0], path, force=force) if coming else run.settle(assets[0])
            return FetchReport([arrival], functools.partial(at_root, root))
        addresses, found = _ask(run, coming)
        if coming and not force:
            _check_room(root, addresses, found)
        arrivals: list[Arrival] = []
        with Progress(quiet) as progress, _told_if_cut_short(arrivals):
            advances = {
                asset: progress.task(asset.name, blob.size, run.part_file(asset).start(blob).here)
                for asset, blob in found.items()
            }
            for asset in assets:
                if asset in coming:
                    arrivals.append(run.bring(asset, addresses[asset], found[asset], advances[asset]))
                else:
                    arrivals.append(run.settle(asset))
        return FetchReport(arrivals, functools.partial(at_root, root))


@contextlib.contextmanager
def _told_if_cut_short(arrivals: Sequence[Arrival]) -> Iterator[None]:
    """Tell what was done for the first assets when a later one fails: there will be no report."""
    try:
        yield
    except BaseException:
        for arrival in arrivals:
            console.note(str(arrival))
        raise


def _start(root: Path, asset: Asset) -> Repository:
    repository = Repository(root)
    repository.output(asset)  # the first stage makes DVC import Azure's client, which is half of it
    return repository


def _wanted(root: Path, known: Catalogue, names: Iterable[str], *, every: bool) -> list[Asset]:
    used = [name for name, asset in known.assets.items() if catalogue.in_use(root, known, asset)]
    assets = known.find(used if every else names)
    if not assets:
        raise UsageError(
            "no asset is in use" if every else "no asset is named",
            f"name some of {', '.join(used)}, or use --all" if used else "tools/add-asset NAME adds one",
        )
    unused = [asset.name for asset in assets if asset.name not in used]
    if unused:
        raise UsageError(f"not in use: {', '.join(unused)}", f"tools/add-asset {' '.join(unused)}")
    return assets


def _ask(run: _Run, assets: Sequence[Asset]) -> tuple[dict[Asset, Address], dict[Asset, Blob]]:
    """Where the assets' blobs are, and that they are still the recorded ones."""
    remotes = Remotes(run.root)
    sources = {name: remotes.source(name) for name in {asset.source for asset in assets}}
    addresses = {asset: Address(sources[asset.source], asset.path) for asset in assets}
    answers = blobs.ask({asset.name: address for asset, address in addresses.items()})
    for asset in assets:
        if not run.recorded(asset).describes(answers[asset.name]):
            part_file = run.part_file(asset)
            with part_file.locked():
                part_file.discard()
            raise run.changed(asset)
    return addresses, {asset: answers[asset.name] for asset in assets}


def _check_room(root: Path, addresses: Mapping[Asset, Address], found: Mapping[Asset, Blob]) -> None:
    contents = sum(each.size for each in survey_blobs(root, addresses, found).values())
    archives = sum(
        blob.size - PartFile(part_files(root), asset.name).start(blob).here for asset, blob in found.items()
    )
    check_room(root, archives, contents)


class _Run:
    """What the work on every asset of a run needs."""

    def __init__(self, root: Path, starting: Future[Repository], jobs: int, rate_limit: RateLimit) -> None:
        self.root = root
        self._starting = starting
        self._jobs = jobs
        self._rate_limit = rate_limit

    def part_file(self, asset: Asset) -> PartFile:
        """What has arrived of an asset's archive."""
        return PartFile(part_files(self.root), asset.name)

    def recorded(self, asset: Asset) -> ImportStage:
        """The import stage as it stands now: another run may have completed it."""
        recorded = import_stage.read(self.root, asset)
        if recorded is None:
            raise StageError(
                f"{asset.stage} is missing, though {asset.name} is in use",
                f"'git checkout -- {asset.stage}' brings a committed one back; else run"
                f" tools/add-asset {asset.name}",
            )
        return recorded

    def look(self, asset: Asset, carried: Path | None = None) -> Location | None:
        """Where on this machine the recorded archive is.

        StageError when something else is in its place: DVC would ask whether to overwrite it.
        """
        # First the file: a run that has just put it there has recorded its md5 before.
        there = (self.root / asset.file).exists()
        stage = self.recorded(asset)
        if stage.md5:
            presence = self._starting.result().look({asset: stage})[asset]
            if presence.in_the_way:
                raise StageError(
                    f"{asset.file} is there, and is not the file that {asset.stage} records",
                    "move it away, then run the same command again",
                )
            return presence.archive if presence.archive in (Location.WORKSPACE, Location.CACHE) else None
        if there and not (carried and carried.exists() and carried.samefile(self.root / asset.file)):
            raise StageError(
                f"{asset.file} is already there, and nothing tells whether it is the archive",
                f"tools/fetch-asset {asset.name} --from {asset.file} verifies it; or move it away",
            )
        return None

    def changed(self, asset: Asset) -> BlobChangedError:
        """The error of a blob that is not the recorded one any more, once its part file is dropped."""
        pinned = self.recorded(asset).md5
        pull = "dvc pull, if a team remote has the recorded archive; or " if pinned else ""
        return BlobChangedError(
            f"the blob of {asset.name} has changed upstream since {asset.stage} recorded it; what had"
            " arrived of the old one is removed",
            f"{pull}tools/add-asset {asset.name} records the new one",
        )

    def settle(self, asset: Asset) -> Arrival:
        """Link an archive that is here to where it is not."""
        stage, location = self.recorded(asset), self.look(asset)
        self._starting.result().settle(asset)
        self.part_file(asset).discard()  # of a run killed at its very end
        action = Action.LINKED if location is Location.CACHE else Action.COMPLETE
        return Arrival(asset, action, stage.size, stage.md5 or "", here=stage.size)

    def bring(self, asset: Asset, address: Address, blob: Blob, advance: Callable[[int], None]) -> Arrival:
        """Download what is missing of an archive, verify and complete it."""
        part_file, begun = self.part_file(asset), time.monotonic()
        with part_file.locked():
            if self.look(asset):
                return self.settle(asset)  # another run was at work on it, and is done
            start = part_file.start(blob)
            if start.why:
                console.note(f"{asset.name}: starting again, because {start.why}")
            try:
                md5 = start.state.md5 or download(
                    address, blob, part_file, start, advance, jobs=self._jobs, rate_limit=self._rate_limit
                )
            except BlobChangedError:
                part_file.discard()
                raise self.changed(asset) from None
            except OSError as error:
                raise self._told_if_full(error, asset, part_file) from None
            expected = self._expected(asset, blob.md5)
            if wrong := _mismatch(md5, expected):
                part_file.discard()
                raise ArchiveError(
                    f"{asset.file} did not arrive as it was published: {wrong}; what arrived is removed",
                    "run the same command again; if it fails again, tell the publisher of the data",
                )
            part_file.seal(md5)
            self._complete(asset, part_file.path, md5)
            part_file.discard()
            action, seconds = Action(start.case.value), time.monotonic() - begun
            return Arrival(asset, action, blob.size, md5, start.here, start.why, seconds, bool(expected))

    def take(self, asset: Asset, path: Path, *, force: bool) -> Arrival:
        """Take an archive from a path, verify and complete it; no network is needed."""
        stage, part_file = self.recorded(asset), self.part_file(asset)
        if path.stat().st_size != stage.size:
            raise _not_the_archive(asset, path, f"{path.stat().st_size} bytes, expected {stage.size}")
        if not force:
            contents = 0
            if asset.suffix == ".zip":
                with FileReader(path) as reader:
                    contents = survey(self.root, asset, reader).size
            check_room(self.root, stage.size, contents)
        with part_file.locked():
            carried = part_file.folder / f"{asset.name}.carried"
            try:
                md5 = _copy(path, carried)
                expected = self._expected(asset, stage.content_md5)
                if wrong := _mismatch(md5, expected):
                    raise _not_the_archive(asset, path, wrong)
                self._complete(asset, carried, md5)
            except OSError as error:
                raise self._told_if_full(error, asset, part_file) from None
            finally:
                carried.unlink(missing_ok=True)
            part_file.discard()
        return Arrival(asset, Action.TAKEN, stage.size, md5, stage.size, str(path), 0.0, bool(expected))

    def _expected(self, asset: Asset, published: str | None) -> dict[str, str]:
        expected = {"the publisher's Content-MD5": published, asset.stage: self.recorded(asset).md5}
        return {whose: md5 for whose, md5 in expected.items() if md5}

    def _complete(self, asset: Asset, file: Path, md5: str) -> None:
        with writing(self.root):
            self._starting.result().complete(asset, file, md5)

    def _told_if_full(self, error: OSError, asset: Asset, part_file: PartFile) -> OSError:
        if not disk.is_full(error):
            return error
        kept = sum(end - start for start, end in part_file.state.done)
        return DiskError(
            f"the disk is full ({error.strerror}): {size(kept)} of {asset.file} are there and kept",
            "make room, then run the same command again, it continues",
        )


def _mismatch(md5: str, expected: Mapping[str, str]) -> str:
    """What is wrong with an md5, empty when nothing is.

    >>> _mismatch("0a", {"the publisher's Content-MD5": "0b"})
    "its md5 is 0a, and the publisher's Content-MD5 says 0b"
    """
    wrong = [f"{whose} says {value}" for whose, value in expected.items() if value != md5]
    return f"its md5 is {md5}, and {' and '.join(wrong)}" if wrong else ""


def _not_the_archive(asset: Asset, path: Path, why: str) -> ArchiveError:
    return ArchiveError(
        f"{path} is not the archive of {asset.name}: {why}", "was it copied whole, and is it of this version?"
    )


def _copy(source: Path, target: Path) -> str:
    """Copy a file, as a clone where the filesystem can; its md5 in hexadecimal."""
    from dvc_objects.fs.system import reflink

    target.unlink(missing_ok=True)
    try:
        reflink(str(source), str(target))  # type: ignore[no-untyped-call]  # DVC publishes no types
        cloned = True
    except OSError:
        cloned = False
    md5 = hashlib.md5(usedforsecurity=False)
    with source.open("rb") as from_, target.open("r+b" if cloned else "wb") as to:
        while chunk := from_.read(_CHUNK):
            md5.update(chunk)
            if not cloned:
                to.write(chunk)
        to.flush()
        os.fsync(to.fileno())
    return md5.hexdigest()
