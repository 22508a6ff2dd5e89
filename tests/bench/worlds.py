"""The folders commands run in: `work` is where they start, `home` an empty home folder.

empty   nothing else
plain   `work` is a DVC repository as it comes
clone   `work` is a clone of this repository, its source the bench's server
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests import clones
from tests.clones import Clone

if TYPE_CHECKING:
    from pathlib import Path


def environment(world: Path) -> dict[str, str]:
    """What commands there find in the environment: a new user's, and nothing written elsewhere."""
    return {
        **Clone(world / "work", world / "home").environment(),
        "DVC_SITE_CACHE_DIR": str(world / "site"),
        "AZCOPY_LOG_LOCATION": str(world / "azcopy"),
        "AZCOPY_JOB_PLAN_LOCATION": str(world / "azcopy"),
        "AZCOPY_DISABLE_SYSLOG": "true",
    }


def empty(world: Path) -> Path:
    """Make an empty world."""
    for name in ("work", "home"):
        (world / name).mkdir(parents=True)
    return world


def plain(world: Path) -> Path:
    """Make a world with a new DVC repository."""
    empty(world)
    do(world, "git init --quiet && dvc init --quiet && git commit --quiet --message 'A DVC repository'")
    return world


def clone(world: Path, connection_string: str) -> Path:
    """Make a world with a clone of this repository."""
    world.mkdir()
    clones.make(world / "work", world / "home").use(connection_string)
    do(world, "python -m compileall -q tools/datarepo")  # as after the first use of any tool
    return world


def do(world: Path, line: str) -> None:
    """Run a line of shell that is not measured, and has to succeed."""
    done = subprocess.run(
        ["sh", "-c", line], cwd=world / "work", env=environment(world), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{line}: {(done.stdout + done.stderr).strip()}")
