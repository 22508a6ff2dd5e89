"""What commands find: a world to run in, with the folder `work` and an empty `home`, and made archives."""

import json
import random
import subprocess
import tempfile
import zipfile
import zlib
from pathlib import Path

from tests import clones

_TILE = 1_000_000  # bytes; inflating looks back 32 KB, so repeating so much makes nothing easier
_LEVEL = 1  # zlib's fastest: who inflates does not notice


def archive(path: Path, size: int, tiny_files: int) -> Path:
    """Make four members shaped like region features, of `size` bytes in all once packed; then tiny files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as made:
        for name in ("train", "val", "test", "test-dev") if size else ():
            tile = bytearray(random.Random(name).randbytes(_TILE))  # each its own: a cache keeps equals once
            tile[2::4], tile[3::4] = bytes(_TILE // 4), b"\x3f" * (_TILE // 4)  # half of a float is random
            length = size // 4 * _TILE // len(zlib.compress(tile, _LEVEL))
            with made.open(f"{name}.feature.bin", "w") as member:
                for start in range(0, length, _TILE):
                    member.write(tile[: length - start])
        for number in range(tiny_files):
            content = json.dumps({"image": number, "boxes": [[number, 2 * number, 640, 480]] * 8})
            made.writestr(f"annotations/{number // 1000:03}/{number:06}.json", content)
    return path


def unpacked(path: Path) -> int:
    """The bytes of an archive's members."""
    with zipfile.ZipFile(path) as made:
        return sum(member.file_size for member in made.infolist())


def empty(scratch: Path) -> Path:
    """Make a world with nothing in it."""
    world = Path(tempfile.mkdtemp(prefix="world-", dir=scratch))
    (world / "work").mkdir()
    (world / "home").mkdir()
    return world


def plain(scratch: Path) -> Path:
    """Make a world with a new DVC repository, as it comes."""
    world = empty(scratch)
    return do(world, "git init --quiet && dvc init --quiet && git commit --quiet -m 'A DVC repository'")


def clone(scratch: Path, connection_string: str, line: str = "true") -> Path:
    """Make a world with a clone of this repository, its source a service, in which a line was run."""
    world = empty(scratch)
    clones.make(world / "work", world / "home").use(connection_string)
    return do(world, f"python -m compileall -q tools/datarepo && {line}")  # as after a first use


def do(world: Path, line: str) -> Path:
    """Run a line of shell that is not measured, and has to succeed; the world."""
    done = run(world, "sh", "-c", line)
    if done.returncode:
        raise RuntimeError(f"{line}: {done.stdout.strip()}")
    return world


def run(world: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a new user's environment, nothing written elsewhere; all it says is in `stdout`."""
    own = ("DVC_SITE_CACHE_DIR", "AZCOPY_LOG_LOCATION", "AZCOPY_JOB_PLAN_LOCATION")
    user = clones.Clone(world / "work", world / "home").environment()
    env = {**user, **{name: str(world / name.lower()) for name in own}, "AZCOPY_DISABLE_SYSLOG": "true"}
    return subprocess.run(
        command, cwd=world / "work", env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=3600, check=False,
    )  # fmt: skip
