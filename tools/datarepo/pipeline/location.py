"""Where data is, in one set of words for all commands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datarepo.pipeline.catalogue import Asset


class Location(Enum):
    """Where an archive or its contents are, the nearest place first."""

    WORKSPACE = "workspace"
    CACHE = "cache"
    PART_FILE = "part file"
    TEAM = "team remote"
    UPSTREAM = "upstream"
    UNKNOWN = "unknown"  # not on this machine, and the team remote cannot be asked

    @property
    def is_here(self) -> bool:
        """Whether that is on this machine, and whole."""
        return self in (Location.WORKSPACE, Location.CACHE)


class Condition(Enum):
    """What lies in the workspace, compared with what import stage and `dvc.lock` record."""

    MISSING = "missing"
    PARTIAL = "partly here"  # some of the recorded files, and nothing else
    AS_RECORDED = "as recorded"
    OTHER = "another version"  # one that the cache has as well, so that nothing is lost with it
    DAMAGED = "damaged"  # a link into the cache, whose object is not any more what it was
    MODIFIED = "modified"  # nothing that DVC keeps


@dataclass(frozen=True)
class Presence:
    """What is on this machine of an asset; UPSTREAM means that nothing is.

    `archive` is the archive that the import stage records, `contents` what `dvc.lock` records as made of
    just that archive, None where it records nothing or there is nothing to unpack; `condition` is that
    of the contents in the workspace, or of the file that is no archive. `arrived` are the bytes of a part
    file; `file` is the condition of what lies where the archive belongs.
    """

    archive: Location = Location.UPSTREAM
    contents: Location | None = None
    condition: Condition = Condition.MISSING
    arrived: int = 0
    file: Condition = Condition.MISSING

    def data(self, asset: Asset) -> Location | None:
        """Where what people work with is, as recorded; None when no unpacking is recorded."""
        return self.contents if asset.suffix else self.archive

    @property
    def in_the_way(self) -> bool:
        """Whether something of the user's stands where the archive belongs."""
        return self.file is Condition.MODIFIED

    @property
    def is_damaged(self) -> bool:
        """Whether what is recorded lies here, and `tools/verify-asset` is to mend it."""
        damaged = Condition.DAMAGED
        return self.file is damaged or (self.contents is not None and self.condition is damaged)

    @property
    def is_ready(self) -> bool:
        """Whether people can work with it: contents as recorded, or the file that is no archive."""
        return self.condition is Condition.AS_RECORDED

    @property
    def is_here(self) -> bool:
        """Whether this machine has the recorded data in some form, so that nothing need be downloaded."""
        return self.archive.is_here or bool(self.contents and self.contents.is_here)
