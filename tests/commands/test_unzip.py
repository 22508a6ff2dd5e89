"""`tools/unzip-asset`: what it says, what it leaves alone, and what is there when it is stopped."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from datarepo.archives.atomic_folder import work_folder

from tests.clones import CHECKOUT, Result
from tests.made_archives import (
    REFUSED,
    Entry,
    endless_zeros,
    refusal_of,
    tree,
    unpacked,
    with_zipfile,
    zipped,
)

if TYPE_CHECKING:
    from pathlib import Path


def _run(*arguments: str, cwd: Path) -> Result:
    """Run the command in any folder, outside of a clone."""
    return CHECKOUT.tool("unzip-asset", *arguments, cwd=cwd)


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_a_ratio_no_data_has_needs_an_option(tmp_path: Path) -> None:
    """`--max-ratio` allows more."""
    data = bytes(2_000_000)
    archive = with_zipfile({"a": data})
    assert refusal_of(archive, tmp_path).startswith(REFUSED + "a: the largest of 2.0 MB in an archive of ")
    assert _run("archive.zip", "out", "--max-ratio", "2000", "-q", cwd=tmp_path) == (0, "", "")
    assert tree(tmp_path / "out") == {"a": data}


def test_the_current_directory_is_not_replaced(tmp_path: Path) -> None:
    """`unzip-asset x.zip .` would delete whatever else is there."""
    (tmp_path / "archive.zip").write_bytes(zipped(Entry("a", b"1")))
    (tmp_path / "here").mkdir()
    assert _run("../archive.zip", ".", cwd=tmp_path / "here") == (
        2,
        "",
        _lines(
            f"error: {tmp_path / 'here'} would be replaced, and contains the current directory",
            "hint: give the folder a name of its own",
        ),
    )


def _begin(folder: Path) -> subprocess.Popen[str]:
    """A run in the middle of its work: there is a file, and it grows."""
    (folder / "endless.zip").write_bytes(endless_zeros("dvc.yaml", 4 * 10**9))
    run = CHECKOUT.start("unzip-asset", "endless.zip", "out", "--max-ratio", "9999", "--force", cwd=folder)
    growing = work_folder(folder / "out") / "tree/dvc.yaml"
    while not (growing.exists() and growing.stat().st_size):
        assert run.poll() is None
        time.sleep(0.001)
    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C and `kill`: at once, with nothing left of it."""
    (tmp_path / "out").mkdir()
    run = _begin(tmp_path)
    run.send_signal(number)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out, err) == (
        130,
        "",
        "interrupted: run the same command again, it continues or starts afresh\n",
    )
    assert tree(tmp_path).keys() == {"endless.zip", "out"}


def test_what_a_killed_run_leaves_is_data_to_nobody(tmp_path: Path) -> None:
    """Neither git nor DVC sees any of it, not even a dvc.yaml among the data; the next run removes it."""
    from dvc.repo import Repo

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    with Repo.init(str(tmp_path)) as repo:
        run = _begin(tmp_path)
        run.kill()
        run.communicate()
        (tmp_path / "endless.zip").unlink()
        assert (work_folder(tmp_path / "out") / "tree/dvc.yaml").is_file()
        status = ["git", "status", "--porcelain", "--untracked-files=all"]
        seen = subprocess.run(status, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        assert ".unzip" not in seen
        assert list(repo.index.stages) == []
    assert unpacked(zipped(Entry("a", b"1")), tmp_path) == {"a": b"1"}
    assert not work_folder(tmp_path / "out").exists()


def test_a_run_killed_anywhere_leaves_the_old_tree_or_the_new(tmp_path: Path) -> None:
    """SIGKILL after random times: never a part, and the next run succeeds and leaves nothing else."""
    entries: dict[str, bytes | None] = {f"{n}": random.Random(n).randbytes(50_000) for n in range(150)}
    (tmp_path / "archive.zip").write_bytes(with_zipfile(entries))
    out = tmp_path / "out"
    begun = time.monotonic()
    assert _run("archive.zip", "out", "-q", cwd=tmp_path).code == 0
    whole = time.monotonic() - begun
    chance = random.Random(3)
    for _ in range(12):
        run = CHECKOUT.start("unzip-asset", "archive.zip", "out", "-q", cwd=tmp_path)
        time.sleep(chance.uniform(0.1, 1.1) * whole)
        run.kill()
        run.communicate()
        assert not out.exists() or tree(out) == entries
    assert _run("archive.zip", "out", "-q", cwd=tmp_path) == (0, "", "")
    assert tree(out) == entries
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "out"]


def test_the_last_line_tells_what_was_done(tmp_path: Path) -> None:
    """Files, bytes and seconds on stdout; nothing else on a short run."""
    (tmp_path / "vqa.zip").write_bytes(zipped(Entry("a", b"1" * 1500), Entry("b/c", b"2"), Entry("d/")))
    code, out, err = _run("vqa.zip", "data/vqa", cwd=tmp_path)
    line = out.rpartition(" in ")
    assert (code, line[0], err) == (0, "vqa: 2 files, 1.5 kB", "")
    assert line[2].removesuffix(" s\n").replace(".", "").isdigit()


def test_a_refusal_is_two_lines_and_exit_code_1(tmp_path: Path) -> None:
    """The message names member and rule, the hint says what to do."""
    (tmp_path / "a.zip").write_bytes(zipped(Entry("../\x1b[2Jevil", b"1")))
    assert _run("a.zip", "out", cwd=tmp_path) == (
        1,
        "",
        _lines(
            "error: archive refused: member '../\\x1b[2Jevil': its name has a control character",
            "hint: nothing was extracted; get the archive again, or ask whoever made it",
        ),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_list_shows_members_and_extracts_nothing(tmp_path: Path) -> None:
    """Also of an archive that would be refused, with what a terminal would obey made visible."""
    archive = zipped(
        Entry("../a", b"1" * 1500),
        Entry("b/", mode=0o40755),
        Entry("l", b"a", mode=0o120777),
        Entry("x\x07", b"1", flags=1),
    )
    (tmp_path / "a.zip").write_bytes(archive)
    assert _run("--list", "a.zip", cwd=tmp_path) == (
        0,
        "   1.5 kB  ../a\n      0 B  b/\n      1 B  l -> a\n      1 B  'x\\x07'\n3 files, 1.5 kB\n",
        "",
    )
    code, out, err = _run("--list", "--json", "a.zip", cwd=tmp_path)
    assert (code, json.loads(out)[:3], err) == (
        0,
        [
            {"name": "../a", "kind": "file", "size": 1500, "mode": 0o644, "target": ""},
            {"name": "b/", "kind": "folder", "size": 0, "mode": 0o755, "target": ""},
            {"name": "l", "kind": "link", "size": 1, "mode": 0o777, "target": "a"},
        ],
        "",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_command_line_that_cannot_work_is_exit_code_2(tmp_path: Path) -> None:
    """No archive there, no DIR given."""
    code, _, err = _run("missing.zip", "out", cwd=tmp_path)
    assert (code, err.splitlines()[0]) == (
        2,
        "error: Invalid value for 'ARCHIVE': file 'missing.zip' does not exist.",
    )
    (tmp_path / "a.zip").write_bytes(zipped())
    assert _run("a.zip", cwd=tmp_path) == (2, "", "error: DIR is missing\nhint: only --list goes without\n")
