"""`tools/add-asset`: what it does for an asset in each state it may be in."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import samples
from tests.clones import write_through

if TYPE_CHECKING:
    from tests.azurite import Azurite
    from tests.clones import Clone

SIZE = len(samples.archive("vqa"))


def ending(name: str, commit: str) -> str:
    """What add-asset prints when an asset is to be downloaded: both ways to it, and the commit."""
    return (
        f"next: tools/fetch-asset {name}\n"
        "      goes on where it was interrupted, verifies, and unpacks on the way\n"
        f"or: dvc repro unzip@{name}\n"
        "      with DVC alone; begins again from zero when it was interrupted\n"
        f"then: {commit}\n"
        "      when the download is done: a commit before it makes the dvc pull of colleagues ask upstream\n"
    )


def adding(name: str) -> str:
    """The commit of a new asset, that misses nothing."""
    return (
        f"git add archives/.gitignore archives/{name}.zip.dvc data/.gitignore dvc.lock params.yaml"
        f' && git commit -m "Add {name}"'
    )


def stage(clone: Clone, name: str = "vqa") -> dict[str, Any]:
    """What an asset's import stage says."""
    document: dict[str, Any] = yaml.safe_load((clone.path / f"archives/{name}.zip.dvc").read_text())
    return document


def forget(clone: Clone) -> None:
    """Take archive and contents out of workspace and cache, as on a new machine."""
    clone.ok("rm", "-rf", ".dvc/cache", "archives/vqa.zip", "data/vqa")


def test_a_new_asset_gets_a_partial_import_stage_and_is_in_use(clone: Clone) -> None:
    """The stage names blob, ETag, size and what the service says, and nothing is downloaded."""
    result = clone.tool("add-asset", "vqa")

    written = stage(clone)
    assert (result.code, result.stderr) == (0, "")
    told = re.sub(r"\d{4}-\d\d-\d\d", "DATE", result.stdout)
    assert told == (
        "vqa: added, 31.4 kB of DATE, 4 members, 55.4 kB to be extracted\n" + ending("vqa", adding("vqa"))
    )
    etag = written["deps"][0].pop("etag")
    assert re.fullmatch(r'"0x[0-9A-F]+"', etag)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written["meta"].pop("modified"))
    assert re.fullmatch("[0-9a-f]{32}", written["meta"].pop("content_md5"))
    del written["md5"]  # DVC's own, of the stage
    assert written == {
        "frozen": True,
        "deps": [{"size": SIZE, "hash": "md5", "path": "remote://oscar/datasets/vqa.zip"}],
        "outs": [{"hash": "md5", "path": "vqa.zip"}],
        "meta": {"etag": etag},
    }
    assert yaml.safe_load((clone.path / "params.yaml").read_text())["assets"] == {
        "vqa": {"archive": "archives/vqa.zip", "dir": "data/vqa"}
    }
    assert clone.ok("git", "status", "--porcelain") == " M params.yaml\n?? archives/\n?? data/\n"
    assert not (clone.path / "archives/vqa.zip").exists()


def test_the_next_repro_downloads_and_unzips_and_a_second_one_does_nothing(clone: Clone) -> None:
    """From add-asset to data in two commands, both layouts of archive landing alike."""
    clone.tool("add-asset", "vqa", "GQA", "base-vg-labels")
    clone.ok("dvc", "repro")

    assert "vqa" in samples.WRAPPED
    assert "GQA" not in samples.WRAPPED
    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert clone.tree("data/GQA") == samples.tree("GQA")
    assert clone.tree("models/base-vg-labels") == samples.tree("base-vg-labels")
    before = clone.files()
    assert "Data and pipelines are up to date." in clone.ok("dvc", "repro")
    assert clone.files() == before


def test_repro_of_one_asset_leaves_the_others_alone(clone: Clone) -> None:
    """`dvc repro unzip@vqa` brings vqa and nothing else."""
    clone.tool("add-asset", "vqa", "GQA")

    clone.ok("dvc", "repro", "unzip@vqa")

    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert not (clone.path / "archives/GQA.zip").exists()


def test_nothing_is_copied_into_the_cache(clone: Clone) -> None:
    """Archive and contents are links to the cache's files, so they take the disk once."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")

    assert (clone.path / "archives/vqa.zip").stat().st_nlink == 2
    assert (clone.path / "data/vqa/train.feature.tsv").stat().st_nlink == 2


def test_all_nine_are_added_in_one_run(clone: Clone) -> None:
    """`--all` takes the whole catalogue, in its order, and what comes next stays as short."""
    result = clone.tool("add-asset", "--all")

    lines = result.stdout.splitlines()
    commands = [line for line in lines[len(samples.NAMES) :] if line[0] != " "]
    assert (result.code, result.stderr) == (0, "")
    assert [line.partition(": ")[0] for line in lines[: len(samples.NAMES)]] == list(samples.NAMES)
    assert commands == [
        "next: tools/fetch-asset --all",
        "or: dvc repro unzip",
        (
            "then: git add 'archives/*.dvc' archives/.gitignore data/.gitignore dvc.lock models/.gitignore"
            ' params.yaml && git commit -m "Add 9 assets"'
        ),
    ]
    assert all(stage(clone, name)["deps"] for name in samples.NAMES)
    for command in commands[1:]:
        clone.ok("bash", "-c", command.partition(": ")[2])
    assert clone.ok("git", "status", "--porcelain") == ""
    assert clone.tool("add-asset", "--all").stdout.splitlines()[-1] == (
        "next: nothing, all is here as it is upstream"
    )


def test_an_unchanged_asset_is_said_to_be_and_no_file_changes(clone: Clone) -> None:
    """Refreshing what is as it was upstream writes nothing, downloaded or not."""
    clone.tool("add-asset", "vqa")
    before = clone.files()
    partial = clone.tool("add-asset", "vqa")
    assert clone.files() == before
    clone.ok("dvc", "repro")
    before = clone.files()
    pinned = clone.tool("add-asset", "vqa")

    assert clone.files() == before
    assert partial.stdout == (
        "vqa: unchanged upstream, not downloaded yet, 31.4 kB, 4 members, 55.4 kB to be extracted\n"
        + ending("vqa", adding("vqa"))
    )
    assert pinned.stdout == f"vqa: unchanged upstream\nnext: {adding('vqa')}\n"
    assert (partial.code, pinned.code) == (0, 0)


def test_a_changed_asset_is_recorded_and_the_next_repro_brings_the_new_contents(
    clone: Clone, upstream: Azurite
) -> None:
    """The line tells size, date and ETag before and after."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    before = stage(clone)
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))

    result = clone.tool("add-asset", "vqa")

    after = stage(clone)
    assert result.code == 0
    assert re.match(
        r"vqa: changed upstream, recorded: (size .* -> .*, )?(date .* -> .*, )?ETag ", result.stdout
    )
    assert f"ETag {before['deps'][0]['etag']} -> {after['deps'][0]['etag']}" in result.stdout
    assert result.stdout.endswith("\n" + ending("vqa", adding("vqa")))
    assert "md5" not in after["outs"][0]
    clone.ok("dvc", "repro")
    assert clone.tree("data/vqa") == samples.tree("vqa", edition=2)


def test_a_lost_archive_is_made_partial_again_so_that_repro_downloads_it(clone: Clone) -> None:
    """Pinned, and nowhere to be had but upstream: a clone without a team gets its data back."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    forget(clone)
    assert "missing data 'source'" in clone.run("dvc", "repro").said

    result = clone.tool("add-asset", "vqa")

    assert (result.code, result.stdout) == (
        0,
        "vqa: unchanged upstream, but its archive is in neither the workspace nor the cache nor the team"
        " remote: made partial again, 31.4 kB to download, 4 members, 55.4 kB to be extracted\n"
        + ending("vqa", adding("vqa")),
    )
    clone.ok("dvc", "repro")
    assert clone.tree("data/vqa") == samples.tree("vqa")


def test_an_archive_on_the_team_remote_is_left_to_dvc_pull(clone: Clone) -> None:
    """Pinned, and only the team remote has it: no file changes, and pull brings it."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("dvc", "push")
    forget(clone)
    before = clone.files()

    result = clone.tool("add-asset", "vqa")

    assert (result.code, result.stdout) == (
        0,
        f"vqa: unchanged upstream, and on the team remote\nnext: dvc pull unzip@vqa\nthen: {adding('vqa')}\n",
    )
    assert clone.files() == before
    clone.ok("dvc", "pull")
    assert (clone.path / "archives/vqa.zip").read_bytes() == samples.archive("vqa")


def test_an_archive_in_the_cache_alone_is_unchanged(clone: Clone) -> None:
    """A deleted archive whose bytes are in the cache is no reason to download."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    (clone.path / "archives/vqa.zip").unlink()

    assert clone.tool("add-asset", "vqa").stdout.startswith("vqa: unchanged upstream\n")


def test_a_stage_whose_asset_is_not_in_use_is_put_in_use(clone: Clone) -> None:
    """What a run killed between the two writes leaves is made good by the next."""
    clone.tool("add-asset", "vqa")
    clone.ok("git", "checkout", "params.yaml")

    assert clone.tool("add-asset", "vqa").code == 0
    assert "vqa" in yaml.safe_load((clone.path / "params.yaml").read_text())["assets"]


def test_params_keep_what_a_person_wrote(clone: Clone) -> None:
    """Comments, order, spacing and quotes stay; the section of the assets in use is the only change."""
    params = clone.path / "params.yaml"
    mine = (
        params.read_text().replace(
            "  vqa:\n    kind: dataset", "  vqa:   # mine\n\n    kind:   'dataset'  # hm"
        )
        + "\n# the end\nx:   [1,  2]\n"
    )
    params.write_text(mine)

    assert clone.tool("add-asset", "vqa").code == 0
    assert params.read_text() == mine.replace(
        "assets:\n  {}\n", "assets:\n  vqa:\n    archive: archives/vqa.zip\n    dir: data/vqa\n"
    )


def test_the_roots_are_parameters(clone: Clone) -> None:
    """Another root moves the folders below it."""
    params = clone.path / "params.yaml"
    params.write_text(params.read_text().replace("dataset: data", "dataset: corpora/oscar"))
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")

    assert clone.tree("corpora/oscar/vqa") == samples.tree("vqa")


def test_a_dry_run_tells_sizes_against_the_disk_and_writes_nothing(clone: Clone) -> None:
    """Members and extracted size come from the remote archive's directory."""
    before = clone.files()

    result = clone.tool("add-asset", "vqa", "GQA", "--dry-run")

    lines = result.stdout.splitlines()
    assert result.code == 0
    assert re.fullmatch(r"vqa: would be added, 31\.4 kB of .*, 4 members, 55\.4 kB to be extracted", lines[0])
    assert re.fullmatch(r"GQA: would be added, .*, 4 members, .* to be extracted", lines[1])
    assert re.fullmatch(r"disk: .* of archives and .* of contents to come, .* free", lines[2])
    assert lines[3:] == ["dry run: nothing was written"]
    assert clone.files() == before


def test_json_holds_the_same_facts(clone: Clone) -> None:
    """One document on stdout, sizes in bytes."""
    result = clone.tool("add-asset", "vqa", "--dry-run", "--json")

    document = json.loads(result.stdout)
    [asset] = document["assets"]
    assert (result.code, document["dry_run"], document["next"]) == (0, True, "tools/fetch-asset vqa")
    assert document["disk"].keys() == {"archives", "contents", "free"}
    assert document["disk"]["archives"] == SIZE
    assert {key: asset[key] for key in ("name", "action", "size", "members", "extracted_size", "before")} == {
        "name": "vqa",
        "action": "added",
        "size": SIZE,
        "members": 4,
        "extracted_size": sum(map(len, samples.tree("vqa").values())),
        "before": None,
    }


@pytest.mark.parametrize("mark", ["", "?", "https://biglmdiag.blob.core.windows.net/oscar/datasets/vqa.zip?"])
def test_a_sas_from_standard_input_is_stored_privately(
    untouched: Clone, upstream: Azurite, mark: str
) -> None:
    """It goes to `.dvc/config.local`, which only the owner reads and git ignores; nothing shows it."""
    sas = upstream.sas()
    untouched.use(upstream.connection_string(upstream.sas("l")))

    result = untouched.tool("add-asset", "vqa", "--sas-stdin", stdin=f"{mark}{sas}\n")

    local = untouched.path / ".dvc/config.local"
    assert result.code == 0
    assert sas in local.read_text()
    assert stat.S_IMODE(local.stat().st_mode) == 0o600
    assert sas.partition("sig=")[2] not in result.said
    assert result.stdout.splitlines()[1] == (
        "source 'oscar': its SAS is stored in .dvc/config.local, which git ignores"
    )
    assert ".dvc" not in untouched.ok("git", "status", "--porcelain")
    untouched.ok("dvc", "repro")


def test_a_refused_sas_from_standard_input_is_not_stored(clone: Clone, upstream: Azurite) -> None:
    """A SAS that the service does not accept leaves the one that works in place."""
    before = clone.files()
    other = upstream.sas().partition("sig=")[0] + "sig=" + 43 * "A" + "%3D"

    result = clone.tool("add-asset", "vqa", "--sas-stdin", stdin=other)

    assert result.code == 1
    assert result.stderr.startswith("error: the service does not accept the SAS of source 'oscar'")
    assert clone.files() == before


def test_two_runs_at_once_lose_nothing(clone: Clone) -> None:
    """The second waits for the first, and both assets are in use at the end."""
    runs = [clone.start("add-asset", name) for name in ("vqa", "GQA", "nlvr2")]
    for run in runs:
        run.communicate(timeout=120)

    assert [run.returncode for run in runs] == [0, 0, 0]
    used = yaml.safe_load((clone.path / "params.yaml").read_text())["assets"]
    assert used.keys() == {"vqa", "GQA", "nlvr2"}
    clone.ok("dvc", "repro")


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_can_be_run_again(clone: Clone, stop: signal.Signals) -> None:
    """Whenever it is stopped, the same command succeeds afterwards."""
    for tenths in range(3, 15, 2):
        run = clone.start("add-asset", "--all")
        time.sleep(tenths / 10)  # any moment will do
        run.send_signal(stop)
        said = run.communicate(timeout=60)[1]
        assert "datarepo/console.py" not in said  # no traceback of ours; a starting Python has its own

    result = clone.tool("add-asset", "--all")
    assert (result.code, result.stderr) == (0, "")
    assert yaml.safe_load((clone.path / "params.yaml").read_text())["assets"].keys() == set(samples.NAMES)


@pytest.mark.parametrize("left", ["", '{"/data/vqa": {"write": {"pi'])
def test_what_a_killed_run_leaves_of_dvcs_own_locks_is_mended(clone: Clone, left: str) -> None:
    """DVC writes the list of its readers and writers in place, and refuses half of one."""
    (clone.path / ".dvc/tmp").mkdir(exist_ok=True)
    (clone.path / ".dvc/tmp/rwlock").write_text(left)

    result = clone.tool("add-asset", "vqa")

    assert (result.code, result.stderr) == (0, "")
    clone.ok("dvc", "repro")


def test_a_failure_midway_changes_no_file(clone: Clone) -> None:
    """DVC refuses the second of two imports, and the first is undone."""
    (clone.path / "mine").mkdir()
    (clone.path / "mine/dvc.yaml").write_text("stages: {zip: {cmd: zip, outs: [../archives/GQA.zip]}}\n")
    before = clone.files()

    result = clone.tool("add-asset", "vqa", "GQA")

    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "error: archives/GQA.zip.dvc: DVC says: output 'archives/GQA.zip' is already"
    )
    assert clone.files() == before


def test_dvc_at_work_in_the_repository_is_said(clone: Clone) -> None:
    """While another process holds DVC's lock, nothing is written."""
    hold = "from dvc.repo import Repo, lock_repo\nwith lock_repo(Repo()): print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold],
        cwd=clone.path,
        env=clone.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        before = clone.files()
        result = clone.tool("add-asset", "vqa")
        holder.communicate("\n")

    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "error: another dvc command is at work in this repository",
        "hint: wait until it is done, then run the command again",
    ]
    assert clone.files() == before


def test_asset_names_complete_in_the_shell(clone: Clone) -> None:
    """What bash asks for after `tools/add-asset base-v`, and options too."""
    asked = {"_ADD_ASSET_COMPLETE": "complete_bash", "COMP_CWORD": "1"}

    names = clone.tool("add-asset", env={**asked, "COMP_WORDS": "tools/add-asset\nbase-v"})
    options = clone.tool("add-asset", env={**asked, "COMP_WORDS": "tools/add-asset\n--dr"})

    assert (names.stdout.split(), options.stdout.split()) == (["base-vg-labels"], ["--dry-run"])


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["--help"], {}),
        ([], {"_ADD_ASSET_COMPLETE": "complete_bash", "COMP_CWORD": "1", "COMP_WORDS": "tools/add-asset\nv"}),
    ],
)
def test_help_and_completion_load_nothing_slow(
    clone: Clone, arguments: list[str], env: dict[str, str]
) -> None:
    """People wait for them at the keyboard; pydantic alone is as much as all the rest."""
    result = clone.tool("add-asset", *arguments, env={**env, "PYTHONPROFILEIMPORTTIME": "1"})

    modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert result.code == 0
    assert "typer" in modules
    assert not modules & {"dvc", "dvc_azure", "dulwich", "adlfs", "obstore", "pydantic", "rich", "filelock"}


def test_the_next_command_is_one_that_works_in_the_current_folder(clone: Clone) -> None:
    """`dvc repro` looks for dvc.yaml where it is typed."""
    result = clone.run(clone.path / "tools/add-asset", "vqa", cwd=clone.path / "tests")

    told = dict(re.findall(r"^(next|or|then): (.*)$", result.stdout, re.MULTILINE))
    assert told == {
        "next": "cd .. && tools/fetch-asset vqa",
        "or": "cd .. && dvc repro unzip@vqa",
        "then": adding("vqa"),  # typed where the first has led
    }
    command = told["or"]
    assert clone.run("bash", "-c", command, cwd=clone.path / "tests").code == 0
    assert clone.tree("data/vqa") == samples.tree("vqa")


def test_a_hint_says_where_its_commands_are_typed(clone: Clone) -> None:
    """In a folder below the root; one without a command is left as it is, and so is any at the root."""
    fetched = clone.run(clone.path / "tools/fetch-asset", "vqa", cwd=clone.path / "tests")
    assert fetched == (2, "", "error: not in use: vqa\nhint: tools/add-asset vqa (in ..)\n")
    assert clone.tool("fetch-asset", "vqa").stderr.endswith("\nhint: tools/add-asset vqa\n")
    unknown = clone.run(clone.path / "tools/add-asset", "vq", cwd=clone.path / "tests")
    assert unknown.stderr.endswith("\nhint: did you mean vqa?\n")


def test_a_refreshed_asset_can_be_fetched_and_removed(clone: Clone, upstream: Azurite) -> None:
    """The old archive leaves the workspace when the new one is recorded; the cache has it."""
    clone.tool("add-asset", "vqa", "GQA")
    clone.ok("dvc", "repro")
    for name in ("vqa", "GQA"):
        upstream.put(samples.blob_path(name), samples.archive(name, edition=2))
    clone.tool("add-asset", "vqa", "GQA")

    fetched = clone.tool("fetch-asset", "vqa")
    clone.ok("dvc", "repro", "unzip@vqa")
    removed = clone.tool("remove-asset", "GQA")

    assert (fetched.code, removed.code) == (0, 0), fetched.said + removed.said
    assert clone.tree("data/vqa") == samples.tree("vqa", edition=2)


def test_a_folder_that_no_repro_made_is_not_put_at_risk(clone: Clone) -> None:
    """DVC deletes an output's folder before it runs the stage."""
    (clone.path / "data/vqa/sub").mkdir(parents=True)
    for name in ("notes.txt", "sub/a", "sub/b", "sub/c", "sub/d"):
        (clone.path / "data/vqa" / name).write_text("precious")
    before = clone.files()

    results = [clone.tool("add-asset", "vqa"), clone.tool("add-asset", "vqa", "--dry-run")]

    for result in results:
        assert (result.code, result.stdout, clone.files()) == (1, "", before)
        assert result.stderr.splitlines() == [
            (
                "error: data/vqa holds what no record knows, and the next step would replace the folder:"
                " notes.txt, sub/a, sub/b, sub/c, sub/d"
            ),
            "hint: move that away, then run tools/add-asset vqa again; --force goes on without it",
        ]
    assert clone.tool("add-asset", "vqa", "--force").code == 0


def test_files_beside_the_data_block_a_new_version_of_it(clone: Clone, upstream: Azurite) -> None:
    """Also edited ones: the next step would replace the folder; what is unchanged upstream replaces nothing."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("dvc", "unprotect", "data/vqa")
    (clone.path / "data/vqa/notes.txt").write_text("precious")
    (clone.path / "data/vqa/train.label.tsv").write_text("mine")
    unchanged = clone.tool("add-asset", "vqa")
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))
    before = clone.files()

    result = clone.tool("add-asset", "vqa")

    assert unchanged.code == 0
    assert (result.code, result.stdout, clone.files()) == (1, "", before)
    assert result.stderr.splitlines()[0] == (
        "error: data/vqa holds what no record knows, and the next step would replace the folder:"
        " notes.txt, train.label.tsv"
    )
    assert clone.tool("add-asset", "vqa", "--force").code == 0


def test_an_edited_archive_is_in_the_way(clone: Clone) -> None:
    """In the words of fetch-asset, which would be the next to meet it."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("dvc", "unprotect", "archives/vqa.zip")
    (clone.path / "archives/vqa.zip").write_bytes(b"mine")

    result, listed = clone.tool("add-asset", "vqa"), clone.tool("list-assets")

    assert (result.code, result.stderr.splitlines()) == (
        1,
        [
            "error: archives/vqa.zip is already there, and is not the file that archives/vqa.zip.dvc records",
            "hint: move it away, then run tools/add-asset vqa again",
        ],
    )
    assert "  archive differs  " in listed.stdout


def test_what_the_service_says_of_a_downloaded_blob_is_renewed(clone: Clone) -> None:
    """`dvc update` and an import by hand leave a stage without it; its md5 stays, and nothing is downloaded."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    stage = clone.path / "archives/vqa.zip.dvc"
    whole = stage.read_text()
    stage.write_text(whole[: whole.index("meta:")])

    renewed = clone.tool("add-asset", "vqa")

    assert (renewed.code, renewed.stdout.splitlines()[0]) == (0, "vqa: unchanged upstream")
    assert stage.read_text() == whole
    assert clone.ok("dvc", "status") == "Data and pipelines are up to date.\n"


def test_a_damaged_archive_is_not_taken_for_the_users(clone: Clone, upstream: Azurite) -> None:
    """Replaced upstream, it can be neither mended from there nor cached: moved away, the new one comes."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    write_through(clone.path / "archives/vqa.zip")
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))

    damaged = clone.tool("add-asset", "vqa")
    verified = clone.tool("verify-asset", "vqa")
    again = clone.tool("add-asset", "vqa")
    clone.ok("mv", "archives/vqa.zip", "../aside")
    write_through(clone.path / "data/vqa/train.label.tsv")
    (clone.path / "data/vqa/notes.txt").write_text("mine")
    edited = clone.tool("add-asset", "vqa")
    clone.ok("rm", "data/vqa/notes.txt")
    renewed = clone.tool("add-asset", "vqa")
    clone.ok("tools/fetch-asset", "vqa")

    for result in (damaged, again):
        assert (result.code, result.stdout) == (1, "")
        assert result.error.startswith("error: archives/vqa.zip is damaged: ")
        assert "if that finds no sound copy, move archives/vqa.zip away" in result.stderr
    assert (verified.code, edited.code, renewed.code) == (1, 1, 0)
    assert edited.error.endswith(" and the next step would replace the folder: notes.txt")
    assert clone.tree("data/vqa") == samples.tree("vqa", edition=2)


@pytest.mark.parametrize("mend", [0, 1], ids=["keeps", "undoes"])
def test_both_mends_of_an_edit_work_as_they_are_printed(clone: Clone, mend: int) -> None:
    """Also where the archive is in the cache alone, which dvc commit wants in its place."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("rm", "archives/vqa.zip")
    clone.ok("dvc", "unprotect", "data/vqa")
    (clone.path / "data/vqa/notes.txt").write_text("mine")

    told = clone.tool("add-asset", "vqa", cwd=clone.path / "data").stdout
    command = re.findall("'([^']*)'", told)[mend]
    assert clone.run("bash", "-c", command, cwd=clone.path / "data").code == 0

    ways = (
        "cd .. && dvc checkout archives/vqa.zip.dvc && dvc commit --force unzip@vqa",
        "cd .. && dvc checkout --force unzip@vqa",
    )
    assert command == ways[mend]
    assert (clone.path / "data/vqa/notes.txt").exists() == (mend == 0)
    assert clone.tool("add-asset", "vqa").stdout.splitlines()[0] == "vqa: unchanged upstream"


def test_the_old_archive_is_cached_before_a_new_one_takes_its_place(clone: Clone, upstream: Azurite) -> None:
    """The workspace had the only copy of it, which would be in the way of the download."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    clone.ok("bash", "-c", "mv archives/vqa.zip kept && rm -rf .dvc/cache data && mv kept archives/vqa.zip")
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))

    clone.tool("add-asset", "vqa")
    fetched = clone.tool("fetch-asset", "vqa")

    assert fetched.code == 0, fetched.said
    objects = [
        path.read_bytes() for path in (clone.path / ".dvc/cache/files/md5").rglob("*") if path.is_file()
    ]
    assert samples.archive("vqa") in objects


def test_every_name_that_was_perhaps_meant_is_told(clone: Clone) -> None:
    """Those the name is a part of."""
    result = clone.tool("add-asset", "coco")

    assert (result.code, result.stderr.splitlines()) == (
        2,
        [
            "error: there is no asset named 'coco' in the catalogue of params.yaml",
            "hint: did you mean coco_caption or coco_ir?",
        ],
    )


def test_names_beside_all_are_wrong_usage(clone: Clone) -> None:
    """Rather than nine assets where one was named."""
    before = clone.files()

    result = clone.tool("add-asset", "--all", "vqa")

    assert (result.code, result.stderr.splitlines(), clone.files()) == (
        2,
        [
            "error: --all takes every asset of the catalogue, and vqa is named as well",
            "hint: name some, or give --all alone",
        ],
        before,
    )


def test_an_asset_of_the_catalogue_lands_where_it_is_told_to(clone: Clone) -> None:
    """Its entry in the catalogue gets the folder; nothing else of it changes."""
    params = (clone.path / "params.yaml").read_text()

    added = clone.tool("add-asset", "vqa", "--dir", "corpora/vqa")
    clone.ok("dvc", "repro")
    again = clone.tool("add-asset", "vqa", "--dir", "corpora/vqa")
    elsewhere = clone.tool("add-asset", "vqa", "--dir", "data/vqa")

    assert (added.code, again.code) == (0, 0)
    assert clone.tree("corpora/vqa") == samples.tree("vqa")
    assert (clone.path / "params.yaml").read_text() == params.replace(
        "dir: ${roots.dataset}/vqa", "dir: corpora/vqa"
    ).replace("assets:\n  {}", "assets:\n  vqa:\n    archive: archives/vqa.zip\n    dir: corpora/vqa")
    assert (elsewhere.code, elsewhere.stderr.splitlines()) == (
        2,
        [
            "error: 'vqa' is in use, and lands in corpora/vqa",
            "hint: tools/remove-asset vqa && tools/add-asset vqa --dir data/vqa",
        ],
    )
    clone.ok("bash", "-c", elsewhere.stderr.splitlines()[1].removeprefix("hint: "))


def test_an_unfrozen_stage_is_told_with_its_mend(clone: Clone) -> None:
    """After `dvc unfreeze`, or a hand in the file."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "unfreeze", "archives/vqa.zip.dvc")

    result = clone.tool("add-asset", "vqa")
    clone.ok(
        "bash", "-c", result.stderr.splitlines()[1].removeprefix("hint: ").removesuffix(" makes it so again")
    )

    assert (result.code, result.stderr.splitlines()) == (
        1,
        [
            (
                "error: archives/vqa.zip.dvc is not the import stage of 'vqa': frozen is not true, so every dvc"
                " command would ask the source"
            ),
            "hint: dvc freeze archives/vqa.zip.dvc makes it so again",
        ],
    )
    assert clone.tool("add-asset", "vqa").code == 0


def test_a_team_remote_that_cannot_be_asked_changes_no_stage(clone: Clone) -> None:
    """Unreachable is not empty: the pinned md5 stays."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    forget(clone)
    clone.ok("dvc", "remote", "modify", "--local", "team", "url", "azure://team")
    nowhere = "BlobEndpoint=http://127.0.0.1:9/a;SharedAccessSignature=sig=x"
    clone.ok("dvc", "remote", "modify", "--local", "team", "connection_string", nowhere)
    before = clone.files()

    result = clone.tool("add-asset", "vqa")

    assert (result.code, result.stdout) == (
        0,
        (
            "vqa: unchanged upstream; it is not here, and the team remote cannot be asked\n"
            "next: tools/fetch-asset vqa\n"
            "      goes on where it was interrupted, verifies, and unpacks on the way\n"
            "or: dvc pull unzip@vqa\n"
            f"then: {adding('vqa')}\n"
        ),
    )
    assert result.stderr.splitlines()[-1].startswith("the team remote cannot be asked: ")
    assert clone.files() == before
    assert clone.tool("fetch-asset", "vqa").code == 0
    assert clone.files().keys() >= before.keys()


def test_variables_of_azure_do_not_redirect_the_source(clone: Clone) -> None:
    """A key or an emulator of the user's own, meant for something else."""
    env = {
        "AZURE_STORAGE_ACCOUNT_KEY": "bm90IG91cnM=",
        "AZURE_STORAGE_USE_EMULATOR": "true",
        "AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=http://127.0.0.1:9/a",
    }

    added = clone.tool("add-asset", "vqa", env=env)
    fetched = clone.tool("fetch-asset", "vqa", env=env)

    assert (added.code, fetched.code) == (0, 0), added.said + fetched.said


def test_a_blob_withdrawn_upstream_is_told_from_a_typing_mistake(clone: Clone, upstream: Azurite) -> None:
    """It was there when it was recorded, and what was downloaded is still to be had."""
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    upstream.delete("datasets/vqa.zip")

    result, listed = clone.tool("add-asset", "vqa"), clone.tool("list-assets", "--check")

    assert (result.code, listed.code) == (1, 3)
    assert result.stderr.startswith("error: 'vqa' was withdrawn upstream: the blob does not exist (")
    assert listed.stderr == "withdrawn upstream: vqa; cache and team remote keep what was downloaded\n"


def test_closed_standard_streams_are_no_defect(clone: Clone) -> None:
    """As `>&-` leaves them."""
    done = clone.run("bash", "-c", "tools/add-asset vqa >&- && tools/add-asset vqa --sas-stdin <&-")

    assert (done.code, done.stderr.splitlines()[0]) == (1, "error: this is not a SAS: nothing was given")
