"""`tools/verify-asset`: what is here of assets, read byte by byte, and mended.

verify
├── examine         the bytes of all assets against the record
├── _Run._mend      asset by asset: its archive, the list of its contents, these; each from the first of
│   ├── _Run._cache                 the object, for a file that still has what was taken out of the cache
│   ├── _Run._workspace             a file that is sound, though its object is not
│   ├── _Run._archive               members unpacked again, as far as they are needed
│   ├── Objects.fetch               the team remote
│   └── _Run._archive_from_upstream
└── _Run._verdict   what could not be mended goes out of the cache
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarepo.archives import atomic_folder
from datarepo.archives.extract import Layout, fill
from datarepo.archives.reader import FileReader
from datarepo.archives.safety import Kind
from datarepo.azure import blob as blobs
from datarepo.azure.part_file import PartFile
from datarepo.azure.retry import JOBS, RateLimit
from datarepo.commands.fetch import wanted
from datarepo.commands.report import Report
from datarepo.commands.survey import survey
from datarepo.commands.transfer import Job, from_blob
from datarepo.console import note, size
from datarepo.errors import BlobChangedError, DiskError, RepositoryError, UsageError
from datarepo.files import locked
from datarepo.pipeline import catalogue, dvc_lock, import_stage
from datarepo.pipeline.objects import Finding, digests, examine, listing
from datarepo.pipeline.remotes import Remotes
from datarepo.pipeline.repository import Repository
from datarepo.pipeline.root import at_root, find_root, part_files, scratch
from datarepo.progress import Progress

if TYPE_CHECKING:
    from datarepo.archives.formats import Entry
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage

Source = Callable[[Mapping[str, Finding]], Mapping[str, str]]  # objects that are lacking -> copies of them


@dataclass
class Verdict:
    """What was found of an asset, files by their paths from the repository's root; `size` is in bytes.

    `damaged` tells where a sound copy came from, None if from nowhere.
    """

    name: str
    files: int = 0
    size: int = 0
    absent: int = 0
    damaged: dict[str, str | None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    modified: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """How many damages could not be mended."""
        return list(self.damaged.values()).count(None)

    def lines(self) -> Iterable[str]:
        """The sum, then a line for each file that is not as recorded."""
        differing = self.lost + len(self.missing) + len(self.modified)
        state = f"{differing} not as recorded" if differing else "mended" if self.damaged else "sound"
        files = "1 file" if self.files == 1 else f"{self.files} files"
        absent = f"; {self.absent} not here" if self.absent else ""
        yield f"{self.name}: " + (
            f"{state}, {files}, {size(self.size)}{absent}" if self.files else "not here"
        )
        for path, source in self.damaged.items():
            yield f"  damaged: {path}; " + (f"mended from {source}" if source else "there is no sound copy")
        yield from (f"  missing: {path}; the cache has it" for path in self.missing)
        yield from (f"  modified: {path}; left as it is" for path in self.modified)
        yield from (f"  not recorded: {path}; left as it is" for path in self.unknown)


@dataclass(frozen=True)
class VerifyReport(Report):
    """The result of a run."""

    verdicts: Sequence[Verdict]

    @property
    def exit_code(self) -> int:
        """1 when something here is not as recorded, and stays so."""
        return int(any(each.lost or each.missing or each.modified for each in self.verdicts))

    @property
    def next(self) -> dict[str, str]:
        """The commands to run next, each with what it is for."""
        lost = [verdict.name for verdict in self.verdicts if verdict.lost]
        missing = [path for verdict in self.verdicts for path in verdict.missing]
        modified = [path for verdict in self.verdicts for path in verdict.modified]
        steps = {}
        if lost:
            steps[at_root(f"tools/verify-asset {' '.join(lost)}")] = (
                "once upstream or the team remote has a sound copy"
            )
        if missing:
            steps[at_root(f"dvc checkout {shlex.join(missing)}")] = "brings them back"
        if modified:
            steps[at_root(f"dvc checkout --force {shlex.join(modified)}")] = "drops these edits"
        return steps

    def lines(self) -> Iterable[str]:
        """The verdicts, and what to run next."""
        for verdict in self.verdicts:
            yield from verdict.lines()
        for command, purpose in self.next.items():
            yield f"next: {command}"
            yield f"      {purpose}"

    def document(self) -> dict[str, Any]:
        """Sizes in bytes."""
        return {"assets": [vars(verdict) for verdict in self.verdicts], "next": [*self.next]}


def verify(names: Iterable[str], *, every: bool = False, quiet: bool = False) -> VerifyReport:
    """Verify what is here of the named assets, or of all in use, and mend what is damaged.

    Killed at any moment, it can be run again: nothing goes before there is a verified copy. Raises
    UsageError while another run is at work.
    """
    root = find_root()
    assets = wanted(root, catalogue.load(root), names, every=every)
    work = scratch(root).with_name("verify")
    busy = UsageError("another tools/verify-asset is at work in this repository", "wait until it has ended")
    with locked(work.with_suffix(".lock"), busy), Progress(quiet) as progress:
        try:
            return VerifyReport(_Run(root, work, progress).verify(assets))
        finally:
            _clear(work)


def _clear(work: Path) -> None:
    if work.exists():
        atomic_folder.delete(work)


class _Run:
    """One run: what is recorded of each asset, what was found of each object, and what was mended."""

    def __init__(self, root: Path, work: Path, progress: Progress) -> None:
        self._root = root
        self._work = work
        self._progress = progress
        self._repository = Repository(root)
        self._objects = self._repository.objects()
        self._near: dict[str, Source] = {"the cache": self._cache, "the workspace": self._workspace}
        self._team = partial(self._objects.fetch, folder=work)
        self._made = dvc_lock.read(root)
        self._stages: dict[Asset, ImportStage] = {}
        self._files: dict[Asset, dict[str, list[str]]] = {}
        self._findings: dict[str, Finding] = {}
        self._mended: dict[str, str] = {}
        self._downloads: list[PartFile] = []
        self._others: set[str] = set()  # paths at which another version lies that the cache has

    def verify(self, assets: Sequence[Asset]) -> list[Verdict]:
        """Read all, then mend asset by asset."""
        self._repository.check_cache(assets)
        for asset in assets:
            if stage := import_stage.read(self._root, asset):
                self._stages[asset] = stage
            self._files[asset] = self._recorded(asset)
        self._read()
        self._pass_over_others()
        for asset in assets:
            self._mend_archive(asset)
            self._mend_contents(asset)
            self._clear_part_files(asset)
        return [self._verdict(asset) for asset in assets]

    def _recorded(self, asset: Asset) -> dict[str, list[str]]:
        """The files of an asset by their objects, as far as its records can be read."""
        stage, made = self._stages.get(asset), self._made.get(asset.name)
        files: dict[str, list[str]] = {}
        if stage and stage.md5:
            files[stage.md5] = [] if asset.file in self._others else [f"{self._root}/{asset.file}"]
        for path, oid in ((made and self._objects.contents(made.contents)) or {}).items():
            here = [] if asset.dir in self._others else [f"{self._root}/{asset.dir}/{path}"]
            files.setdefault(oid, []).extend(here)
        return files

    def _pass_over_others(self) -> None:
        """Leave out other versions that the cache has, as after `git checkout`: they are no damage."""
        for asset, files in self._files.items():
            found = {(oid, self._findings[oid].files[path]) for oid in files for path in files[oid]}
            if all(md5 in (None, oid) for oid, md5 in found):
                continue
            stage, made = self._stages.get(asset), self._made.get(asset.name)
            records = {asset.file: stage and stage.md5, asset.dir: made and made.contents}
            holds = self._repository.holds_another
            self._others |= {path for path, oid in records.items() if oid and holds(path, oid)}
        if not self._others:
            return
        for asset, files in self._files.items():
            if self._others & {asset.file, asset.dir}:
                self._files[asset] = self._recorded(asset)
                self._findings = {oid: each for oid, each in self._findings.items() if oid not in files}
        self._read()

    def _read(self) -> None:
        """Examine what is recorded and was not examined yet; assets may share objects."""
        every: dict[str, list[str]] = {}
        for of_asset in self._files.values():
            for oid, paths in of_asset.items():
                every.setdefault(oid, []).extend(paths)
        known = {oid: finding.files.keys() for oid, finding in self._findings.items()}
        files = {oid: paths for oid, paths in every.items() if oid not in known or {*paths} - known[oid]}
        found = examine(self._objects, files, self._progress)
        if lacking := [oid for oid, finding in found.items() if finding.is_lacking]:
            places = self._objects.places(lacking)  # of what shares them, which is to be mended with them
            more = {oid: places[oid] - found[oid].files.keys() for oid in lacking}
            shared = {oid: [*found[oid].files, *paths] for oid, paths in more.items() if paths}
            found |= examine(self._objects, shared, self._progress)
        self._findings |= found

    def _mend_archive(self, asset: Asset) -> None:
        stage = self._stages.get(asset)
        if stage and stage.md5:
            sources: dict[str, Source] = {
                **self._near,
                "the team remote": self._team,
                "upstream": lambda lacking: dict.fromkeys(lacking, str(self._downloaded(asset))),
            }
            self._mend(asset, [self._findings[stage.md5]], sources)

    def _clear_part_files(self, asset: Asset) -> None:
        """Remove what was downloaded, by a killed run too: it is in its place, or not what it should be."""
        while self._downloads:
            self._downloads.pop().discard()
        part_file, stage = PartFile(part_files(self._root), asset.name), self._stages.get(asset)
        is_cached = stage and stage.md5 and Path(self._objects.path(stage.md5)).exists()
        if stage and is_cached and part_file.etag == stage.etag:
            part_file.drop()

    def _mend_contents(self, asset: Asset) -> None:
        stage, made = self._stages.get(asset), self._made.get(asset.name)
        if not made:
            return
        sources: dict[str, Source] = {**self._near, "the team remote": self._team}
        if stage and stage.md5 == made.archive:
            sources = {
                **self._near,
                asset.file: partial(self._archive, asset),
                "the team remote": self._team,
                "upstream": partial(self._archive_from_upstream, asset),
            }
        there = Path(self._objects.path(made.contents)).exists() or (self._root / asset.dir).exists()
        if there and self._objects.contents(made.contents) is None:
            lost = self._findings[made.contents] = Finding(made.contents, stored="")
            self._mend(asset, [lost], {**sources, "the workspace": partial(self._folder, asset)})
            self._files[asset] = {made.contents: [], **self._recorded(asset)}
            self._read()
        self._mend(asset, [self._findings[oid] for oid in self._files[asset]], sources)

    def _mend(self, asset: Asset, findings: Iterable[Finding], sources: Mapping[str, Source]) -> None:
        """Mend what is lacking, each object from the first place that has a sound copy."""
        lacking = {each.oid: each for each in findings if each.is_lacking and each.oid not in self._mended}
        for name, source in sources.items():
            if not lacking:
                return
            _clear(self._work)
            self._work.mkdir(parents=True)
            try:
                copies = source(lacking)
            except DiskError:
                raise
            except RepositoryError as error:
                note(f"{asset.name}: no copy from {name}: {error.message}")
                continue
            read = digests(copies.values())
            sound = {
                oid: file
                for oid, file in copies.items()
                if file in read and read[file].md5 == oid.removesuffix(".dir")
            }
            if sound:
                linked = {path for oid in sound for path in lacking[oid].linked}
                with self._repository.holding(asset, linked - self._paths(asset)):
                    for oid, file in sound.items():
                        self._objects.put(lacking.pop(oid), file)
                        self._mended[oid] = name

    def _cache(self, lacking: Mapping[str, Finding]) -> dict[str, str]:
        return {oid: self._objects.path(oid) for oid, each in lacking.items() if each.stored == oid}

    def _workspace(self, lacking: Mapping[str, Finding]) -> dict[str, str]:
        return {oid: each.sound_file for oid, each in lacking.items() if each.sound_file}

    def _folder(self, asset: Asset, lacking: Mapping[str, Finding]) -> dict[str, str]:
        """The list of the contents, from those that lie in the workspace."""
        folder = self._root / asset.dir
        return self._listed(folder, self._objects.files(str(folder)), lacking) if folder.is_dir() else {}

    def _listed(self, folder: Path, files: Iterable[str], oids: Iterable[str]) -> dict[str, str]:
        md5s = {os.path.relpath(file, folder): read.md5 for file, read in digests(files).items()}
        file = self._work / "list"
        file.write_bytes(listing(md5s))
        return dict.fromkeys(oids, str(file))

    def _archive(self, asset: Asset, lacking: Mapping[str, Finding]) -> dict[str, str]:
        """Contents unpacked again: what is lacking of them, or all, if the list is."""
        made = self._made[asset.name]
        places = (Path(self._objects.path(made.archive)), self._root / asset.file)
        archive = next((place for place in places if place.exists()), None)
        return self._unpacked(asset, archive, lacking) if archive else {}

    def _unpacked(self, asset: Asset, archive: Path, lacking: Mapping[str, Finding]) -> dict[str, str]:
        made = self._made[asset.name]
        tree = self._work / "tree"
        tree.mkdir()
        oids = self._objects.contents(made.contents)
        members: dict[str, tuple[Entry, str]] = {}
        with FileReader(archive) as reader:
            opened = survey(self._root, asset, reader)
            for entry, path in opened.layout.members:
                key = path if oids is None else oids.get(path, "")
                if oids is None or (key in lacking and entry.member.kind is Kind.FILE):
                    members.setdefault(key, (entry, path))
            pairs = list(members.values())
            total = sum(entry.member.size for entry, _ in pairs)
            fill(opened.archive, Layout(pairs, len(pairs), total), tree)
        if oids is None:
            return self._listed(tree, (str(path) for path in tree.rglob("*") if path.is_file()), lacking)
        return {oid: str(tree / path) for oid, (_, path) in members.items()}

    def _archive_from_upstream(self, asset: Asset, lacking: Mapping[str, Finding]) -> dict[str, str]:
        """The same, from an archive that is not here, and does not come to stay: it may have been freed."""
        if self._findings[self._made[asset.name].archive].is_here:
            return {}
        return self._unpacked(asset, self._downloaded(asset), lacking)

    def _downloaded(self, asset: Asset) -> Path:
        """The archive from upstream, in its part file."""
        part_file = PartFile(part_files(self._root), asset.name)
        address = Remotes(self._root).address(asset)
        blob = blobs.ask({asset.name: address})[asset.name]
        if not self._stages[asset].describes(blob):
            raise BlobChangedError(f"the blob has changed since {asset.stage} recorded it")
        advance = self._progress.task(asset.name, blob.size, part_file.start(blob).here)
        job = Job(self._root, JOBS, RateLimit(None), unzips=False, arrived=advance, unpacked=advance)
        with part_file.locked(), from_blob(job, asset, address, blob)(part_file) as incoming:
            incoming.bring()
        self._downloads.append(part_file)
        return part_file.path

    def _verdict(self, asset: Asset) -> Verdict:
        """What was found of an asset; what could not be mended goes out of the cache."""
        verdict = Verdict(asset.name)
        recorded = self._paths(asset)
        contents = recorded - {f"{self._root}/{asset.file}"}
        unread = {
            path for oid in self._files[asset] for path, md5 in self._findings[oid].files.items() if not md5
        }
        gone = {path for path in contents & unread if not os.path.lexists(path)}
        missing = gone if gone < contents else set()  # else there is no folder: the cache alone has them
        for oid, paths in self._files[asset].items():
            finding = self._findings[oid]
            here = [path for path in paths if finding.files[path] is not None]
            verdict.files += len(here) or int(finding.is_here)
            verdict.size += finding.size
            verdict.absent += not finding.is_here
            if finding.is_lacking:
                names = [self._shown(path) for path in paths if path in finding.linked or len(paths) == 1]
                for name in names or [f"{asset.dir}/ (the list of its files)"]:
                    verdict.damaged[name] = self._mended.get(oid)
            if finding.is_lacking and oid not in self._mended:
                with self._repository.holding(asset, finding.linked - recorded):
                    self._objects.take_out(finding)
            else:
                if finding.is_here:
                    verdict.missing += map(self._shown, missing.intersection(paths))
                modified = [path for path in finding.modified if path in paths]
                self._objects.forget(modified)
                verdict.modified += map(self._shown, modified)
        verdict.missing.sort()
        made = self._made.get(asset.name)
        if made and asset.dir not in self._others and self._objects.contents(made.contents) is not None:
            folders = os.walk(self._root / asset.dir)
            others = {f"{top}/{name}" for top, _, names in folders for name in names} - recorded
            known = others and others.intersection(self._objects.files(f"{self._root}/{asset.dir}"))
            verdict.unknown = sorted(map(self._shown, known))
        return verdict

    def _paths(self, asset: Asset) -> set[str]:
        """The files that are recorded of an asset."""
        return {path for paths in self._files[asset].values() for path in paths}

    def _shown(self, path: str) -> str:
        return path.removeprefix(f"{self._root}/")
