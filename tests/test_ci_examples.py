"""The workflows of `docs/ci`: what they run works in a clone, step by step as bash runs it there."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import samples
from tests.azurite import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.azurite import Azurite
    from tests.clones import Clone, Result

EXAMPLES = sorted((ROOT / "docs/ci").glob("*.yml"))


def steps(name: str) -> list[dict[str, Any]]:
    """The steps of a workflow's one job."""
    [job] = yaml.safe_load((ROOT / "docs/ci" / name).read_text(encoding="utf-8"))["jobs"].values()
    return [dict(step) for step in job["steps"]]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_each_says_where_it_belongs_and_may_do_no_more_than_it_has_to(path: Path) -> None:
    """Reading, and writing issues for the one that opens them; whatever make is asked for exists."""
    text = path.read_text(encoding="utf-8")
    wanted = {"contents": "read"} | ({"issues": "write"} if "gh issue create" in text else {})
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert f"copy to .github/workflows/{path.name}" in text.splitlines()[0]
    assert yaml.safe_load(text)["permissions"] == wanted
    for target in re.findall(r"run: make (\w+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def run_step(clone: Clone, tmp_path: Path, step: dict[str, Any]) -> tuple[Result, str]:
    """Run a step as GitHub does: what it answered, and the outputs it set."""
    outputs = tmp_path / "outputs"
    outputs.write_text("")
    shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"])
    result = clone.run(
        *shell,
        env={
            "GITHUB_OUTPUT": str(outputs),
            "TITLE": "Assets have changed upstream",
            "PATH": f"{tmp_path}{os.pathsep}{clone.environment()['PATH']}",
        },
    )
    return result, outputs.read_text()


def test_upstream_is_asked_and_a_change_is_no_failure(
    clone: Clone, upstream: Azurite, tmp_path: Path
) -> None:
    """Nothing new, something new, and a service that does not answer: three outcomes, told apart."""
    [ask] = [step for step in steps("upstream.yml") if step.get("id") == "ask"]
    clone.tool("add-asset", "vqa")

    same = run_step(clone, tmp_path, ask)
    upstream.put(samples.blob_path("vqa"), samples.archive("GQA"))
    changed = run_step(clone, tmp_path, ask)
    clone.use("BlobEndpoint=http://127.0.0.1:1/biglmdiag")
    failed = run_step(clone, tmp_path, ask)

    assert (same[0].code, same[1]) == (0, "changed=false\n")
    assert (changed[0].code, changed[1]) == (0, "changed=true\n")
    assert (failed[0].code, failed[1]) == (1, "")


@pytest.mark.skipif(not shutil.which("jq"), reason="needs jq, which GitHub's runners have")
@pytest.mark.parametrize(("open_issues", "opened"), [("0", ["coco_ir vqa"]), ("1", [])])
def test_an_issue_names_what_has_changed_unless_one_is_open(
    open_issues: str, opened: list[str], clone: Clone, upstream: Azurite, tmp_path: Path
) -> None:
    """In the place of `gh`, a script that knows how many are open and keeps what it is told."""
    said = tmp_path / "said"
    gh = tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\n[ "$2" = list ] && echo {open_issues} || printf "%s\\n" "$@" >> {said}\n')
    gh.chmod(0o755)
    ask, issue = steps("upstream.yml")[-2:]
    clone.tool("add-asset", "vqa", "coco_ir", "GQA")
    for name in ("vqa", "coco_ir"):
        upstream.put(samples.blob_path(name), samples.archive("nlvr2"))

    run_step(clone, tmp_path, ask)
    result, _ = run_step(clone, tmp_path, issue)

    text = said.read_text() if said.exists() else ""
    assert result.code == 0, result.said
    assert re.findall(r"`tools/add-asset (.*)` records", text) == opened
    for names in opened:
        assert clone.tool("add-asset", *names.split()).stdout.count("changed upstream") == 2
