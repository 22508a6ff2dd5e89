"""A command of tools/ that is killed before any of its writes loses nothing, shows no secret, and can be run again.

A few writes of each command are tried; EVERY_KILL=1 in the environment tries all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import samples
from tests.azurite import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.azurite import Azurite
    from tests.clones import Clone, Result

TRIED = 8
OF_DVC = re.compile(r"\.[\w-]{22}\.tmp$")  # left by DVC's own writes: ignored by git, no object of the cache


def run(clone: Clone, command: list[str], log: Path, kill_at: int = 0) -> Result:
    """Run a command with a log of its writes, and kill it before one of them."""
    env = {
        "PYTHONPATH": str(ROOT / "tests/killed"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "KILL_BELOW": str(clone.path),
        "KILL_AT": str(kill_at),
        "KILL_LOG": str(log),
    }
    return clone.tool(*command, env=env)


def tree(clone: Clone) -> dict[str, tuple[int, bytes]]:
    """Mode and content of each file that users, git and DVC see, the cache included."""
    names = [*clone.files(), *(f".dvc/cache/{name}" for name in clone.tree(".dvc/cache"))]
    paths = {name: clone.path / name for name in names if not OF_DVC.search(name)}
    return {name: (path.stat().st_mode & 0o777, path.read_bytes()) for name, path in paths.items()}


def seen_by_git(clone: Clone) -> set[str]:
    """The files that `git add --all` would stage."""
    listed = clone.ok("git", "ls-files", "--modified", "--others", "--exclude-standard")
    return set(listed.splitlines())


def unfinished(clone: Clone) -> list[str]:
    """What lies in the folders for files still being written; locks may stay."""
    tmp = clone.path / ".dvc/tmp"
    paths = [path for folder in ("datarepo", "fetch") for path in (tmp / folder).rglob("*")]
    return [path.name for path in paths if path.suffix != ".lock"]


def moments(writes: Sequence[str]) -> list[int]:
    """The writes to be killed before, counted from 1: evenly from first to last, and all of secrets."""
    count = len(writes)
    tried = count if os.environ.get("EVERY_KILL") else min(TRIED, count)
    spread = {round(1 + at * (count - 1) / max(tried - 1, 1)) for at in range(tried)}
    return sorted(spread | {at for at, write in enumerate(writes, 1) if "config.local" in write})


def prepare(clone: Clone, upstream: Azurite, case: str) -> list[str]:
    """Bring a clone to where a command has something to do; the command."""
    if case == "add":
        return ["add-asset", "vqa", "GQA"]
    if case == "add a URL":
        sas = upstream.sas(blob="datasets/GQA.zip")
        return ["add-asset", "mine", "--url", f"{upstream.endpoint}/oscar/datasets/GQA.zip?{sas}"]
    clone.tool("add-asset", "vqa")
    if case == "fetch":
        return ["fetch-asset", "vqa"]
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add vqa")
    if case == "refresh":
        upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))
        return ["add-asset", "vqa"]
    return ["remove-asset", "vqa"] if case == "remove" else ["list-assets"]


@pytest.mark.parametrize("case", ["add", "add a URL", "refresh", "fetch", "remove", "list"])
def test_killed_before_any_write_a_command_makes_it_good_when_it_is_run_again(
    clone: Clone, upstream: Azurite, tmp_path: Path, case: str
) -> None:
    """The tree is that of a run nobody disturbed; before and after, git sees no file of the run's own."""
    command = prepare(clone, upstream, case)
    undisturbed = clone.copy(tmp_path / "undisturbed", tmp_path / "home")
    whole = run(undisturbed, command, tmp_path / "writes")
    assert whole.code == 0, whole.said
    expected = tree(undisturbed)
    visible = seen_by_git(clone) | seen_by_git(undisturbed)
    writes = (tmp_path / "writes").read_text().splitlines()

    for at in moments(writes):
        victim = clone.copy(tmp_path / f"killed-{at}", tmp_path / "home")
        killed = run(victim, command, tmp_path / f"writes-{at}", at)
        between = seen_by_git(victim)
        again = victim.tool(*command)

        before = f"killed before write {at} of {len(writes)}, {writes[at - 1]}"
        assert killed.code == -signal.SIGKILL, before
        assert between <= visible, before
        assert again.code == 0, f"{before}:\n{again.said}"
        assert tree(victim) == expected, before
        assert seen_by_git(victim) == seen_by_git(undisturbed), before
        assert unfinished(victim) == [], before
        victim.assert_no_signature_stored()
        shutil.rmtree(victim.path)


def test_an_object_that_a_killed_run_left_empty_is_not_taken_for_the_archive(clone: Clone) -> None:
    """DVC opens it under its final name to find out whether the disk can clone files."""
    content = samples.archive("vqa")
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    clone.tool("add-asset", "vqa")
    cached = clone.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    cached.parent.mkdir(parents=True)
    cached.touch()

    result = clone.tool("fetch-asset", "vqa")

    assert result.code == 0, result.said
    assert (cached.read_bytes(), (clone.path / "archives/vqa.zip").read_bytes()) == (content, content)


def test_a_killed_process_that_nobody_waited_for_holds_no_lock(clone: Clone) -> None:
    """It is among DVC's readers and writers, and still has a number; in a container nobody may ever wait for it."""
    clone.tool("add-asset", "vqa")
    with subprocess.Popen(["sleep", "60"]) as dead:
        dead.kill()
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # dead, and left as it is
        entry = {"pid": dead.pid, "cmd": "tools/fetch-asset vqa"}
        rwlock = {"read": {}, "write": {str(clone.path / "data/vqa"): entry}}
        (clone.path / ".dvc/tmp/rwlock").write_text(json.dumps(rwlock))

        result = clone.tool("fetch-asset", "vqa")

    assert (result.code, result.stderr) == (0, "")
