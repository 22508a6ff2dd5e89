"""Fetching the archives of assets in use into workspace and cache.

fetch
├── Repository.look     what is here already needs no network
├── blob.ask            the others must still be the blobs that their import stages record
├── _check_room         what is left of the archives, and their contents, against the free disk
└── _bring              under the lock of the asset's partial file
    ├── download        what is missing of it
    ├── _verify         against the publisher's Content-MD5 and the md5 in the import stage
    └── _complete       Repository.complete: cached, linked, recorded
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
from datarepo.archives import contents
from datarepo.azure import blob as blobs
from datarepo.azure import source
from datarepo.azure.blob import Place
from datarepo.azure.download import download
from datarepo.azure.part_file import Partial
from datarepo.azure.retry import JOBS, Limiter
from datarepo.commands.fetch_report import Action, Outcome, Report, sentence
from datarepo.console import size
from datarepo.errors import ArchiveError, BlobChangedError, DiskError, StageError, UsageError
from datarepo.pipeline import catalogue
from datarepo.pipeline import import_stage as stage
from datarepo.pipeline.repository import Kept, Repository, at_root, find_root, writing

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
    jobs: int = JOBS,
    rate: float | None = None,
    force: bool = False,
    quiet: bool = False,
) -> Report:
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
        run = _Run(root, pool.submit(_start, root, assets[0]), jobs, Limiter(rate))
        coming = [asset for asset in assets if run.look(asset, path) is None]
        if path:
            done = run.take(coming[0], path, force=force) if coming else run.settle(assets[0])
            return Report((done,), functools.partial(at_root, root))
        found = _ask(run, coming)
        if coming and not force:
            _check_room(root, found)
        outcomes: list[Outcome] = []
        with console.Progress(quiet) as progress, _told_if_cut_short(outcomes):
            advances = {
                name: progress.task(name, blob.size, Partial(root, name).start(blob).here)
                for name, (_, blob) in found.items()
            }
            for asset in assets:
                if asset in coming:
                    outcomes.append(run.bring(asset, *found[asset.name], advances[asset.name]))
                else:
                    outcomes.append(run.settle(asset))
        return Report(tuple(outcomes), functools.partial(at_root, root))


@contextlib.contextmanager
def _told_if_cut_short(outcomes: Sequence[Outcome]) -> Iterator[None]:
    """Tell what was done for the first assets when a later one fails: there will be no report."""
    try:
        yield
    except BaseException:
        for outcome in outcomes:
            console.note(f"{outcome.asset.name}: {sentence(outcome)}")
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


def _ask(run: _Run, assets: Sequence[Asset]) -> dict[str, tuple[Place, Blob]]:
    """Where the assets' blobs are, and that they are still the recorded ones."""
    sources = {name: source.load(run.root, name) for name in {asset.source for asset in assets}}
    places = {asset.name: Place(sources[asset.source], asset.path) for asset in assets}
    found = blobs.ask(places)
    for asset in assets:
        if not run.recorded(asset).describes(found[asset.name]):
            partial = Partial(run.root, asset.name)
            with partial.locked():
                partial.discard()
            raise run.changed(asset)
    return {name: (places[name], found[name]) for name in found}


def _check_room(root: Path, found: Mapping[str, tuple[Place, Blob]]) -> None:
    zips = {name: place for name, (place, _) in found.items() if place.path.lower().endswith(".zip")}
    surveyed = contents.survey(zips, {name: found[name][1] for name in zips})
    left = sum(blob.size - Partial(root, name).start(blob).here for name, (_, blob) in found.items())
    disk.check(root, left, sum(each.size for each in surveyed.values()))


class _Run:
    """What the work on every asset of a run needs."""

    def __init__(self, root: Path, starting: Future[Repository], jobs: int, limiter: Limiter) -> None:
        self.root = root
        self._starting = starting
        self._jobs = jobs
        self._limiter = limiter

    def recorded(self, asset: Asset) -> ImportStage:
        """The import stage as it stands now: another run may have completed it."""
        recorded = stage.read(self.root, asset)
        if recorded is None:
            raise StageError(
                f"{asset.stage} is missing, though {asset.name} is in use",
                f"'git checkout -- {asset.stage}' brings a committed one back; else run"
                f" tools/add-asset {asset.name}",
            )
        return recorded

    def look(self, asset: Asset, carried: Path | None = None) -> Kept | None:
        """Where on this machine the recorded archive is.

        StageError when something else is in its place: DVC would ask whether to overwrite it.
        """
        # First the file: a run that has just put it there has recorded its md5 before.
        there = (self.root / asset.file).exists()
        md5 = self.recorded(asset).md5
        if md5:
            return self._starting.result().look(asset, md5)
        if there and not (carried and carried.exists() and carried.samefile(self.root / asset.file)):
            raise StageError(
                f"{asset.file} is already there, and nothing tells whether it is the archive",
                f"tools/fetch-asset {asset.name} --from {asset.file} verifies it; or move it away",
            )
        return None

    def changed(self, asset: Asset) -> BlobChangedError:
        """The error of a blob that is not the recorded one any more, once its partial file is dropped."""
        pinned = self.recorded(asset).md5
        pull = "dvc pull, if a team remote has the recorded archive; or " if pinned else ""
        return BlobChangedError(
            f"the blob of {asset.name} has changed upstream since {asset.stage} recorded it; what had"
            " arrived of the old one is removed",
            f"{pull}tools/add-asset {asset.name} records the new one",
        )

    def settle(self, asset: Asset) -> Outcome:
        """Link an archive that is here to where it is not."""
        recorded, kept = self.recorded(asset), self.look(asset)
        self._starting.result().settle(asset)
        Partial(self.root, asset.name).discard()  # of a run killed at its very end
        action = Action.LINKED if kept is Kept.CACHE else Action.COMPLETE
        return Outcome(asset, action, recorded.size, recorded.md5 or "", here=recorded.size)

    def bring(self, asset: Asset, place: Place, blob: Blob, advance: Callable[[int], None]) -> Outcome:
        """Download what is missing of an archive, verify and complete it."""
        partial, begun = Partial(self.root, asset.name), time.monotonic()
        with partial.locked():
            if self.look(asset):
                return self.settle(asset)  # another run was at work on it, and is done
            start = partial.start(blob)
            if start.why:
                console.note(f"{asset.name}: starting again, because {start.why}")
            try:
                md5 = start.state.md5 or download(
                    place, blob, partial, start, advance, jobs=self._jobs, limiter=self._limiter
                )
            except BlobChangedError:
                partial.discard()
                raise self.changed(asset) from None
            except OSError as error:
                raise self._told_if_full(error, asset, partial) from None
            expected = self._expected(asset, blob.md5)
            if wrong := _mismatch(md5, expected):
                partial.discard()
                raise ArchiveError(
                    f"{asset.file} did not arrive as it was published: {wrong}; what arrived is removed",
                    "run the same command again; if it fails again, tell the publisher of the data",
                )
            partial.seal(md5)
            self._complete(asset, partial.path, md5)
            partial.discard()
            action, seconds = Action(start.case.value), time.monotonic() - begun
            return Outcome(asset, action, blob.size, md5, start.here, start.why, seconds, bool(expected))

    def take(self, asset: Asset, path: Path, *, force: bool) -> Outcome:
        """Take an archive from a path, verify and complete it; no network is needed."""
        recorded, partial = self.recorded(asset), Partial(self.root, asset.name)
        if path.stat().st_size != recorded.size:
            raise _not_the_archive(asset, path, f"{path.stat().st_size} bytes, expected {recorded.size}")
        if not force:
            extracted = contents.of_file(path).size if asset.suffix == ".zip" else 0
            disk.check(self.root, recorded.size, extracted)
        with partial.locked():
            carried = partial.folder / f"{asset.name}.carried"
            try:
                md5 = _copy(path, carried)
                expected = self._expected(asset, recorded.content_md5)
                if wrong := _mismatch(md5, expected):
                    raise _not_the_archive(asset, path, wrong)
                self._complete(asset, carried, md5)
            except OSError as error:
                raise self._told_if_full(error, asset, partial) from None
            finally:
                carried.unlink(missing_ok=True)
            partial.discard()
        return Outcome(asset, Action.TAKEN, recorded.size, md5, recorded.size, str(path), 0.0, bool(expected))

    def _expected(self, asset: Asset, published: str | None) -> dict[str, str]:
        expected = {"the publisher's Content-MD5": published, asset.stage: self.recorded(asset).md5}
        return {whose: md5 for whose, md5 in expected.items() if md5}

    def _complete(self, asset: Asset, file: Path, md5: str) -> None:
        with writing(self.root):
            self._starting.result().complete(asset, file, md5)

    def _told_if_full(self, error: OSError, asset: Asset, partial: Partial) -> OSError:
        if not disk.is_full(error):
            return error
        kept = sum(end - start for start, end in partial.state.done)
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
