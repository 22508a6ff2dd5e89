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
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests import samples
from tests.azurite import ROOT
from tests.clones import write_through

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.azurite import Azurite
    from tests.clones import Clone, Result

TRIED = 8
OF_DVC = re.compile(r"\.[\w-]{22}\.tmp$")  # left by DVC's own writes: ignored by git, no object of the cache


class Command(NamedTuple):
    """A command of tools/, and what is typed at its prompt."""

    words: list[str]
    typed: str = ""


def run(clone: Clone, command: Command, log: Path, kill_at: int = 0) -> Result:
    """Run a command with a log of its writes, and kill it before one of them."""
    env = {
        "PYTHONPATH": str(ROOT / "tests/killed"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "KILL_BELOW": str(clone.path),
        "KILL_AT": str(kill_at),
        "KILL_LOG": str(log),
    }
    return clone.tool(*command.words, stdin=command.typed, env=env)


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
    paths = [path for folder in ("datarepo", "fetch", "verify") for path in (tmp / folder).rglob("*")]
    return [path.name for path in paths if path.suffix != ".lock"]


def moments(writes: Sequence[str]) -> list[int]:
    """The writes to be killed before, counted from 1: evenly from first to last, and all of secrets."""
    count = len(writes)
    tried = count if os.environ.get("EVERY_KILL") else min(TRIED, count)
    spread = {round(1 + at * (count - 1) / max(tried - 1, 1)) for at in range(tried)}
    return sorted(spread | {at for at, write in enumerate(writes, 1) if "config.local" in write})


def add_url(_: Clone, upstream: Azurite) -> Command:
    """A URL with a SAS of its own."""
    sas = upstream.sas(blob="datasets/GQA.zip")
    return Command(["add-asset", "mine", "--url", f"{upstream.endpoint}/oscar/datasets/GQA.zip?{sas}"])


def renew_sas(_: Clone, upstream: Azurite) -> Command:
    """A SAS typed at the prompt."""
    return Command(["add-asset", "vqa", "--sas-stdin"], upstream.sas())


def fetch(clone: Clone, _: Azurite) -> Command:
    """What was added."""
    clone.tool("add-asset", "vqa")
    return Command(["fetch-asset", "vqa"])


def with_data(clone: Clone) -> None:
    """An asset is here and committed."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add vqa")


def refresh(clone: Clone, upstream: Azurite) -> Command:
    """After a new edition was published."""
    with_data(clone)
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))
    return Command(["add-asset", "vqa"])


def verify(clone: Clone, _: Azurite) -> Command:
    """With archive and contents damaged."""
    with_data(clone)
    for name in ("archives/vqa.zip", "data/vqa/train.label.tsv"):
        write_through(clone.path / name)
    return Command(["verify-asset", "vqa"])


def unzip(clone: Clone, _: Azurite) -> Command:
    """By hand, in the place of what is there."""
    with_data(clone)
    return Command(["unzip-asset", "archives/vqa.zip", "data/vqa", "--replace"])  # what it has made itself


def alone(*words: str) -> Callable[[Clone, Azurite], Command]:
    """A command in a clone with data."""

    def prepare(clone: Clone, _: Azurite) -> Command:
        with_data(clone)
        return Command([*words])

    return prepare


CASES: dict[str, Callable[[Clone, Azurite], Command]] = {
    "add": lambda _, __: Command(["add-asset", "vqa", "GQA"]),
    "add all": lambda _, __: Command(["add-asset", "--all"]),
    "add a URL": add_url,
    "renew the SAS": renew_sas,
    "refresh": refresh,
    "fetch": fetch,
    "verify": verify,
    "unzip": unzip,
    "set remote": alone("set-remote", "../team of mine"),
    "remove": alone("remove-asset", "vqa"),
    "free": alone("remove-asset", "vqa", "--archive"),
    "list": alone("list-assets"),
}


@pytest.mark.parametrize("case", CASES)
def test_killed_before_any_write_a_command_makes_it_good_when_it_is_run_again(
    clone: Clone, upstream: Azurite, tmp_path: Path, case: str
) -> None:
    """The tree is that of a run nobody disturbed; before and after, git sees no file of the run's own."""
    command = CASES[case](clone, upstream)
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
        again = victim.tool(*command.words, stdin=command.typed)

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
