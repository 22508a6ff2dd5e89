"""A command's arguments and prompts: what is secret in them stays so, and no answer is one as well."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import samples
from tests.azurite import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clones import Clone

PROGRAM = """
import sys, typer
from datarepo import console

app = typer.Typer()

@app.command()
def command(url: str, file: str) -> None:
    with open(file, "w") as stream:
        print(url, *sys.argv[1:], sep="\\n", file=stream)

console.run(app, "command")
"""


def test_what_dvc_writes_of_the_command_line_holds_no_signature(tmp_path: Path) -> None:
    """It takes `sys.argv` for its list of locks, which others may read; the command gets it whole."""
    url, file = f"https://biglmdiag.blob.core.windows.net/oscar/x.zip?{samples.SAS}", str(tmp_path / "file")

    subprocess.run([sys.executable, "-c", PROGRAM, url, file], cwd=ROOT / "tools", check=True)

    masked = url.replace(url.partition("sig=")[2], "REDACTED")
    assert (tmp_path / "file").read_text().splitlines() == [url, masked, file]


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["vqa", "--sas-stdin"], 1, "this is not a SAS: nothing was given"),
        (["mine", "--url", "-"], 2, "no URL was given"),
    ],
)
@pytest.mark.parametrize("answer", [b"\x04", b"\n"], ids=["Ctrl-D", "Enter"])
def test_no_answer_to_a_hidden_prompt_is_said(
    untouched: Clone, arguments: list[str], code: int, error: str, answer: bytes
) -> None:
    """On a terminal, where the question and the answer stand in one line."""
    prompt = f"{'URL' if '--url' in arguments else 'SAS'} (not shown): "
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        [untouched.path / "tools/add-asset", *arguments],
        cwd=untouched.path,
        env=untouched.environment(),
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # or it would ask on the terminal that the tests run in
        text=True,
    ) as run:
        assert run.stdout
        assert run.stderr
        asked = run.stderr.read(len(prompt))
        os.write(terminal, answer)
        stdout, stderr = run.stdout.read(), run.stderr.read()
    os.close(terminal)
    os.close(its_end)

    lines = stderr.lstrip("\n").splitlines()
    assert (run.returncode, stdout, asked, lines[0]) == (code, "", prompt, f"error: {error}")
    assert [line[:6] for line in lines] == ["error:", "hint: "]


def test_results_that_nobody_reads_on_are_no_failure(clone: Clone) -> None:
    """The exit code of `tools/list-assets | true`, as scripts with pipefail see it, and nothing on stderr."""
    line = "tools/list-assets | true; exit ${PIPESTATUS[0]}"

    assert clone.run("bash", "-c", line) == (0, "", "")
