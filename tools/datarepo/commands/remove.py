"""`tools/remove-asset`: assets out of use, with stages, parameters and ignore entries; the cache stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datarepo.commands.report import Report
from datarepo.errors import UsageError
from datarepo.pipeline import catalogue, import_stage
from datarepo.pipeline.repository import Repository
from datarepo.pipeline.root import find_root, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from datarepo.pipeline.catalogue import Asset


@dataclass(frozen=True)
class RemoveReport(Report):
    """The assets that were taken out of use, each with the paths that went from the workspace."""

    paths: Mapping[Asset, Sequence[str]]

    def lines(self) -> Iterable[str]:
        """A line an asset, and what to run next."""
        for asset, paths in self.paths.items():
            gone = f", with {' and '.join(paths)}" if paths else ""
            yield f"{asset.name}: out of use{gone}"
        yield "next: git commit; 'dvc gc --workspace' frees the space, see Freeing space in the README"

    def document(self) -> list[dict[str, Any]]:
        """A list of objects."""
        return [{"name": asset.name, "removed": list(paths)} for asset, paths in self.paths.items()]


def remove(names: Iterable[str], *, force: bool = False) -> RemoveReport:
    """Take the named assets out of use; their entries in the catalogue stay.

    What lies in the workspace goes too, since git would take it for new files; the cache still has
    it. Raises StageError, and changes nothing, when the cache does not, unless `force`.
    """
    root = find_root()
    with writing(root):
        text = catalogue.read_text(root)
        known = catalogue.parse(text)
        named = known.find(names)
        assets = [
            asset for asset in named if asset.name in known.used or import_stage.read(root, asset) is not None
        ]
        if not assets:  # some may be: a run that was killed took out the others
            unused = ", ".join(f"'{asset.name}'" for asset in named)
            raise UsageError(f"{unused} is not in use", "tools/list-assets shows which assets are")
        removed = Repository(root).remove(assets, force=force)
        rest = [known.assets[name] for name in known.used if known.assets[name] not in removed]
        catalogue.save(root, catalogue.with_used(text, rest))
    return RemoveReport(removed)
