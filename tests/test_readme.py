"""The README is held to the repository it describes."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from tests.azurite import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(path.name for path in (ROOT / "tools").iterdir() if path.is_file())


def tracked() -> list[str]:
    """The paths git knows or would add."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def annotated_tree() -> set[str]:
    """The paths of the README's tree, folders with a slash at the end."""
    [block] = re.findall(r"```\n(oscar-data/\n.*?)```", README, re.DOTALL)
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


def test_the_annotated_tree_is_the_one_on_the_disk() -> None:
    """It names each file and folder of the top level and of `tools/`, and no other."""
    listed = {path for path in tracked() if (ROOT / path).exists()}
    expected = set()
    for path in listed:
        parts = path.split("/")
        expected.add(parts[0] + ("/" if len(parts) > 1 else ""))
        if parts[0] == "tools":
            expected.add("/".join(parts[:2]) + ("/" if len(parts) > 2 else ""))

    assert annotated_tree() == expected


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


def test_the_readme_names_every_kind_of_error_message() -> None:
    """Each start of an error that its table lists is one the tools can print."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tools/datarepo").rglob("*.py"))
    table = README.partition("## What each error means")[2].partition("\n## ")[0]
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
