"""Adding assets, and refreshing those already there.

add
├── task.of_names    the assets named, their sources, a SAS given with --sas-stdin
├── task.of_link     or the asset that a published URL becomes
├── blob.ask         the blobs as they are now, side by side
├── outcome.decide   recorded stage + blob + where the archive is kept -> Action   (pure)
├── survey           members and extracted size of what is to be downloaded, against the free disk
└── _act             under the lock: SAS, catalogue, import stages, assets in use; undone if it fails
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from datarepo import disk
from datarepo.archives import contents
from datarepo.azure import blob as blobs
from datarepo.azure import blob_url as link
from datarepo.azure import sas, source
from datarepo.azure.blob import Place
from datarepo.commands import request as tasks
from datarepo.commands.add_plan import Action, Outcome, Report, decide, needed
from datarepo.errors import BlobNotFoundError, StageError, UsageError
from datarepo.pipeline import catalogue
from datarepo.pipeline import dvc_lock as lockfile
from datarepo.pipeline import import_stage as stage
from datarepo.pipeline.repository import Repository, at_root, find_root, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from datarepo.azure.blob import Blob
    from datarepo.azure.blob_url import Link
    from datarepo.azure.sas import Sas
    from datarepo.commands.request import Task
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage


def add(
    names: Iterable[str],
    *,
    every: bool = False,
    url: str | None = None,
    folder: str | None = None,
    sas_text: str | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> Report:
    """Add the named assets (or every one of the catalogue), or refresh those already there.

    With `url`, a blob's published URL, the one name becomes an asset of the catalogue, which lands in
    `folder`. `sas_text` is a SAS to store for the source; `force` skips the check of the disk. Either
    all assets are dealt with, or a RepositoryError is raised and no file has changed.
    """
    root = find_root()
    known = catalogue.load(root)
    given = sas.parse(sas_text) if sas_text is not None else None
    if url is None:
        task = tasks.of_names(root, known, known.assets if every else names, given)
    else:
        task = tasks.of_link(root, known, _only(names), _with_sas(link.parse(url), given), folder)
    places = {asset.name: Place(task.sources[asset.source], asset.path) for asset in task.assets}
    with writing(root):
        recorded = {asset.name: stage.read(root, asset) for asset in task.assets}
        _check_nothing_in_the_way(root, task.assets, recorded)
        found = _ask(places, recorded)
        repository = cache(lambda: Repository(root))  # most refreshes need nothing of DVC
        outcomes = [
            _judge(asset, recorded[asset.name], found[asset.name], repository) for asset in task.assets
        ]
        zips = [
            each.asset.name
            for each in outcomes
            if each.asset.suffix == ".zip" and (dry_run or each.downloads)
        ]
        surveyed = contents.survey({name: places[name] for name in zips}, found)
        outcomes = [replace(each, contents=surveyed.get(each.asset.name)) for each in outcomes]
        if not force and not dry_run:
            disk.check(root, *needed(outcomes))
        report = Report(tuple(outcomes), disk.free(root), dry_run, partial(at_root, root))
        if not dry_run:
            _act(root, task, report, repository)
    return report


def _only(names: Iterable[str]) -> str:
    match list(names):
        case [name]:
            return name
    raise UsageError("a URL becomes one asset, and needs one name for it", "tools/add-asset NAME --url URL")


def _with_sas(linked: Link, given: Sas | None) -> Link:
    return replace(linked, sas=given) if given else linked


def _ask(places: Mapping[str, Place], recorded: Mapping[str, ImportStage | None]) -> dict[str, Blob]:
    """Ask for the blobs; for one that was withdrawn after it was recorded, say what is left of it."""
    answers = blobs.try_ask(places)
    for name, answer in answers.items():
        before = recorded[name]
        if isinstance(answer, BlobNotFoundError) and before and before.md5:
            raise BlobNotFoundError(
                f"'{name}' was withdrawn upstream: {answer.message}",
                "cache and team remote keep what was downloaded, dvc pull gets it; tools/remove-asset"
                f" {name} takes it out of use",
            )
    return blobs.all_found(answers)


def _check_nothing_in_the_way(
    root: Path, assets: Iterable[Asset], recorded: Mapping[str, ImportStage | None]
) -> None:
    """Refuse to import over what no stage knows: DVC would delete it."""
    made = lockfile.unzipped(root)
    for asset in assets:
        is_ours = recorded[asset.name] is not None or asset.dir in made
        if asset.suffix and not is_ours and _holds_something(root / asset.dir):
            raise StageError(
                f"{asset.dir} is already there, and no dvc repro made it: the next would delete it",
                f"move it away, then run tools/add-asset {asset.name} again",
            )
        if recorded[asset.name] is None and (root / asset.file).exists():
            raise StageError(
                f"{asset.file} is already there, and no import stage knows where it comes from",
                f"move it away, then run tools/add-asset {asset.name} again",
            )


def _holds_something(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _judge(
    asset: Asset, recorded: ImportStage | None, blob: Blob, repository: Callable[[], Repository]
) -> Outcome:
    kept = None
    if recorded and recorded.md5 and recorded.describes(blob):
        kept = repository().where(asset, recorded.md5)
    return Outcome(asset, decide(recorded, blob, kept), blob, recorded, kept)


def _act(root: Path, task: Task, report: Report, repository: Callable[[], Repository]) -> None:
    if task.new_source:
        source.publish(root, task.new_source)
    if task.private:
        source.store_privately(root, task.private)
    if task.new_folder:
        catalogue.enter(root, task.assets[0], task.new_folder)
    for outcome in report.outcomes:
        if outcome.action is Action.ADDED:
            repository().import_partially(outcome.asset, outcome.blob)
        elif outcome.action is not Action.UNCHANGED:
            repository().make_partial(outcome.asset, outcome.blob)
    # The stage comes first: a run killed in between is made good by the next, which finds it there.
    for outcome in report.outcomes:
        catalogue.use(root, outcome.asset)
