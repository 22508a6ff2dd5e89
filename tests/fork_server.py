"""Commands without their imports: a server has imported DVC and the tools once, and forks for each command.

    run                    a command to its end, as subprocess.run would: a process, its exit code, its files
    ├── _script            the script that it is, where a fork does the same as a start
    └── _fork              asks the server, which ends with this process
        └── _serve         the server: it waits for requests, forks, and tells how the fork ended
            └── _become    the fork: it turns into the command, as a Python just started would

A clone's `tools/` is taken for a copy of the checkout's, but for launchers and `environment.py`. Where the
system is not Linux, each command is started; so are all commands but `dvc` and those of `tools/`.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import logging
import os
import pkgutil
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryFile

_ROOT = Path(__file__).resolve().parent.parent
_BIN = _ROOT / ".venv" / "bin"
_SECONDS = 300
_LARGEST = 128 * 1024  # bytes of a request
_INHERITED = ("LANG", "TMPDIR", "SSL_CERT_FILE", "DVC_SITE_CACHE_DIR")
_READ_AT_START = ("PYTHON", "LANG", "LC_", "SSL_CERT", "_")  # by Python, an import, or completion
_MODULES = (  # of DVC, its clients and the tools, which import most of it only when they need it
    "adlfs", "azure.identity.aio", "configobj", "dvc.cachemgr", "dvc.cli.parser", "dvc.data_cloud", "dvc.dirs",
    "dvc.lock", "dvc.repo.index", "dvc.repo.metrics", "dvc.repo.plots", "dvc.repo.stage", "dvc.repo.worktree",
    "dvc.utils.strictyaml", "dvc_azure.spec", "dvc_data.hashfile.db.index", "dvc_data.hashfile.status",
    "dvc_data.index.checkout", "dvc_data.index.push", "filelock", "fsspec.implementations.memory", "knack.config",
    "networkx", "obstore", "psutil", "pydantic.type_adapter", "pyparsing", "rich.progress", "ruamel.yaml", "s3fs",
    "scmrepo.git", "sshfs", "typer._adapters", "unittest",
)  # fmt: skip
_busy = threading.Lock()


def inherited() -> dict[str, str]:
    """What commands get of the environment of the tests."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def run(command: list[str], cwd: Path, env: dict[str, str], stdin: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and capture what it prints; subprocess.TimeoutExpired after five minutes."""
    script = _script(command[0], cwd, env)
    if script and _busy.acquire(blocking=False):  # a second one at the same time is started
        try:
            return _fork([str(script), *command[1:]], cwd, env, stdin)
        finally:
            _busy.release()
    return subprocess.run(
        command, cwd=cwd, env=env, input=stdin, capture_output=True, text=True, timeout=_SECONDS, check=False
    )


def _script(program: str, cwd: Path, env: dict[str, str]) -> Path | None:
    """The path of `dvc` or of a launcher; None where a fork of the server would not do as a start does."""
    found = Path(cwd, program) if "/" in program else shutil.which(program, path=env["PATH"])
    path = Path(os.path.normpath(found or ""))
    is_ours = path == _BIN / "dvc" or (path.parent.name == "tools" and (path.parent / "datarepo").is_dir())
    is_usual = env["PATH"].startswith(str(_BIN)) and _read_at_start(env) == _read_at_start(inherited())
    return path if sys.platform == "linux" and is_ours and is_usual and os.access(path, os.X_OK) else None


def _read_at_start(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_START)}


def _fork(command: list[str], cwd: Path, env: dict[str, str], stdin: str) -> subprocess.CompletedProcess[str]:
    process, server = _server()
    with TemporaryFile("w+") as typed, TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        streams = (typed, stdout, stderr)
        typed.write(stdin)
        typed.seek(0)
        request = json.dumps([command, str(cwd), env]).encode()
        socket.send_fds(server, [request], [stream.fileno() for stream in streams])
        try:
            code = os.waitstatus_to_exitcode(int(server.recv(_LARGEST)))
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)  # with its fork
            end()
            raise subprocess.TimeoutExpired(command, _SECONDS) from None
        for stream in streams:
            stream.seek(0)
        return subprocess.CompletedProcess(command, code, stdout.read(), stderr.read())


@functools.cache
def _server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The server of this process, and the socket that it listens on; it has no home of any user."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_SECONDS)
    with its:
        process = subprocess.Popen(
            [_BIN / "python", "-m", "tests.fork_server"],
            cwd=_ROOT,
            env={**inherited(), "HOME": "/nonexistent", "PATH": os.environ["PATH"]},
            stdin=its.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the tests, which end it
        )
    return process, ours


def end() -> None:
    """End the server, if there is one, and wait for it; another command would start another."""
    if _server.cache_info().currsize:
        process, server = _server()
        _server.cache_clear()
        server.close()
        process.wait()


def _serve(client: socket.socket) -> None:
    """Fork for each request, and answer with the wait status of the fork, until the client has ended."""
    sys.path[0] = str(_ROOT / "tools")
    for name in _MODULES:
        importlib.import_module(name)
    for found in pkgutil.walk_packages([sys.path[0]]):
        if found.name not in ("datarepo.environment", "datarepo.setup"):
            importlib.import_module(found.name)
    gc.collect()
    gc.freeze()  # a fork need not look through all that again
    while True:
        request, streams, _, _ = socket.recv_fds(client, _LARGEST, 3)
        if not request:
            return
        if os.fork() == 0:
            client.close()
            command, cwd, env = json.loads(request)
            _become(command, cwd, env, streams)
            return
        for stream in streams:
            os.close(stream)
        client.send(str(os.wait()[1]).encode())


def _become(command: list[str], cwd: str, env: dict[str, str], streams: list[int]) -> None:
    """Run a script in this process, to its exit."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    script, *sys.argv[1:] = command
    sys.path[0] = str(Path(script).parent)
    if script != str(_BIN / "dvc"):
        _as_before_dvc(sys.path[0])
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        if not isinstance(error.code, int):
            raise
        threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends a fork
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(error.code & 0xFF)  # to take the interpreter apart takes longer than most commands


class _Current:
    """A standard stream by its name: that of `sys` when it is written to, which may mask secrets by then."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(getattr(sys, self._name), attribute)


def _as_before_dvc(tools: str) -> None:
    """Undo what the import of DVC did to the streams: a tool sets its own before it imports DVC."""
    for handler in logging.getLogger("dvc").handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(_Current("stdout" if handler.stream is sys.stdout else "stderr"))
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    sys.modules["datarepo"].__path__ = [f"{tools}/datarepo"]


if __name__ == "__main__":
    _serve(socket.socket(fileno=os.dup(0)))
