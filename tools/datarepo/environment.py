"""Finding the environment of the repository, `.venv`, which `make setup` makes.

Only the standard library, and syntax that an old Python can read: the launchers of tools/ run this
module under any Python, and go on under that of `.venv`.
"""

import os
import pwd
import shlex
import signal
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
OLDEST = (3, 10)


def run(command):
    """Run the command of that name, re-starting under the Python of `.venv` where needed.

    Without `.venv`, a Python that already has the dependencies (conda, a container) serves too.
    From here on Ctrl-C and SIGTERM end it in order, however long the imports take; `console.run` goes on
    with that. A Python that has just been started could answer with a traceback only, so they wait there.
    """
    python = os.path.join(VENV, "bin", "python")
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        if os.path.exists(os.path.join(VENV, ".ready")):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # which exec keeps
            try:
                os.execv(python, [python] + sys.argv)
            except OSError as error:
                _fail(
                    "the environment of the tools cannot be used: " + python + ": " + str(error.strerror),
                    "ask who set it up, or run 'make setup' in a clone of your own",
                )
        if not _has_dependencies():
            _fail(
                "the environment of the tools is not set up: there is no " + VENV,
                "run 'make setup' in " + ROOT,
            )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    _name_the_user(command)
    try:
        from datarepo.cli import main
    except ModuleNotFoundError as error:
        if str(error.name).startswith("datarepo"):
            raise
        _fail(
            "the environment of the tools lacks the module " + str(error.name),
            "run 'make setup' in " + ROOT,
        )
    main(command)


def _name_the_user(command):
    """Set what DVC fails without, where a container has no name for the user's id, or no home to write to.

    A user needs the same for DVC's own commands, and is told; not by a shell that completes a line, where
    each Tab would print it.
    """
    lacking = {}
    if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):  # as getpass asks
        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            lacking["USER"] = str(os.getuid())
    if os.path.expanduser("~") == "~":  # neither HOME nor an entry of the user's
        lacking["HOME"] = os.path.join(ROOT, ".dvc", "tmp", "home")
        os.environ["HOME"] = lacking["HOME"]
    folder = os.path.expanduser(os.path.join("~", ".azure"))  # of Azure's client
    while not os.path.exists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    if not os.environ.get("AZURE_CONFIG_DIR") and not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        lacking["AZURE_CONFIG_DIR"] = os.path.join(ROOT, ".dvc", "tmp", "azure")
    os.environ.update(lacking)
    completes = "_" + command.replace("-", "_").upper() + "_COMPLETE"  # as a shell asks Click
    if lacking and completes not in os.environ:
        settings = " ".join(name + "=" + shlex.quote(value) for name, value in lacking.items())
        print("no name or no home for this user here; dvc needs: export " + settings, file=sys.stderr)


def _has_dependencies():
    if sys.version_info < OLDEST:
        return False
    from importlib.util import find_spec

    return all(find_spec(name) for name in ("dvc", "typer", "filelock", "obstore", "isal"))


def _interrupted(*_):
    """End at once: nothing has begun that would have to be put in order."""
    os.write(2, b"interrupted: run the same command again, it continues or starts afresh\n")
    os._exit(130)


def _fail(message, hint):
    print("error: " + message, "hint: " + hint, sep="\n", file=sys.stderr)
    raise SystemExit(1)
