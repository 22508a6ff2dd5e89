"""`tools/verify-asset`: what is damaged is told and mended, and the user's own is left alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import samples
from tests.azurite import Azurite
from tests.clones import Clone, without_sources, write_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


FEATURES = "data/vqa/train.feature.tsv"
LABELS = "data/vqa/train.label.tsv"
ARCHIVE = "archives/vqa.zip"
ARCHIVE_SIZE = len(samples.archive("vqa"))
SIZE = sum(map(len, samples.tree("vqa").values())) + ARCHIVE_SIZE
KILLED = """
import os, sys
left = int(sys.argv.pop(1))
def hook(event, arguments):
    global left
    if event in ("os.link", "os.rename") and ("files/md5" in str(arguments) or "data/" in str(arguments)):
        left -= 1
        if left == 0:
            os._exit(9)
sys.path.insert(0, "tools")
sys.argv[1:] = ["vqa"]
sys.addaudithook(hook)
from datarepo.cli import main
main("verify-asset")
"""


@pytest.fixture(scope="module")
def _world(_pristine: Clone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone with vqa downloaded, unzipped, committed and pushed, while its Azure runs."""
    folder = tmp_path_factory.mktemp("world")
    clone = _pristine.copy(folder / "clone", folder / "home")
    with Azurite() as service:
        service.put(samples.blob_path("vqa"), samples.archive("vqa"))
        clone.use(service.connection_string(service.sas()))
        clone.ok("tools/add-asset", "vqa")
        clone.ok("dvc", "repro")
        clone.ok("git", "add", "--all")
        clone.ok("git", "commit", "--message", "Add vqa")
        clone.ok("dvc", "push")
        yield folder


@pytest.fixture
def clone(_world: Path, tmp_path: Path) -> Iterator[Clone]:
    """That clone, hard links and all, with the team remote beside it; DVC has hashed every file."""
    subprocess.run(["cp", "-a", f"{_world}/.", tmp_path], check=True)
    clone = Clone(tmp_path / "clone", tmp_path / "home")
    assert_clean(clone)
    yield clone
    clone.assert_no_signature_stored()
    assert not (clone.path / ".dvc/tmp/verify").exists()
    assert not list((clone.path / ".dvc/cache").rglob(".*"))


def team(clone: Clone) -> Path:
    """The team remote."""
    return clone.path.parent / "oscar-team-remote"


def forget_team(clone: Clone) -> None:
    """Nothing was ever pushed."""
    shutil.rmtree(team(clone))


def stored(clone: Clone, content: bytes) -> Path:
    """Where DVC's cache keeps that content."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return clone.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def listed(clone: Clone) -> Path:
    """Where DVC's cache keeps the list of the contents."""
    oid: str = yaml.safe_load((clone.path / "dvc.lock").read_text())["stages"]["unzip@vqa"]["outs"][0]["md5"]
    return clone.path / ".dvc/cache/files/md5" / oid[:2] / oid[2:]


def rot(path: Path) -> None:
    """Flip a bit as a disk does, without a new time stamp."""
    status = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(status.st_size // 2)
        [byte] = file.read(1)
        file.seek(status.st_size // 2)
        file.write(bytes([byte ^ 1]))
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)
    path.chmod(0o444)


def total(clone: Clone) -> str:
    """The bytes of its archive and contents, as the report says them."""
    files = [path for path in (clone.path / ARCHIVE, *(clone.path / "data/vqa").rglob("*")) if path.is_file()]
    return f"{sum(path.stat().st_size for path in files) / 1000:.1f} kB"


def assert_clean(clone: Clone) -> None:
    """The data are those of the archive, in the workspace and in the cache, and DVC agrees."""
    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert (clone.path / ARCHIVE).read_bytes() == samples.archive("vqa")
    for path, content in samples.tree("vqa").items():
        assert stored(clone, content).samefile(clone.path / "data/vqa" / path)
    assert stored(clone, samples.archive("vqa")).samefile(clone.path / ARCHIVE)
    assert clone.ok("dvc", "status") == "Data and pipelines are up to date.\n"


def told(*lines: str) -> str:
    """Lines, as they are printed."""
    return "".join(f"{line}\n" for line in lines)


def sound(text: str = "sound", *lines: str) -> str:
    """A report on all five files; a line each for what differs."""
    return told(f"vqa: {text}, 5 files, {SIZE / 1000:.1f} kB", *lines)


def test_sound_data_are_told_to_be_sound(clone: Clone) -> None:
    """Also with --all, and from a folder further down."""
    assert clone.tool("verify-asset", "vqa") == (0, sound(), "")
    assert clone.tool("verify-asset", "--all", cwd=clone.path / "data") == (0, sound(), "")


@pytest.mark.parametrize("damage", [write_through, rot, truncate])
def test_contents_are_mended_from_the_archive(clone: Clone, damage: Callable[[Path], None]) -> None:
    """Though DVC takes them for sound, and nobody else has them."""
    forget_team(clone)
    damage(clone.path / FEATURES)
    damage(stored(clone, samples.tree("vqa")["annotations/train.json"]))
    here = total(clone)

    assert clone.tool("verify-asset", "vqa") == (
        0,
        told(
            f"vqa: mended, 5 files, {here}",
            f"  damaged: data/vqa/annotations/train.json; mended from {ARCHIVE}",
            f"  damaged: {FEATURES}; mended from {ARCHIVE}",
        ),
        "",
    )
    assert_clean(clone)
    assert clone.tool("verify-asset", "vqa") == (0, sound(), "")


@pytest.mark.parametrize("kind", ["symlink", "copy"])
def test_caches_that_do_not_link_hard_are_mended(clone: Clone, kind: str) -> None:
    """A symbolic link leads to the mended object; of a copy, the object has the bytes again."""
    forget_team(clone)
    clone.ok("dvc", "config", "cache.type", kind)
    clone.ok("dvc", "checkout", "--relink")
    rot(stored(clone, samples.tree("vqa")["train.feature.tsv"]))
    rot(stored(clone, samples.archive("vqa")))
    place = {"symlink": ("upstream", ARCHIVE), "copy": ("the workspace", "the workspace")}[kind]

    assert clone.tool("verify-asset", "vqa") == (
        0,
        sound(
            "mended",
            f"  damaged: {ARCHIVE}; mended from {place[0]}",
            f"  damaged: {FEATURES}; mended from {place[1]}",
        ),
        "",
    )
    assert clone.tool("verify-asset", "vqa") == (0, sound(), "")
    assert (clone.path / FEATURES).is_symlink() == (kind == "symlink")
    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert clone.ok("dvc", "status") == "Data and pipelines are up to date.\n"


def test_an_archive_is_mended_from_the_team_remote(clone: Clone) -> None:
    """And the contents from the archive then, all in one run."""
    rot(clone.path / ARCHIVE)
    write_through(clone.path / LABELS)

    result = clone.tool("verify-asset", "vqa")

    assert result == (
        0,
        sound(
            "mended",
            f"  damaged: {ARCHIVE}; mended from the team remote",
            f"  damaged: {LABELS}; mended from {ARCHIVE}",
        ),
        "",
    )
    assert_clean(clone)


def test_an_archive_is_mended_from_upstream(clone: Clone) -> None:
    """Where the team remote's copy is damaged as well."""
    rot(clone.path / ARCHIVE)
    rot(
        next(
            path for path in team(clone).rglob("*") if path.is_file() and path.stat().st_size == ARCHIVE_SIZE
        )
    )

    assert clone.tool("verify-asset", "vqa") == (
        0,
        sound("mended", f"  damaged: {ARCHIVE}; mended from upstream"),
        "",
    )
    assert_clean(clone)
    assert not list((clone.path / ".dvc/tmp/fetch").glob("vqa.[pj]*"))


def test_contents_without_their_archive_are_mended(clone: Clone) -> None:
    """From the team remote; without it from upstream, whose archive was freed, and stays so."""
    for path in (clone.path / ARCHIVE, stored(clone, samples.archive("vqa"))):
        path.unlink()
    write_through(clone.path / FEATURES)
    assert clone.tool("verify-asset", "vqa") == (
        0,
        told(
            f"vqa: mended, 4 files, {total(clone)}; 1 not here",
            f"  damaged: {FEATURES}; mended from the team remote",
        ),
        "",
    )

    forget_team(clone)
    write_through(clone.path / FEATURES)
    result = clone.tool("verify-asset", "vqa")

    assert result.code == 0
    assert result.stdout.endswith(f"  damaged: {FEATURES}; mended from upstream\n")
    assert clone.tree("data/vqa") == samples.tree("vqa")
    clone.ok("dvc", "checkout", "unzip@vqa")
    assert clone.tool("verify-asset", "vqa").stdout == f"vqa: sound, 4 files, {total(clone)}; 1 not here\n"


def test_what_the_cache_lost_comes_back_from_the_workspace(clone: Clone) -> None:
    """The archive, contents and their list, and nothing is read over the network."""
    forget_team(clone)
    clone.use("BlobEndpoint=http://127.0.0.1:9/biglmdiag;SharedAccessSignature=sp=r")
    shutil.rmtree(clone.path / ".dvc/cache")

    result = clone.tool("verify-asset", "vqa", "--json")

    files = [
        ARCHIVE,
        "data/vqa/ (the list of its files)",
        *(f"data/vqa/{path}" for path in samples.tree("vqa")),
    ]
    document = json.loads(result.stdout)
    assert (result.code, result.stderr) == (0, "")
    assert document == {
        "assets": [
            {
                "name": "vqa", "files": 6, "size": SIZE, "absent": 0,
                "damaged": dict.fromkeys(files, "the workspace"),
                "missing": [], "modified": [], "unknown": [],
            }
        ],
        "next": [],
    }  # fmt: skip
    assert_clean(clone)


@pytest.mark.parametrize(
    ("damage", "source"),
    [(rot, "the workspace"), (os.unlink, ARCHIVE), (truncate, "the team remote"), (os.unlink, "upstream")],
)
def test_the_list_of_the_contents_is_mended(
    clone: Clone, damage: Callable[[Path], None], source: str
) -> None:
    """From what lies in the folder; with a file damaged too, from the archive; without it, as any object."""
    damage(listed(clone))
    if source != "the team remote":
        forget_team(clone)
    if source != "the workspace":
        rot(clone.path / FEATURES)
    if source in ("the team remote", "upstream"):
        for path in (clone.path / ARCHIVE, stored(clone, samples.archive("vqa"))):
            path.unlink()

    result = clone.tool("verify-asset", "vqa")

    assert (result.code, result.stderr) == (0, "")
    assert f"  damaged: data/vqa/ (the list of its files); mended from {source}\n" in result.stdout
    assert clone.tree("data/vqa") == samples.tree("vqa")
    clone.ok("dvc", "checkout", "unzip@vqa")
    if source in ("the workspace", ARCHIVE):
        assert_clean(clone)


def test_what_cannot_be_mended_is_named_and_goes_out_of_the_cache(clone: Clone) -> None:
    """So that nobody pushes it; once a colleague has pushed a sound copy, the printed steps bring it back."""
    aside = clone.path.parent / "aside"
    team(clone).rename(aside)
    damaged = {}
    for path in (ARCHIVE, FEATURES):
        write_through(clone.path / path)  # in the archive, that is the first member: the features again
        damaged[path] = (clone.path / path).read_bytes()

    with Azurite() as other:  # which serves the same bytes under another ETag
        other.put(samples.blob_path("vqa"), samples.archive("vqa"))
        clone.use(other.connection_string(other.sas()))
        assert clone.tool("verify-asset", "vqa") == (
            1,
            sound(
                "2 not as recorded",
                f"  damaged: {ARCHIVE}; there is no sound copy",
                f"  damaged: {FEATURES}; there is no sound copy",
                "next: tools/verify-asset vqa",
                "      once upstream or the team remote has a sound copy",
            ),
            told(
                f"vqa: no copy from upstream: the blob has changed since {ARCHIVE}.dvc recorded it",
                f"vqa: no copy from {ARCHIVE}: archive refused: member vqa/train.feature.tsv: there is no local"
                " header where the directory says",
            ),
        )
    assert {path: (clone.path / path).read_bytes() for path in damaged} == damaged
    assert "modified" in clone.ok("dvc", "status")
    clone.run("dvc", "push")
    pushed = [path.read_bytes() for path in team(clone).rglob("*") if path.is_file()]
    assert pushed
    assert not [content for content in pushed if content in damaged.values()]
    shutil.rmtree(team(clone))
    aside.rename(team(clone))
    assert clone.tool("verify-asset", "vqa") == (
        0,
        sound(
            "mended",
            f"  damaged: {ARCHIVE}; mended from the team remote",
            f"  damaged: {FEATURES}; mended from {ARCHIVE}",
        ),
        "",
    )
    assert_clean(clone)


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy"])
def test_what_was_taken_out_of_the_cache_is_no_edit_of_the_users(clone: Clone, kind: str) -> None:
    """However often it is verified until a source is back; an edit beside it is, and stays."""
    clone.ok("dvc", "config", "cache.type", kind)
    clone.ok("dvc", "checkout", "--relink")
    clone.tool("remove-asset", "vqa", "--archive", "--force")
    rot(stored(clone, samples.tree("vqa")["train.feature.tsv"]))
    if kind == "copy":  # which is mended from the workspace, unless that has the damage as well
        clone.ok("rm", FEATURES)
        clone.ok("dvc", "checkout", FEATURES)
    clone.ok("dvc", "unprotect", LABELS)
    (clone.path / LABELS).write_text("mine\n")

    with without_sources(clone):
        lost = [clone.tool("verify-asset", "vqa") for _ in range(2)]
        blocked = clone.tool("fetch-asset", "vqa", "--force")
    mended = clone.tool("verify-asset", "vqa")

    damaged, modified = f"  damaged: {FEATURES}", f"  modified: {LABELS}; left as it is"
    for result in lost:
        assert result.code == 1
        assert result.stdout.splitlines()[1:3] == [f"{damaged}; there is no sound copy", modified]
    assert (blocked.code, blocked.error) == (
        1,
        "error: data/vqa is damaged: its objects in the cache were overwritten, or are gone",
    )
    assert (mended.code, mended.stderr) == (1, "")
    assert mended.stdout.splitlines()[1:3] == [f"{damaged}; mended from the team remote", modified]
    clone.ok("bash", "-c", mended.stdout.splitlines()[3].removeprefix("next: "))
    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert clone.tool("verify-asset", "vqa").code == 0
    mended_object = stored(clone, samples.tree("vqa")["train.feature.tsv"])
    assert mended_object.samefile(clone.path / FEATURES) == (kind == "hardlink")


def test_to_look_at_damage_changes_nothing(clone: Clone) -> None:
    """Left writable, a damaged object would be removed by DVC's own check, and be an edit from then on."""
    (clone.path / FEATURES).chmod(0o644)
    (clone.path / FEATURES).write_bytes(b"EDIT")

    for command in ("list-assets", "add-asset vqa", "fetch-asset vqa", "remove-asset vqa", "list-assets"):
        assert "damaged" in clone.tool(*command.split()).said, command
    assert clone.tool("verify-asset", "vqa").code == 0
    assert_clean(clone)


def test_a_file_is_mended_from_the_cache_that_has_got_its_object_again(clone: Clone) -> None:
    """By `dvc fetch`, which leaves the workspace alone."""
    clone.tool("remove-asset", "vqa", "--archive", "--force")
    with without_sources(clone):
        write_through(clone.path / FEATURES)
        assert clone.tool("verify-asset", "vqa").code == 1
    clone.ok("dvc", "fetch", "unzip@vqa")

    assert clone.tool("verify-asset", "vqa") == (
        0,
        told(
            f"vqa: mended, 4 files, {total(clone)}; 1 not here",
            f"  damaged: {FEATURES}; mended from the cache",
        ),
        "",
    )
    assert stored(clone, samples.tree("vqa")["train.feature.tsv"]).samefile(clone.path / FEATURES)
    assert clone.tool("verify-asset", "vqa").code == 0


def test_every_link_to_a_damaged_object_is_mended(clone: Clone) -> None:
    """Of other outputs as well, a file and a folder, of which nobody asked."""
    (clone.path / "mine").mkdir()
    for copy in ("copy.tsv", "mine/copy.tsv"):
        clone.ok("cp", FEATURES, copy)
        clone.ok("dvc", "add", "--quiet", copy.partition("/")[0])
    before = (clone.path / "copy.tsv").read_bytes()
    write_through(clone.path / FEATURES)
    assert (clone.path / "mine/copy.tsv").read_bytes() != before  # one and the same file

    result = clone.tool("verify-asset", "vqa")

    assert result == (0, sound("mended", f"  damaged: {FEATURES}; mended from {ARCHIVE}"), "")
    for copy in ("copy.tsv", "mine/copy.tsv"):
        assert (clone.path / copy).samefile(stored(clone, before))
    assert_clean(clone)


def test_a_recorded_file_that_was_deleted_is_told(clone: Clone) -> None:
    """It is no sound data set; without any of its files, the cache alone has it."""
    (clone.path / FEATURES).unlink()
    (clone.path / LABELS).unlink()

    deleted = clone.tool("verify-asset", "vqa")
    step = deleted.stdout.splitlines()[3].removeprefix("next: ")

    assert deleted == (
        1,
        sound(
            "2 not as recorded",
            f"  missing: {FEATURES}; the cache has it",
            f"  missing: {LABELS}; the cache has it",
            f"next: dvc checkout {FEATURES} {LABELS}",
            "      brings them back",
        ),
        "",
    )
    clone.ok("bash", "-c", step)
    assert_clean(clone)
    shutil.rmtree(clone.path / "data/vqa")
    assert clone.tool("verify-asset", "vqa") == (0, sound(), "")


def test_the_users_own_is_named_and_left_alone(clone: Clone) -> None:
    """An edit of an unprotected file, a bit flipped in one behind DVC's back, a file that no record knows."""
    clone.ok("dvc", "unprotect", "data/vqa")
    clone.ok("dvc", "status")
    write_through(clone.path / FEATURES)
    rot(clone.path / LABELS)
    (clone.path / "data/vqa/notes.txt").write_text("mine")
    before = clone.tree("data/vqa")

    result = clone.tool("verify-asset", "vqa", cwd=clone.path / "data")

    assert result == (
        1,
        sound(
            "2 not as recorded",
            f"  modified: {FEATURES}; left as it is",
            f"  modified: {LABELS}; left as it is",
            "  not recorded: data/vqa/notes.txt; left as it is",
            f"next: cd .. && dvc checkout --force {FEATURES} {LABELS}",
            "      drops these edits",
        ),
        "",
    )
    assert clone.tree("data/vqa") == before
    step = result.stdout.splitlines()[-2].removeprefix("next: ")
    assert clone.run("bash", "-c", step, cwd=clone.path / "data").code == 0
    assert clone.tool("verify-asset", "vqa") == (
        0,
        sound("sound", "  not recorded: data/vqa/notes.txt; left as it is"),
        "",
    )


def test_data_that_never_came_are_no_damage(clone: Clone) -> None:
    """A fresh clone has nothing, a folder that was pulled alone has no archive."""
    theirs = Clone(clone.path.parent / "theirs", clone.home)
    clone.ok("git", "clone", "--quiet", ".", str(theirs.path))
    (theirs.path / ".venv").symlink_to(clone.path / ".venv")

    assert theirs.tool("verify-asset", "vqa") == (0, "vqa: not here\n", "")
    theirs.ok("dvc", "pull", "unzip@vqa")
    assert theirs.tool("verify-asset", "vqa") == (
        0,
        f"vqa: sound, 4 files, {total(theirs)}; 1 not here\n",
        "",
    )


@pytest.mark.parametrize("moment", [1, 2, 3, 4, 7])
def test_killed_at_any_moment_it_can_be_run_again(clone: Clone, moment: int) -> None:
    """Killed at each link and rename that it makes."""
    forget_team(clone)
    write_through(clone.path / FEATURES)
    write_through(clone.path / ARCHIVE)

    killed = clone.run(str(clone.path / ".venv/bin/python"), "-c", KILLED, str(moment))
    again = clone.tool("verify-asset", "vqa")

    assert (killed.code, again.code) == (9, 0)
    assert_clean(clone)
