"""Users as containers have them: an id without a name, a home that is none."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import samples

if TYPE_CHECKING:
    from tests.clones import Clone

NAMELESS = ["unshare", "--user", "--map-user=54321"]


def has_user_namespaces() -> bool:
    """Whether this machine lets a test be somebody else."""
    return bool(shutil.which("unshare")) and subprocess.run([*NAMELESS, "true"], check=False).returncode == 0


@pytest.mark.skipif(not has_user_namespaces(), reason="no user namespaces on this machine")
def test_a_user_without_name_and_home_is_told_what_dvc_needs(clone: Clone) -> None:
    """The commands of tools/ do without, and DVC itself works with what they say."""
    clone.home.chmod(0o555)
    needs = f"export USER=54321 AZURE_CONFIG_DIR={clone.path}/.dvc/tmp/azure"
    expected = f"no name or no home for this user here; dvc needs: {needs}\n"

    results = [
        clone.run(*NAMELESS, *command)
        for command in (
            ["tools/add-asset", "vqa"],
            ["tools/fetch-asset", "vqa", "--no-unzip"],
            ["tools/list-assets"],
        )
    ]
    without = clone.run(*NAMELESS, "dvc", "status")
    repro = clone.run(*NAMELESS, "sh", "-c", f"{needs} && dvc repro")

    assert [(result.code, result.stderr) for result in results] == 3 * [(0, expected)]
    assert without.code != 0
    assert repro.code == 0, repro.said
    assert clone.tree("data/vqa") == samples.tree("vqa")


@pytest.mark.skipif(not has_user_namespaces(), reason="no user namespaces on this machine")
def test_a_user_without_any_home_gets_one_in_the_clone(clone: Clone) -> None:
    """HOME is not set, and nobody knows the user's: DVC has none for its configuration either."""
    needs = f"export USER=54321 HOME={clone.path}/.dvc/tmp/home"
    homeless = ["env", "-u", "HOME", *NAMELESS]

    added = clone.run(*homeless, "tools/add-asset", "vqa")
    without = clone.run(*homeless, "dvc", "status")
    repro = clone.run(*homeless, "sh", "-c", f"{needs} && dvc repro")

    assert (added.code, added.stderr) == (0, f"no name or no home for this user here; dvc needs: {needs}\n")
    assert without.code != 0
    assert repro.code == 0, repro.said


@pytest.mark.skipif(not has_user_namespaces(), reason="no user namespaces on this machine")
def test_a_line_that_is_completed_stays_as_it_is(untouched: Clone) -> None:
    """What is printed at Tab stands in the middle of it."""
    untouched.home.chmod(0o555)
    asks = {
        "_ADD_ASSET_COMPLETE": "complete_bash",
        "COMP_WORDS": "tools/add-asset GQ",
        "COMP_CWORD": "1",
    }

    assert untouched.run(*NAMELESS, "tools/add-asset", env=asks) == (0, "GQA\n", "")


def test_an_environment_that_cannot_be_started_is_told(untouched: Clone) -> None:
    """For instance somebody else's Python, which this user may not run."""
    environment = untouched.path / ".venv"
    environment.unlink()
    (environment / "bin").mkdir(parents=True)
    (environment / ".ready").touch()
    (environment / "bin/python").write_text("")

    result = untouched.run("python3", "tools/list-assets")

    assert (result.code, result.stdout, result.stderr.splitlines()) == (
        1,
        "",
        [
            f"error: the environment of the tools cannot be used: {environment}/bin/python: Permission denied",
            "hint: ask who set it up, or run 'make setup' in a clone of your own",
        ],
    )
