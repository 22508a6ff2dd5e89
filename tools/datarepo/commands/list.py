"""`tools/list-assets`: the catalogue as a table, with where the data of each asset is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from datarepo.azure import blob
from datarepo.azure.blob import Address, Blob
from datarepo.commands.add_plan import difference
from datarepo.commands.report import Report
from datarepo.console import size
from datarepo.errors import BlobError, BlobNotFoundError
from datarepo.pipeline import catalogue, import_stage
from datarepo.pipeline.location import Condition, Location, Presence
from datarepo.pipeline.remotes import Remotes
from datarepo.pipeline.repository import Repository
from datarepo.pipeline.root import find_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from datarepo.azure.source import Source
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage


@dataclass(frozen=True)
class Row:
    """An asset with what is known of it; `upstream` is None when nobody asked."""

    asset: Asset
    recorded: ImportStage | None
    used: bool
    presence: Presence
    lacks_sas: bool = False  # its source has none here
    upstream: Blob | BlobNotFoundError | None = None

    @property
    def data(self) -> str:
        """Where its data is now, and in which state, in a few words."""
        return data(self.presence, self.recorded)

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
    remotes = Remotes(root)
    sources = {name: remotes.source(name) for name in {asset.source for asset in known.assets.values()}}
    recorded = {asset: import_stage.read(root, asset) for asset in known.assets.values()}
    presences = Repository(root).look(recorded) if any(recorded.values()) else {}
    upstream = _ask({asset: sources[asset.source] for asset in recorded}) if check else {}
    return ListReport(
        [
            Row(
                asset,
                stage,
                catalogue.in_use(root, known, asset),
                presences.get(asset, Presence()),
                lacks_sas=sources[asset.source].sas is None,
                upstream=upstream.get(asset.name),
            )
            for asset, stage in recorded.items()
        ]
    )


def _ask(sources: Mapping[Asset, Source]) -> dict[str, Blob | BlobNotFoundError]:
    addresses = {asset.name: Address(source, asset.path) for asset, source in sources.items()}
    answers: dict[str, Blob | BlobNotFoundError] = {}
    for name, answer in blob.try_ask(addresses).items():
        if isinstance(answer, BlobError) and not isinstance(answer, BlobNotFoundError):
            raise answer
        answers[name] = answer
    return answers


def data(presence: Presence, recorded: ImportStage | None) -> str:
    """Where data is now, and in which state, in a few words.

    >>> data(Presence(), None), data(Presence(Location.CACHE, None, Condition.OLDER), None)
    ('upstream', 'unzipped, older version')
    """
    if presence.condition is Condition.AS_RECORDED:
        return "here, as it is" if presence.contents is None else "unzipped"
    if presence.condition is Condition.OLDER:
        return "unzipped, older version"
    if presence.condition is Condition.MODIFIED:
        return "modified"
    if presence.contents is Location.CACHE:
        return "contents cached"
    if presence.archive in (Location.WORKSPACE, Location.CACHE):
        return "archive cached"
    if presence.archive is Location.PART_FILE and recorded:
        return f"{presence.arrived / recorded.size:.0%} of it here"
    return "not here, dvc pull" if recorded and recorded.md5 else "upstream"


@dataclass(frozen=True)
class ListReport(Report):
    """The catalogue as a table."""

    rows: Sequence[Row]

    @property
    def exit_code(self) -> int:
        """1 when an asset in use has changed upstream."""
        return int(any(row.changed for row in self.rows))

    def lines(self) -> Iterable[str]:
        """The table, then what to do about sources that have no SAS here."""
        yield from table(self.rows)
        lacking = {row.asset.source: row.asset.name for row in self.rows if row.lacks_sas}
        for name, asset in lacking.items():
            yield f"source '{name}' has no SAS here; if it needs one: tools/add-asset {asset} --sas-stdin"

    def notes(self) -> Iterable[str]:
        """What has become of assets in use upstream."""
        changed = [row for row in self.rows if row.changed]
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
                "etag": row.recorded.etag if row.recorded else None,
                "md5": row.recorded.md5 if row.recorded else None,
                "upstream": _answer(row.upstream),
                "changed": row.changed if row.upstream else None,
            }
            for row in self.rows
        ]


def table(rows: Sequence[Row]) -> Iterable[str]:
    """Lay the rows out for people, a line each under a headline."""
    asked = any(row.upstream for row in rows)
    cells = [["NAME", "KIND", "SIZE", "IN USE", "DATA", "FOLDER", *(["UPSTREAM"] if asked else [])]]
    cells += [
        [
            row.asset.name,
            row.asset.kind,
            "?" if row.size is None else size(row.size),
            "yes" if row.used else "-",
            row.data,
            row.asset.dir,
            *([_upstream(row)] if asked else []),
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for name, kind, number, *rest in cells:
        texts = (name.ljust(widths[0]), kind.ljust(widths[1]), number.rjust(widths[2]))
        yield "  ".join([*texts, *map(str.ljust, rest, widths[3:])]).rstrip()


def _upstream(row: Row) -> str:
    if isinstance(row.upstream, BlobNotFoundError):
        return "missing"
    if row.upstream is None or not row.recorded:
        return "-"
    return f"changed: {difference(row.recorded, row.upstream)}" if row.changed else "as recorded"


def _answer(upstream: Blob | BlobNotFoundError | None) -> dict[str, Any] | None:
    if isinstance(upstream, Blob):
        return {"exists": True, "size": upstream.size, "etag": upstream.etag, **import_stage.meta(upstream)}
    return {"exists": False} if upstream else None
