"""Kill a command with SIGKILL just before its n-th write to a tree of files.

KILL_BELOW   the top of the tree, without links
KILL_AT      n, from 1; 0 to live on
KILL_LOG     a file that gets a line for each write

Python runs a module of this name at its start, before the command's own first line, and so do the
processes that the command starts: they count together, and are killed together. What counts as a
write are the audit events of opening for writing, renaming, removing, linking and making a folder.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_TARGETS = {"os.rename": 1, "os.link": 1, "os.symlink": 1, "os.remove": 0, "os.rmdir": 0, "os.mkdir": 0}

_below = os.environ["KILL_BELOW"]
_at = int(os.environ["KILL_AT"])
_log = os.open(os.environ["KILL_LOG"], os.O_RDWR | os.O_CREAT | os.O_APPEND)


def _target(event: str, arguments: tuple[object, ...]) -> str:
    """The path that an event writes to; empty when it writes nothing."""
    if event == "open":
        path, _, flags = arguments
        return str(path) if isinstance(flags, int) and flags & _WRITES else ""
    if event not in _TARGETS:
        return ""
    path = Path(os.fsdecode(arguments[_TARGETS[event]]))  # type: ignore[arg-type]  # a path, says Python's manual
    folder = arguments[-1]
    if isinstance(folder, int) and folder >= 0:  # open, as shutil.rmtree has it; an absolute path needs none
        path = Path(f"/proc/self/fd/{folder}").readlink() / path
    return "" if event == "os.mkdir" and path.is_dir() else str(path)


def _count(event: str, arguments: tuple[object, ...]) -> None:
    path = _target(event, arguments)
    if path.startswith(f"{_below}/"):
        os.write(_log, f"{event} {path[len(_below) + 1 :]}\n".encode())
        if 0 < _at <= os.pread(_log, 1 << 20, 0).count(b"\n"):
            os.killpg(0, signal.SIGKILL)


if os.environ.setdefault("KILL_GROUP", str(os.getpid())) == str(os.getpid()):  # the command itself
    os.setpgid(0, 0)
sys.addaudithook(_count)
