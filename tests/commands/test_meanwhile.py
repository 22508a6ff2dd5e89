"""What happens beside a command: other commands, git, a user at work; and what is there after a kill."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # no types are published
import pytest
from datarepo.azure.download import RANGE

from tests import proxy as faults
from tests import samples
from tests.made_archives import STORED, with_zipfile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

    from tests.azurite import Azurite
    from tests.clones import Clone
    from tests.proxy import Proxy

FOLDER = "data/vqa"


def publish(publisher: Azurite, letter: bytes) -> dict[str, bytes]:
    """Publish a GQA of two ranges, and return its contents."""
    tree = {"big": letter * RANGE, "small": letter}
    content = with_zipfile({**tree}, STORED)
    md5 = hashlib.md5(content, usedforsecurity=False).digest()
    publisher.put(samples.blob_path("GQA"), content, md5=md5)
    return tree


@contextlib.contextmanager
def under_way(clone: Clone, proxy: Proxy, name: str, answered: int = 1) -> Iterator[Popen[str]]:
    """A download that has so many of its ranges, and gets the next when the block ends."""
    arrived, gate = threading.Event(), threading.Event()
    proxy.faults = [*[None] * answered, faults.held(arrived, gate)]
    run = clone.start("fetch-asset", name, "-j", "1")
    try:
        assert arrived.wait(60)
        yield run
    finally:
        gate.set()


def test_taking_an_asset_out_of_use_waits_for_its_download(proxied: Clone, proxy: Proxy) -> None:
    """Neither waits for the other for ever; then the asset is gone, and nothing is left of it."""
    with under_way(proxied, proxy, "vqa") as fetch:
        remove = proxied.start("remove-asset", "vqa")
        assert remove.stderr
        assert remove.stderr.readline() == "vqa: another run is at work on it; waiting until it is done\n"
    fetch.communicate(timeout=60)
    out, _ = remove.communicate(timeout=60)

    assert (fetch.returncode, remove.returncode) == (0, 0)
    assert out.splitlines()[0] == "vqa: out of use, with archives/vqa.zip and data/vqa"
    assert not any((proxied.path / path).exists() for path in ("archives/vqa.zip", FOLDER))


def test_a_refresh_beside_a_download_keeps_the_two_versions_apart(
    proxied: Clone, proxy: Proxy, publisher: Azurite
) -> None:
    """The old archive is not recorded as what the new one is; the same command then brings the new one."""
    publish(publisher, b"1")
    assert proxied.tool("add-asset", "GQA").code == 0
    with under_way(proxied, proxy, "GQA") as fetch:
        second = publish(publisher, b"2")
        assert proxied.tool("add-asset", "GQA").code == 0
        stage = (proxied.path / "archives/GQA.zip.dvc").read_bytes()
    _, said = fetch.communicate(timeout=60)

    assert (fetch.returncode, said.splitlines()) == (
        1,
        [
            (
                "error: archives/GQA.zip.dvc has changed since this command began: tools/add-asset or git has"
                " written it"
            ),
            "hint: run the same command again; what has arrived is used as far as it is of the new version",
        ],
    )
    assert (proxied.path / "archives/GQA.zip.dvc").read_bytes() == stage
    assert not (proxied.path / "data/GQA").exists()
    assert proxied.tool("fetch-asset", "GQA").code == 0
    assert proxied.tree("data/GQA") == second
    assert proxied.tool("verify-asset", "GQA").code == 0


def test_files_put_into_the_folder_during_a_download_are_kept(proxied: Clone, proxy: Proxy) -> None:
    """They are named when the folder is to appear, and the archive need not come again."""
    note = proxied.path / FOLDER / "notes.txt"
    with under_way(proxied, proxy, "vqa") as fetch:
        note.parent.mkdir(parents=True)
        note.write_text("mine")
    _, said = fetch.communicate(timeout=60)

    assert (fetch.returncode, said.splitlines()) == (
        1,
        [
            "error: data/vqa holds what no record knows, and would be replaced: notes.txt",
            "hint: move it away; --force replaces it",
        ],
    )
    assert note.read_text() == "mine"
    note.unlink()
    proxy.forget()
    assert proxied.tool("fetch-asset", "vqa").code == 0
    assert proxy.served == 0


def test_files_put_beside_what_a_killed_run_has_unpacked_are_kept(proxied: Clone) -> None:
    """What it has unpacked is known as its own; what comes later is not."""
    run = proxied.start("fetch-asset", "vqa")
    while not (proxied.path / FOLDER).exists():
        assert run.poll() is None
        time.sleep(0.001)
    run.kill()
    run.communicate()
    note = proxied.path / FOLDER / "notes.txt"
    note.write_text("mine")

    refused = proxied.tool("fetch-asset", "vqa")

    assert (refused.code, "notes.txt" in refused.error, note.read_text()) == (1, True, "mine")
    note.unlink()
    assert proxied.tool("fetch-asset", "vqa").code == 0
    assert json.loads(proxied.ok("dvc", "status", "--json")) == {}


def test_a_killed_run_leaves_nothing_once_its_asset_is_out_of_use(proxied: Clone, proxy: Proxy) -> None:
    """Neither a part file nor what it was unpacking."""
    with under_way(proxied, proxy, "vqa") as run:
        run.kill()
        run.communicate()

    assert proxied.tool("remove-asset", "vqa").code == 0

    assert not (proxied.path / "data/.vqa.unzip").exists()
    left = [path.name for path in (proxied.path / ".dvc/tmp/fetch").iterdir()]
    assert left == ["vqa.lock"]


def test_a_killed_process_of_dvc_is_told(proxied: Clone, proxy: Proxy) -> None:
    """As when memory runs out; the same command goes on."""
    with under_way(proxied, proxy, "vqa", 2) as run:
        for child in psutil.Process(run.pid).children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.send_signal(signal.SIGKILL)
    _, said = run.communicate(timeout=60)

    assert run.returncode == 1
    assert said.splitlines()[-2:] == [
        "error: the process that DVC runs in was killed: is there enough memory?",
        "hint: run the same command again, it goes on from what is here",
    ]
    assert proxied.tool("fetch-asset", "vqa").code == 0


def test_a_part_file_of_another_branch_stays(proxied: Clone, proxy: Proxy, publisher: Azurite) -> None:
    """Where the branch that is checked out has another version, whether that is here or not."""
    publish(publisher, b"1")
    proxied.tool("add-asset", "GQA")
    proxied.tool("fetch-asset", "GQA")
    proxied.ok("git", "add", "--all")
    proxied.ok("git", "commit", "--quiet", "--message", "Add GQA")
    second = publish(publisher, b"2")
    proxied.tool("add-asset", "GQA")
    proxied.ok("git", "commit", "--quiet", "--all", "--message", "Update GQA")
    with under_way(proxied, proxy, "GQA") as run:
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)

    proxied.ok("git", "checkout", "--quiet", "HEAD~1")
    assert proxied.tool("fetch-asset", "GQA").code == 0
    proxied.ok("git", "checkout", "--quiet", "-")
    resumed = proxied.tool("fetch-asset", "GQA", "--force")

    assert resumed.stdout.startswith("GQA: resumed at ")
    assert proxied.tree("data/GQA") == second


@pytest.fixture
def older(shared: Clone, upstream: Azurite) -> Clone:
    """A clone in which the commit before the last update is checked out, with the data of the last one."""
    upstream.put(samples.blob_path("vqa"), samples.archive("vqa", edition=2))
    assert shared.tool("add-asset", "vqa").code == 0
    assert shared.tool("fetch-asset", "vqa").code == 0
    shared.ok("git", "commit", "--quiet", "--all", "--message", "Update vqa")
    shared.ok("git", "checkout", "--quiet", "HEAD~1")
    return shared


def test_another_version_is_told_and_exchanged(older: Clone) -> None:
    """The cache has both, so that nothing stands in the way."""
    row = next(line for line in older.tool("list-assets").stdout.splitlines() if line.startswith("vqa "))
    verified = older.tool("verify-asset", "vqa")
    fetched = older.tool("fetch-asset", "vqa")

    assert "another version" in row
    assert (verified.code, verified.stderr) == (0, "")
    assert "damaged" not in verified.stdout
    assert (fetched.code, fetched.stdout.splitlines()[:2]) == (
        0,
        ["vqa: complete already, linked from the cache, 31.4 kB", "data/vqa is ready: 4 files, 55.4 kB"],
    )
    assert older.tree(FOLDER) == samples.tree("vqa")
    assert (older.path / "archives/vqa.zip").read_bytes() == samples.archive("vqa")
    assert json.loads(older.ok("dvc", "status", "--json")) == {}


def test_links_to_what_is_gone_from_the_cache_are_mended(clone: Clone) -> None:
    """With symbolic links: no command fails for one, and tools/verify-asset brings back what it pointed to."""
    clone.ok("dvc", "config", "--local", "cache.type", "symlink")
    for command in ("add-asset", "fetch-asset"):
        assert clone.tool(command, "vqa").code == 0
    link = clone.path / FOLDER / "train.label.tsv"
    link.resolve().unlink()

    listed = clone.tool("list-assets")
    refreshed = clone.tool("add-asset", "vqa")
    verified = clone.tool("verify-asset", "vqa")

    assert [result.code for result in (listed, refreshed, verified)] == [0, 0, 0], verified.said
    assert "  damaged: data/vqa/train.label.tsv; mended from archives/vqa.zip" in verified.stdout.splitlines()
    assert clone.tree(FOLDER) == samples.tree("vqa")


@pytest.mark.parametrize("made", ["git init --quiet", "echo '*.log' >> ../../.dvcignore; touch run.log"])
def test_what_dvc_ignores_in_a_folder_of_data_is_not_lost(shared: Clone, made: str) -> None:
    """A repository of the user's own, or files of an ignored kind: asked about before the folder goes."""
    (shared.path / ".dvcignore").write_text("# as it comes\n")
    shared.ok("sh", "-c", f"cd {FOLDER} && chmod u+w . && {made}")

    refused = shared.tool("remove-asset", "vqa")
    kept = sorted(path.name for path in (shared.path / FOLDER).iterdir())

    assert refused.code == 1
    assert refused.error.startswith("error: data/vqa holds what DVC ignores, and would go with it: ")
    assert {".git", "run.log"} & {*kept}
    assert shared.tool("remove-asset", "vqa", "--force").code == 0
    assert not (shared.path / FOLDER).exists()


def test_a_silent_team_remote_does_not_hold_up_a_verification(clone: Clone) -> None:
    """It is asked once, within the deadline; upstream mends what is damaged."""
    for command in ("add-asset vqa", "fetch-asset vqa", "remove-asset vqa --archive"):
        assert clone.tool(*command.split()).code == 0
    label = clone.path / FOLDER / "train.label.tsv"
    label.chmod(0o644)
    label.write_bytes(b"damaged")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/account"
        access = f"BlobEndpoint={endpoint};AccountName=account;AccountKey={'A' * 86}=="
        for option, value in (("url", "azure://team"), ("connection_string", access)):
            clone.ok("dvc", "remote", "modify", "--local", "team", option, value)
        verified = clone.tool("verify-asset", "vqa")

    assert verified.code == 0
    assert "the team remote cannot be asked: no answer within 15 seconds" in verified.stderr.splitlines()
    assert "  damaged: data/vqa/train.label.tsv; mended from upstream" in verified.stdout.splitlines()
