"""Data that is not as recorded: the commands that keep an edit, undo it, or mend damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datarepo.errors import StageError
from datarepo.pipeline.location import Condition, Location
from datarepo.pipeline.root import at_root

if TYPE_CHECKING:
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.import_stage import ImportStage
    from datarepo.pipeline.location import Presence


def keeping(asset: Asset, archive: Location) -> str:
    """The command that records what was edited; DVC wants the archive in the workspace with it."""
    if not asset.suffix or archive is Location.WORKSPACE:
        bring = ""
    elif archive is Location.CACHE:
        bring = f"dvc checkout {asset.stage} && "
    else:
        bring = f"tools/fetch-asset {asset.name} --no-unzip && "
    return f"{bring}dvc commit --force {asset.target}"


def choice(asset: Asset, presence: Presence) -> str:
    """How edits of recorded data are kept, and how they are undone."""
    if presence.data(asset) is Location.CACHE:
        undo = f"dvc checkout --force {asset.target}"
    elif asset.suffix and presence.archive.is_here:
        undo = f"dvc repro --force {asset.target}"
    else:
        undo = f"dvc pull --force {asset.target}"
    own = ", files of your own there included" if asset.suffix else ""
    keep = keeping(asset, presence.archive)
    return f"'{at_root(keep)}' keeps that, '{at_root(undo)}' undoes it{own}"


def damage(asset: Asset, presence: Presence) -> StageError:
    """The error of damaged data, which nobody should build on."""
    path = asset.file if presence.file is Condition.DAMAGED else asset.dir
    return StageError(
        f"{path} is damaged: its objects in the cache were overwritten, or are gone",
        f"tools/verify-asset {asset.name} mends it; if that finds no sound copy, move {path} away, then run"
        " the same command again",
    )


def not_published(asset: Asset, stage: ImportStage) -> StageError | None:
    """The error of a stage whose archive is not the published one; None when it is, or nothing tells.

    `dvc repro` and `dvc commit` record what lies in the archive's place, though the stage is frozen.
    """
    if None in (stage.md5, stage.content_md5) or stage.md5 == stage.content_md5:
        return None
    name = asset.name
    return StageError(
        f"{asset.stage} records an archive that is not the published one, as dvc repro and commit do",
        f"if nobody wanted that, git checkout HEAD -- {asset.stage} && tools/verify-asset {name}"
        f" && tools/fetch-asset {name}",
    )
