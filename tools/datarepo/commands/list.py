"""`tools/list-assets`: the catalogue as a table, with where the data of each asset is now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from datarepo.azure import blob
from datarepo.azure.blob import Address, Blob
from datarepo.azure.part_file import PartFile
from datarepo.azure.source import Source
from datarepo.commands.add_plan import difference
from datarepo.commands.report import Report
from datarepo.console import size
from datarepo.errors import BlobError, BlobNotFoundError, RepositoryError, StageError
from datarepo.pipeline import catalogue, commit, dvc_lock, edits, import_stage
from datarepo.pipeline.location import Condition, Location, Presence
from datarepo.pipeline.remotes import Remotes, storing
from datarepo.pipeline.repository import Repository
from datarepo.pipeline.root import at_root, find_root, part_files, with_place

if TYPE_CHECKING:
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage

CHANGED = 3  # the exit code of a check that found a change: 1 is a failure


@dataclass(frozen=True)
class Row:
    """An asset with what is known of it; `upstream` is None when nobody asked.

    `fault` says what is wrong with its records, and `mend` what to do about that; `failure` is why its
    source cannot be asked.
    """

    asset: Asset
    recorded: ImportStage | None
    used: bool
    presence: Presence
    lacks_sas: bool = False  # its source has none here
    fault: str = ""
    mend: str = ""
    upstream: Blob | BlobNotFoundError | None = None
    failure: RepositoryError | None = None

    @property
    def data(self) -> str:
        """Where its data is now, and in which state, in at most 16 letters."""
        if self.fault:
            return "see below"
        return data(self.asset, self.recorded, self.presence)

    @property
    def changed(self) -> bool:
        """Whether an asset in use is not upstream any more as it was recorded."""
        if not self.used or not self.recorded or self.upstream is None:
            return False
        return self.withdrawn or not self.recorded.describes(cast("Blob", self.upstream))

    @property
    def withdrawn(self) -> bool:
        """Whether there is no such blob upstream."""
        return isinstance(self.upstream, BlobNotFoundError)

    @property
    def size(self) -> int | None:
        """The archive's size in bytes, where it is known."""
        if self.recorded:
            return self.recorded.size
        return self.upstream.size if isinstance(self.upstream, Blob) else None


def list_assets(*, check: bool = False) -> ListReport:
    """Look at every asset of the catalogue; `check` also asks upstream for each, side by side."""
    root = find_root()
    known = catalogue.load(root)
    sources = _sources(Remotes(root), known.assets.values(), check=check)
    stages = {asset: _read(root, asset) for asset in known.assets.values()}
    recorded = {asset: stage for asset, stage in stages.items() if not isinstance(stage, StageError)}
    presences = Repository(root).look(recorded) if any(recorded.values()) else {}
    made = dvc_lock.read(root)
    upstream = _ask(stages, sources) if check else {}
    rows = []
    for asset, stage in stages.items():
        used = catalogue.in_use(root, known, asset)
        arrived = PartFile(part_files(root), asset.name).arrived
        source, answer = sources[asset.source], upstream.get(asset)
        failure = source if isinstance(source, RepositoryError) else answer
        fault, mend = _fault(root, asset, stage, used=used, made=asset.name in made, arrived=arrived)
        rows.append(
            Row(
                asset,
                recorded.get(asset),
                used,
                presences.get(asset, Presence(arrived=arrived)),
                isinstance(source, Source) and source.sas is None,
                fault,
                mend,
                answer if isinstance(answer, (Blob, BlobNotFoundError)) else None,
                failure if not isinstance(failure, (Blob, BlobNotFoundError)) else None,
            )
        )
    return ListReport(rows, check)


def _sources(
    remotes: Remotes, assets: Iterable[Asset], *, check: bool
) -> dict[str, Source | RepositoryError]:
    """The sources of the assets by name, or why one cannot be asked: it hides no asset of another."""

    def opened(asset: Asset) -> Source | RepositoryError:
        try:
            address = remotes.address(asset)
            if check:
                address.check()
        except RepositoryError as error:
            return error
        return address.source

    return {name: opened(asset) for name, asset in {asset.source: asset for asset in assets}.items()}


def _read(root: Path, asset: Asset) -> ImportStage | StageError | None:
    """The import stage of an asset, or what is wrong with it: a broken one hides no other asset."""
    try:
        return import_stage.read(root, asset)
    except StageError as error:
        return error


def _fault(
    root: Path, asset: Asset, stage: ImportStage | StageError | None, *, used: bool, made: bool, arrived: int
) -> tuple[str, str]:
    """Where params.yaml, stage and dvc.lock do not belong together, and what to do about it."""
    if isinstance(stage, StageError):
        return stage.message, stage.hint
    name = asset.name
    if used and not stage:
        is_committed = bool(commit.at_head(root, asset.stage))
        return (
            f"{name} is in use, and {asset.stage} is missing",
            f"git checkout HEAD -- {asset.stage}"
            if is_committed
            else f"tools/add-asset {name} makes it, tools/remove-asset {name} takes the asset out of use",
        )
    if stage and (error := edits.not_published(asset, stage)):
        return error.message, error.hint
    if not used and stage:
        return (
            f"{name} has an import stage, and is not among the assets in use of {catalogue.FILE}",
            f"tools/add-asset {name} puts it in use, tools/remove-asset {name} takes the stage away",
        )
    if not used and made:
        return (
            f"{name} is not in use, and {dvc_lock.FILE} has an entry of it",
            f"tools/remove-asset {name}",
        )
    if not used and arrived:
        return (
            f"{name} is not in use, and {size(arrived)} of an interrupted download of it are here",
            f"tools/remove-asset {name}",
        )
    return "", ""


def _ask(
    assets: Collection[Asset], sources: Mapping[str, Source | RepositoryError]
) -> dict[Asset, Blob | BlobError]:
    addresses = {
        asset.name: Address(source, asset.path, storing(asset.name))
        for asset in assets
        if isinstance(source := sources[asset.source], Source)
    }
    answers = blob.try_ask(addresses)
    return {asset: answers[asset.name] for asset in assets if asset.name in answers}


def data(asset: Asset, recorded: ImportStage | None, presence: Presence) -> str:
    """Where data is now, and in which state, in at most 16 letters."""
    if recorded is None:
        return "not in use"
    if presence.is_damaged:
        return "damaged"
    if presence.in_the_way and asset.suffix:
        return "archive differs" if recorded.md5 else "not verified"
    has_archive = presence.archive.is_here
    part = f"{presence.arrived / recorded.size:.0%}" if presence.archive is Location.PART_FILE else ""
    if presence.condition is Condition.AS_RECORDED:
        if not asset.suffix:
            return "here"
        return "unzipped" if has_archive else f"contents, {part}" if part else "contents only"
    if part:
        return f"{part} here"
    if presence.condition in (Condition.MODIFIED, Condition.PARTIAL):
        return str(presence.condition.value)
    if recorded.md5 is None:
        return "to download"
    if presence.condition in (Condition.OTHER, Condition.DAMAGED):
        return "another version"
    if presence.data(asset) is Location.CACHE:
        return "in the cache"
    if has_archive:
        return "to unzip"
    return "not here"


@dataclass(frozen=True)
class ListReport(Report):
    """The catalogue as a table; `checked` when upstream was asked."""

    rows: Sequence[Row]
    checked: bool = False

    @property
    def exit_code(self) -> int:
        """3 when an asset in use has changed upstream; 1 when one of them could not be asked for."""
        if self.checked and any(row.failure and row.used for row in self.rows):
            return 1
        return CHANGED if any(row.changed for row in self.rows) else 0

    def lines(self) -> Iterable[str]:
        """The table, then what to do about sources that have no SAS here."""
        yield from table(self.rows, asked=self.checked)
        lacking = {row.asset.source: row.asset.name for row in self.rows if row.lacks_sas}
        for name, asset in lacking.items():
            given = at_root(f"tools/add-asset {asset} --sas-stdin")
            yield f"source '{name}' has no SAS here; if it needs one: {given}"

    def notes(self) -> Iterable[str]:
        """What does not belong together, and what has become of assets in use upstream."""
        return map(with_place, self._notes())

    def _notes(self) -> Iterable[str]:
        for row in self.rows:
            if row.fault:
                yield f"{row.fault}: {row.mend}"
        failures = {row.asset.source: row.failure for row in self.rows if row.failure}  # told once each
        for failure in failures.values():
            yield failure.message + (f": {failure.hint}" if failure.hint else "")
        if damaged := [row.asset.name for row in self.rows if row.data == "damaged"]:
            yield f"damaged: {', '.join(damaged)}; tools/verify-asset {' '.join(damaged)} mends it"
        away = [row.asset for row in self.rows if row.data == "not here"]
        if away:
            names = [asset.name for asset in away]
            targets, fetched = [asset.target for asset in away], " ".join(names)
            if len(away) > 1 and away == [row.asset for row in self.rows if row.used]:
                single = [asset.stage for asset in away if not asset.suffix]
                targets, fetched = ["unzip", *single], "--all"  # the group of all
            yield (
                f"not here: {', '.join(names)}; 'dvc pull {' '.join(targets)}' brings it from the team"
                f" remote, 'tools/fetch-asset {fetched}' from upstream"
            )
        for row in self.rows:
            if row.presence.is_ready and row.presence.arrived:
                again = f"tools/fetch-asset {row.asset.name} clears it"
                yield f"{row.asset.name}: {size(row.presence.arrived)} of an interrupted download; {again}"
        changed = [row for row in self.rows if row.changed]
        for row in changed:
            if row.recorded and isinstance(row.upstream, Blob):
                yield f"{row.asset.name} changed upstream: {difference(row.recorded, row.upstream)}"
        if same := [row.asset.name for row in changed if not row.withdrawn]:
            yield f"changed upstream: {', '.join(same)}; tools/add-asset {' '.join(same)} records it"
        if gone := [row.asset.name for row in changed if row.withdrawn]:
            yield f"withdrawn upstream: {', '.join(gone)}; cache and team remote keep what was downloaded"

    def document(self) -> list[dict[str, Any]]:
        """The rows for programs; sizes in bytes, `upstream` null when nobody asked."""
        return [
            {
                "name": row.asset.name,
                "kind": row.asset.kind,
                "source": row.asset.source,
                "lacks_sas": row.lacks_sas,
                "blob": row.asset.blob,
                "file": row.asset.file,
                "dir": row.asset.dir,
                "used": row.used,
                "size": row.size,
                "archive": row.presence.archive.value,
                "contents": row.presence.contents.value if row.presence.contents else None,
                "condition": row.presence.condition.value,
                "arrived": row.presence.arrived,
                "fault": row.fault or None,
                "etag": row.recorded.etag if row.recorded else None,
                "md5": row.recorded.md5 if row.recorded else None,
                "upstream": _answer(row.upstream),
                "changed": row.changed if row.upstream else None,
                "failure": row.failure.message if row.failure else None,
            }
            for row in self.rows
        ]


def table(rows: Sequence[Row], *, asked: bool = False) -> Iterable[str]:
    """Lay the rows out for people, a line each under a headline; those of Oscar fit 80 columns."""
    cells = [["NAME", "SIZE", "DATA", "FOLDER", *(["UPSTREAM"] if asked else [])]]
    cells += [
        [
            row.asset.name,
            "?" if row.size is None else size(row.size),
            row.data,
            row.asset.dir,
            *([_upstream(row)] if asked else []),
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for name, number, *rest in cells:
        texts = (name.ljust(widths[0]), number.rjust(widths[1]))
        yield "  ".join([*texts, *map(str.ljust, rest, widths[2:])]).rstrip()


def _upstream(row: Row) -> str:
    if row.withdrawn:
        return "missing"
    if row.failure:
        return "unknown"
    if row.upstream is None or not row.recorded:
        return "-"
    return "changed" if row.changed else "as recorded"


def _answer(upstream: Blob | BlobNotFoundError | None) -> dict[str, Any] | None:
    if isinstance(upstream, Blob):
        return {"exists": True, "size": upstream.size, "etag": upstream.etag, **import_stage.meta(upstream)}
    return {"exists": False} if upstream else None
