"""`tools/add-asset`: adding assets, and refreshing those already there.

add
├── request.for_names   the assets named, their sources, a SAS given with --sas-stdin
├── request.for_url     or the asset that a published URL becomes
├── blob.try_ask        the blobs as they are now, side by side
├── add_plan.decide     recorded stage + blob + where the archive is -> Action   (pure)
├── survey_blobs        members and size of what is to be downloaded, against the free disk
└── _act                under the lock: SAS, source, import stages, params.yaml; any number at once
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from datarepo import disk
from datarepo.azure import blob, blob_url
from datarepo.azure import sas as signature
from datarepo.azure.blob import Address
from datarepo.commands import request
from datarepo.commands.add_plan import AddReport, Plan, decide, needed
from datarepo.commands.survey import check_room, survey_blobs
from datarepo.errors import BlobNotFoundError, StageError, UsageError
from datarepo.pipeline import catalogue, dvc_lock, import_stage, remotes
from datarepo.pipeline.location import Presence
from datarepo.pipeline.repository import Repository
from datarepo.pipeline.root import at_root, find_root, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from datarepo.azure.blob import Blob
    from datarepo.commands.request import Request
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
) -> AddReport:
    """Add the named assets (or every one of the catalogue), or refresh those already there.

    With `url`, a blob's published URL, the one name becomes an asset of the catalogue, which lands in
    `folder`. `sas_text` is a SAS to store for the source; `force` skips the check of the disk. All is
    checked before anything is written: a RepositoryError leaves every file as it was.
    """
    root = find_root()
    known = catalogue.load(root)
    sources = remotes.Remotes(root)
    sas = signature.parse(sas_text) if sas_text is not None else None
    if url is None:
        asked = request.for_names(known, sources, known.assets if every else names, sas)
    else:
        published = blob_url.parse(url)
        published = replace(published, sas=sas) if sas else published
        asked = request.for_url(known, sources, _only(names), published, folder)
    addresses = {asset: Address(asked.sources[asset.source], asset.path) for asset in asked.assets}
    with writing(root):
        recorded = {asset: import_stage.read(root, asset) for asset in asked.assets}
        _check_nothing_in_the_way(root, recorded)
        plans = _plan(root, recorded, _ask(addresses, recorded))
        coming = [plan for plan in plans if dry_run or plan.downloads]
        surveys = survey_blobs(
            root,
            {plan.asset: addresses[plan.asset] for plan in coming},
            {plan.asset: plan.blob for plan in coming},
        )
        plans = [replace(plan, survey=surveys.get(plan.asset)) for plan in plans]
        archives, contents = needed(plans)
        if not force and not dry_run:
            check_room(root, archives, contents)
        if not dry_run:
            _act(root, asked, plans)
    others = set(known.used) - {plan.asset.name for plan in plans}
    return AddReport(tuple(plans), disk.free(root), dry_run, not others, partial(at_root, root))


def _only(names: Iterable[str]) -> str:
    match list(names):
        case [name]:
            return name
    raise UsageError("a URL becomes one asset, and needs one name for it", "tools/add-asset NAME --url URL")


def _ask(
    addresses: Mapping[Asset, Address], recorded: Mapping[Asset, ImportStage | None]
) -> dict[Asset, Blob]:
    """Ask for the blobs; for one that was withdrawn after it was recorded, say what is left of it."""
    answers = blob.try_ask({asset.name: address for asset, address in addresses.items()})
    for asset, stage in recorded.items():
        answer = answers[asset.name]
        if isinstance(answer, BlobNotFoundError) and stage and stage.md5:
            raise BlobNotFoundError(
                f"'{asset.name}' was withdrawn upstream: {answer.message}",
                "cache and team remote keep what was downloaded, dvc pull gets it; tools/remove-asset"
                f" {asset.name} takes it out of use",
            )
    blobs = blob.none_refused(answers)
    return {asset: blobs[asset.name] for asset in addresses}


def _check_nothing_in_the_way(root: Path, recorded: Mapping[Asset, ImportStage | None]) -> None:
    """Refuse to import over what no stage knows: DVC would delete it."""
    made = {unzipped.folder for unzipped in dvc_lock.read(root).values()}
    for asset, stage in recorded.items():
        is_ours = stage is not None or asset.dir in made
        if asset.suffix and not is_ours and _holds_something(root / asset.dir):
            raise StageError(
                f"{asset.dir} is already there, and no dvc repro made it: the next would delete it",
                f"move it away, then run tools/add-asset {asset.name} again",
            )
        if stage is None and (root / asset.file).exists():
            raise StageError(
                f"{asset.file} is already there, and no import stage knows where it comes from",
                f"move it away, then run tools/add-asset {asset.name} again",
            )


def _holds_something(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _plan(
    root: Path, recorded: Mapping[Asset, ImportStage | None], blobs: Mapping[Asset, Blob]
) -> list[Plan]:
    """Decide for each asset, having looked where its data is; the team remote is asked last."""
    stages = {asset: stage for asset, stage in recorded.items() if stage}
    repository = Repository(root) if stages else None
    presences = repository.look(stages) if repository else {}
    away = [
        asset
        for asset, stage in stages.items()
        if stage.md5 and stage.describes(blobs[asset]) and not presences[asset].is_here
    ]
    if repository and away:
        presences |= repository.ask_team({asset: stages[asset] for asset in away}, presences)
    plans = []
    for asset, stage in recorded.items():
        presence = presences.get(asset, Presence())
        plans.append(Plan(asset, decide(stage, blobs[asset], presence), blobs[asset], stage, presence))
    return plans


def _act(root: Path, asked: Request, plans: Iterable[Plan]) -> None:
    """Write what was decided; a run that is killed in between is made good by the same command."""
    if asked.new_source:
        remotes.publish(root, asked.new_source)
    if asked.private:
        remotes.store_privately(root, asked.private)
    text = catalogue.read_text(root)
    if asked.new_folder:
        text = catalogue.with_entry(text, asked.assets[0], asked.new_folder)
    known = catalogue.parse(text)
    used = dict.fromkeys([*(known.assets[name] for name in known.used), *asked.assets])
    text = catalogue.with_used(text, used)
    if to_record := {plan.asset: plan.blob for plan in plans if plan.records}:
        Repository(root).record(to_record)
    catalogue.save(root, text)
