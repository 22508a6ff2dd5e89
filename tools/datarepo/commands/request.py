"""The task of a run of `tools/add-asset`: which assets, from which sources, and what is new of these.

of_names   assets of the catalogue, and perhaps a SAS for their source
of_link    the asset that a published URL becomes; its source is new, or found again
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING

from datarepo.azure import source
from datarepo.azure.source import Source
from datarepo.errors import SasError, UsageError
from datarepo.pipeline import catalogue
from datarepo.pipeline.catalogue import Asset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from datarepo.azure.blob_url import Link
    from datarepo.azure.sas import Sas
    from datarepo.pipeline.catalogue import Catalogue


@dataclass(frozen=True)
class Task:
    """What a run is about: assets, the sources they come from, and what is to be written of these."""

    assets: tuple[Asset, ...]
    sources: Mapping[str, Source]
    private: Source | None = None  # its SAS is to be stored
    new_source: Source | None = None
    new_folder: str | None = None  # the folder of an asset that is to be entered in the catalogue


def of_names(root: Path, known: Catalogue, names: Iterable[str], given: Sas | None) -> Task:
    """The task of dealing with assets of the catalogue; `given` is a SAS to store for their source.

    Raises UsageError for an unknown name, and for a SAS that cannot be that of all assets' source.
    """
    assets = known.find(names)
    if not assets:
        raise UsageError("no asset is named", f"name some of {', '.join(known.assets)}, or use --all")
    sources = {name: source.load(root, name) for name in dict.fromkeys(asset.source for asset in assets)}
    if given is None:
        return Task(tuple(assets), sources)
    if len(sources) > 1:
        raise UsageError(
            f"one SAS opens one source, and these assets come from {len(sources)}: {', '.join(sources)}",
            "give the SAS of each source with assets of that source alone",
        )
    [(name, only)] = sources.items()
    if given.opens_one_blob and sum(asset.source == name for asset in known.assets.values()) > 1:
        raise SasError(
            f"the SAS opens a single blob (sr={given.fields['sr']}), and source '{name}' is a container",
            "ask the publisher of the data for a SAS of the container (sr=c)",
        )
    private = replace(only, sas=given)
    return Task(tuple(assets), {name: private}, private)


def of_link(root: Path, known: Catalogue, name: str, link: Link, folder: str | None) -> Task:
    """The task of making an asset of a published URL, which lands in `folder` (by default `data/NAME`).

    Raises UsageError for a name or folder that cannot be, and for a name that is used differently.
    """
    if not catalogue.is_name(name):
        raise UsageError(f"{name!r} cannot be an asset's name", f"a name is {catalogue.NAME_RULE}")
    if folder is not None and not catalogue.is_folder(folder):
        raise UsageError(
            f"{folder!r} is no folder below the repository's root", f"--dir data/{name} would be one"
        )
    before = known.assets.get(name)
    if not before:
        _check_folder(_asset(known, name, "", folder), known)
    origin, is_new = _origin(root, known, name, link)
    asset = _asset(known, name, f"remote://{origin.name}/{link.path}", folder)
    if before and (before.blob != asset.blob or (folder and folder != before.dir)):
        raise UsageError(
            f"the name '{name}' is already used differently: {before.blob}, which lands in {before.dir}",
            "choose another name",
        )
    is_private = link.sas is not None and (is_new or link.sas != source.load(root, origin.name).sas)
    return Task(
        (before or asset,),
        {origin.name: origin},
        private=origin if is_private else None,
        new_source=origin if is_new else None,
        new_folder=None if before else folder or catalogue.default_folder("dataset", name),
    )


def _check_folder(asset: Asset, known: Catalogue) -> None:
    if other := catalogue.overlapping(asset, known.assets.values()):
        raise UsageError(
            f"{asset.dir} is not apart from {other.dir}, where '{other.name}' lands",
            "choose another folder with --dir",
        )


def _asset(known: Catalogue, name: str, blob: str, folder: str | None) -> Asset:
    if folder is None:
        return Asset(name, "dataset", blob, f"{known.roots['dataset']}/{name}")
    kinds = (kind for kind, root in known.roots.items() if folder.startswith(f"{root}/"))
    return Asset(name, next(kinds, "dataset"), blob, folder)


def _origin(root: Path, known: Catalogue, name: str, link: Link) -> tuple[Source, bool]:
    """The source of a link, and whether it is new.

    A SAS for one blob opens no other, so it gets a source of its own; any other serves its container.
    """
    alone = link.sas is not None and link.sas.opens_one_blob
    own = known.assets[name].source if name in known.assets else name
    for candidate in source.at(root, link.endpoint, link.container):
        shared = not (candidate.sas and candidate.sas.opens_one_blob)
        if candidate.name == own or (shared and not alone):
            return replace(candidate, sas=link.sas or candidate.sas), False
    taken = source.names(root)
    wanted = name if alone else link.container.strip("$")
    candidates = chain([wanted, f"{link.account}-{wanted}"], (f"{wanted}-{number}" for number in count(2)))
    free = next(each for each in candidates if each not in taken)
    return Source(free, link.container, link.endpoint, link.sas), True
