"""`tools/remove-asset`: out of use again, with cache and remote left alone."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import samples
from tests.clones import write_through

if TYPE_CHECKING:
    from tests.azurite import Azurite
    from tests.clones import Clone


LOST = "error: the archive of vqa might never come back:"
TEAM = "and the team remote does not have it"


def cached(clone: Clone) -> list[str]:
    """The objects of the cache."""
    top = clone.path / ".dvc/cache/files/md5"
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())


def commit(clone: Clone) -> None:
    """Commit everything."""
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--quiet", "--message", "What is here")


def bytes_of(clone: Clone) -> int:
    """The disk that archives, contents and cache take, each file once."""
    paths = (
        path for folder in ("archives", "data", ".dvc/cache") for path in (clone.path / folder).rglob("*")
    )
    return sum({path.stat().st_ino: path.stat().st_size for path in paths if path.is_file()}.values())


def test_stage_parameters_and_ignore_entries_go_and_the_cache_stays(clone: Clone) -> None:
    """Afterwards the repository is as before the asset was added, and says how to free the space."""
    clone.tool("add-asset", "GQA")
    clone.ok("dvc", "repro")
    commit(clone)
    before, objects = clone.files(), cached(clone)
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    kept = cached(clone)
    commit(clone)

    result = clone.tool("remove-asset", "vqa")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "vqa: out of use, with archives/vqa.zip and data/vqa",
        (
            "next: git add archives/.gitignore archives/vqa.zip.dvc data/.gitignore dvc.lock params.yaml"
            ' && git commit -m "Remove vqa"'
        ),
        "      the cache keeps the data; Freeing space in the README tells how to free it",
    ]
    assert clone.files() == before
    assert cached(clone) == kept
    clone.ok("bash", "-c", result.stdout.splitlines()[1].removeprefix("next: "))
    assert clone.ok("git", "status", "--porcelain") == ""
    clone.ok("dvc", "gc", "--workspace", "--force")
    assert cached(clone) == objects


def test_removed_again_it_tells_the_commit_again(clone: Clone) -> None:
    """A run may have been killed when all was done but its last line."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    commit(clone)
    first, again = clone.tool("remove-asset", "vqa"), clone.tool("remove-asset", "vqa")

    step = first.stdout.splitlines()[1]
    assert (again.code, again.stdout, again.stderr) == (0, f"vqa: out of use\n{step}\n", "")
    clone.ok("bash", "-c", step.removeprefix("next: "))
    assert clone.tool("remove-asset", "vqa").error == "error: 'vqa' is not in use"


def test_git_and_dvc_bring_a_removed_asset_back(clone: Clone) -> None:
    """From git's history and DVC's cache, without any download."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--message", "Add vqa")
    clone.tool("remove-asset", "vqa")
    assert not (clone.path / "data/vqa").exists()

    clone.ok("git", "checkout", "--", ".")
    clone.ok("dvc", "checkout")

    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert clone.ok("git", "status", "--porcelain") == ""


def test_an_asset_that_was_only_added_is_removed_too(clone: Clone) -> None:
    """Nothing was downloaded yet."""
    before = clone.files()
    clone.tool("add-asset", "vqa", "GQA")

    result = clone.tool("remove-asset", "vqa", "GQA")

    assert result.stdout.splitlines()[:2] == ["vqa: out of use", "GQA: out of use"]
    assert clone.files() == before


def test_paths_are_those_from_the_root_wherever_it_is_typed(clone: Clone) -> None:
    """What a program reads does not depend on the current folder."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")

    result = clone.run(clone.path / "tools/remove-asset", "vqa", "--json", cwd=clone.path / "tests")

    assert (result.code, json.loads(result.stdout)) == (
        0,
        [{"name": "vqa", "removed": ["archives/vqa.zip", "data/vqa"], "part_file": 0}],
    )
    assert not (clone.path / "data/vqa").exists()


def test_data_that_no_cache_has_is_not_deleted(clone: Clone) -> None:
    """Somebody worked in the folder; nothing changes, unless forced."""
    clone.tool("add-asset", "GQA", "vqa")
    clone.ok("dvc", "repro")
    (clone.path / "data/vqa/notes.txt").write_text("mine")
    before = clone.files()

    result = clone.tool("remove-asset", "GQA", "vqa")
    forced = clone.tool("remove-asset", "GQA", "vqa", "--force")

    assert (result.code, result.stdout, result.stderr.splitlines()) == (
        1,
        "",
        [
            "error: data/vqa holds what the cache does not have",
            "hint: 'dvc commit --force unzip@vqa' keeps it; --force deletes it",
        ],
    )
    assert before["data/vqa/notes.txt"] == b"mine"
    assert forced.code == 0
    assert not (clone.path / "data/vqa").exists()


def test_the_hint_keeps_an_edit_also_where_the_archive_was_freed(clone: Clone) -> None:
    """DVC wants the archive in the workspace to record contents."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    commit(clone)
    clone.ok("tools/remove-asset", "vqa", "--archive")
    (clone.path / "data/vqa/notes.txt").write_text("mine")

    blocked = clone.tool("remove-asset", "vqa")
    [keeping] = re.findall("'([^']*)'", blocked.stderr)

    assert (blocked.code, keeping) == (
        1,
        "tools/fetch-asset vqa --no-unzip && dvc commit --force unzip@vqa",
    )
    clone.ok("bash", "-c", keeping)
    clone.ok("tools/remove-asset", "vqa")
    clone.ok("git", "checkout", "--quiet", "--", ".")
    assert not (clone.path / "data/vqa").exists()


def test_contents_whose_list_the_cache_has_lost_stay(shared: Clone) -> None:
    """Their files are cached, and nothing could put them together again; the hint helps."""
    text = (shared.path / "dvc.lock").read_text()
    [oid] = re.findall(r"md5: (\w+\.dir)", text)
    (shared.path / ".dvc/cache/files/md5" / oid[:2] / oid[2:]).unlink()

    removed, freed = shared.tool("remove-asset", "vqa"), shared.tool("remove-asset", "vqa", "--archive")

    assert (removed.code, removed.stderr.splitlines()) == (
        1,
        [
            "error: data/vqa holds what the cache does not have",
            "hint: tools/verify-asset vqa puts it there; --force deletes it",
        ],
    )
    assert (freed.code, freed.stderr.splitlines()[1]) == (1, "hint: tools/verify-asset vqa makes it so")
    shared.ok("tools/verify-asset", "vqa")
    shared.ok("tools/remove-asset", "vqa", "--archive", "--force")
    shared.ok("tools/remove-asset", "vqa")


def test_edits_of_an_older_version_are_not_offered_to_be_kept_as_the_new_one(
    clone: Clone, upstream: Azurite
) -> None:
    """`dvc commit` would tie them to the archive that is recorded by now."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    (clone.path / "data/vqa/notes.txt").write_text("mine")
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))
    assert clone.tool("add-asset", "vqa", "--force").code == 0

    assert clone.tool("remove-asset", "vqa").stderr.splitlines() == [
        "error: data/vqa holds what the cache does not have",
        "hint: move it away: it is of another version of the archive; --force deletes it",
    ]


def test_damaged_data_is_neither_removed_nor_freed_of_its_archive(shared: Clone) -> None:
    """The archive may be what mends it."""
    write_through(shared.path / "data/vqa/train.label.tsv")

    removed, freed = shared.tool("remove-asset", "vqa"), shared.tool("remove-asset", "vqa", "--archive")

    assert (removed.code, removed.stderr.splitlines()) == (
        1,
        [
            "error: data/vqa holds what the cache does not have",
            "hint: it is damaged, and tools/verify-asset vqa mends it; --force deletes it",
        ],
    )
    assert (freed.code, freed.error) == (
        1,
        "error: data/vqa is damaged: its objects in the cache were overwritten, or are gone",
    )
    shared.ok("tools/verify-asset", "vqa")
    shared.ok("tools/remove-asset", "vqa")


def test_what_a_killed_run_has_left_of_a_folder_is_removed(clone: Clone) -> None:
    """It differs from what is recorded, and the cache has every file of it."""
    before = clone.files()
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    (clone.path / "data/vqa/train.feature.tsv").unlink()

    result = clone.tool("remove-asset", "vqa")

    assert (result.code, result.stderr) == (0, "")
    assert clone.files() == before


def test_nothing_goes_while_the_lock_file_cannot_be_edited(clone: Clone) -> None:
    """It is YAML, but not in the lines that DVC writes: known before anything is removed."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    lock = clone.path / "dvc.lock"
    lock.write_text(json.dumps(yaml.safe_load(lock.read_text())))
    before = clone.files()

    result = clone.tool("remove-asset", "vqa")

    assert result.code == 1
    assert result.error == "error: dvc.lock is not as DVC writes it; is it in the middle of a merge?"
    assert (clone.files(), clone.tree("data/vqa")) == (before, samples.tree("vqa"))


def test_an_asset_that_is_not_in_use_is_said_to_be_so(clone: Clone) -> None:
    """And an unknown name is met with the closest ones."""
    unused, unknown = clone.tool("remove-asset", "vqa"), clone.tool("remove-asset", "vqaa")

    assert (unused.code, unused.stderr.splitlines()) == (
        2,
        ["error: 'vqa' is not in use", "hint: tools/list-assets shows which assets are"],
    )
    assert (unknown.code, unknown.stderr.splitlines()[1]) == (2, "hint: did you mean vqa?")


def test_an_archive_is_freed_and_can_be_had_again(clone: Clone) -> None:
    """Workspace and cache lose it, git sees nothing of that, and a second run frees nothing."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    commit(clone)
    before, size = bytes_of(clone), len(samples.archive("vqa"))

    result = clone.tool("remove-asset", "vqa", "--archive")
    after = bytes_of(clone)
    again = clone.tool("remove-asset", "vqa", "--archive")

    back = "next: nothing; 'tools/fetch-asset vqa --no-unzip' would bring the archives back"
    assert (result.code, result.stdout.splitlines(), result.stderr) == (
        0,
        ["vqa: 31.4 kB freed; stage and contents stay", back],
        "",
    )
    assert before - after == size
    assert again.stdout.splitlines() == ["vqa: 0 B freed; stage and contents stay", back]
    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert clone.ok("git", "status", "--porcelain") == ""
    clone.ok("bash", "-c", back.split("'")[1])
    assert bytes_of(clone) == before
    assert "Data and pipelines are up to date." in clone.ok("dvc", "repro")


def test_an_archive_that_another_asset_shares_stays_in_the_cache(clone: Clone, upstream: Azurite) -> None:
    """The same bytes under another name; freed together, they go."""
    url = f"{upstream.endpoint}/oscar/datasets/vqa.zip?{upstream.sas()}"
    clone.tool("add-asset", "vqa")
    clone.tool("add-asset", "twin", "--url", url)
    clone.ok("dvc", "repro")

    one = clone.tool("remove-asset", "vqa", "--archive")
    up_to_date = clone.run("dvc", "repro", "unzip@twin")
    both = clone.tool("remove-asset", "twin", "vqa", "--archive")

    assert one.stdout.splitlines()[0] == "vqa: 0 B freed; stage and contents stay"
    assert (up_to_date.code, (clone.path / "archives/vqa.zip").exists()) == (0, False)
    assert both.stdout.splitlines()[0] == "twin: 31.4 kB freed; stage and contents stay"


@pytest.mark.parametrize("team", [False, True], ids=["no-team", "team"])
def test_an_archive_that_cannot_be_had_again_is_not_freed(
    clone: Clone, upstream: Azurite, *, team: bool
) -> None:
    """Replaced upstream and not pushed; pushed, it is freed; --force frees it for good."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    if team:
        clone.ok("dvc", "push", "archives/vqa.zip.dvc")
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))
    before = bytes_of(clone)

    result = clone.tool("remove-asset", "vqa", "--archive")

    if team:
        assert (result.code, before - bytes_of(clone)) == (0, len(samples.archive("vqa")))
        return
    assert (result.code, result.stdout, result.stderr.splitlines(), bytes_of(clone)) == (
        1,
        "",
        [
            f"{LOST} upstream has it no more, {TEAM}",
            "hint: dvc push brings it to the team remote; --force deletes it for good",
        ],
        before,
    )
    assert clone.tool("remove-asset", "vqa", "--archive", "--force").code == 0
    assert clone.tree("data/vqa") == samples.tree("vqa")


def test_the_team_remote_serves_where_upstream_cannot_be_asked(clone: Clone, upstream: Azurite) -> None:
    """The SAS has expired, the host is down: pushed, the archive is freed all the same."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.use(upstream.connection_string(upstream.sas(expiry=datetime(2024, 1, 1, tzinfo=timezone.utc))))

    kept = clone.tool("remove-asset", "vqa", "--archive")
    clone.use(upstream.connection_string(upstream.sas()).replace(upstream.endpoint, "http://127.0.0.1:9"))
    silent = clone.tool("remove-asset", "vqa", "--archive")
    clone.ok("dvc", "push", "archives/vqa.zip.dvc")
    freed = clone.tool("remove-asset", "vqa", "--archive")

    assert (kept.code, freed.code) == (1, 0)
    assert kept.error.startswith(f"{LOST} upstream cannot be asked (source 'oscar': the SAS expired on ")
    assert (silent.code, silent.error) == (
        1,
        f"{LOST} upstream cannot be asked (the host 127.0.0.1:9 cannot be reached: Connection refused), {TEAM}",
    )
    assert freed.stdout.splitlines()[1] == (
        "next: nothing; 'dvc pull archives/vqa.zip.dvc' would bring the archives back"
    )
    clone.ok(*freed.stdout.split("'")[1].split())
    assert (clone.path / "archives/vqa.zip").read_bytes() == samples.archive("vqa")


def test_an_archive_is_kept_until_its_contents_are(clone: Clone) -> None:
    """Not downloaded, not unpacked, or unpacked and gone from the cache; the hint makes it possible."""
    clone.tool("add-asset", "vqa")
    refusals = [clone.tool("remove-asset", "vqa", "--archive", "--force")]
    clone.ok("dvc", "repro", "archives/vqa.zip.dvc")
    refusals.append(clone.tool("remove-asset", "vqa", "--archive"))
    clone.ok("dvc", "repro")
    clone.ok(
        "bash", "-c", "mv archives/vqa.zip kept && rm -rf .dvc/cache data/vqa && mv kept archives/vqa.zip"
    )
    refusals.append(clone.tool("remove-asset", "vqa", "--archive"))

    for refusal in refusals:
        assert (refusal.code, refusal.stdout, refusal.stderr.splitlines()) == (
            1,
            "",
            [
                "error: the contents of vqa are not unpacked and cached, so its archive is needed",
                "hint: tools/fetch-asset vqa makes it so",
            ],
        )
    clone.ok("tools/fetch-asset", "vqa")
    assert clone.tool("remove-asset", "vqa", "--archive").code == 0


def test_what_may_be_others_or_is_edited_is_not_freed(clone: Clone) -> None:
    """A cache outside of the clone, and an archive that somebody changed."""
    clone.ok("dvc", "cache", "dir", "--local", "../shared")
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    shared = clone.tool("remove-asset", "vqa", "--archive")
    clone.ok("dvc", "config", "--local", "--unset", "cache.dir")
    clone.ok("cp", "-r", "../shared", ".dvc/cache")
    clone.ok("dvc", "unprotect", "archives/vqa.zip")
    (clone.path / "archives/vqa.zip").write_bytes(b"mine")
    edited = clone.tool("remove-asset", "vqa", "--archive")

    assert (shared.code, shared.stderr.splitlines()) == (
        1,
        [
            f"error: the cache {clone.path.parent}/shared/files/md5 lies outside of this clone, and others may use it",
            "hint: --force frees the archive regardless",
        ],
    )
    assert (edited.code, edited.stderr.splitlines()) == (
        1,
        [
            "error: archives/vqa.zip holds what the cache does not have",
            "hint: tools/verify-asset vqa puts it there, if it is the recorded archive; --force deletes it",
        ],
    )


def test_only_archives_in_use_can_be_freed(clone: Clone, upstream: Azurite) -> None:
    """A file that is no archive is the data itself."""
    upstream.put("weights/model.pt", b"weights")
    url = f"{upstream.endpoint}/oscar/weights/model.pt?{upstream.sas()}"
    clone.tool("add-asset", "weights", "--url", url)

    file, unused = (clone.tool("remove-asset", name, "--archive") for name in ("weights", "vqa"))

    assert (file.code, file.stderr) == (
        2,
        "error: 'weights' is no archive, so there is nothing beside its data to free\n",
    )
    assert (unused.code, unused.stderr.splitlines()[0]) == (2, "error: 'vqa' is not in use")


def test_a_folder_of_the_name_of_an_unused_asset_is_not_touched(clone: Clone) -> None:
    """Of vqa only a stage was imported by hand: data/vqa is somebody's."""
    clone.ok("mkdir", "archives")
    clone.ok("dvc", "import-url", "--quiet", "remote://oscar/datasets/vqa.zip", "archives/vqa.zip")
    (clone.path / "data/vqa").mkdir(parents=True)
    (clone.path / "data/vqa/notes.txt").write_text("mine")

    result = clone.tool("remove-asset", "vqa")

    assert (result.code, result.stdout.splitlines()[0]) == (0, "vqa: out of use, with archives/vqa.zip")
    assert clone.tree("data/vqa") == {"notes.txt": b"mine"}
