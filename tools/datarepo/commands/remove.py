"""Taking assets out of use: stages, parameters and ignore entries go, cache and remotes stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from datarepo.errors import UsageError
from datarepo.pipeline import catalogue
from datarepo.pipeline import import_stage as stage
from datarepo.pipeline.repository import Repository, find_root, writing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datarepo.pipeline.catalogue import Asset


@dataclass(frozen=True)
class Removal:
    """An asset that was taken out of use, and the paths that went from the workspace with it."""

    asset: Asset
    paths: tuple[str, ...]


def remove(names: Iterable[str], *, force: bool = False) -> list[Removal]:
    """Take the named assets out of use; their entries in the catalogue stay.

    What lies in the workspace goes too, since git would take it for new files; the cache still has
    it. Raises StageError, and changes nothing, when the cache does not, unless `force`.
    """
    root = find_root()
    known = catalogue.load(root)
    named = known.find(names)
    assets = [each for each in named if each.name in known.used or stage.read(root, each) is not None]
    if not assets:  # some may be: a run that was killed took out the others
        unused = ", ".join(f"'{each.name}'" for each in named)
        raise UsageError(f"{unused} is not in use", "tools/list-assets shows which assets are")
    with writing(root):
        removed = Repository(root).remove(assets, force=force)
        for asset in assets:
            catalogue.disuse(root, asset)
    return [Removal(asset, tuple(removed[asset.name])) for asset in assets]
