"""`tools/add-asset`: adding assets, and refreshing those already there.

add
├── request.for_names   the assets named, their sources, a SAS given with --sas-stdin
├── request.for_url     or the asset that a published URL becomes
├── blob.try_ask        the blobs as they are now, side by side
├── add_plan.decide     recorded stage + blob + where the archive is -> Action   (pure)
├── _check_the_users    nothing of the user's is in the way
├── survey_blobs        members and size of what is to be downloaded, against the free disk
├── _act                under the lock: SAS, source, import stages, params.yaml; any number at once
└── _commit             the line that commits all of it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from datarepo.azure import blob, blob_url
from datarepo.azure import sas as signature
from datarepo.azure.blob import Address
from datarepo.commands import request
from datarepo.commands.add_plan import AddReport, Plan, decide, needed
from datarepo.commands.survey import check_room, survey_blobs
from datarepo.console import few
from datarepo.errors import BlobNotFoundError, StageError, UsageError
from datarepo.files import free
from datarepo.pipeline import (
    catalogue,
    commit,
    dvc_lock,
    edits,
    git_ignore,
    import_stage,
    remotes,
    yaml_file,
)
from datarepo.pipeline.location import Condition, Presence
from datarepo.pipeline.repository import Repository
from datarepo.pipeline.root import find_root, writing

if TYPE_CHECKING:
    from datarepo.azure.blob import Blob
    from datarepo.commands.request import Request
    from datarepo.pipeline.catalogue import Asset, Catalogue
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

    With `url`, a blob's published URL, the one name becomes an asset of the catalogue. `folder` is where
    the one asset is to land. `sas_text` is a SAS to store for the source; `force` skips the checks of the
    disk and of files of the user's. All is checked before anything is written: a RepositoryError leaves
    every file as it was.
    """
    root, names = find_root(), request.named(names, "of the catalogue", every=every)
    known = catalogue.load(root)
    sources = remotes.Remotes(root)
    sas = signature.parse(sas_text) if sas_text is not None else None
    if url is None:
        asked = request.for_names(known, sources, known.assets if every else names, sas, folder)
        _check_it_may_move(root, known, asked)
    else:
        published = blob_url.parse(url)
        published = replace(published, sas=sas) if sas else published
        asked = request.for_url(known, sources, _only(names), published, folder)
    addresses = {
        asset: Address(
            asked.sources[asset.source],
            asset.path,
            f"tools/add-asset {asset.name} --url URL --sas-stdin" if url else remotes.storing(asset.name),
        )
        for asset in asked.assets
    }
    repository = cache(partial(Repository, root))  # DVC is started once, and only where it is needed
    with writing(root):
        recorded = {asset: import_stage.read(root, asset) for asset in asked.assets}
        blobs = _ask(addresses, recorded, url)
        plans = _plan(root, repository, recorded, blobs)
        _check_the_users(repository, plans, force=force)
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
            _act(root, repository, asked, plans)
    return AddReport(
        tuple(plans),
        free(root),
        dry_run,
        every,
        "" if dry_run else _commit(root, plans, catalogue.assets_in_use(root, known)),
        asked.private.name if asked.private else "",
    )


def _only(names: Iterable[str]) -> str:
    match list(names):
        case [name]:
            return name
    raise UsageError("a URL becomes one asset, and needs one name for it", "tools/add-asset NAME --url URL")


def _check_it_may_move(root: Path, known: Catalogue, asked: Request) -> None:
    """Refuse to let an asset in use land elsewhere: its data and its records are where it landed."""
    if asked.new_folder is None:
        return
    [asset] = asked.assets
    if catalogue.in_use(root, known, known.assets[asset.name]):
        raise UsageError(
            f"'{asset.name}' is in use, and lands in {known.assets[asset.name].dir}",
            f"tools/remove-asset {asset.name} && tools/add-asset {asset.name} --dir {asset.dir}",
        )


def _ask(
    addresses: Mapping[Asset, Address], recorded: Mapping[Asset, ImportStage | None], url: str | None
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
        if isinstance(answer, BlobNotFoundError) and url:
            raise BlobNotFoundError(
                answer.message,
                "check the spelling of the URL, and that the blob has not been moved; letter case counts",
            )
    blobs = blob.none_refused(answers)
    return {asset: blobs[asset.name] for asset in addresses}


def _check_the_users(repository: Callable[[], Repository], plans: Iterable[Plan], *, force: bool) -> None:
    """Refuse what would end in DVC replacing files that nothing else has."""
    for plan in plans:
        asset, again = plan.asset, f"then run tools/add-asset {plan.asset.name} again"
        if plan.presence.file is Condition.DAMAGED and plan.downloads:
            raise edits.damage(asset, plan.presence)
        builds = any(step.verb == "repro" for step in plan.steps)
        if builds and plan.recorded and (error := edits.not_published(asset, plan.recorded)):
            raise error
        if plan.presence.in_the_way and (asset.suffix or plan.downloads):
            known = (
                f"is not the file that {asset.stage} records"
                if plan.recorded
                else "no import stage knows where it comes from"
            )
            raise StageError(f"{asset.file} is already there, and {known}", f"move it away, {again}")
        is_free = force or not asset.suffix or not plan.replaces
        if files := [] if is_free else repository().unrecorded(asset):
            raise StageError(
                f"{asset.dir} holds what no record knows, and the next step would replace the folder:"
                f" {few(files)}",
                f"move that away, {again}; --force goes on without it",
            )


def _plan(
    root: Path,
    repository: Callable[[], Repository],
    recorded: Mapping[Asset, ImportStage | None],
    blobs: Mapping[Asset, Blob],
) -> list[Plan]:
    """Decide for each asset, having looked where its data is; the team remote is asked last."""
    stages = {asset: stage for asset, stage in recorded.items() if stage}
    there = {asset: stage for asset, stage in recorded.items() if stage or _holds_something(root, asset)}
    presences = repository().look(there) if there else {}
    away = [
        asset
        for asset, stage in stages.items()
        if stage.md5 and stage.describes(blobs[asset]) and not presences[asset].is_here
    ]
    if away:
        presences |= repository().ask_team({asset: stages[asset] for asset in away}, presences)
    plans = []
    for asset, stage in recorded.items():
        presence = presences.get(asset, Presence())
        plans.append(Plan(asset, decide(stage, blobs[asset], presence), blobs[asset], stage, presence))
    return plans


def _holds_something(root: Path, asset: Asset) -> bool:
    return (root / asset.file).exists() or (root / asset.dir).exists()


def _act(root: Path, repository: Callable[[], Repository], asked: Request, plans: Iterable[Plan]) -> None:
    """Write what was decided; a run that is killed in between is made good by the same command."""
    if asked.new_source:
        remotes.publish(root, asked.new_source)
    if asked.private:
        remotes.store_privately(root, asked.private)
    text = catalogue.read_text(root)
    if asked.new_folder:
        [asset] = asked.assets
        is_new = asset.name not in catalogue.parse(text).assets
        text = (
            catalogue.with_entry(text, asset, asked.new_folder)
            if is_new
            else catalogue.with_folder(text, asset)
        )
    known = catalogue.parse(text)
    used = dict.fromkeys([*(known.assets[name] for name in known.used), *asked.assets])
    text = catalogue.with_used(text, used)
    if to_record := {plan.asset: plan.blob for plan in plans if plan.records}:
        repository().record(to_record)
    if to_describe := {plan.asset: plan.blob for plan in plans if plan.describes}:
        repository().describe(to_describe)
    git_ignore.ignore(root, [path for asset in asked.assets for path in asset.outputs])
    catalogue.save(root, text)


def _commit(root: Path, plans: Iterable[Plan], used: Iterable[Asset]) -> str:
    """The command that commits the assets, once the steps of their plans are done."""
    named = [plan.asset for plan in plans]
    changed = commit.changed(root, commit.paths([*used, *named]))
    made = dvc_lock.read(root)
    coming: set[str] = set()
    for plan in plans:
        stage, archive = plan.asset.stage, plan.recorded.md5 if plan.recorded else None
        if plan.downloads:
            archive = _committed_archive(root, plan, changed.get(stage))
            if archive:
                changed.pop(stage, None)  # the download brings back what the last commit has
            else:
                coming.add(stage)
        is_made = plan.asset.name in made and made[plan.asset.name].archive == archive
        if plan.asset.suffix and plan.steps and not is_made:
            coming.add(dvc_lock.FILE)
    return commit.asset_line(root, named, used, changed, coming)


def _committed_archive(root: Path, plan: Plan, change: str | None) -> str | None:
    """The md5 that the last commit has of the archive that is to be downloaded; None when it has none."""
    if change in (None, "??"):
        return None
    text = commit.at_head(root, plan.asset.stage)
    stage = import_stage.parse(yaml_file.load(text), plan.asset) if text else None
    return stage.md5 if stage and stage.describes(plan.blob) else None
