"""The README is held to the repository it describes."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import documentation
from tests.azurite import ROOT

if TYPE_CHECKING:
    from tests.clones import Clone

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(path.name for path in (ROOT / "tools").iterdir() if path.is_file())


def tracked() -> list[str]:
    """The paths git knows or would add."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def annotated_tree(text: str) -> set[str]:
    """The paths of a text's tree below its first line, folders with a slash at the end."""
    [block] = re.findall(r"```\n([\w-]+/\n.*?)```", text, re.DOTALL)
    paths: list[tuple[int, str]] = []
    found = set()
    for line in block.splitlines()[1:]:
        match = re.match(r"((?:[│ ]   )*)[├└]── (\S+)", line)
        assert match, line
        depth = len(match[1]) // 4
        paths = [*((each, name) for each, name in paths if each < depth), (depth, match[2])]
        found.add("".join(name for _, name in paths))
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_and_appears_in_the_readme(command: str) -> None:
    """Its help begins with the usage, and shows an example."""
    result = subprocess.run([ROOT / "tools" / command, "--help"], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: {command} ")
    assert f"Example: tools/{command}" in result.stdout
    assert f"tools/{command}" in README


def test_each_option_the_readme_shows_exists() -> None:
    """Every `tools/COMMAND … --option` of the README."""
    shown = re.findall(r"tools/([a-z]+-asset[s]?)([^`\n|#]*)", README)
    for command, rest in shown:
        usage = subprocess.run(
            [ROOT / "tools" / command, "--help"], capture_output=True, text=True, check=True
        ).stdout
        for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", usage), f"tools/{command} {option}"


def test_the_tree_of_the_readme_is_what_a_user_sees() -> None:
    """All commands, and beside them what is there or comes with the first data."""
    later = {"dvc.lock", "archives/", "data/", "models/"}
    paths = annotated_tree(README)

    assert {path for path in paths if path.startswith("tools/")} == {
        "tools/",
        *(f"tools/{command}" for command in COMMANDS),
    }
    assert [path for path in paths - later if not (ROOT / path).exists()] == []
    assert later <= paths


def test_the_tree_of_contributing_has_every_module_with_its_first_sentence() -> None:
    """`python -m tests.documentation` writes it anew."""
    assert documentation.module_tree() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_each_page_that_is_linked_exists() -> None:
    """From the README and from each page of docs/."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(
            r"(?:\]\(|src=\"|srcset=\")([^)\"#:]+)(?=[)\"#])", page.read_text(encoding="utf-8")
        ):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_transcripts_are_what_the_commands_say(clone: Clone) -> None:
    """But for dates, times and the disk; `python -m tests.documentation` writes them anew."""
    shown = documentation.blocks(README)

    assert len(shown) >= 1
    for block in shown:
        assert documentation.stable(documentation.rerun(clone, block)) == documentation.stable(block)


def test_the_line_for_cron_prints_what_was_damaged_and_nothing_of_what_is_sound(shared: Clone) -> None:
    """Mended damage too: cron mails what is printed."""
    page = (ROOT / "docs/verify.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^0 3 \* \* 0  (.*)$", page, re.MULTILINE)
    command = ("sh", "-c", line.replace("REPOSITORY", str(shared.path)))
    shared.ok("dvc", "checkout", "--relink")  # hard links, which the copy of the clone has not kept

    sound = shared.run(*command)
    damaged = shared.path / "data/vqa/train.label.tsv"
    damaged.chmod(0o644)
    damaged.write_text("nonsense")
    damaged.chmod(0o444)
    mended = shared.run(*command)

    assert sound.said == ""
    assert (
        mended.stdout.splitlines()[-1] == "  damaged: data/vqa/train.label.tsv; mended from archives/vqa.zip"
    )


def test_each_make_target_the_readme_names_exists() -> None:
    """`make demo`, `make test`, and the rest."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`|&& )make ([a-z]+)", README, re.MULTILINE))

    assert {"demo", "setup", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """And nothing that the README does not tell a user."""
    last = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()[-1]

    assert last == "exec make test"
    assert "make test" in README


def test_the_pipeline_runs_a_command_of_tools() -> None:
    """What dvc.yaml calls is there, and what its stage is called is what the README says."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

    assert list(stages) == ["unzip"]
    assert stages["unzip"]["do"]["cmd"].split()[0] == "tools/unzip-asset"
    assert "unzip@vqa" in README


def test_each_error_that_is_explained_is_one_that_is_said() -> None:
    """Each start of an error that its table lists is one the tools can print."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tools/datarepo").rglob("*.py"))
    table = (ROOT / "docs/errors.md").read_text(encoding="utf-8").partition("\n## ")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)

    assert len(messages) >= 10
    for message in messages:
        for words in re.split(r"…|NAME|HOST|params\.yaml", message):
            assert words.strip(" ':") in code, message


def test_no_committed_file_names_a_registry_or_a_path_of_a_machine() -> None:
    """Lock files hold versions and hashes; where packages come from is each machine's affair."""
    for path in tracked():
        if (ROOT / path).is_file() and path != "tests/test_readme.py":
            text = (ROOT / path).read_text(encoding="utf-8")
            for host in ("pypi.org", "pythonhosted", "registry.npmjs", "/work/", "/root/"):
                assert host not in text, f"{path}: {host}"
