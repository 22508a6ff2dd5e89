"""What the tests take for granted: a command that the server forks is the command that a user starts."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.azurite import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clones import Clone

SESSION = [
    ["tools/add-asset", "vqa"],
    ["tools/add-asset", "vq"],
    ["tools/add-asset", "--sas-stdin", "vqa"],
    ["dvc", "repro", "--quiet"],
    ["dvc", "status"],
    ["dvc", "pull", "nothing"],
    ["dvc", "--nothing"],
    ["tools/unzip-asset", "archives/vqa.zip", "data/vqa"],
    ["tools/unzip-asset", "archives/vqa.zip", "again"],
    ["tools/list-assets", "--json"],
]  # no `dvc repro` that talks: it names files in the order of a set
TIME = re.compile(r"\d+\.\d s\b")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each command is started")
def test_a_forked_command_says_and_leaves_what_a_started_one_does(clone: Clone, tmp_path: Path) -> None:
    """Exit code, both streams and all files, step by step, of commands that succeed and that fail."""
    twin = clone.copy(tmp_path / "twin", tmp_path / "its-home")

    for program, *arguments in SESSION:
        path = ROOT / ".venv/bin/dvc" if program == "dvc" else twin.path / program
        started = subprocess.run(
            [path, *arguments],
            cwd=twin.path, env=twin.environment(), input="", capture_output=True, text=True, check=False,
        )  # fmt: skip
        forked = clone.run(program, *arguments)

        said = (started.stdout, started.stderr.replace(str(twin.path), str(clone.path)))
        assert [TIME.sub("a moment", text) for text in forked[1:]] == [
            TIME.sub("a moment", text) for text in said
        ]
        assert forked.code == started.returncode
        assert clone.files() == twin.files()
