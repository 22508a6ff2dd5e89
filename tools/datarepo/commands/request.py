"""What a run of `tools/add-asset` is asked for: which assets, from which sources, and what is new of these.

named       the names of a command line, or none with --all
for_names   assets of the catalogue, and perhaps a SAS for their source
for_url     the asset that a published URL becomes; its source is new, or found again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING

from datarepo.azure.source import Source
from datarepo.errors import SasError, UsageError
from datarepo.pipeline import catalogue
from datarepo.pipeline.catalogue import Asset

if TYPE_CHECKING:
    from datarepo.azure.blob_url import BlobUrl
    from datarepo.azure.sas import Sas
    from datarepo.pipeline.catalogue import Catalogue
    from datarepo.pipeline.remotes import Remotes


@dataclass(frozen=True)
class Request:
    """What is asked for: assets, the sources they come from, and what is to be written of these."""

    assets: tuple[Asset, ...]
    sources: Mapping[str, Source]
    private: Source | None = None  # its SAS is to be stored
    new_source: Source | None = None
    new_folder: str | None = None  # where the one asset is to land, as its entry in the catalogue says it


def named(names: Iterable[str], which: str, *, every: bool) -> list[str]:
    """The names given; UsageError when there are some beside --all, which takes every asset `which`."""
    names = list(names)
    if every and names:
        raise UsageError(
            f"--all takes every asset {which}, and {' '.join(names)} is named as well",
            "name some, or give --all alone",
        )
    return names


def for_names(
    known: Catalogue, remotes: Remotes, names: Iterable[str], sas: Sas | None, folder: str | None = None
) -> Request:
    """Assets of the catalogue; `sas` is one to store for their source, `folder` where the only one lands.

    Raises UsageError for an unknown name, for a SAS that cannot be that of all assets' source, and for a
    folder that cannot be.
    """
    assets = known.find(names)
    if not assets:
        raise UsageError("no asset is named", f"name some of {', '.join(known.assets)}, or use --all")
    if folder is not None and [asset.dir for asset in assets] == [folder]:
        folder = None
    if folder is not None:
        assets = [_moved(known, assets, folder)]
    sources = {name: remotes.source(name, sas) for name in dict.fromkeys(asset.source for asset in assets)}
    if sas is None:
        return Request(tuple(assets), sources, new_folder=folder)
    if len(sources) > 1:
        raise UsageError(
            f"one SAS opens one source, and these assets come from {len(sources)}: {', '.join(sources)}",
            "give the SAS of each source with assets of that source alone",
        )
    [(name, private)] = sources.items()
    _check_serves(sas, name, known)
    return Request(tuple(assets), {name: private}, private, new_folder=folder)


def _check_serves(sas: Sas, name: str, known: Catalogue) -> None:
    """Refuse a SAS of one blob for a source that has several."""
    if sas.opens_one_blob and sum(asset.source == name for asset in known.assets.values()) > 1:
        raise SasError(
            f"the SAS opens a single blob (sr={sas.fields['sr']}), and source '{name}' is a container",
            "ask the publisher of the data for a SAS of the container (sr=c)",
        )


def _moved(known: Catalogue, assets: list[Asset], folder: str) -> Asset:
    """The one asset with another folder."""
    if len(assets) > 1:
        raise UsageError(
            f"--dir is the folder of one asset, and {len(assets)} are named", "add them one by one"
        )
    moved = replace(assets[0], dir=folder)
    _check_folder(moved, known)
    return moved


def for_url(known: Catalogue, remotes: Remotes, name: str, url: BlobUrl, folder: str | None) -> Request:
    """The asset that a published URL becomes, which lands in `folder` (by default `data/NAME`).

    Raises UsageError for a name or folder that cannot be, and for a name that is used differently.
    """
    if not catalogue.is_name(name):
        raise UsageError(f"{name!r} cannot be an asset's name", f"a name is {catalogue.NAME_RULE}")
    before = known.assets.get(name)
    if not before or folder is not None:
        _check_folder(_asset(known, name, "", folder), known)
    origin, is_new = _origin(known, remotes, name, url)
    asset = _asset(known, name, f"remote://{origin.name}/{url.path}", folder)
    if before and (before.blob != asset.blob or (folder and folder != before.dir)):
        raise UsageError(
            f"the name '{name}' is already used differently: {before.blob}, which lands in {before.dir}",
            "choose another name",
        )
    if url.sas and not is_new:
        _check_serves(url.sas, origin.name, known)
    is_private = url.sas is not None and (is_new or url.sas != remotes.source(origin.name).sas)
    return Request(
        (before or asset,),
        {origin.name: origin},
        private=origin if is_private else None,
        new_source=origin if is_new else None,
        new_folder=None if before else folder or catalogue.default_folder("dataset", name),
    )


def _check_folder(asset: Asset, known: Catalogue) -> None:
    if fault := catalogue.folder_fault(asset.dir):
        raise UsageError(fault, f"--dir data/{asset.name} would do")
    others = (other for other in known.assets.values() if other.name != asset.name)
    if overlap := catalogue.first_overlap([*others, asset]):
        [other] = {*overlap} - {asset}
        apart = "" if asset.dir == other.dir else f"is not apart from {other.dir}, "
        raise UsageError(
            f"{asset.dir} {apart or 'is '}where '{other.name}' lands",
            "choose another folder with --dir",
        )


def _asset(known: Catalogue, name: str, blob: str, folder: str | None) -> Asset:
    if folder is None:
        return Asset(name, "dataset", blob, f"{known.roots['dataset']}/{name}")
    kinds = (kind for kind, root in known.roots.items() if folder.startswith(f"{root}/"))
    return Asset(name, next(kinds, "dataset"), blob, folder)


def _origin(known: Catalogue, remotes: Remotes, name: str, url: BlobUrl) -> tuple[Source, bool]:
    """The source of a blob's URL, and whether it is new.

    A SAS for one blob opens no other, so it gets a source of its own; any other serves its container.
    """
    alone = url.sas is not None and url.sas.opens_one_blob
    own = known.assets[name].source if name in known.assets else name
    for candidate in remotes.sources_of(url.endpoint, url.container):
        shared = not (candidate.sas and candidate.sas.opens_one_blob)
        if candidate.name == own or (shared and not alone):
            return replace(candidate, sas=url.sas or candidate.sas), False
    taken = remotes.names
    wanted = name if alone else url.container.strip("$")
    candidates = chain([wanted, f"{url.account}-{wanted}"], (f"{wanted}-{number}" for number in count(2)))
    free = next(each for each in candidates if each not in taken)
    return Source(free, url.container, url.endpoint, url.sas), True
