"""Commands measured: one run, what several come to, and the programs that may be missing."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import worlds

# Programs that are not ours: how they tell their version, where they come from.
PEERS = {
    "azcopy": ("--version", "npm install @azure-tools/azcopy-linux@10.32.2"),
    "aria2c": ("--version", "apt-get install aria2"),
    "wget": ("--version", "apt-get install wget"),
    "unzip": ("-v", "apt-get install unzip"),
    "7z": ("i", "apt-get install p7zip-full"),
    "bsdtar": ("--version", "apt-get install libarchive-tools"),
}

# A process begins with the peak memory of the one that started it, so a small one has to: it
# reports wall and CPU seconds and the largest process of the tree. ru_maxrss is in KiB on Linux.
_LAUNCHER = """
import json, os, sys, time
begun = time.perf_counter()
pid = os.posix_spawn("/bin/sh", ["sh", "-c", sys.argv[1]], os.environ)
_, status, used = os.wait4(pid, 0)
wall = time.perf_counter() - begun
used = [wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]
json.dump([os.waitstatus_to_exitcode(status), *used], open(sys.argv[2], "w"))
"""


@dataclass(frozen=True)
class Run:
    """What a command took: seconds of wall and of CPU time, bytes of memory and of disk, archives served."""

    wall: float
    cpu: float
    memory: int
    disk: int
    served: float = 0


@dataclass
class Contender:
    """A command line, its world, how many bytes it leaves below a path of the world's `work`, and its runs.

    The world is copied for each run, unless the command runs again and again in it `as_it_is`.
    """

    name: str
    line: str
    world: Path
    leaves: tuple[str, int] | None = None
    as_it_is: bool = False
    runs: list[Run] = field(default_factory=list)

    def values(self, what: str) -> list[float]:
        """A field of its runs."""
        return [getattr(run, what) for run in self.runs]


def missing(line: str) -> list[str]:
    """What to tell of the peers a line of shell calls that are not on the PATH."""
    called = [program for program in PEERS if re.search(rf"(^|&& |'){program} ", line)]
    return [f"{each} is left out: `{PEERS[each][1]}`" for each in called if not shutil.which(each)]


def measure(contender: Contender) -> Run:
    """Run a contender; RuntimeError when it did not do its job."""
    with tempfile.TemporaryDirectory(dir=contender.world.parent) as folder:
        world, told = contender.world, Path(folder, "told")
        if not contender.as_it_is:
            world = shutil.copytree(world, Path(folder, "world"), symlinks=True)
        before = _allocated(world)  # -I -S: as small as Python gets
        done = worlds.run(world, sys.executable, "-I", "-S", "-c", _LAUNCHER, contender.line, str(told))
        code, wall, cpu, memory = json.loads(told.read_text(encoding="utf-8"))
        if code:
            raise RuntimeError(f"exit code {code}: {(done.stdout.splitlines() or ['it said nothing'])[-1]}")
        path, size = contender.leaves or ("", 0)
        files = (world / "work" / path, *(world / "work" / path).rglob("*"))
        if path and (there := sum(file.stat().st_size for file in files if file.is_file())) != size:
            raise RuntimeError(f"{path} has {there} bytes, expected {size}")
        return Run(wall, cpu, memory, max(0, _allocated(world) - before))


def _allocated(folder: Path) -> int:
    """The bytes a folder takes on the disk: allocated blocks, those of hard links once."""
    return int(subprocess.check_output(["du", "--summarize", "--block-size=1", folder]).split()[0])
