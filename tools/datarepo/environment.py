"""The environment of the repository, `.venv`: making it, and finding it again.

Only the standard library, and syntax that an old Python can read: this module runs before
anything is installed, perhaps under a Python that is too old and should say so.

    make setup            build()   .venv from requirements.lock, Azurite from tests/azurite
    tools/add-asset …     run()     the command's module, under .venv's Python
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
COMMANDS = ("add-asset", "fetch-asset", "list-assets", "remove-asset", "unzip-asset")
OLDEST = (3, 10)


def run(command):
    """Run the command of that name, re-starting under the Python of `.venv` where needed.

    Without `.venv`, a Python that already has the dependencies (conda, a container) serves too.
    Ctrl-C waits until `console.run` can answer it: before, all it could end in is a traceback.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # which exec keeps
    python = os.path.join(VENV, "bin", "python")
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        if os.path.exists(os.path.join(VENV, ".ready")):
            os.execv(python, [python] + sys.argv)
        if not _has_dependencies():
            _fail(
                "the environment of the tools is not set up: there is no " + VENV,
                "run 'make setup' in " + ROOT,
            )
    from importlib import import_module

    try:
        main = import_module("datarepo.cli." + command.replace("-", "_")).main
    except ModuleNotFoundError as error:
        if str(error.name).startswith("datarepo"):
            raise
        _fail(
            "the environment of the tools lacks the module " + str(error.name),
            "run 'make setup' in " + ROOT,
        )
    main()


def _has_dependencies():
    if sys.version_info < OLDEST:
        return False
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("dvc", "typer", "filelock", "obstore", "isal"))


def build():
    """Make or renew `.venv`, and do nothing when it is up to date.

    Two runs at once wait for each other; a killed run is made good by the next.
    """
    if sys.version_info < OLDEST:
        _fail(
            "Python {}.{} is too old: 3.10 or later is needed".format(*sys.version_info[:2]),
            "make setup PYTHON=python3.12",
        )
    import fcntl

    scratch = os.path.join(ROOT, ".dvc", "tmp")  # which git ignores
    os.makedirs(scratch, exist_ok=True)
    with open(os.path.join(scratch, "setup.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _read(os.path.join(VENV, ".ready")) == _fingerprint():
            return
        _build()


def _build():
    print("setting up " + VENV + " (a minute or two)", file=sys.stderr)
    ready = os.path.join(VENV, ".ready")
    if os.path.exists(ready):
        os.remove(ready)
    python = os.path.join(VENV, "bin", "python")
    _call(sys.executable, "-m", "venv", "--clear", VENV)
    _call(
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--use-pep517", "--require-hashes", "-r", os.path.join(ROOT, "requirements.lock"),
    )  # fmt: skip
    azurite = os.path.join(VENV, "azurite")
    os.mkdir(azurite)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(ROOT, "tests", "azurite", name), azurite)
    # The emulator needs no install script, so none of its 190 packages gets to run one.
    npm = os.path.join(VENV, "bin", "npm")
    _call(npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=azurite)
    for command in COMMANDS:
        # On the PATH of the activated environment, shells complete the commands by their name.
        os.symlink(os.path.join(ROOT, "tools", command), os.path.join(VENV, "bin", command))
    with open(ready, "w") as stream:
        stream.write(_fingerprint())


def _call(*command, **options):
    if subprocess.call(command, **options) != 0:
        _fail("the set-up failed at: " + " ".join(command), "read the lines above; then 'make setup' again")


def _fingerprint():
    """What `.venv` is made from: the lock files, this Python, this place."""
    digest = hashlib.sha256((sys.version + VENV).encode())
    for name in ("requirements.lock", "tests/azurite/package-lock.json", "tools/datarepo/environment.py"):
        digest.update(_read(os.path.join(ROOT, name)).encode())
    return digest.hexdigest()


def _read(path):
    try:
        with open(path) as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def _fail(message, hint):
    print("error: " + message, "hint: " + hint, sep="\n", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    build()
