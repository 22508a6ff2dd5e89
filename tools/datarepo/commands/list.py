"""The catalogue as a table: each asset, and where its data is now."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from datarepo.azure import blob as blobs
from datarepo.azure import source
from datarepo.azure.blob import Blob, Place
from datarepo.commands.add_plan import difference
from datarepo.console import size
from datarepo.errors import BlobError, BlobNotFoundError
from datarepo.pipeline import catalogue
from datarepo.pipeline import dvc_lock as lockfile
from datarepo.pipeline import import_stage as stage
from datarepo.pipeline.repository import Kept, Repository, find_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from datarepo.azure.source import Source
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage


class Where(Enum):
    """Where the data of an asset is, the furthest it has come."""

    UPSTREAM = "upstream"
    TEAM = "not here, dvc pull"
    CACHED = "archive cached"
    PLAIN = "here, as it is"
    OUTDATED = "unzipped, older version"
    UNZIPPED = "unzipped"


@dataclass(frozen=True)
class Row:
    """An asset with what is known of it; `upstream` is None when nobody asked."""

    asset: Asset
    recorded: ImportStage | None
    used: bool
    where: Where
    lacks_sas: bool = False  # its source has none here
    upstream: Blob | BlobNotFoundError | None = None

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


def rows(*, check: bool = False) -> list[Row]:
    """Look at every asset of the catalogue; `check` also asks upstream for each, side by side."""
    root = find_root()
    known = catalogue.load(root)
    sources = {name: source.load(root, name) for name in {each.source for each in known.assets.values()}}
    recorded = {name: stage.read(root, asset) for name, asset in known.assets.items()}
    unzipped = lockfile.unzipped(root)
    repository = Repository(root) if any(each and each.md5 for each in recorded.values()) else None
    upstream = _ask(known.assets, sources) if check else {}
    return [
        Row(
            asset,
            recorded[name],
            catalogue.in_use(root, known, asset),
            _where(root, asset, recorded[name], unzipped.get(asset.dir), repository),
            lacks_sas=sources[asset.source].sas is None,
            upstream=upstream.get(name),
        )
        for name, asset in known.assets.items()
    ]


def _ask(assets: Mapping[str, Asset], sources: Mapping[str, Source]) -> dict[str, Blob | BlobNotFoundError]:
    places = {name: Place(sources[asset.source], asset.path) for name, asset in assets.items()}
    answers: dict[str, Blob | BlobNotFoundError] = {}
    for name, answer in blobs.try_ask(places).items():
        if isinstance(answer, BlobError) and not isinstance(answer, BlobNotFoundError):
            raise answer
        answers[name] = answer
    return answers


def _where(
    root: Path,
    asset: Asset,
    recorded: ImportStage | None,
    from_md5: str | None,
    repository: Repository | None,
) -> Where:
    if recorded is None:
        return Where.UPSTREAM
    if asset.suffix and (root / asset.dir).is_dir() and from_md5:
        return Where.UNZIPPED if from_md5 == recorded.md5 else Where.OUTDATED
    if not recorded.md5 or not repository:
        return Where.UPSTREAM
    kept = repository.here(asset, recorded.md5)
    if kept is Kept.WORKSPACE and not asset.suffix:
        return Where.PLAIN
    return Where.CACHED if kept else Where.TEAM


def table(found: Sequence[Row]) -> Iterable[str]:
    """Lay the rows out for people, a line each under a headline."""
    asked = any(row.upstream for row in found)
    cells = [["NAME", "KIND", "SIZE", "IN USE", "DATA", "FOLDER", *(["UPSTREAM"] if asked else [])]]
    cells += [
        [
            row.asset.name,
            row.asset.kind,
            "?" if row.size is None else size(row.size),
            "yes" if row.used else "-",
            row.where.value,
            row.asset.dir,
            *([_upstream(row)] if asked else []),
        ]
        for row in found
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for name, kind, number, *rest in cells:
        texts = (name.ljust(widths[0]), kind.ljust(widths[1]), number.rjust(widths[2]))
        yield "  ".join([*texts, *map(str.ljust, rest, widths[3:])]).rstrip()


def advice(found: Iterable[Row]) -> Iterable[str]:
    """What to do about sources that have no SAS here, a line each."""
    lacking = {row.asset.source: row.asset.name for row in found if row.lacks_sas}
    for name, asset in lacking.items():
        yield f"source '{name}' has no SAS here; if it needs one: tools/add-asset {asset} --sas-stdin"


def findings(found: Iterable[Row]) -> Iterable[str]:
    """What has become of assets in use upstream, a line each; nothing where nothing changed."""
    changed = [row for row in found if row.changed]
    if same := [row.asset.name for row in changed if not row.withdrawn]:
        yield f"changed upstream: {', '.join(same)}; tools/add-asset {' '.join(same)} records it"
    if gone := [row.asset.name for row in changed if row.withdrawn]:
        yield f"withdrawn upstream: {', '.join(gone)}; cache and team remote keep what was downloaded"


def _upstream(row: Row) -> str:
    if isinstance(row.upstream, BlobNotFoundError):
        return "missing"
    if row.upstream is None or not row.recorded:
        return "-"
    return f"changed: {difference(row.recorded, row.upstream)}" if row.changed else "as recorded"


def document(found: Iterable[Row]) -> list[dict[str, Any]]:
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
            "data": row.where.name.lower(),
            "etag": row.recorded.etag if row.recorded else None,
            "md5": row.recorded.md5 if row.recorded else None,
            "upstream": _answer(row.upstream),
            "changed": row.changed if row.upstream else None,
        }
        for row in found
    ]


def _answer(upstream: Blob | BlobNotFoundError | None) -> dict[str, Any] | None:
    if isinstance(upstream, Blob):
        return {"exists": True, "size": upstream.size, "etag": upstream.etag, **stage.meta(upstream)}
    return {"exists": False} if upstream else None
