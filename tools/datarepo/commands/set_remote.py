"""`tools/set-remote`: the storage that a team shares through, tried and then configured.

set_remote
├── team_remote.parse     URL, options and secret -> what to commit and what to keep
├── team_remote.applied   that on top of what the files of configuration have
├── probe.probe           an object written there, read back and deleted
└── write_private, then write_public: nothing before the probe has passed
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarepo.commands.report import Report
from datarepo.errors import RemoteError, UsageError
from datarepo.pipeline import probe, team_remote
from datarepo.pipeline.commit import commit_line
from datarepo.pipeline.remotes import PRIVATE, PUBLIC, read_file, write_private, write_public
from datarepo.pipeline.root import at_root, find_root, writing
from datarepo.pipeline.team_remote import NAME

if TYPE_CHECKING:
    from datarepo.pipeline.probe import Rights
    from datarepo.pipeline.team_remote import TeamRemote


@dataclass(frozen=True)
class RemoteReport(Report):
    """The team remote, what this machine may do there, and what was written for it here."""

    remote: TeamRemote
    rights: Rights
    needs: str  # who gets in with what
    is_new: bool  # to the committed configuration
    kept: bool  # whether something was kept in the private configuration
    commit: str  # what commits it, empty when that is done

    @property
    def next(self) -> str:
        """What to run next."""
        transfer = "dvc push" if self.rights.write else "dvc pull"
        return at_root(f"{self.commit} && {transfer}" if self.commit else transfer)

    def lines(self) -> Iterable[str]:
        """What works, what was written where, who needs what, and what to run next."""
        url = self.remote.place
        if self.rights.write:
            done = "written, read back and deleted" if self.rights.delete else "written and read back"
            yield f"{url}: a probe was {done}"
        else:
            yield f"{url}: can be read, not written: {self.rights.words}"
        if self.is_new:
            yield f"{PUBLIC} names it, for everybody"
        if self.kept:
            yield f"{PRIVATE} keeps what is yours of it: git ignores it, and only you can read it"
        yield f"next: {self.next}"

    def notes(self) -> Iterable[str]:
        """What others need, and what this credential cannot do."""
        if self.rights.write and not self.rights.delete:
            yield "deleting was refused: the probe stays there, and 'dvc gc --cloud' is for somebody else"
        if self.is_new:
            yield f"each colleague needs {self.needs}"
            yield "and runs tools/set-remote once, without the URL, which git brings"

    def document(self) -> dict[str, Any]:
        """The rights are those of a probe made now."""
        return {
            "url": self.remote.place,
            "new": self.is_new,
            "write": self.rights.write,
            "delete": self.rights.delete,
            "next": self.next,
        }


def set_remote(url: str | None, options: Mapping[str, str | None], secret: str | None = None) -> RemoteReport:
    """Try the team remote, and configure it if that works; without `url`, the one that is configured.

    `options` are those of the command line, None where not given. Raises UsageError and RemoteError,
    and then nothing was written.
    """
    root = find_root()
    with writing(root):
        public, private = read_file(root, PUBLIC, NAME), read_file(root, PRIVATE, NAME)
        if url is None and "url" not in public:
            raise UsageError(
                f"there is no remote '{NAME}' in {PUBLIC}", "name the storage: tools/set-remote URL"
            )
        remote = team_remote.parse(
            url or _typed(public["url"], root), root, options, secret, (public, private)
        )
        given = bool(remote.private)
        new_public = team_remote.applied(public, remote.public)
        new_private = team_remote.applied(
            private, {"url": remote.url, **remote.private}, remote.kind.secrets if given else ()
        )
        rights = probe.probe(remote, {**new_public, **new_private, "url": remote.place})
        needs = remote.kind.needed(new_public)
        is_new = new_public != public
        if public.get("url") != remote.url and not rights.write:
            raise RemoteError(f"{remote.place} lets you read, not write: {rights.words}", f"you need {needs}")
        if given or private:
            write_private(root, NAME, new_private)
        if is_new:
            write_public(root, NAME, new_public)
        commit = commit_line(root, [PUBLIC], f"Share through {remote.place}")
    return RemoteReport(remote, rights, needs, is_new, given, commit)


def _typed(url: str, root: Path) -> str:
    """A URL of `.dvc/config` as one would type it in the current folder."""
    place = team_remote.place(url, root)
    return place if "://" in url or os.path.isabs(url) else os.path.relpath(place)  # noqa: PTH117
