"""The survey of archives upstream: judged as they will be when they are unpacked, before they are here."""

from __future__ import annotations

import random
import socket
import struct
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from datarepo.azure.blob import DEADLINE, Address, Blob, ask
from datarepo.azure.sas import parse
from datarepo.azure.source import Source
from datarepo.commands.survey import survey_blobs
from datarepo.errors import ArchiveError, BlobError
from datarepo.pipeline.catalogue import Asset

from tests import samples
from tests.clones import CHECKOUT
from tests.made_archives import (
    BZIP2,
    DEFLATED,
    LZMA,
    STORED,
    Entry,
    boastful,
    member,
    tarred,
    unpacked,
    verdict,
    with_zipfile,
    zipped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.azurite import Azurite
    from tests.clones import Clone

AZURE = b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>"


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><title>Sign in</title>",
        AZURE,
        random.Random(2).randbytes(100_000),
        b"",
        zipped(Entry("a", b"1"), comment=b"half a comment")[:-5],
        zipped(Entry("../a", b"1"), comment=b"made by hand"),
    ],
    ids=["html", "azure", "random", "empty", "truncated", "refused"],
)
def test_what_is_no_archive_is_told_in_the_words_of_the_extractor(
    content: bytes, clone: Clone, upstream: Azurite, tmp_path: Path
) -> None:
    """By add-asset and its --dry-run, which write nothing then."""
    upstream.put("datasets/vqa.zip", content)
    (tmp_path / "vqa.zip").write_bytes(content)
    words = CHECKOUT.tool("unzip-asset", "vqa.zip", "out", cwd=tmp_path).error.removeprefix("error: ")
    words = words.replace("vqa.zip: ", f"{upstream.endpoint}/oscar/datasets/vqa.zip: ", 1)
    before = clone.files()
    for options in ([], ["--dry-run"]):
        assert clone.tool("add-asset", "vqa", *options) == (
            1,
            "",
            f"error: vqa: {words}\nhint: is it the right blob? then tell its publisher\n",
        )
    assert clone.files() == before


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
@pytest.mark.parametrize("content", [b"<!DOCTYPE html><title>Sign in</title>", AZURE, b""])
def test_what_is_no_tar_archive_is_told_before_it_is_downloaded(
    content: bytes, suffix: str, clone: Clone, upstream: Azurite, tmp_path: Path
) -> None:
    """Its members are judged when it is here; what it is, its first bytes tell."""
    name = f"pages.{suffix}"
    upstream.put(f"datasets/{name}", content)
    (tmp_path / name).write_bytes(content)
    words = CHECKOUT.tool("unzip-asset", name, "out", cwd=tmp_path).error.removeprefix("error: ")
    url = f"{upstream.endpoint}/oscar/datasets/{name}"
    before = clone.files()

    result = clone.tool("add-asset", "pages", "--url", f"{url}?{upstream.sas()}")

    assert result == (
        1,
        "",
        f"error: pages: {words.replace(name, url, 1)}\nhint: is it the right blob? then tell its publisher\n",
    )
    assert clone.files() == before


def test_a_zip_with_a_comment_is_surveyed_like_any_other(clone: Clone, upstream: Azurite) -> None:
    """However long the comment, and whatever is in it."""
    for comment in (b"a word", b"PK\5\6" * 9, b"x" * 0xFFFF):
        upstream.put("datasets/vqa.zip", zipped(Entry("a", b"12"), comment=comment))
        result = clone.tool("add-asset", "vqa", "--dry-run")
        assert (result.code, result.stderr) == (0, "")
        assert "1 member, 2 B" in result.stdout


def test_names_that_others_cannot_have_are_noted_before_and_after_the_download(
    clone: Clone, upstream: Azurite
) -> None:
    """By add-asset and fetch-asset, on stderr, as by unzip-asset: the data is usable here."""
    upstream.put("datasets/vqa.zip", with_zipfile({"b": b"1", "B": b"2"}))
    remark = (
        "vqa: B and b differ in case or Unicode form only: colleagues on macOS or Windows cannot have both\n"
    )
    for command in ("add-asset", "fetch-asset"):
        result = clone.tool(command, "vqa")
        assert (result.code, result.stderr) == (0, remark)
    assert clone.tree("data/vqa") == {"b": b"1", "B": b"2"}


def test_what_dvc_does_not_keep_is_left_out_of_the_contents(clone: Clone, upstream: Azurite) -> None:
    """Else some would have it and some not; DVC takes no folder at all that holds a `.dvcignore`."""
    kept: dict[str, bytes | None] = {"a": b"1", ".gitignore": b"2", "b/.hg": b"3"}
    others: dict[str, bytes | None] = {"b/.dvcignore": b"a\n", "c/.git/config": b"4", "d/.dvc/": None}
    upstream.put("datasets/vqa.zip", with_zipfile({**kept, **others}))
    remark = "left out, as DVC does not keep it: b/.dvcignore, c/.git/config, d/.dvc\n"
    for command in ("add-asset", "fetch-asset"):
        result = clone.tool(command, "vqa")
        assert (result.code, result.stderr) == (0, f"vqa: {remark}")
    assert clone.tree("data/vqa") == kept
    beside = clone.tool("unzip-asset", "archives/vqa.zip", "out")
    assert (beside.code, beside.stderr, clone.tree("out")) == (0, remark, kept)


def test_a_dvcignore_put_into_the_contents_is_named(clone: Clone, upstream: Azurite) -> None:
    """DVC takes no folder that holds one: it counts as modified, and is in nobody's way but where it lies."""
    upstream.put("datasets/vqa.zip", with_zipfile({"a": b"1"}))
    for command in ("add-asset", "fetch-asset"):
        assert clone.tool(command, "vqa").code == 0
    (clone.path / "data/vqa/.dvcignore").write_text("*.tmp\n")
    listed = clone.tool("list-assets")
    assert (listed.code, "vqa" in listed.stdout and "modified" in listed.stdout) == (0, True)
    assert clone.tool("fetch-asset", "vqa") == (
        1,
        "",
        "error: data/vqa holds a .dvcignore, with which DVC keeps no folder\nhint: move it away\n",
    )
    assert clone.tree("data/vqa") == {"a": b"1", ".dvcignore": b"*.tmp\n"}


def _sound() -> Iterator[tuple[str, bytes]]:
    """Archives of every form, by name."""
    for method in (STORED, DEFLATED, BZIP2, LZMA):
        yield f"method {method}", with_zipfile({"a": b"1" * 5000, "b/c": b"", "d": None}, method)
    yield "without members", zipped()
    yield "with a comment", zipped(Entry("a", b"1"), comment=b"PK\5\6" * 99)
    yield "self-extracting", b"MZ" + bytes(70_000) + zipped(Entry("a", b"1"))
    yield "with links", zipped(Entry("a", b"1"), Entry("l", b"a", mode=0o120777))
    yield "with two names of one", zipped(Entry("a", b"1"), Entry("A", b"2"))
    yield "with a long directory", zipped(*(Entry(f"{n:0200}", method=STORED) for n in range(1000)))


def _refused() -> Iterator[tuple[str, bytes]]:
    """Archives that the list of their members gives away, by name."""
    good = Entry("good", b"1")
    for name in ("../a", "/a", "C:a", "a\\b", "a\nb", "", "n" * 256, "good", "good/b"):
        yield f"name {name[:9]!r}", zipped(good, Entry(name, b"2"))
    for flag in (0, 6, 13):
        yield f"flag {flag}", zipped(good, Entry("a", b"2", flags=1 << flag))
    for method in (9, 93, 99):
        yield f"method {method}", zipped(good, Entry("a", b"2", method=method))
    for target in (b"", b"/etc", b"..", b"l", b"x" * 5000, b"a\0b"):
        yield f"target {target[:9]!r}", zipped(good, Entry("l", target, mode=0o120777))
    yield "through a link", zipped(Entry("l", b".", mode=0o120777), Entry("l/a", b"1"))
    yield "a link with a wrong sum", zipped(Entry("l", b"a", mode=0o120777, crc=1))
    yield "a fifo", zipped(Entry("f", mode=0o010644))
    yield "overlapping", zipped(Entry("a", b"1" * 999), Entry("b", b"1" * 999, start=0, local_name=b"a"))
    yield "two sizes", zipped(Entry("a", b"123", method=STORED, size=2))
    yield "no zip64 sizes", zipped(Entry("a", b"1", size=0xFFFFFFFF))
    yield "a bomb", boastful(10**9)
    yield "hidden members", zipped(good, count=2)
    yield "without its beginning", zipped(good)[9:]
    yield "without its end", zipped(good)[:-9]
    yield "with something behind", zipped(good) + b"x"
    split = bytearray(zipped(good))
    struct.pack_into("<H", split, len(split) - 18, 1)
    yield "split", bytes(split)
    yield "text", b"# A text\n" * 9999
    yield "a tar archive", tarred(member("a"))


WITHIN = {  # what the list of members does not give away, by what the extractor says of it
    "its CRC-32 is 83dcefb7, not 00000001 as promised": Entry("a", b"1", crc=1),
    "its data are less than the 999 bytes promised": Entry("a", b"1", size=999),
    "its data are more than the 0 bytes promised": Entry("a", b"1", size=0),
    "its data go on after their end": Entry("a", b"", raw=b"\3\0hidden"),
    "its local header is that of another member": Entry("a", b"1", local_name=b"b"),
    "its LZMA properties make no sense": Entry("a", raw=bytes(20), method=LZMA, size=9),
}


def test_the_survey_refuses_what_the_extractor_would_before_it_unpacks(
    azurite: Azurite, tmp_path: Path
) -> None:
    """In the same words, over Azure's protocol as from memory."""
    azurite.create_container("corpus")
    source = Source("corpus", "corpus", azurite.endpoint, parse(azurite.sas(container="corpus")))
    archives = [*_sound(), *_refused()]
    words = {}
    for number, (name, content) in enumerate(archives):
        azurite.put(f"{number}.zip", content, container="corpus")
        asset = Asset(f"{number}", "dataset", f"remote://corpus/{number}.zip", "out")
        addresses = {asset: Address(source, f"{number}.zip", "store")}
        blobs = {asset: ask({asset.name: addresses[asset]})[asset.name]}
        try:
            survey_blobs(tmp_path, addresses, blobs)
        except ArchiveError as error:
            words[name] = error.message.replace(f"{number}: ", "", 1)
            words[name] = words[name].replace(str(addresses[asset]), str(tmp_path / "archive.zip"))
    assert {name: verdict(content, tmp_path) for name, content in archives} == {
        name: words.get(name, "") for name, _ in archives
    }
    assert list(words) == [name for name, _ in _refused()]
    for name, content in archives:  # which checks that the extractor agrees
        if name in words:
            with pytest.raises(ArchiveError):
                unpacked(content, tmp_path)
        else:
            unpacked(content, tmp_path)


@pytest.mark.parametrize("words", WITHIN)
def test_damage_within_the_data_of_a_member_is_found_when_they_are_unpacked(
    words: str, tmp_path: Path
) -> None:
    """The survey passes: it reads the list of members, and no more."""
    content = zipped(WITHIN[words])
    assert verdict(content, tmp_path) == ""
    with pytest.raises(ArchiveError) as refused:
        unpacked(content, tmp_path)
    assert refused.value.message == f"archive refused: member a: {words}"


def test_a_service_that_stalls_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    """It has told what the blob is, and then sends none of its bytes; told in the words of all such failures."""
    asset = Asset("vqa", "dataset", "remote://oscar/datasets/vqa.zip", "data/vqa")
    blob = Blob('"0x1"', 91_000_000_000, datetime(2023, 8, 28, tzinfo=timezone.utc))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        source = Source("oscar", "oscar", f"http://{host}/account", parse(samples.SAS))
        with pytest.raises(BlobError) as caught:
            survey_blobs(tmp_path, {asset: Address(source, asset.path, "store")}, {asset: blob}, deadline=0.2)

    assert caught.value.message == f"the host {host} did not answer within 0 seconds"
    assert DEADLINE == 15
