"""`make setup`: the environment of the tools, whole or not there at all.

Packages come from the network, so real set-ups here install small ones that the tests build themselves, from
lock files of their own; the files that are committed are read.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.azurite import ROOT
from tests.clones import Clone

SCRIPT = ROOT / "tools" / "datarepo" / "setup.py"
LOCKS = sorted(ROOT.glob("requirements*.lock"))
READY = ".venv is ready\nnext: . .venv/bin/activate && tools/add-asset vqa\n"


def pins(text: str) -> dict[str, str]:
    """The versions that requirements name, by package."""
    found = re.findall(r'^[ "]*([A-Za-z0-9._-]+)(?:\[\w+\])?==([^ ";\\]+)', text, re.MULTILINE)
    return {re.sub(r"[._-]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_each_locked_package_has_a_version_and_hashes_and_nothing_names_a_source(lock: Path) -> None:
    """So what is installed is what was tested, wherever it comes from."""
    text = re.sub(r" \\\n +", " ", lock.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]

    assert len(lines) > 100
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+", line), line
    assert "://" not in text


def test_the_lock_files_agree_with_each_other_and_with_pyproject() -> None:
    """Any of them can be added to any other."""
    everything = pins((ROOT / "requirements-dev.lock").read_text(encoding="utf-8"))

    for text in [path.read_text(encoding="utf-8") for path in [*LOCKS, ROOT / "pyproject.toml"]]:
        assert pins(text).items() <= everything.items()


def test_each_extra_of_pyproject_has_a_lock_file() -> None:
    """`make setup EXTRAS="s3 ssh"` and `pip install .[s3,ssh]` mean the same."""
    [extras] = re.findall(
        r"\[project\.optional-dependencies\](.*?)\n\n", (ROOT / "pyproject.toml").read_text(), re.DOTALL
    )

    names = re.findall(r"^(\w+) = ", extras, re.MULTILINE)
    assert [lock.name for lock in LOCKS] == sorted(
        ["requirements.lock", *(f"requirements-{name}.lock" for name in ["dev", *names])]
    )


def test_each_package_that_is_imported_is_declared() -> None:
    """None is there only because another happens to need it."""
    declared = pins((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    distributions = importlib.metadata.packages_distributions()
    imported = set()
    for path in [*(ROOT / "tools").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)

    tops = {name.partition(".")[0] for name in imported}
    foreign = {name: distributions[name] for name in tops & set(distributions) - {"datarepo", "tests"}}
    assert {"azure", "cryptography", "dvc", "pytest"} <= set(foreign)
    for name, owners in foreign.items():
        assert {re.sub(r"[._-]+", "-", owner).lower() for owner in owners} & set(declared), name


def test_the_script_is_readable_for_a_python_too_old() -> None:
    """Which would otherwise answer with a syntax error."""
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))


def setup_under(clone: Clone, change: str) -> tuple[int, str, str]:
    """Code, stdout and stderr of the set-up under this Python with a change to its `sys`, and without uv."""
    program = f"import runpy, sys; {change}; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    result = clone.run(
        sys.executable, "-c", program, clone.path / "tools/datarepo/setup.py", env={"PATH": "/nowhere"}
    )
    return (result.code, result.stdout, result.stderr)


def test_a_python_too_old_is_told_and_a_newer_one_asked_for(untouched: Clone) -> None:
    """Before anything is touched."""
    assert setup_under(untouched, "sys.version_info = (3, 9, 18)") == (
        1,
        "",
        "error: python3.9 is too old: 3.10 or later is needed\nhint: make setup PYTHON=python3.12\n",
    )


def test_a_python_without_ensurepip_is_told_and_its_package_named(untouched: Clone) -> None:
    """Debian's Python, which comes in parts."""
    (untouched.path / ".venv").unlink()
    python = "python{}.{}".format(*sys.version_info)

    assert setup_under(untouched, "sys.modules['ensurepip'] = None") == (
        1,
        "",
        f"""error: {python} comes without ensurepip, which environments are made with
hint: on Debian and Ubuntu: sudo apt install {python}-venv; then run the same command again
""",
    )
    assert not (untouched.path / ".venv").exists()


def test_an_extra_that_is_none_is_refused_and_those_there_are_named(untouched: Clone) -> None:
    """An asset, say."""
    result = untouched.run("make", "setup", "EXTRAS=vqa")

    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[:2] == [
        "error: there is no extra vqa",
        'hint: make setup EXTRAS="s3 ssh"',
    ]


def test_a_link_to_an_environment_that_fits_is_used(untouched: Clone) -> None:
    """The one of another clone at the same versions, which is left as it is."""
    before = (ROOT / ".venv" / ".ready").stat()

    for _ in range(2):
        result = untouched.run("make", "setup")
        assert (result.code, result.stdout, result.stderr) == (0, READY, "")
    assert (ROOT / ".venv" / ".ready").stat() == before


def test_a_link_to_anything_else_is_refused_and_left_alone(untouched: Clone, tmp_path: Path) -> None:
    """What it leads to is another's."""
    venv = untouched.path / ".venv"
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "precious").write_text("precious")
    venv.unlink()
    venv.symlink_to(theirs)

    for target in ("setup", "demo"):
        result = untouched.run("make", target)
        assert (result.code, result.stdout) == (2, "")
        assert result.stderr.splitlines()[:2] == [
            f"error: {venv} is a link to {theirs}, which does not hold what this clone needs",
            f"hint: rm {venv} && make setup",
        ]
    assert [path.name for path in theirs.iterdir()] == ["precious"]
    assert venv.readlink() == theirs


def wheel(folder: Path, name: str, version: str) -> str:
    """Build a wheel with one module; its line of a lock file."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(
            f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Small:
    """A clone whose lock files name small packages, found in a folder."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.wheels = clone.home / "wheels"
        self.wheels.mkdir()
        self.venv = clone.path / ".venv"
        self.venv.unlink()
        self.lock(apple="1")

    def lock(self, *, apple: str) -> None:
        """Write lock files: a user needs apple, S3 a pear as well."""
        line = wheel(self.wheels, "apple", apple)
        (self.clone.path / "requirements.lock").write_text(line)
        (self.clone.path / "requirements-s3.lock").write_text(line + wheel(self.wheels, "pear", "1"))

    def environment(self) -> dict[str, str]:
        """Where pip and uv find the wheels, and nothing else."""
        options = {"NO_INDEX": "1", "FIND_LINKS": str(self.wheels)}
        return {f"{tool}_{name}": value for tool in ("PIP", "UV") for name, value in options.items()}

    def setup(self, *arguments: str) -> tuple[int, str, bool]:
        """`make setup`: its code, its stdout, and whether it had anything to do."""
        result = self.clone.run("make", "setup", *arguments, env=self.environment())
        print(result.stderr)  # shown when a test fails
        return (result.code, result.stdout, f"setting up {self.venv}" in result.stderr)

    def installed(self, venv: Path | None = None) -> set[tuple[str, str]]:
        """The packages, apart from pip's own."""
        [packages] = (venv or self.venv).glob("lib/python*/site-packages")
        found = {tuple(path.stem.split("-")) for path in packages.glob("*.dist-info")}
        return {(name, version) for name, version in found if name not in {"pip", "setuptools"}}


@pytest.fixture
def small(untouched: Clone) -> Small:
    """A fresh clone that a set-up makes in seconds."""
    return Small(untouched)


def test_extras_are_added_and_kept_when_the_environment_is_renewed(small: Small, tmp_path: Path) -> None:
    """By a change of the lock files, and by a move of the clone, after which no script of it would start."""
    assert small.setup() == (0, READY, True)
    assert small.installed() == {("apple", "1")}
    assert (small.venv / "bin" / "add-asset").samefile(small.clone.path / "tools" / "add-asset")
    (small.venv / "mark").touch()  # which goes when it is made anew

    assert small.setup("EXTRAS=s3") == (0, READY, True)
    assert small.setup() == (0, READY, False)
    assert small.installed() == {("apple", "1"), ("pear", "1")}
    assert (small.venv / "mark").exists()

    small.lock(apple="2")
    assert small.setup() == (0, READY, True)
    assert small.installed() == {("apple", "2"), ("pear", "1")}
    assert not (small.venv / "mark").exists()

    moved = small.clone.path.rename(tmp_path / "elsewhere")
    small.clone, small.venv = Clone(moved, small.clone.home), moved / ".venv"
    assert small.setup() == (0, READY, True)
    assert small.installed() == {("apple", "2"), ("pear", "1")}
    assert f"{small.venv}" in (small.venv / "bin" / "activate").read_text()


def test_a_failed_or_interrupted_set_up_does_not_look_done_and_the_next_mends_it(small: Small) -> None:
    """A package that is not the locked one, then Ctrl-C, then neither."""
    sound = (small.clone.path / "requirements.lock").read_text()
    (small.clone.path / "requirements.lock").write_text(sound[:-65] + "0" * 64 + "\n")
    failed = small.clone.run("make", "setup", env=small.environment())

    assert (failed.code, failed.stdout) == (2, "")
    assert "error: the set-up failed at: " in failed.stderr
    assert "hint: read the lines above, then run the same command again" in failed.stderr
    assert "Traceback" not in failed.stderr

    (small.clone.path / "requirements.lock").write_text(sound)
    run = subprocess.Popen(
        ["make", "setup"], cwd=small.clone.path, env={**small.clone.environment(), **small.environment()},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert run.stderr
    first = run.stderr.readline()
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: make, the set-up and its children
    out, rest = run.communicate(timeout=60)

    assert first.startswith(f"setting up {small.venv}")
    assert out == ""
    assert rest.splitlines()[:2] == [
        "error: the set-up was interrupted",
        "hint: run the same command again, it begins afresh",
    ]
    assert small.clone.run(Path(sys.base_prefix) / "bin" / "python3", "-S", "tools/list-assets").code == 1

    assert small.setup() == (0, READY, True)
    assert small.installed() == {("apple", "1")}


def test_two_set_ups_at_once_make_one_environment(small: Small) -> None:
    """The second waits, and finds it made."""
    runs = [
        subprocess.Popen(
            ["make", "setup"], cwd=small.clone.path, env={**small.clone.environment(), **small.environment()},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = sorted(run.communicate(timeout=120) for run in runs)

    assert [run.returncode for run in runs] == [0, 0]
    assert [out for out, _ in told] == [READY, READY]
    assert [err.startswith("setting up ") for _, err in told] == [False, True]
    assert small.installed() == {("apple", "1")}
