"""`tools/fetch-asset`: data brought here in one pass, and recorded as `dvc repro` would have.

fetch
├── _gather             what is here of each asset, read once; DVC starts in a process of its own
├── decide              facts -> what is left to do   (pure)
├── _check_ownership    nothing is replaced that no record knows
├── _ask                what is to be downloaded must still be what the import stages record
├── survey_blobs        members judged, and the disk checked, before gigabytes arrive
├── Transfer            of one asset: downloaded, and unpacked while it arrives
└── Recorder            DVC told of what has arrived, while the next asset is downloaded
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from datarepo import console
from datarepo.archives.reader import FileReader
from datarepo.azure import blob as blobs
from datarepo.azure.part_file import PartFile
from datarepo.azure.retry import JOBS, RateLimit
from datarepo.commands import request
from datarepo.commands.fetch_report import Action, AssetReport, FetchReport
from datarepo.commands.survey import check_room, survey, survey_blobs
from datarepo.commands.transfer import (
    Job,
    Recorder,
    Transfer,
    from_archive,
    from_blob,
    from_file,
    not_the_archive,
)
from datarepo.console import few, size
from datarepo.errors import BlobChangedError, Interruption, StageError, UsageError
from datarepo.pipeline import catalogue, commit, dvc_lock, edits, import_stage
from datarepo.pipeline.background import RepositoryProcess
from datarepo.pipeline.location import Condition, Location, Presence
from datarepo.pipeline.remotes import Remotes
from datarepo.pipeline.repository import Arrival, Repository
from datarepo.pipeline.root import at_root, find_root, part_files, writing
from datarepo.progress import Progress

if TYPE_CHECKING:
    from datarepo.azure.blob import Address, Blob
    from datarepo.commands.survey import Survey
    from datarepo.pipeline.catalogue import Asset, Catalogue
    from datarepo.pipeline.dvc_lock import Unzipped
    from datarepo.pipeline.import_stage import ImportStage


class Step(Enum):
    """What is left to do for an asset."""

    NOTHING = "nothing"
    LINK = "link"  # what the cache has into the workspace, and the reverse
    UNPACK = "unpack"  # the archive that is here
    DOWNLOAD = "download"


@dataclass(frozen=True)
class Plan:
    """What is done for one asset, and the facts it follows from."""

    asset: Asset
    stage: ImportStage
    presence: Presence
    step: Step


def decide(asset: Asset, presence: Presence, *, unzips: bool) -> Step:
    """Choose what to do for an asset, whose contents are wanted if `unzips`.

    Contents that are ready need no archive: it may have been freed.
    """
    if unzips and asset.suffix:
        if presence.is_ready:
            return Step.LINK if presence.archive.is_here else Step.NOTHING
        if presence.contents is Location.CACHE:
            return Step.LINK
        return Step.UNPACK if presence.archive.is_here else Step.DOWNLOAD
    return Step.LINK if presence.archive.is_here else Step.DOWNLOAD


def fetch(
    names: Iterable[str],
    *,
    every: bool = False,
    path: Path | None = None,
    unzips: bool = True,
    jobs: int = JOBS,
    rate: float | None = None,
    force: bool = False,
    quiet: bool = False,
) -> FetchReport:
    """Fetch the named assets, or all in use: archives, and their contents if `unzips`.

    `path` is an archive carried in by hand, for a single asset; `rate` limits the bytes a second;
    `force` skips the check of the disk, and replaces what no record knows. A RepositoryError ends the
    run at the first asset that fails: the ones before it are complete, and what has arrived of it is
    kept.
    """
    root = find_root()
    known = catalogue.load(root)
    assets = wanted(root, known, names, every=every)
    if path and len(assets) != 1:
        raise UsageError(
            f"--from brings one archive, and {len(assets)} assets are named", "name the one it is of"
        )
    if path and not path.is_file():
        raise UsageError(f"there is no file {path}", "--from takes the path of an archive")
    with RepositoryProcess(root) as process:
        plans = _gather(root, process, assets, path, unzips=unzips)

        def check(asset: Asset) -> None:
            if not force:
                _check_ownership(root, process, asset)

        for plan in plans:
            if unzips and plan.asset.suffix and not plan.presence.is_ready:
                check(plan.asset)
        downloads = [plan for plan in plans if plan.step is Step.DOWNLOAD and not path]
        addresses, published = _ask(root, downloads)
        surveys = survey_blobs(root, addresses, published) if unzips else {}
        if path and plans[0].step is Step.DOWNLOAD:
            surveys = _survey_file(root, plans[0], path, unzips=unzips)
        if not force:
            _check_room(root, plans, surveys, unzips=unzips)
        sources = {asset: (addresses[asset], blob) for asset, blob in published.items()}
        with Progress(quiet) as progress:
            job = Job(
                root,
                jobs,
                RateLimit(rate),
                unzips,
                progress.task("download", *_sizes(root, published)),
                progress.task("contents", sum(each.size for each in surveys.values()) if unzips else 0),
                check,
            )
            transfers = {
                plan.asset: _transfer(job, plan, sources.get(plan.asset), path, surveys.get(plan.asset))
                for plan in plans
                if plan.step in (Step.UNPACK, Step.DOWNLOAD)
            }
            reports = _run(job, process, plans, transfers, path)
        packed = [plan for plan in plans if plan.asset.suffix and not (unzips or plan.presence.is_ready)]
        unsettled = {plan.asset: _unsettled(root, process, plan) for plan in packed}
    used = catalogue.assets_in_use(root, known)
    changes = commit.changed(root, commit.paths(used))
    line = commit.asset_line(root, assets, used, changes)
    pending = [asset.name for asset in used if asset.stage in changes and _is_pending(root, asset)]
    targets = [asset.target for asset, why in unsettled.items() if not why]
    whys = {asset.name: why for asset, why in unsettled.items() if why}
    return FetchReport(reports, targets, line, pending, whys)


def wanted(root: Path, known: Catalogue, names: Iterable[str], *, every: bool) -> list[Asset]:
    """The named assets, or all in use; UsageError when there is none, or one is not in use."""
    names = request.named(names, "in use", every=every)
    used = [asset.name for asset in catalogue.assets_in_use(root, known)]
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


def _gather(
    root: Path, process: RepositoryProcess, assets: Sequence[Asset], path: Path | None, *, unzips: bool
) -> list[Plan]:
    """Read what is recorded, and look what is here; DVC is asked only where it may know something."""
    stages = {asset: _recorded(root, asset) for asset in assets}
    known = {
        asset: stage
        for asset, stage in stages.items()
        if stage.md5 or any((root / out).exists() for out in asset.outputs)
    }
    presences = process.call(Repository.look, known) if known else {}
    plans = []
    for asset, stage in stages.items():
        presence = presences.get(asset, Presence())
        file = root / asset.file
        if presence.file is Condition.DAMAGED or (unzips and presence.is_damaged):
            raise edits.damage(asset, presence)
        if presence.in_the_way and not (path and path.exists() and path.samefile(file)):
            raise _in_the_way(asset, stage)
        step = decide(asset, presence, unzips=unzips)
        plans.append(Plan(asset, stage, presence, step))
        if step is Step.UNPACK and (error := edits.not_published(asset, stage)):
            raise error
    return plans


def _recorded(root: Path, asset: Asset) -> ImportStage:
    stage = import_stage.read(root, asset)
    if stage is None:
        raise StageError(
            f"{asset.stage} is missing, though {asset.name} is in use",
            f"'git checkout -- {asset.stage}' brings a committed one back; else run"
            f" tools/add-asset {asset.name}",
        )
    return stage


def _is_pending(root: Path, asset: Asset) -> bool:
    try:
        stage = import_stage.read(root, asset)
    except StageError:
        return False
    return stage is not None and stage.md5 is None


def _in_the_way(asset: Asset, stage: ImportStage) -> StageError:
    """The error of a file in the archive's place, which DVC would ask whether to overwrite."""
    if stage.md5:
        return StageError(
            f"{asset.file} is there, and is not the file that {asset.stage} records",
            "move it away, then run the same command again",
        )
    return StageError(
        f"{asset.file} is already there, and not verified: nothing tells yet whether it is the archive",
        f"tools/fetch-asset {asset.name} --from {asset.file} verifies it; or move it away",
    )


def _check_ownership(root: Path, process: RepositoryProcess, asset: Asset) -> None:
    """Raise StageError when an asset's folder, which is to be replaced, holds what no record knows."""
    if (root / asset.dir).exists() and (files := process.call(Repository.unrecorded, asset)):
        raise StageError(
            f"{asset.dir} holds what no record knows, and would be replaced: {few(files)}",
            "move it away; --force replaces it",
        )


def _unsettled(root: Path, process: RepositoryProcess, plan: Plan) -> str:
    """Why `dvc repro` is not the next step for contents that were not asked for; empty when it is.

    Their archive is here by now.
    """
    asset, presence = plan.asset, replace(plan.presence, archive=Location.WORKSPACE)
    if presence.is_damaged:
        mend = at_root(f"tools/verify-asset {asset.name}")
        return f"{edits.damage(asset, presence).message}; {mend} mends it"
    files = process.call(Repository.unrecorded, asset) if (root / asset.dir).exists() else []
    if not files:
        return ""
    if presence.contents is not None:
        return f"{asset.dir} was edited: {edits.choice(asset, presence)}"
    unzip = at_root(f"dvc repro {asset.target}")
    return f"{asset.dir} holds what no record knows: {few(files)}; move that away, then run {unzip}"


def _ask(root: Path, plans: Sequence[Plan]) -> tuple[dict[Asset, Address], dict[Asset, Blob]]:
    """Where the assets' blobs are, and that they are still the recorded ones."""
    remotes = Remotes(root) if plans else None
    addresses = {plan.asset: remotes.address(plan.asset) for plan in plans if remotes}
    answers = blobs.ask({asset.name: address for asset, address in addresses.items()})
    for plan in plans:
        answer, part_file = answers[plan.asset.name], PartFile(part_files(root), plan.asset.name)
        if not plan.stage.describes(answer):
            if part_file.etag != answer.etag:  # else of another branch, which records the new one
                part_file.drop()
            raise _changed(plan)
    return addresses, {plan.asset: answers[plan.asset.name] for plan in plans}


def _changed(plan: Plan) -> BlobChangedError:
    """The error of a blob that is not the recorded one any more, once its part file is dropped."""
    pull = "dvc pull, if a team remote has the recorded archive; or " if plan.stage.md5 else ""
    return BlobChangedError(
        f"the blob of {plan.asset.name} has changed upstream since {plan.asset.stage} recorded it; what had"
        " arrived of the old one is removed",
        f"{pull}tools/add-asset {plan.asset.name} records the new one",
    )


def _survey_file(root: Path, plan: Plan, path: Path, *, unzips: bool) -> dict[Asset, Survey]:
    """Survey a file carried in, if it can be the archive at all and is to be unpacked."""
    if path.stat().st_size != plan.stage.size:
        why = f"{path.stat().st_size} bytes, expected {plan.stage.size}"
        raise not_the_archive(plan.asset, str(path), why)
    if plan.asset.suffix != ".zip" or not unzips:
        return {}
    with FileReader(path) as reader:
        return {plan.asset: survey(root, plan.asset, reader)}


def _check_room(root: Path, plans: Sequence[Plan], surveys: Mapping[Asset, Survey], *, unzips: bool) -> None:
    downloads = [plan for plan in plans if plan.step is Step.DOWNLOAD]
    here = sum(PartFile(part_files(root), plan.asset.name).arrived for plan in downloads)
    contents = sum(survey.size for survey in surveys.values()) if unzips else 0
    check_room(root, sum(plan.stage.size for plan in downloads) - here, contents)


def _sizes(root: Path, published: Mapping[Asset, Blob]) -> tuple[int, int]:
    """The bytes of all blobs, and those that are here already."""
    starts = [PartFile(part_files(root), asset.name).start(blob) for asset, blob in published.items()]
    return sum(blob.size for blob in published.values()), sum(start.here for start in starts)


def _transfer(
    job: Job, plan: Plan, blob: tuple[Address, Blob] | None, path: Path | None, surveyed: Survey | None
) -> Transfer:
    """How an asset's archive comes: over the network, from a file carried in, or from where it lies."""
    asset, stage = plan.asset, plan.stage
    if plan.step is Step.UNPACK:
        incoming, published = from_archive(job.root, asset, stage), None
    elif blob:
        incoming, published = from_blob(job, asset, *blob), blob[1].md5
    else:
        assert path, "a file is carried in"
        incoming, published = from_file(asset, path), stage.content_md5
    return Transfer(job, asset, stage, incoming, published=published, surveyed=surveyed)


def _done_by_another(job: Job, process: RepositoryProcess, plan: Plan, path: Path | None) -> Plan | None:
    """The plan as it is once another run, which was waited for, has done the work; None if none has."""
    asset = plan.asset
    arrived = plan.step is Step.DOWNLOAD and not path and (job.root / asset.file).exists()
    if not arrived and import_stage.read(job.root, asset) == plan.stage:
        return None
    [again] = _gather(job.root, process, [asset], path, unzips=job.unzips)
    return again if again.step in (Step.NOTHING, Step.LINK) else None


def _run(
    job: Job,
    process: RepositoryProcess,
    plans: Sequence[Plan],
    transfers: Mapping[Asset, Transfer],
    path: Path | None,
) -> list[AssetReport]:
    """Bring one asset after the other, each recorded while the next is on its way."""
    links = [
        _link(plan, unzips=job.unzips)
        for plan in plans
        if plan.step is Step.LINK or (plan.step is Step.UNPACK and plan.presence.archive is Location.CACHE)
    ]
    if links:
        with writing(job.root):
            process.call(Repository.complete, links)
    settled = [plan for plan in plans if plan.asset not in transfers]
    _clear(job.root, settled)
    made = dvc_lock.read(job.root) if settled else {}
    reports = {plan.asset: _linked(job, plan, made) for plan in settled}
    recorder = Recorder(job.root, process)
    at_work: Transfer | None = None
    try:
        for plan in plans:
            if plan.asset in transfers:
                at_work = transfers[plan.asset]
                at_work.hold()
                if again := _done_by_another(job, process, plan, path):
                    reports[plan.asset] = _linked(job, again, dvc_lock.read(job.root))
                    at_work.release()
                else:
                    at_work.begin()
                    at_work.bring()
                    recorder.take(at_work)
                at_work = None
        recorder.end()
    except BaseException as error:
        job.cancelled.set()
        kept = at_work.part_file.arrived if at_work else 0
        if at_work:
            at_work.abandon(error)
        recorder.stop(error)
        for report in recorder.reports:  # there will be no other
            for line in report.lines():
                console.note(line)
        if isinstance(error, BlobChangedError) and at_work:
            raise _changed(next(plan for plan in plans if plan.asset == at_work.asset)) from None
        if isinstance(error, KeyboardInterrupt) and at_work and kept:
            raise Interruption(
                f"{size(kept)} of {at_work.asset.name} are kept, the same command goes on from there"
            ) from None
        raise
    reports |= {report.asset: report for report in recorder.reports}
    return [reports[plan.asset] for plan in plans]


def _clear(root: Path, plans: Sequence[Plan]) -> None:
    """Remove what a run has left that was killed when all was recorded."""
    for plan in plans:
        part_file = PartFile(part_files(root), plan.asset.name)
        versions = (None, plan.stage.etag)  # any other is that of another branch
        if plan.presence.archive.is_here and part_file.etag in versions:
            part_file.drop()
        if plan.presence.is_ready:
            part_file.mark.unlink(missing_ok=True)


def _link(plan: Plan, *, unzips: bool) -> Arrival:
    """Contents are restored only where they were asked for, and what is in their place was checked."""
    restores = unzips and plan.presence.contents is Location.CACHE
    return Arrival(plan.asset, plan.stage, None, plan.stage.md5 or "", restores=restores)


def _linked(job: Job, plan: Plan, recorded: Mapping[str, Unzipped]) -> AssetReport:
    """What is told of an asset for which nothing had to be brought; `recorded` are those of `dvc.lock`."""
    presence = plan.presence
    away = f"the contents are complete; its archive, {size(plan.stage.size)}, is not here"
    contents = presence.contents if job.unzips else None
    is_linked = (contents or presence.archive) is Location.CACHE
    made = recorded.get(plan.asset.name) if contents else None
    return AssetReport(
        plan.asset,
        Action.LINKED if is_linked else Action.READY,
        plan.stage.size,
        plan.stage.md5 or "",
        here=plan.stage.size if presence.archive.is_here else 0,
        why="" if presence.archive.is_here else away,
        files=made.files if made else None,
        contents=made.size if made else None,
    )
