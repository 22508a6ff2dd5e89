"""Making `.venv`, the environment of the tools: `make setup`, and what the other targets add to it.

    make setup              requirements.lock: what a user needs
    make setup EXTRAS=s3    requirements-s3.lock too, now and at each renewal
    make test               requirements-dev.lock and Azurite too, likewise

`.venv/.sets` remembers these names; `.venv/.ready`, written last, what the environment was made from. This
runs before anything is installed: with the standard library alone, and in the syntax of Python 3.6, so that
one which is too old can say so.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
READY = VENV / ".ready"
SETS = VENV / ".sets"
LOCKS = {path.stem.partition("-")[2]: path for path in ROOT.glob("requirements*.lock")}
AZURITE = ROOT / "tests" / "azurite"
PYTHON = "python{}.{}".format(*sys.version_info)


def build(asked: "set[str]") -> None:
    """Make `.venv` hold these sets and those asked for before; do nothing where it does already.

    Two runs at once wait for each other, and what a killed run has left is made anew by the next.
    """
    if sys.version_info < (3, 10):
        _fail(PYTHON + " is too old: 3.10 or later is needed", "make setup PYTHON=python3.12")
    if asked - set(LOCKS):
        extras = " ".join(sorted(set(LOCKS) - {"", "dev"}))
        _fail("there is no extra " + ", ".join(sorted(asked - set(LOCKS))), f'make setup EXTRAS="{extras}"')
    scratch = ROOT / ".dvc" / "tmp"  # which git ignores
    scratch.mkdir(exist_ok=True)
    with (scratch / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = set(_read(SETS).split()) & set(LOCKS) | {""}
        if _read(READY) == _fingerprint(known | asked):
            return
        if VENV.is_symlink():
            there = Path(os.path.realpath(VENV))
            message = f"{VENV} is a link to {there}, which does not hold what this clone needs"
            _fail(message, f"rm {VENV} && make setup")
        _renew(known, known | asked, lock.fileno())


def _renew(known: "set[str]", names: "set[str]", lock: int) -> None:
    """Add to an environment that is sound, else begin afresh."""
    uv = shutil.which("uv")
    if not uv and not importlib.util.find_spec("ensurepip"):
        hint = f"on Debian and Ubuntu: sudo apt install {PYTHON}-venv; then run the same command again"
        _fail(PYTHON + " comes without ensurepip, which environments are made with", hint)
    takes = "a minute or two" if "dev" in names else "about a minute"
    print(f"setting up {VENV} with " + ("uv" if uv else f"pip ({takes})"), file=sys.stderr, flush=True)
    sound = _read(READY) == _fingerprint(known) and (uv or (VENV / "bin" / "pip").exists())
    VENV.mkdir(exist_ok=True)
    READY.unlink(missing_ok=True)
    SETS.write_text(" ".join(sorted(names)))
    if not sound:
        # bin/python before pyvenv.cfg, without which it would take itself for the Python to make links to.
        for path in sorted(set(VENV.iterdir()) - {SETS}, key=Path.is_file):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        venv.create(VENV, symlinks=True, with_pip=not uv)
        for tool in filter(Path.is_file, (ROOT / "tools").iterdir()):
            # On the PATH of the activated environment, shells complete the commands by their name.
            (VENV / "bin" / tool.name).symlink_to(tool)
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--use-pep517"]
    install = [uv, "pip", "install", "--python", python] if uv else pip
    locks = [option for name in sorted(names) for option in ("-r", str(LOCKS[name]))]
    _call([*install, "--quiet", "--require-hashes", *locks], lock)
    if "dev" in names:
        shutil.rmtree(VENV / "azurite", ignore_errors=True)
        shutil.copytree(AZURITE, VENV / "azurite")
        # The emulator needs no install script, so none of its 190 packages gets to run one.
        quietly = ["--loglevel=error", "--ignore-scripts", "--no-audit", "--no-fund"]
        _call([str(VENV / "bin" / "npm"), "ci", "--prefix", str(VENV / "azurite"), *quietly], lock)
    READY.write_text(_fingerprint(names))


def _call(command: "list[str]", lock: int) -> None:
    """Run a command, and show what it said if it fails; it keeps our lock should we be killed."""
    done = subprocess.run(
        command, cwd=ROOT, pass_fds=[lock], check=False, universal_newlines=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        _fail(
            "the set-up failed at: " + " ".join(command),
            "read the lines above, then run the same command again",
        )


def _fingerprint(names: "set[str]") -> str:
    """What `.venv` is made from: its place, this Python, the lock files."""
    files = [LOCKS[name] for name in sorted(names)] + [AZURITE / "package-lock.json"] * ("dev" in names)
    made_from = [os.path.realpath(VENV), sys.implementation.cache_tag, *map(_read, files)]
    return hashlib.sha256("\n".join(made_from).encode()).hexdigest()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _fail(message: str, hint: str, code: int = 1) -> None:
    print("error: " + message, "hint: " + hint, sep="\n", file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    try:
        build(set(sys.argv[1:]))
    except KeyboardInterrupt:
        _fail("the set-up was interrupted", "run the same command again, it begins afresh", 130)
