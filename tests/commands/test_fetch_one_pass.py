"""`tools/fetch-asset` in one pass: when the last byte has arrived, the data is there, and DVC knows it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from datarepo.azure.download import RANGE

from tests import proxy as faults
from tests import samples
from tests.clones import write_through
from tests.made_archives import STORED, Entry, member, tarred, with_zipfile, zipped

if TYPE_CHECKING:
    from pathlib import Path

    from tests.azurite import Azurite
    from tests.clones import Clone
    from tests.proxy import Exchange, Proxy

WORK = "data/.vqa.unzip"
USED = "assets:\n  GQA:\n    archive: archives/GQA.zip\n    dir: data/GQA"


def put(service: Azurite, name: str, content: bytes) -> None:
    """Publish an archive with its true Content-MD5."""
    md5 = hashlib.md5(content, usedforsecurity=False).digest()
    service.put(samples.blob_path(name), content, md5=md5)


def assert_nothing_to_do(clone: Clone) -> None:
    """DVC finds everything as it should be."""
    assert json.loads(clone.ok("dvc", "status", "--json")) == {}
    assert "Data and pipelines are up to date." in clone.ok("dvc", "repro")


def assert_no_contents(clone: Clone) -> None:
    """Nothing is under data/, and nothing is left of what was built."""
    assert not (clone.path / "data/vqa").exists()
    assert not (clone.path / WORK).exists()
    assert not (clone.path / "dvc.lock").exists()


def test_the_repository_is_as_dvc_repro_would_have_left_it(clone: Clone, tmp_path: Path) -> None:
    """Every file that git or a user sees, byte for byte; and neither status nor repro finds anything to do."""
    clone.tool("add-asset", "vqa", "GQA")
    theirs = clone.copy(tmp_path / "theirs", tmp_path / "home")
    theirs.ok("dvc", "repro", "unzip@vqa")
    theirs.ok("dvc", "repro", "unzip@GQA")

    result = clone.tool("fetch-asset", "vqa", "GQA")

    lines = result.stdout.splitlines()
    assert (result.code, result.stderr) == (0, "")
    assert lines[0].startswith("vqa: fetched, 31.4 kB in ")
    assert lines[1] == "data/vqa is ready: 4 files, 55.4 kB"
    assert lines[2].startswith("GQA: fetched, 31.3 kB in ")
    assert lines[3] == "data/GQA is ready: 4 files, 55.4 kB"
    assert clone.files() == theirs.files()
    assert_nothing_to_do(clone)
    assert (clone.path / "data/vqa/train.feature.tsv").stat().st_nlink == 2


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_tar_archive_is_unpacked_as_well(clone: Clone, upstream: Azurite, suffix: str) -> None:
    """Its list of members is all over it, so that it is judged when all of it is here."""
    content = tarred(member("mine/a.txt", b"1"), member("mine/b/c.txt", b"22"))
    upstream.put(f"x/mine{suffix}", gzip.compress(content) if suffix == ".tar.gz" else content)
    url = f"{upstream.endpoint}/oscar/x/mine{suffix}?{upstream.sas()}"
    assert clone.tool("add-asset", "mine", "--url", url).code == 0

    result = clone.tool("fetch-asset", "mine")

    assert (result.code, result.stdout.splitlines()[1]) == (0, "data/mine is ready: 2 files, 3 B")
    assert clone.tree("data/mine") == {"a.txt": b"1", "b/c.txt": b"22"}
    assert_nothing_to_do(clone)


def test_members_are_unpacked_while_the_archive_arrives(
    proxied: Clone, proxy: Proxy, publisher: Azurite
) -> None:
    """The first is whole while the last range is held back; the folder appears when all is verified."""
    first, last = bytes(range(256)) * (RANGE // 256), b"x" * RANGE
    content = with_zipfile({"vqa/first": first, "vqa/last": last}, STORED)
    put(publisher, "GQA", content)
    assert proxied.tool("add-asset", "GQA").code == 0
    gate = threading.Event()

    def held_at_the_end(exchange: Exchange) -> None:
        if exchange.end >= len(content):
            gate.wait(60)
        faults.honest(exchange)

    proxy.always = held_at_the_end
    run = proxied.start("fetch-asset", "GQA")
    unpacked = proxied.path / "data/.GQA.unzip/tree/vqa/first"
    while not unpacked.exists() or unpacked.stat().st_size < len(first):
        assert run.poll() is None
        time.sleep(0.01)
    assert not (proxied.path / "data/GQA").exists()
    gate.set()
    run.communicate()

    assert run.returncode == 0
    assert proxied.tree("data/GQA") == {"vqa/first": first, "vqa/last": last}
    assert not (proxied.path / "data/.GQA.unzip").exists()


def test_an_archive_that_must_not_be_unpacked_is_refused_before_it_is_downloaded(
    proxied: Clone, proxy: Proxy, publisher: Azurite
) -> None:
    """In the words of the extractor; the archive alone can be had."""
    put(publisher, "GQA", zipped(Entry("ok", b"1")))
    assert proxied.tool("add-asset", "GQA").code == 0
    evil = zipped(Entry("../evil", b"1"))
    put(publisher, "GQA", evil)
    stage = proxied.path / "archives/GQA.zip.dvc"
    etag = publisher.etag(samples.blob_path("GQA"))
    document = yaml.safe_load(stage.read_text())
    document["deps"][0].update(etag=etag, size=len(evil))
    stage.write_text(yaml.safe_dump(document))

    refused = proxied.tool("fetch-asset", "GQA")

    assert refused.code == 1
    assert refused.error == "error: GQA: archive refused: member ../evil: its name climbs with '..'"
    assert proxy.served == 0
    assert proxied.tool("fetch-asset", "GQA", "--no-unzip").code == 0
    assert (proxied.path / "archives/GQA.zip").read_bytes() == evil


def test_a_member_that_is_damaged_upstream_lets_no_folder_appear(proxied: Clone, publisher: Azurite) -> None:
    """The archive is as published, its contents are not; and the archive alone can be had."""
    put(publisher, "GQA", zipped(Entry("good", b"1"), Entry("bad", b"2", crc=3)))
    assert proxied.tool("add-asset", "GQA").code == 0

    result = proxied.tool("fetch-asset", "GQA")

    assert result.code == 1
    assert result.stderr.splitlines() == [
        "error: GQA: archive refused: member bad: its CRC-32 is 1ad5be0d, not 00000003 as promised",
        "hint: its publisher made it so: tell them; tools/fetch-asset GQA --no-unzip brings the archive as it is",
    ]
    assert not (proxied.path / "data/GQA").exists()
    assert not (proxied.path / "data/.GQA.unzip").exists()
    assert proxied.tool("fetch-asset", "GQA", "--no-unzip").code == 0


def test_a_flipped_bit_is_thrown_away_whole(proxied: Clone, proxy: Proxy) -> None:
    """Contents and part file go, and the next run brings what was published."""
    proxy.faults = [None, faults.flipped]

    result = proxied.tool("fetch-asset", "vqa", "-j", "1")

    assert result.code == 1
    assert "archives/vqa.zip did not arrive as it was published: its md5 is " in result.error
    assert_no_contents(proxied)
    assert proxied.tool("fetch-asset", "vqa").code == 0
    assert_nothing_to_do(proxied)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_what_is_kept_and_leaves_no_contents(
    proxied: Clone, proxy: Proxy, number: signal.Signals
) -> None:
    """The same command unpacks what is there while the rest arrives."""
    arrived, gate = threading.Event(), threading.Event()
    proxy.faults = [None, faults.held(arrived, gate)]
    run = proxied.start("fetch-asset", "vqa", "-j", "1")
    assert arrived.wait(60)
    run.send_signal(number)
    out, err = run.communicate(timeout=30)
    gate.set()

    assert (run.returncode, out) == (130, "")
    assert err == "interrupted: 4.2 MB of vqa are kept, the same command goes on from there\n"
    assert_no_contents(proxied)
    again = proxied.tool("fetch-asset", "vqa")
    assert again.stdout.startswith("vqa: resumed at 40 %, 6.3 MB of 10.5 MB in ")
    assert_nothing_to_do(proxied)


def test_killed_it_begins_the_contents_anew(proxied: Clone, proxy: Proxy) -> None:
    """What a killed run was building is data to nobody, and the next run clears it."""
    arrived, gate = threading.Event(), threading.Event()
    proxy.faults = [None, faults.held(arrived, gate)]
    run = proxied.start("fetch-asset", "vqa", "-j", "1")
    assert arrived.wait(60)
    run.kill()
    run.communicate()
    gate.set()

    assert (proxied.path / WORK).exists()
    assert WORK not in proxied.ok("git", "status", "--porcelain", "--untracked-files=all")
    assert proxied.tool("fetch-asset", "vqa").code == 0
    assert not (proxied.path / WORK).exists()
    assert_nothing_to_do(proxied)


def test_many_assets_are_recorded_in_few_strokes(clone: Clone) -> None:
    """All nine are ready, and DVC has nothing to do."""
    clone.tool("add-asset", "--all")

    result = clone.tool("fetch-asset", "--all", "--json")

    assets = json.loads(result.stdout)["assets"]
    assert (result.code, [asset["name"] for asset in assets]) == (0, list(samples.NAMES))
    for name in samples.NAMES:
        folder = f"{'data' if name in samples.DATASETS else 'models'}/{name}"
        assert clone.tree(folder) == samples.tree(name)
    assert_nothing_to_do(clone)


def test_the_printed_commit_is_whole(clone: Clone, upstream: Azurite) -> None:
    """With the stages of all that params.yaml and dvc.lock speak of; what is not downloaded yet is told."""
    upstream.put("x/plain.tsv", b"1")
    url = f"{upstream.endpoint}/oscar/x/plain.tsv"
    clone.tool("add-asset", "plain", "--url", url)
    clone.tool("add-asset", "vqa", "GQA")

    lines = clone.tool("fetch-asset", "vqa").stdout.splitlines()

    assert lines[2:] == [
        (
            "next: git add archives/.gitignore archives/GQA.zip.dvc archives/vqa.zip.dvc data/.gitignore"
            " data/plain/.gitignore data/plain/plain.tsv.dvc dvc.lock params.yaml"
            ' && git commit -m "Add vqa, GQA, plain"'
        ),
        "      not downloaded yet: GQA, plain; until then the dvc pull of colleagues asks upstream",
        "then: dvc push && git push",
        "      shares it; tools/set-remote says where",
    ]
    clone.ok("bash", "-c", lines[2].removeprefix("next: "))
    assert clone.ok("git", "status", "--porcelain") == ""
    assert clone.colleague().tool("list-assets").stderr.startswith("not here: ")


def test_files_that_no_record_knows_block_unless_forced(clone: Clone) -> None:
    """They are named; what DVC would do with them is replace them without a word."""
    clone.tool("add-asset", "vqa")
    folder = clone.path / "data/vqa"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")

    blocked = clone.tool("fetch-asset", "vqa")
    kept = (folder / "notes.txt").read_text()
    alone = clone.tool("fetch-asset", "vqa", "--no-unzip")
    forced = clone.tool("fetch-asset", "vqa", "--force")

    assert (blocked.code, blocked.stderr.splitlines()) == (
        1,
        [
            "error: data/vqa holds what no record knows, and would be replaced: notes.txt",
            "hint: move it away; --force replaces it",
        ],
    )
    assert (kept, alone.code, forced.code) == ("mine", 0, 0)
    assert alone.stderr == (
        "vqa: data/vqa holds what no record knows: notes.txt; move that away, then run dvc repro unzip@vqa\n"
    )
    assert "next: git add " in alone.stdout
    assert clone.tree("data/vqa") == samples.tree("vqa")


def test_an_edited_file_blocks_as_well(clone: Clone) -> None:
    """It is told from those that are as recorded."""
    clone.tool("add-asset", "vqa")
    clone.tool("fetch-asset", "vqa")
    label = clone.path / "data/vqa/train.label.tsv"
    label.unlink()
    label.write_text("mine")

    result = clone.tool("fetch-asset", "vqa")

    assert (result.code, result.error) == (
        1,
        "error: data/vqa holds what no record knows, and would be replaced: train.label.tsv",
    )
    assert label.read_text() == "mine"


@pytest.mark.parametrize("choice", [0, 1], ids=["keeps", "undoes"])
def test_the_archive_of_edited_contents_leads_to_a_choice(clone: Clone, choice: int) -> None:
    """Not to `dvc repro`, which would take the contents from the cache, and the edits with them."""
    clone.tool("add-asset", "vqa")
    clone.tool("fetch-asset", "vqa")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--quiet", "--message", "Add vqa")
    clone.ok("tools/remove-asset", "vqa", "--archive")
    label = clone.path / "data/vqa/train.label.tsv"
    label.unlink()
    label.write_text("mine")

    result = clone.tool("fetch-asset", "vqa", "--no-unzip")

    told = (
        "'dvc commit --force unzip@vqa' keeps that, 'dvc checkout --force unzip@vqa' undoes it, files of your own"
        " there included"
    )
    assert (result.code, result.stderr, result.stdout.splitlines()[1:]) == (
        0,
        f"vqa: data/vqa was edited: {told}\n",
        ["next: nothing"],
    )
    clone.ok("bash", "-c", re.findall("'([^']*)'", result.stderr)[choice])
    edited = {**samples.tree("vqa"), "train.label.tsv": b"mine"}
    assert clone.tree("data/vqa") == (samples.tree("vqa") if choice else edited)
    assert_nothing_to_do(clone)


@pytest.mark.parametrize("place", ["the workspace", "the cache"])
def test_an_archive_that_is_here_leaves_edited_contents_alone(shared: Clone, place: str) -> None:
    """The cache has the contents as well, and nobody asked for them."""
    label, own = (shared.path / "data/vqa" / name for name in ("train.label.tsv", "notes.txt"))
    label.unlink()
    for path in (label, own):
        path.write_text("mine")
    (shared.path / "data/vqa/train.feature.tsv").unlink()
    if place == "the cache":
        (shared.path / "archives/vqa.zip").unlink()
    edited = shared.tree("data/vqa")

    result = shared.tool("fetch-asset", "vqa", "--no-unzip")

    how = ", linked from the cache" if place == "the cache" else ""
    assert (result.code, result.stdout) == (0, f"vqa: complete already{how}, 31.4 kB\nnext: nothing\n")
    assert result.stderr.startswith("vqa: data/vqa was edited: 'dvc commit --force unzip@vqa' keeps that, ")
    assert shared.tree("data/vqa") == edited
    assert (shared.path / "archives/vqa.zip").exists()


@pytest.mark.parametrize("damaged", ["data/vqa/train.label.tsv", "archives/vqa.zip"])
def test_damage_is_not_built_upon(shared: Clone, damaged: str) -> None:
    """With --force neither; the hint mends it. The archive alone can be had beside damaged contents."""
    shared.ok("dvc", "push", "--quiet")
    write_through(shared.path / damaged)
    path = damaged.removesuffix("/train.label.tsv")
    error = f"{path} is damaged: its objects in the cache were overwritten, or are gone"

    mend = "tools/verify-asset vqa mends it; if that finds no sound copy"
    for options in ([], ["--force"]):
        result = shared.tool("fetch-asset", "vqa", *options)
        assert (result.code, result.stdout, result.stderr.splitlines()) == (
            1,
            "",
            [f"error: {error}", f"hint: {mend}, move {path} away, then run the same command again"],
        )
    alone = shared.tool("fetch-asset", "vqa", "--no-unzip")
    if path == "data/vqa":
        assert (alone.code, alone.stdout.splitlines()[1:]) == (0, ["next: nothing"])
        assert alone.stderr == f"vqa: {error}; tools/verify-asset vqa mends it\n"
    else:
        assert (alone.code, alone.error) == (1, f"error: {error}")
    shared.ok("tools/verify-asset", "vqa")
    assert shared.tree("data/vqa") == samples.tree("vqa")
    assert_nothing_to_do(shared)


def test_contents_that_the_cache_has_are_linked(clone: Clone) -> None:
    """Whether the archive is still there or not."""
    clone.tool("add-asset", "vqa")
    clone.tool("fetch-asset", "vqa")
    for gone in (["data/vqa"], ["data/vqa", "archives/vqa.zip"]):
        clone.ok("rm", "-rf", *gone)

        result = clone.tool("fetch-asset", "vqa")

        assert (result.code, result.stdout.splitlines()[:2]) == (
            0,
            [
                "vqa: complete already, linked from the cache, 31.4 kB",
                "data/vqa is ready: 4 files, 55.4 kB",
            ],
        )
        assert clone.tree("data/vqa") == samples.tree("vqa")
        assert_nothing_to_do(clone)


def test_data_that_comes_back_is_ignored_by_git(shared: Clone) -> None:
    """`rm -r data` took the ignore file too: `git add --all` would commit what is linked from the cache."""
    shared.ok("rm", "-r", "data", "archives/vqa.zip")
    assert shared.tool("fetch-asset", "vqa").code == 0
    assert shared.tree("data/vqa") == samples.tree("vqa")
    assert shared.ok("git", "status", "--porcelain") == ""


def test_an_archive_that_is_here_is_unpacked_without_a_network(clone: Clone) -> None:
    """For instance after --no-unzip, or when the contents were lost with the cache."""
    clone.tool("add-asset", "vqa")
    clone.tool("fetch-asset", "vqa", "--no-unzip")
    clone.use("BlobEndpoint=http://127.0.0.1:9/a;SharedAccessSignature=" + SAS)

    result = clone.tool("fetch-asset", "vqa")

    assert (result.code, result.stdout.splitlines()[:2]) == (
        0,
        ["vqa: unpacked from the archive that was here, 31.4 kB", "data/vqa is ready: 4 files, 55.4 kB"],
    )
    assert_nothing_to_do(clone)


def test_an_archive_that_must_not_be_unpacked_can_be_carried_in_as_it_is(
    clone: Clone, upstream: Azurite, tmp_path: Path
) -> None:
    """As the refusal advises; it was good when it was recorded by hand."""
    evil = zipped(Entry("../evil", b"1"))
    put(upstream, "GQA", evil)
    (tmp_path / "usb.zip").write_bytes(evil)
    clone.ok("mkdir", "archives")
    path = f"remote://oscar/{samples.blob_path('GQA')}"
    clone.ok("dvc", "import-url", "--quiet", "--no-download", path, "archives/GQA.zip")
    params = clone.path / "params.yaml"
    params.write_text(params.read_text().replace("assets:\n  {}", USED))

    refused = clone.tool("fetch-asset", "GQA", "--from", str(tmp_path / "usb.zip"))
    taken = clone.tool("fetch-asset", "GQA", "--from", str(tmp_path / "usb.zip"), "--no-unzip")

    assert (refused.code, "its name climbs" in refused.error, taken.code) == (1, True, 0)
    assert (clone.path / "archives/GQA.zip").read_bytes() == evil


def test_an_archive_carried_in_is_unpacked_too(clone: Clone, tmp_path: Path) -> None:
    """No network is needed, and the file itself stays where it is."""
    clone.tool("add-asset", "vqa")
    clone.use("BlobEndpoint=http://127.0.0.1:9/a;SharedAccessSignature=" + SAS)
    carried = tmp_path / "usb.zip"
    carried.write_bytes(samples.archive("vqa"))

    result = clone.tool("fetch-asset", "vqa", "--from", str(carried))

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1] == "data/vqa is ready: 4 files, 55.4 kB"
    assert carried.read_bytes() == samples.archive("vqa")
    assert_nothing_to_do(clone)


SAS = "sp=r&se=3023-08-28&sv=2022-11-02&sr=c&sig=" + 43 * "A" + "%3D"
