"""Measuring commands: one run, and contenders in alternating runs."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.worlds import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.bench.peers import Peer

_TIMEOUT = 1800  # seconds

# A process begins with the peak memory of the one that started it, so a small one has to: it
# reports wall and CPU seconds and the largest process of the tree. ru_maxrss is in KiB on Linux.
_LAUNCHER = """
import json, os, sys, time
begun = time.perf_counter()
pid = os.posix_spawn("/bin/sh", ["sh", "-c", sys.argv[1]], os.environ)
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - begun
with open(sys.argv[2], "w") as stream:
    json.dump([os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024], stream)
"""


@dataclass(frozen=True)
class Run:
    """What a command took: seconds of wall and of CPU time, bytes of memory and of disk."""

    wall: float
    cpu: float
    memory: int
    disk: int


@dataclass(frozen=True)
class Spread:
    """The median of some values, between their minimum and maximum."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Contender:
    """A command line, and the world it runs in.

    `world` is copied for each run, unless the command runs again and again in it `as_it_is`; `leaves`
    tells how many bytes have to be below a path of its `work` afterwards.
    """

    name: str
    line: str
    world: Path
    needs: tuple[Peer, ...] = ()
    leaves: Mapping[str, int] = field(default_factory=dict)
    as_it_is: bool = False


@dataclass(frozen=True)
class Figures:
    """The runs of a contender."""

    name: str
    runs: tuple[Run, ...]

    def spread(self, what: str) -> Spread:
        """The spread of a field of its runs."""
        return spread([getattr(run, what) for run in self.runs])


class FailedError(Exception):
    """A command that did not do what it should."""


def spread(values: Iterable[float]) -> Spread:
    """Take the median, the minimum and the maximum.

    >>> spread([3, 1, 2])
    Spread(median=2, low=1, high=3)
    """
    values = sorted(values)
    return Spread(statistics.median(values), values[0], values[-1])


def ratios(ours: Figures, theirs: Figures) -> Spread:
    """How many times ours theirs took, run by run: both of a pair met the same load.

    >>> ours, theirs = (Figures("", tuple(Run(wall, 0, 0, 0) for wall in walls)) for walls in ([1, 2], [3, 4]))
    >>> ratios(ours, theirs)
    Spread(median=2.5, low=2.0, high=3.0)
    """
    return spread([their.wall / our.wall for our, their in zip(ours.runs, theirs.runs, strict=True)])


def alternate(
    contenders: Sequence[Contender], runs: int, scratch: Path, tell: Callable[[str], None]
) -> tuple[list[Figures], list[str]]:
    """Run the contenders in turn, A B C A B C; their figures, and why some have none."""
    notes = [peer.missing() for each in contenders for peer in each.needs if not peer.found()]
    alive = [each for each in contenders if all(peer.found() for peer in each.needs)]
    taken: dict[str, list[Run]] = {each.name: [] for each in alive}
    for number in range(runs):
        for each in tuple(alive):
            result = _attempt(each, scratch)
            if isinstance(result, Run):
                taken[each.name].append(result)
                tell(f"  {number + 1}/{runs}  {result.wall:8.2f} s  {each.name}")
            else:
                notes.append(f"{each.name} failed: {result}")
                tell(notes[-1])
                alive.remove(each)
    return [Figures(each.name, tuple(taken[each.name])) for each in alive], list(dict.fromkeys(notes))


def _attempt(contender: Contender, scratch: Path) -> Run | Exception:
    folder = scratch / "run"
    try:
        if contender.as_it_is:
            return run(contender.line, contender.world, contender.leaves)
        shutil.copytree(contender.world, folder, symlinks=True)
        return run(contender.line, folder, contender.leaves)
    except (FailedError, OSError, subprocess.SubprocessError) as error:
        return error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(line: str, world: Path, leaves: Mapping[str, int]) -> Run:
    """Run a line of shell in a world's `work`, and measure it; FailedError when it did not do its job."""
    before = allocated(world)
    with tempfile.NamedTemporaryFile("r") as told:
        # -I -S: as small as a Python gets.
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, line, told.name],
            cwd=world / "work", env=environment(world), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_TIMEOUT, check=False,
        )  # fmt: skip
        answer = told.read()
    code, wall, cpu, memory = json.loads(answer) if answer else (done.returncode, 0, 0, 0)
    if code:
        said = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise FailedError(f"exit code {code}: {said[-1]}")
    for path, expected in leaves.items():
        if (found := size_below(world / "work" / path)) != expected:
            raise FailedError(f"{path} has {found} bytes, expected {expected}")
    return Run(wall, cpu, memory, allocated(world) - before)


def allocated(folder: Path) -> int:
    """The bytes a folder takes on the disk: allocated blocks, those of hard links once."""
    blocks = {(found.st_dev, found.st_ino): found.st_blocks for found in _stat_all(folder, follow=False)}
    return 512 * sum(blocks.values())


def size_below(path: Path) -> int:
    """The bytes of a file, or of all files below a folder, symbolic links followed."""
    if path.is_file():
        return path.stat().st_size
    return sum(found.st_size for found in _stat_all(path, follow=True))


def _stat_all(folder: Path, *, follow: bool) -> Iterable[os.stat_result]:
    """Each file below a folder, and where links are not followed each folder."""
    for top, folders, files in os.walk(folder):
        for name in files if follow else [*folders, *files]:
            yield (Path(top) / name).stat(follow_symlinks=follow)
