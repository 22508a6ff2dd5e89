"""`tools/unzip-asset` on tar archives: the same rules as for zip, whatever the compression."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
from pathlib import Path

import pytest
from datarepo.archives import formats as archives
from datarepo.archives.safety import AGAIN, NO_ARCHIVE
from datarepo.commands.unzip import show_members
from datarepo.errors import ArchiveError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.made_archives import COMPRESS, Entry, member, tarred, tree, unpacked, zipped

SUFFIXES = list(COMPRESS)


def refused(content: bytes, folder: Path, name: str = "archive.tar") -> str:
    """The message with which the archive is refused, having checked that nothing was written."""
    with pytest.raises(ArchiveError) as caught:
        unpacked(content, folder, name)
    assert tree(folder) == {name: content}
    return caught.value.message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_compression_gives_the_same_tree(suffix: str, tmp_path: Path) -> None:
    """Dotfiles, empty files and folders, long and odd names, links within the tree."""
    long = "/".join(["a long name " * 10] * 3)
    content = tarred(
        member("a/", kind=tarfile.DIRTYPE, mode=0o755),
        member("a/data.bin", os.urandom(700_000)),
        member("a/.hidden", b"1"),
        member("a/empty"),
        member("folder/", kind=tarfile.DIRTYPE),
        member(long, b"2"),
        member("été 猫", b"3"),
        member("link", kind=tarfile.SYMTYPE, linkname="a/.hidden"),
    )

    result = unpacked(COMPRESS[suffix](content), tmp_path, f"archive{suffix}")

    assert {name: data for name, data in result.items() if data is not None and name != "a/data.bin"} == {
        "a/.hidden": b"1",
        "a/empty": b"",
        long: b"2",
        "été 猫": b"3",
        "link": "a/.hidden",
    }
    assert result["folder"] is None
    assert len(result["a/data.bin"] or b"") == 700_000


def test_a_folder_of_the_archives_own_name_is_left_out(tmp_path: Path) -> None:
    """`vqa.tar.gz` with `vqa/…` gives the tree that one with `…` gives."""
    wrapped = gzip.compress(tarred(member("vqa/", kind=tarfile.DIRTYPE, mode=0o755), member("vqa/a", b"1")))

    assert unpacked(wrapped, tmp_path, "vqa.tar.gz") == {"a": b"1"}


def test_executables_stay_so_and_other_modes_do_not_survive(tmp_path: Path) -> None:
    """Setuid, unreadable and world-writable files become ordinary ones."""
    modes = {"run": 0o4755, "secret": 0o000, "open": 0o666}
    unpacked(
        tarred(*(member(name, b"1", mode=mode) for name, mode in modes.items())), tmp_path, "archive.tar"
    )

    found = {name: stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in modes}
    assert found == {"run": 0o755, "secret": 0o644, "open": 0o644}


@pytest.mark.parametrize(
    ("members", "name", "rule"),
    [
        ([member("../a")], "../a", "its name climbs with '..'"),
        ([member("/etc/a")], "/etc/a", "its name is an absolute path"),
        ([member("a\nb")], "'a\\nb'", "its name has a control character"),
        ([member("a\\b")], "a\\b", "its name has a backslash"),
        ([member("fifo", kind=tarfile.FIFOTYPE)], "fifo", "it is a device, fifo or socket"),
        ([member("null", kind=tarfile.CHRTYPE)], "null", "it is a device, fifo or socket"),
        ([member("a"), member("a")], "a", "its name comes twice"),
        ([member("a"), member("b", kind=tarfile.LNKTYPE, linkname="a")], "b", "it is a hard link, which is not supported"),
        ([member("l", kind=tarfile.SYMTYPE, linkname="/etc")], "l", "its target is an absolute path"),
        ([member("l", kind=tarfile.SYMTYPE, linkname="..")], "l", "its target .. leaves the tree, or never ends"),
        (
            [member("l", kind=tarfile.SYMTYPE, linkname="d"), member("d/", kind=tarfile.DIRTYPE), member("l/a")],
            "l/a",
            "l is a link and a folder, so that members would be written through the link",
        ),
    ],
    ids=["climb", "absolute", "control", "backslash", "fifo", "device", "twice", "hard-link", "link-out", "link-up", "through-link"],
)  # fmt: skip
def test_what_a_zip_may_not_hold_a_tar_may_not_either(
    members: list[tuple[tarfile.TarInfo, bytes]], name: str, rule: str, tmp_path: Path
) -> None:
    """Refused before anything is written, with member and rule."""
    message = refused(tarred(*members), tmp_path)

    assert message == f"archive refused: member {name}: {rule}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_cut_anywhere_is_refused(suffix: str, tmp_path: Path) -> None:
    """Also between two members, where tarfile itself sees nothing missing."""
    plain = tarred(member("a", b"1" * 600), member("b", b"2" * 600))
    content = COMPRESS[suffix](plain)
    cuts = [512, 1024, 1536, 2048] if suffix == ".tar" else range(6, len(content), max(1, len(content) // 8))

    for cut in cuts:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            assert "damaged or truncated tar archive" in refused(
                content[:cut], Path(folder), f"archive{suffix}"
            )


def test_what_follows_the_end_is_not_skipped_silently(tmp_path: Path) -> None:
    """A second archive behind the first would not be seen."""
    content = tarred(member("a")) + tarred(member("b"))

    assert "something follows its end mark" in refused(content, tmp_path)


TAR = tarred(member("a", b"1" * 5000))
AZURE = b'<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code></Error>'
TEXT = b"# A text\n" * 999


@pytest.mark.parametrize(
    ("name", "content", "diagnosis", "hint"),
    [
        ("x.tar.gz", AZURE, "not a .tar.gz archive but Azure's error message AuthenticationFailed, saved under", NO_ARCHIVE),
        ("x.tar", b"", "not a .tar archive but an empty file", NO_ARCHIVE),
        ("x.tar", TEXT, "not a .tar archive", NO_ARCHIVE),
        ("x.tar.xz", TEXT, "not a .tar.xz archive", NO_ARCHIVE),
        ("x.tar.gz", gzip.compress(TEXT), "not a .tar.gz archive", NO_ARCHIVE),
        ("x.tgz", TAR, "not a .tgz archive but a tar archive", NO_ARCHIVE),
        ("x.tar", gzip.compress(TAR), "not a .tar archive but gzip data", NO_ARCHIVE),
        ("x.tar", zipped(Entry("a")), "not a .tar archive but a zip archive", NO_ARCHIVE),
        ("x.tar.zst", b"7z\xbc\xaf\x27\x1c", "not a .tar.zst archive but a 7z archive", NO_ARCHIVE),
        ("x.tar", TAR[:3000], "damaged or truncated tar archive: ", AGAIN),
        ("x.tar.bz2", bz2.compress(TAR)[:60], "damaged or truncated tar archive: ", AGAIN),
    ],
    ids=["azure", "empty", "text", "text-as-xz", "packed-text", "tar-as-tgz", "gz-as-tar", "zip-as-tar", "7z", "cut", "cut-bz2"],
)  # fmt: skip
def test_what_is_no_tar_archive_is_named(
    name: str, content: bytes, diagnosis: str, hint: str, tmp_path: Path
) -> None:
    """Only a file that begins as its name says is damaged; any other is the wrong one, or wrongly named."""
    with pytest.raises(ArchiveError) as caught:
        unpacked(content, tmp_path, name)
    assert caught.value.message.startswith(f"{tmp_path / name}: {diagnosis}")
    assert (caught.value.hint, tree(tmp_path)) == (hint, {name: content})


def test_a_bomb_is_refused_without_unpacking_all_of_it(tmp_path: Path) -> None:
    """The first header promises a terabyte, and the list ends there."""
    info, _ = member("zeros")
    info.size = 10**12
    bomb = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_000_000))

    message = refused(bomb, tmp_path, "bomb.tar.gz")

    assert message.startswith("archive refused: member zeros: the largest of 1.0 TB in an archive of ")
    assert message.endswith(", over 200 times its size")


def test_the_members_can_be_listed(tmp_path: Path) -> None:
    """Sizes, names, and where links lead."""
    content = tarred(member("a", b"123"), member("l", kind=tarfile.SYMTYPE, linkname="a"))
    (tmp_path / "x.tar.xz").write_bytes(lzma.compress(content))

    assert list(show_members(tmp_path / "x.tar.xz").lines()) == [
        "      3 B  a",
        "      0 B  l -> a",
        "2 files, 3 B",
    ]


_names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\:\0", exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=8,
)
_trees = st.dictionaries(
    _names.filter(lambda name: name.strip(".") and name.isascii() and name == name.lower()),
    st.binary(max_size=2000),
    max_size=6,
)


@settings(max_examples=60)
@given(_trees, st.sampled_from(SUFFIXES))
def test_any_tree_arrives_as_it_was(files: dict[str, bytes], suffix: str) -> None:
    """Random names and contents, through each compression."""
    with tempfile.TemporaryDirectory() as folder:
        content = COMPRESS[suffix](tarred(*(member(name, data) for name, data in files.items())))
        assert unpacked(content, Path(folder), f"an archive{suffix}") == files


@settings(max_examples=150)
@given(st.data())
def test_random_damage_gives_the_exact_tree_or_a_refusal(data: st.DataObject) -> None:
    """Bytes flipped, cut and inserted in an archive whose compression has a checksum."""
    suffix = data.draw(st.sampled_from([".tar.gz", ".tar.bz2", ".tar.xz"]))
    content = COMPRESS[suffix](tarred(member("a", b"one" * 100), member("b/c", b"two" * 100)))
    at = data.draw(st.integers(0, len(content) - 1))
    damaged = data.draw(
        st.sampled_from(
            [
                content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :],
                content[:at],
                content[:at] + b"\x5a" + content[at:],
            ]
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        try:
            found = unpacked(damaged, place, f"x{suffix}")
        except ArchiveError:
            assert tree(place) == {f"x{suffix}": damaged}
        else:
            assert found == {"a": b"one" * 100, "b": None, "b/c": b"two" * 100}


def test_the_suffixes_are_those_the_catalogue_knows() -> None:
    """A name that ends otherwise is no archive."""
    assert {suffix for suffix in archives.SUFFIXES if suffix != ".zip"} == set(SUFFIXES)
