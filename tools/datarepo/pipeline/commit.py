"""The commit that a command asks for: every path of ours that git sees changed, as a line to type.

The list that DVC prints leaves out `params.yaml` and `.gitignore` files: who pulls such a commit gets
an archive, no data, and "up to date".
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from datarepo.pipeline import catalogue, dvc_lock

if TYPE_CHECKING:
    from datarepo.pipeline.catalogue import Asset

_TOLD = 3  # names in a message, above which they are counted
_MANY = 4  # stages of a folder, above which its pattern is easier to read


def commit_line(root: Path, paths: Iterable[str], message: str, coming: Iterable[str] = ()) -> str:
    """The command that commits those of the paths that have changed; empty when none has.

    It is to be typed at the root. `coming` are paths that will have changed by then.
    """
    return _line(root, {*changed(root, paths), *coming}, message)


def asset_line(
    root: Path,
    named: Sequence[Asset],
    used: Iterable[Asset],
    changes: Mapping[str, str],
    coming: Iterable[str] = (),
) -> str:
    """The command that commits the named assets, and those in use that are not committed yet.

    They share params.yaml and dvc.lock: a commit of these without all the stages that they speak of is
    not whole. `changes` are what has `changed` of them, `coming` is as in `commit_line`.
    """
    wanted = {*changes, *coming}
    assets = [asset for asset in dict.fromkeys([*used, *named]) if asset.stage in wanted] or named
    is_new = any(changes.get(asset.stage) in ("??", "A ") for asset in assets)
    return _line(root, wanted, f"{'Add' if is_new else 'Update'} {names(assets)}")


def names(assets: Sequence[Asset]) -> str:
    """Assets in a message: by name where these are few."""
    few = ", ".join(asset.name for asset in assets)
    return few if len(assets) <= _TOLD else f"{len(assets)} assets"


def paths(assets: Iterable[Asset]) -> list[str]:
    """All that git keeps of assets: stages, ignore files, parameters, lock and sources."""
    kept = dict.fromkeys([catalogue.FILE, dvc_lock.FILE, ".dvc/config"])
    for asset in assets:
        kept |= dict.fromkeys([asset.stage])
        kept |= dict.fromkeys(str(PurePosixPath(path).with_name(".gitignore")) for path in asset.outputs)
    return list(kept)


def changed(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Those of the paths (from the root) that differ from the last commit, each with git's two letters.

    Where git cannot tell, all that are there count, as `??`.
    """
    wanted = list(paths)
    if not wanted:
        return {}  # git would tell of all there is
    prefix = _git(root, "rev-parse", "--show-prefix").stdout.strip()  # the root need not be that of git
    options = ("--porcelain", "--no-renames", "--untracked-files=all", "-z")
    answer = _git(root, "status", *options, "--", *wanted)
    if answer.returncode:
        return {path: "??" for path in wanted if (root / path).exists()}
    entries = (entry for entry in answer.stdout.split("\0") if entry)
    return {entry[3:].removeprefix(prefix): entry[:2] for entry in entries}


def tracked(root: Path, paths: Iterable[str]) -> list[str]:
    """The files at or below these paths that git tracks, committed or not."""
    answer = _git(root, "--literal-pathspecs", "ls-files", "-z", "--", *paths)
    return [name for name in answer.stdout.split("\0") if name]


def at_head(root: Path, path: str) -> str:
    """The text of a file in the last commit, empty when it is not there."""
    answer = _git(root, "show", f"HEAD:./{path}")
    return "" if answer.returncode else answer.stdout


def _line(root: Path, paths: set[str], message: str) -> str:
    if not paths:
        return ""
    added = " ".join(map(shlex.quote, _short(root, sorted(paths))))
    quoted = re.sub(r'([\\"$`])', r"\\\1", message)
    return f'git add {added} && git commit -m "{quoted}"'


def _short(root: Path, paths: list[str]) -> list[str]:
    """The paths, with one pattern for many stages of a folder, when no other stage there has changed."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        if path.endswith(".dvc"):
            folders.setdefault(str(PurePosixPath(path).parent), []).append(path)
    for folder, stages in folders.items():
        pattern = f"{folder}/*.dvc"
        if len(stages) > _MANY and set(changed(root, [pattern])) <= set(stages):
            paths = sorted({*paths, pattern} - set(stages))
    return paths


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ("git", "-C", str(root), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)
