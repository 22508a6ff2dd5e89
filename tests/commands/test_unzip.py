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
from datarepo.commands.unzip import unzip
from datarepo.errors import UsageError

from tests.clones import CHECKOUT, Result, allow_any_ratio
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

    from tests.azurite import Azurite
    from tests.clones import Clone


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
    assert _run("archive.zip", "new", "--max-ratio", "2000", "-q", cwd=tmp_path) == (0, "", "")
    assert tree(tmp_path / "new") == {"a": data}


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


def _old_data(folder: Path) -> None:
    """An archive, and five data sets where one of them was to be renewed."""
    (folder / "GQA.zip").write_bytes(zipped(Entry("a", b"1")))
    for name in ("GQA", "vqa"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "file").write_text("old")


def test_a_folder_with_something_in_it_is_left_alone_unless_told_otherwise(tmp_path: Path) -> None:
    """`data` for `data/GQA` is a slip, and would cost all data sets; an empty folder costs nothing."""
    _old_data(tmp_path)
    before = tree(tmp_path)
    assert _run("GQA.zip", "data", cwd=tmp_path) == (
        2,
        "",
        _lines(
            f"error: {tmp_path / 'data'} is not empty, and would be replaced as a whole",
            "hint: give a folder of its own, or say --replace to lose what is in it",
        ),
    )
    assert tree(tmp_path) == before
    assert _run("GQA.zip", "data/GQA", "--replace", "-q", cwd=tmp_path) == (0, "", "")
    (tmp_path / "data/empty").mkdir()
    assert _run("GQA.zip", "data/empty", "-q", cwd=tmp_path) == (0, "", "")
    assert tree(tmp_path / "data") == {
        "GQA": None,
        "GQA/a": b"1",
        "empty": None,
        "empty/a": b"1",
        "vqa": None,
        "vqa/file": b"old",
    }


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("repository/.git", "is .git's own"),
        ("repository/.git/hooks", "is .git's own"),
        ("repository/.git/new", "is .git's own"),
        ("repository/.dvc", "is .dvc's own"),
        ("repository/.dvc/tmp/new", "is .dvc's own"),
        ("repository", "would be replaced, and contains the repository {}/repository"),
        ("deep", "would be replaced, and contains the repository {}/deep/down"),
        ("home", "would be replaced, and contains your home folder"),
        ("above", "would be replaced, and contains your home folder"),
        ("", "would be replaced, and contains the archive itself"),
    ],
)
@pytest.mark.parametrize("replace", [True, False])
def test_a_repository_or_a_home_is_never_replaced(
    folder: str, message: str, replace: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is one, holds one or lies in its `.git` or `.dvc` costs more than a folder, whatever was asked for."""
    home = tmp_path / ("above/home" if folder == "above" else "home")
    for name in ("repository/.git/hooks", "repository/.dvc/tmp", "deep/down", "elsewhere", home):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "deep/down/.git").write_text("gitdir: of a worktree or a submodule")
    (tmp_path / "a.zip").write_bytes(zipped(Entry("a", b"1")))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path / "elsewhere")
    before = tree(tmp_path)
    with pytest.raises(UsageError) as refused:
        unzip(tmp_path / "a.zip", tmp_path / folder, replace=replace, quiet=True)
    assert refused.value.message == f"{tmp_path / folder} {message.format(tmp_path)}"
    assert tree(tmp_path) == before


def test_a_workspace_that_dvc_makes_for_an_experiment_is_a_repository_like_any_other(tmp_path: Path) -> None:
    """It lies in `.dvc/tmp/exps`, and `dvc repro` runs there."""
    workspace = tmp_path / ".dvc/tmp/exps/one"
    (workspace / ".dvc").mkdir(parents=True)
    (workspace / "a.zip").write_bytes(zipped(Entry("a", b"1")))
    unzip(workspace / "a.zip", workspace / "data/vqa", quiet=True)
    assert tree(workspace / "data") == {"vqa": None, "vqa/a": b"1"}


def test_dvc_repro_unpacks_as_far_as_the_catalogue_allows(clone: Clone, upstream: Azurite) -> None:
    """The hint names the place to allow more; whoever adds the asset learns it before the download."""
    upstream.put("datasets/vqa.zip", with_zipfile({"a": bytes(2_000_000)}))
    refused = clone.tool("add-asset", "vqa")
    assert refused.code == 1
    assert refused.stderr.endswith(
        "\nhint: if the data really is that repetitive, allow more: 'max_ratio: N' in the asset's entry of"
        " params.yaml, or --max-ratio N of tools/unzip-asset\n"
    )
    allow_any_ratio(clone, "vqa")
    assert clone.tool("add-asset", "vqa").code == 0
    clone.ok("dvc", "repro")
    assert clone.tree("data/vqa") == {"a": bytes(2_000_000)}
    clone.ok("rm", "-r", "data/vqa")
    beside = clone.tool("unzip-asset", "vqa.zip", "../data/z", "--quiet", cwd=clone.path / "archives")
    assert beside == (0, "", "")
    narrow = clone.tool("unzip-asset", "archives/vqa.zip", "data/vqa", "--max-ratio", "9")
    assert narrow.error.endswith(", over 9 times its size")
    clone.ok("cp", "archives/vqa.zip", "archives/other.zip")
    assert clone.tool("unzip-asset", "archives/other.zip", "out").error.endswith(", over 200 times its size")


def test_names_that_others_cannot_have_are_noted(tmp_path: Path) -> None:
    """On stderr, as the data is here; --json has it too."""
    (tmp_path / "a.zip").write_bytes(with_zipfile({"b": b"1", "B": b"2"}))
    remark = "B and b differ in case or Unicode form only: colleagues on macOS or Windows cannot have both"
    code, out, err = _run("a.zip", "out", "--json", cwd=tmp_path)
    assert (code, json.loads(out)["remark"], err) == (0, remark, f"{remark}\n")


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
    assert _run("archive.zip", "out", "-q", cwd=tmp_path) == (0, "", "")
    whole = time.monotonic() - begun
    chance = random.Random(3)
    for _ in range(12):
        run = CHECKOUT.start("unzip-asset", "archive.zip", "out", "--replace", "-q", cwd=tmp_path)
        time.sleep(chance.uniform(0.1, 1.1) * whole)
        run.kill()
        run.communicate()
        assert not out.exists() or tree(out) == entries
    assert _run("archive.zip", "out", "--replace", "-q", cwd=tmp_path) == (0, "", "")
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
