"""`tools/unzip-asset`: what arrives, what is refused, and what is there at every moment."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from datarepo.archives import extract as extract_module
from datarepo.archives.atomic_folder import delete, staged, work_folder
from datarepo.archives.extract import extract
from datarepo.errors import ArchiveError, DiskError, RepositoryError, UsageError
from datarepo.pipeline import state as hashes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.archives import BZIP2, DEFLATED, LZMA, STORED, Entry, compress, endless_zeros, tree, zipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.archives import Tree

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, str(ROOT / "tools/unzip-asset")]
REFUSED = "archive refused: member "


def _extract(content: bytes, folder: Path, name: str = "archive.zip") -> Tree:
    """What the archive with that content becomes in `folder/out`."""
    archive = folder / name
    archive.write_bytes(content)
    extract(archive, folder / "out", quiet=True)
    return tree(folder / "out")


def _refuse(content: bytes, folder: Path) -> str:
    """The message with which the archive is refused, having checked that nothing was left behind."""
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out/before").write_text("as it was")
    with pytest.raises(ArchiveError) as refused:
        _extract(content, folder)
    assert tree(folder) == {"archive.zip": content, "out": None, "out/before": b"as it was"}
    return refused.value.message


def _run(*arguments: str | Path, cwd: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    done = subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def _with_zipfile(entries: dict[str, bytes | None], method: int = DEFLATED) -> bytes:
    """An archive by Python's zipfile; None is a folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}/" if data is None else name, data or b"")
    return stream.getvalue()


# What arrives


def test_everything_arrives(tmp_path: Path) -> None:
    """Dotfiles, empty files, empty folders and odd names: nothing is skipped.

    .hidden          as git keeps it
    empty            a file without a byte
    folder/void/     a folder without a file
    -rf, 'a b', …    names that shells and other systems would trip over
    """
    entries: dict[str, bytes | None] = {
        ".hidden": b"1",
        ".config/.also": b"2",
        "empty": b"",
        "folder": None,
        "folder/void": None,
        "-rf": b"3",
        " a b ": b"4",
        "~": b"5",
        "CON.txt": b"6",
        "quote'\"*?<>|:;$HOME`": b"7",
        "猫/\U0001f408.jpg": b"8",
        "__MACOSX/._x": b"9",
        "dot.": b"10",
        "...": b"11",
        "n" * 255: b"12",
    }
    expected = entries | dict.fromkeys((".config", "猫", "__MACOSX"))
    assert _extract(_with_zipfile(entries), tmp_path) == expected


@pytest.mark.parametrize("method", [STORED, DEFLATED, BZIP2, LZMA])
@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 3_000_000])
def test_each_method_gives_back_the_bytes(method: int, size: int, tmp_path: Path) -> None:
    """Of every size around that of the pieces they are read in."""
    data = (random.Random(1).randbytes(size // 2 + 1) + bytes(size))[:size]
    assert _extract(_with_zipfile({"a": data}, method), tmp_path) == {"a": data}


def test_lzma_without_an_end_mark_works(tmp_path: Path) -> None:
    """Bit 1 of the flags says whether LZMA data mark their end (APPNOTE 4.4.4); neither is trusted."""
    assert _extract(zipped(Entry("a", b"abc" * 1000, method=LZMA)), tmp_path) == {"a": b"abc" * 1000}


def test_zip64_works(tmp_path: Path) -> None:
    """Sizes and offsets of 64 bits, as zipfile writes them into a stream of unknown length."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("a", "b"):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(name.encode())
    assert _extract(stream.getvalue(), tmp_path) == {"a": b"a", "b": b"b"}


def _zip64(*entries: Entry) -> bytes:
    """The same archive with all numbers in zip64 records (APPNOTE 4.3.14, 4.3.15, 4.5.3)."""
    plain = zipped(*entries)
    starts = [index for index in range(len(plain)) if plain.startswith(b"PK\3\4", index)]
    for entry, start in zip(entries, starts, strict=True):
        wide = struct.pack("<2H3Q", 1, 24, len(entry.data), len(entry.data), start)
        entry.extra, entry.size, entry.packed, entry.start = wide, *[0xFFFFFFFF] * 3
    narrow = zipped(*entries)
    end = len(narrow) - 22
    length, offset = struct.unpack_from("<2L", narrow, end + 12)
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, len(entries), len(entries), length, offset
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return narrow[:end] + record + locator + last


@pytest.mark.parametrize("front", [b"", b"#!/bin/sh\n" * 99])
def test_zip64_end_records_work(front: bytes, tmp_path: Path) -> None:
    """Also with data in front, which the recorded places do not know of."""
    archive = _zip64(Entry("a", b"1", method=STORED), Entry("b", b"22", method=STORED))
    assert _extract(front + archive, tmp_path) == {"a": b"1", "b": b"22"}


def test_zip64_without_the_sizes_is_refused(tmp_path: Path) -> None:
    """The sizes that 32 bits cannot hold have to be somewhere."""
    archive = zipped(Entry("a", b"1", size=0xFFFFFFFF))
    assert _refuse(archive, tmp_path) == REFUSED + "a: its zip64 sizes are missing"


def test_more_members_than_16_bits_count_work(tmp_path: Path) -> None:
    """Programs without zip64 let the count of the end record wrap around."""
    entries = [Entry(f"{number}/", mode=0o40755, method=STORED) for number in range(65_537)]
    (tmp_path / "archive.zip").write_bytes(zipped(*entries, count=1))
    code, out, err = _run("--list", "archive.zip", cwd=tmp_path)
    assert (code, out.count("\n"), err) == (0, 65_538, "")


def test_data_descriptors_work(tmp_path: Path) -> None:
    """Sizes that follow the data, from a writer that cannot seek, are taken from the directory."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", DEFLATED) as archive:
        archive.writestr("a", b"1" * 99)
        archive.writestr("b", b"2")
    assert _extract(pipe.getvalue(), tmp_path) == {"a": b"1" * 99, "b": b"2"}


@pytest.mark.parametrize("comment", [b"a word", b"PK\5\6" * 9, zipped(), b"x" * 0xFFFF])
def test_archive_comments_work(comment: bytes, tmp_path: Path) -> None:
    """Even one that holds the signature of an end record; a whole empty archive wins, as elsewhere."""
    expected = {} if comment == zipped() else {"a": b"1"}
    assert _extract(zipped(Entry("a", b"1", comment=b"of a member"), comment=comment), tmp_path) == expected


def test_self_extracting_archives_work(tmp_path: Path) -> None:
    """Data in front of the archive shift all offsets, whether they were adjusted or not."""
    archive = zipped(Entry("a", b"1"))
    assert _extract(b"MZ" + bytes(9000) + archive, tmp_path) == {"a": b"1"}
    adjusted = io.BytesIO(b"MZ" + bytes(9000))
    with zipfile.ZipFile(adjusted, "a") as writer:
        writer.writestr("a", b"2")
    assert _extract(adjusted.getvalue(), tmp_path) == {"a": b"2"}


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        (Entry("grün/猫.txt"), "grün/猫.txt"),
        (Entry("gr\u00fcn".encode(), system=3), "grün"),  # macOS, without the flag
        (Entry(b"gr\x81n", system=0), "grün"),
        (Entry(b"gr\x81n", system=3), "grün"),
        (Entry("grün".encode(), system=0), "gr├╝n"),
        (
            Entry(
                b"gr_n",
                system=0,
                extra=struct.pack("<2HBL", 0x7075, 10, 1, zlib.crc32(b"gr_n")) + "grün".encode(),
            ),
            "grün",
        ),
        (Entry(b"gr_n", extra=struct.pack("<2HBL", 0x7075, 10, 1, 99) + "grün".encode()), "gr_n"),
    ],
)
def test_names_are_read_in_the_code_they_were_written_in(entry: Entry, name: str, tmp_path: Path) -> None:
    """UTF-8 by flag, by Info-ZIP's extra field if it is up to date, by coming from Unix; else CP437."""
    assert [name for name, data in _extract(zipped(entry), tmp_path).items() if data is not None] == [name]


def test_names_stay_in_the_unicode_form_they_have(tmp_path: Path) -> None:
    """A decomposed name, as macOS writes, arrives as it is."""
    name = unicodedata.normalize("NFD", "Ångström")
    assert _extract(zipped(Entry(name, b"1")), tmp_path) == {name: b"1"}


def test_links_within_the_tree_arrive(tmp_path: Path) -> None:
    """To files, to folders, and to what is not there."""
    links = {"b/l": "../a", "c": "b", "d": "nowhere"}
    entries = [Entry(name, target.encode(), mode=0o120777) for name, target in links.items()]
    assert _extract(zipped(Entry("a", b"1"), *entries), tmp_path) == {"a": b"1", "b": None, **links}


def test_permissions_keep_the_executable_bits_only(tmp_path: Path) -> None:
    """Setuid, setgid, sticky and unreadable modes do not survive; folders can always be entered."""
    modes = {"run": 0o100755, "setuid": 0o106755, "secret": 0o100000, "folder/": 0o041000, "dos": 0}
    _extract(zipped(*[Entry(name, mode=mode) for name, mode in modes.items()]), tmp_path)
    umask = os.umask(0)
    os.umask(umask)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    expected = {"run": 0o777, "setuid": 0o777, "secret": 0o666, "folder": 0o777, "dos": 0o666}
    assert found == {name: mode & ~umask for name, mode in expected.items()}


def test_a_wrapping_folder_makes_no_difference(tmp_path: Path) -> None:
    """Named like the archive or like DIR, it is left out; named otherwise, it stays."""
    for wrapper in ("", "vqa/", "out/"):
        assert _extract(zipped(Entry(wrapper + "a", b"1")), tmp_path, "vqa.zip") == {"a": b"1"}
    assert _extract(zipped(Entry("v2/a", b"1")), tmp_path, "vqa.zip") == {"v2": None, "v2/a": b"1"}


def test_an_archive_without_members_gives_an_empty_folder(tmp_path: Path) -> None:
    """Nothing is a tree as well."""
    assert _extract(zipped(), tmp_path) == {}


def test_many_members_of_all_sizes_arrive_with_any_number_of_jobs(tmp_path: Path) -> None:
    """However the work is shared out, the tree is the same."""
    sizes = [0, 1, 2_000_000, 10, 1_500_000, 300_000] + [100] * 2000
    entries: dict[str, bytes | None] = {
        f"{number % 7}/{number}": random.Random(number).randbytes(size) for number, size in enumerate(sizes)
    }
    (tmp_path / "a.zip").write_bytes(_with_zipfile(entries))
    expected = entries | dict.fromkeys("0123456")
    for jobs in (1, 2, 9):
        extract(tmp_path / "a.zip", tmp_path / "out", jobs=jobs, quiet=True)
        assert tree(tmp_path / "out") == expected


# What is refused


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("../evil", "its name climbs with '..'"),
        ("a/../../evil", "its name climbs with '..'"),
        ("/etc/evil", "its name is an absolute path"),
        ("C:/evil", "its name begins with a drive letter"),
        ("..\\evil", "its name has a backslash"),
        ("n" * 256, "its name has a part of more than 255 bytes"),
        ("n/" * 2100 + "n", "its path has more than the "),
        ("", "its name is empty"),
    ],
)
def test_a_name_that_could_land_elsewhere_is_refused(name: str, rule: str, tmp_path: Path) -> None:
    """Zip slip in its forms; the other rules for names are in test_members."""
    assert rule in _refuse(zipped(Entry("good", b"1"), Entry(name, b"2")), tmp_path)


def test_a_name_cut_short_by_nul_is_refused(tmp_path: Path) -> None:
    """Python would extract `good.txt`; others might see `.exe`."""
    message = _refuse(zipped(Entry(b"good.txt\0.exe", b"1")), tmp_path)
    assert message == REFUSED + r"'good.txt\x00.exe': its name has a control character"


def test_a_name_that_is_not_utf8_although_it_says_so_is_refused(tmp_path: Path) -> None:
    """Bit 11 of the flags promises UTF-8."""
    message = _refuse(zipped(Entry(b"a\xff", b"1", flags=1 << 11)), tmp_path)
    assert message == REFUSED + r"'a\udcff': its name is not valid UTF-8"


@pytest.mark.parametrize(
    ("name", "target", "rule"),
    [
        ("l", b"/etc/passwd", "its target is an absolute path"),
        ("l", b"../evil", "its target ../evil leaves the tree, or never ends"),
        ("a/l", b"../../evil", "its target ../../evil leaves the tree, or never ends"),
        ("l", b"l", "its target l leaves the tree, or never ends"),
        ("l", b"a\0b", "its target has a control character"),
        ("l", b"", "it is a link to nothing"),
        ("l", b"x" * 4096, "its target has more than 4095 bytes"),
    ],
)
def test_a_link_that_leaves_the_tree_is_refused(name: str, target: bytes, rule: str, tmp_path: Path) -> None:
    """By an absolute target, by climbing, by going in circles."""
    assert _refuse(zipped(Entry(name, target, mode=0o120777)), tmp_path) == f"{REFUSED}{name}: {rule}"


def test_a_member_written_through_a_link_is_refused(tmp_path: Path) -> None:
    """A link, then a file below it, which would land where the link points."""
    archive = zipped(Entry("l", b".", mode=0o120777), Entry("l/evil", b"1"))
    assert _refuse(archive, tmp_path) == (
        REFUSED + "l/evil: l is a link and a folder, so that members would be written through the link"
    )


def test_a_link_out_of_the_tree_by_way_of_another_is_refused(tmp_path: Path) -> None:
    """`l` reads as `a/b`, yet `a/b/up` is the top already, so that `l` is what is above it."""
    archive = zipped(Entry("a/b/up", b"../..", mode=0o120777), Entry("l", b"a/b/up/..", mode=0o120777))
    assert _refuse(archive, tmp_path) == REFUSED + "l: its target a/b/up/.. leaves the tree, or never ends"


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_fifos_and_sockets_are_refused(kind: int, tmp_path: Path) -> None:
    """Data are files, folders and links."""
    assert _refuse(zipped(Entry("a", mode=kind | 0o644)), tmp_path) == (
        REFUSED + "a: it is a device, fifo or socket"
    )


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        ("a", "a", "its name comes twice"),
        ("a", "a/b", "a is a folder and a file"),
        ("Readme", "README", "README and Readme are one name where case or Unicode form is ignored"),
    ],
)
def test_two_members_of_one_name_are_refused(first: str, second: str, rule: str, tmp_path: Path) -> None:
    """Whether here or on another file system; more in test_members."""
    archive = zipped(Entry(first, b"1"), Entry(second, b"2"))
    assert _refuse(archive, tmp_path) == f"{REFUSED}{second}: {rule}"


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    """The zip bomb of David Fifield: many members share one run of data."""
    zeros = bytes(100_000)
    twice = zipped(Entry("a", zeros), Entry("b", zeros, start=0, local_name=b"a"))
    assert _refuse(twice, tmp_path) == REFUSED + "a: its data overlap those of b"
    quoted = zipped(Entry("a", zeros, packed=300), Entry("b", zeros))
    assert _refuse(quoted, tmp_path) == REFUSED + "a: its data overlap those of b"
    directory = zipped(Entry("a", zeros, packed=9_999))
    assert _refuse(directory, tmp_path) == REFUSED + "a: its data overlap the directory"


def test_an_overlap_that_only_the_local_header_shows_is_refused(tmp_path: Path) -> None:
    """A long extra field there pushes the data into the next member."""
    archive = bytearray(zipped(Entry("a", b"1"), Entry("b", b"2")))
    struct.pack_into("<H", archive, 28, 40)
    assert _refuse(bytes(archive), tmp_path) == REFUSED + "a: its data overlap what comes next in the archive"


@pytest.mark.parametrize("method", [DEFLATED, BZIP2, LZMA])
@pytest.mark.parametrize(
    ("lie", "rule"),
    [
        ({"size": 999}, "its data are more than the 999 bytes promised"),
        ({"size": 1001}, "its data are less than the 1001 bytes promised"),
        ({"size": 0}, "its data are more than the 0 bytes promised"),
        ({"crc": 1}, "its CRC-32 is "),
        ({"packed": 9}, "its data "),
        ({"raw": b"\xff" * 60}, "its "),
        ({"raw": b""}, "its "),
    ],
)
def test_sizes_and_sums_that_the_data_contradict_are_refused(
    lie: dict[str, int], rule: str, method: int, tmp_path: Path
) -> None:
    """More, less or other than the directory promises."""
    archive = zipped(Entry("a", b"x" * 1000, method=method, **lie))  # type: ignore[arg-type]  # mixed values
    assert _refuse(archive, tmp_path).startswith(f"{REFUSED}a: {rule}")


def test_a_bomb_stops_at_the_size_it_admits(tmp_path: Path) -> None:
    """A member that claims to be small is not unpacked beyond that to find out."""
    bomb = endless_zeros("a", 10**9).replace(struct.pack("<L", 10**9), struct.pack("<L", 10))
    assert _refuse(bomb, tmp_path) == REFUSED + "a: its data are more than the 10 bytes promised"


def test_data_after_the_end_of_the_data_are_refused(tmp_path: Path) -> None:
    """Something may hide there."""
    archive = zipped(Entry("a", b"x", raw=compress(b"x", DEFLATED) + b"hidden"))
    assert _refuse(archive, tmp_path) == REFUSED + "a: its data go on after their end"


def test_a_stored_member_of_two_sizes_is_refused(tmp_path: Path) -> None:
    """Without compression both sizes are one."""
    assert _refuse(zipped(Entry("a", b"123", method=STORED, size=2)), tmp_path) == (
        REFUSED + "a: it is stored without compression, yet 2 bytes are said to be 3"
    )


def test_a_local_header_of_another_member_is_refused(tmp_path: Path) -> None:
    """Programs that read local headers would extract something else."""
    assert _refuse(zipped(Entry("a", b"1", local_name=b"b")), tmp_path) == (
        REFUSED + "a: its local header is that of another member"
    )
    assert _refuse(b"P?" + zipped(Entry("a", b"1"))[2:], tmp_path) == (
        REFUSED + "a: there is no local header where the directory says"
    )


def test_an_lzma_dictionary_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    """A dictionary is memory, and members may ask for 4 GB of it."""
    properties = struct.pack("<2HBL", 0, 5, 93, 0xFFFFFFFF)
    archive = zipped(Entry("a", raw=properties + bytes(10**6), method=LZMA, size=150 * 10**6))
    assert (
        _refuse(archive, tmp_path) == REFUSED + "a: its LZMA dictionary would take 150000000 bytes of memory"
    )


@pytest.mark.parametrize("flag", [1 << 0, 1 << 6, 1 << 13])
def test_encrypted_members_are_refused(flag: int, tmp_path: Path) -> None:
    """By password, strongly, or with masked headers."""
    assert _refuse(zipped(Entry("a", b"1", flags=flag)), tmp_path) == REFUSED + "a: it is encrypted"


@pytest.mark.parametrize(
    ("method", "name"), [(9, "Deflate64"), (93, "Zstandard"), (98, "PPMd"), (1234, "an unknown method")]
)
def test_an_unsupported_compression_method_is_named(method: int, name: str, tmp_path: Path) -> None:
    """By the name its users know, and by number."""
    assert _refuse(zipped(Entry("a", b"1", method=method)), tmp_path) == (
        f"{REFUSED}a: it is compressed with {name} ({method}), which is not supported"
    )


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    """Wherever it was cut."""
    whole = _with_zipfile({"a": random.Random(1).randbytes(5_000), "b": b"2"})
    for length in [4, 100, 5_000, len(whole) - 23, len(whole) - 22, len(whole) - 1]:
        assert _refuse(whole[:length], tmp_path) == (
            f"{tmp_path / 'archive.zip'}: truncated zip: it has no end record"
            if length < len(whole) - 18
            else f"{tmp_path / 'archive.zip'}: damaged zip: its end record does not end the file"
        )


def test_an_archive_that_lost_its_beginning_is_refused(tmp_path: Path) -> None:
    """Its directory says how much is missing."""
    assert _refuse(zipped(Entry("a", b"1"))[9:], tmp_path) == (
        f"{tmp_path / 'archive.zip'}: truncated zip: 9 bytes are missing before its end"
    )


def test_a_directory_that_hides_members_is_refused(tmp_path: Path) -> None:
    """One wrong length makes the rest of the directory a comment; the count gives it away."""
    archive = zipped(Entry("a", b"1"), Entry("b", b"2"), count=3)
    path = tmp_path / "archive.zip"
    assert _refuse(archive, tmp_path) == f"{path}: damaged zip directory: 2 members instead of 3"
    hidden = bytearray(zipped(Entry("a", b"1"), Entry("b", b"2")))
    struct.pack_into("<H", hidden, hidden.index(b"PK\1\2") + 32, 47)
    assert _refuse(bytes(hidden), tmp_path) == f"{path}: damaged zip directory: 1 members instead of 2"


def test_a_part_of_a_split_archive_is_refused(tmp_path: Path) -> None:
    """Its members are in other files."""
    archive = bytearray(zipped(Entry("a", b"1")))
    struct.pack_into("<H", archive, len(archive) - 18, 1)
    assert _refuse(bytes(archive), tmp_path) == f"{tmp_path / 'archive.zip'}: one part of a split zip archive"


AZURE = (
    '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code>'
    "<Message>Server failed to authenticate the request.</Message></Error>"
)


@pytest.mark.parametrize(
    ("content", "diagnosis"),
    [
        (b"", "not an archive but an empty file"),
        (b"some text\n" * 99, "not a zip archive"),
        (bytes(100_000), "not a zip archive"),
        (
            AZURE.encode(),
            "not an archive but Azure's error message AuthenticationFailed, saved under an archive's name",
        ),
        (
            b"\n<!DOCTYPE html>\n<html><title>Sign in</title>",
            "not an archive but an HTML page, saved under an archive's name",
        ),
        (b"<html>" + bytes(99), "not an archive but an HTML page, saved under an archive's name"),
        (b"\x1f\x8b\x08\0", "not an archive but gzip data"),
    ],
)
def test_what_is_no_archive_is_called_by_its_name(content: bytes, diagnosis: str, tmp_path: Path) -> None:
    """An error message saved as an archive is the usual case, and says what went wrong."""
    assert _refuse(content, tmp_path) == f"{tmp_path / 'archive.zip'}: {diagnosis}"


def test_a_ratio_no_data_has_needs_an_option(tmp_path: Path) -> None:
    """`--max-ratio` allows more."""
    data = bytes(2_000_000)
    archive = _with_zipfile({"a": data})
    assert _refuse(archive, tmp_path).startswith(REFUSED + "a: the largest of 2.0 MB in an archive of ")
    assert _run("archive.zip", "out", "--max-ratio", "2000", "-q", cwd=tmp_path) == (0, "", "")
    assert tree(tmp_path / "out") == {"a": data}


def test_more_than_the_disk_has_free_needs_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--force` goes on; the check comes before anything is written."""
    monkeypatch.setattr(extract_module, "_free", lambda _: 2)
    archive = tmp_path / "archive.zip"
    archive.write_bytes(zipped(Entry("a", b"123")))
    with pytest.raises(DiskError) as refused:
        extract(archive, tmp_path / "new/out", quiet=True)
    assert refused.value.message == "the archive unpacks to 3 B, and the disk has 2 B free"
    assert sorted(tmp_path.iterdir()) == [archive]
    extract(archive, tmp_path / "new/out", force=True, quiet=True)
    assert tree(tmp_path / "new") == {"out": None, "out/a": b"123"}


def test_a_disk_that_fills_up_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write to the disk as well, so the check before is not enough."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    (tmp_path / "archive.zip").write_bytes(zipped(Entry("a", b"123")))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError) as refused:
        extract(tmp_path / "archive.zip", tmp_path / "out", quiet=True)
    monkeypatch.undo()
    assert refused.value.message == "the disk is full"
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]


# Wholly or not at all


def test_a_folder_that_exists_is_replaced(tmp_path: Path) -> None:
    """With all that was in it, read-only folders and files too; the target of a link in it is left alone."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("precious")
    old = tmp_path / "out/deep/er"
    old.mkdir(parents=True)
    (old / "file").write_text("old")
    os.link(tmp_path / "kept/file", old / "hard")
    (old / "link").symlink_to(tmp_path / "kept")
    (old / "file").chmod(0o444)
    for folder in (old, old.parent, old.parent.parent):
        folder.chmod(0o555)
    assert _extract(zipped(Entry("new", b"1")), tmp_path) == {"new": b"1"}
    assert tree(tmp_path / "kept") == {"file": b"precious"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "kept", "out"]


def test_a_deep_tree_can_be_deleted(tmp_path: Path) -> None:
    """Deeper than Python's stack."""
    os.mkdir(tmp_path / "t")  # noqa: PTH102
    here = os.open(tmp_path / "t", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    delete(tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_a_link_as_dir_stays_a_link(tmp_path: Path) -> None:
    """Whoever keeps the data on another disk keeps them there."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    assert _extract(zipped(Entry("a", b"1")), tmp_path) == {"a": b"1"}
    assert tree(tmp_path)["out"] == "disk"


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("file", "file is a file"),
        (".", " would be replaced, and contains the archive itself"),
        ("..", " would be replaced, and contains the archive itself"),
    ],
)
def test_a_folder_that_must_not_be_replaced_is_refused(folder: str, message: str, tmp_path: Path) -> None:
    """A file, the folder of the archive, anything above it."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "archive.zip").write_bytes(zipped(Entry("a", b"1")))
    with pytest.raises(UsageError) as refused:
        extract(tmp_path / "archive.zip", tmp_path / folder, quiet=True)
    assert refused.value.message.endswith(message)
    assert tree(tmp_path).keys() == {"archive.zip", "file"}


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


def test_two_runs_for_one_folder_do_not_mix(tmp_path: Path) -> None:
    """The second is told to wait, and touches nothing of the first."""
    out = tmp_path / "out"
    with staged(out) as tree_of_first:
        (tree_of_first / "a").write_text("first")
        with pytest.raises(UsageError) as refused:
            _extract(zipped(Entry("b", b"2")), tmp_path)
    assert refused.value.message == f"another run is extracting to {out}"
    assert tree(out) == {"a": b"first"}


def test_half_a_swap_is_undone(tmp_path: Path) -> None:
    """A run killed between its two renames leaves the old tree aside; even a run that fails puts it back."""
    out = tmp_path / "out"
    work = work_folder(out)
    (work / "old").mkdir(parents=True)
    (work / "old/before").write_text("as it was")
    (work / "tree").mkdir()
    (work / "lock").touch()
    archive = tmp_path / "archive.zip"
    archive.write_bytes(zipped(Entry("a", b"1", crc=2)))
    with pytest.raises(ArchiveError):
        extract(archive, out, quiet=True)
    assert tree(tmp_path) == {"archive.zip": archive.read_bytes(), "out": None, "out/before": b"as it was"}


def _begin(folder: Path) -> subprocess.Popen[str]:
    """A run in the middle of its work: there is a file, and it grows."""
    (folder / "endless.zip").write_bytes(endless_zeros("dvc.yaml", 4 * 10**9))
    run = subprocess.Popen(
        [*COMMAND, "endless.zip", "out", "--max-ratio", "9999", "--force"],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
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
    assert (run.returncode, out, err.splitlines()[0]) == (130, "", "error: interrupted")
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
    assert _extract(zipped(Entry("a", b"1")), tmp_path) == {"a": b"1"}
    assert not work_folder(tmp_path / "out").exists()


def test_a_run_killed_anywhere_leaves_the_old_tree_or_the_new(tmp_path: Path) -> None:
    """SIGKILL after random times: never a part, and the next run succeeds and leaves nothing else."""
    entries: dict[str, bytes | None] = {f"{n}": random.Random(n).randbytes(50_000) for n in range(150)}
    (tmp_path / "archive.zip").write_bytes(_with_zipfile(entries))
    out = tmp_path / "out"
    begun = time.monotonic()
    assert _run("archive.zip", "out", "-q", cwd=tmp_path)[0] == 0
    whole = time.monotonic() - begun
    chance = random.Random(3)
    for _ in range(12):
        run = subprocess.Popen([*COMMAND, "archive.zip", "out", "-q"], cwd=tmp_path)
        time.sleep(chance.uniform(0.1, 1.1) * whole)
        run.kill()
        run.wait()
        assert not out.exists() or tree(out) == entries
    assert _run("archive.zip", "out", "-q", cwd=tmp_path) == (0, "", "")
    assert tree(out) == entries
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "out"]


def test_dvc_finds_the_same_tree_when_it_is_extracted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same `.dir` hash, and the cache, to which the replaced files were hard links, is untouched."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    archive = _with_zipfile({"a": b"1" * 99, "b/c": b"2", "void": None})
    with Repo.init(no_scm=True) as repo:
        with repo.config.edit() as config:
            config["cache"]["type"] = ["hardlink", "symlink"]
        seen = []
        for _ in range(2):
            _extract(archive, tmp_path)
            (stage,) = repo.add("out")
            seen.append(stage.outs[0].hash_info.value)
            cached = tree(tmp_path / ".dvc/cache/files/md5")
    assert seen[0] == seen[1]
    assert sorted(data for data in cached.values() if data in {b"1" * 99, b"2"}) == [b"1" * 99, b"2"]


def test_dvc_is_told_the_hashes_of_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it need not read the files again; those of links are its own business."""
    from dvc.repo import Repo

    monkeypatch.setattr(hashes, "MANY_FILES", 3)
    entries = [Entry("a", b"1" * 70_000), Entry("b/c"), Entry("l", b"a", mode=0o120777)]
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        _extract(zipped(*entries), tmp_path)
        known = {name: repo.state.get(str(tmp_path / "out" / name), repo.fs)[1] for name in ("a", "b/c", "l")}
    assert {name: found and found.value for name, found in known.items()} == {
        "a": hashlib.md5(b"1" * 70_000, usedforsecurity=False).hexdigest(),
        "b/c": hashlib.md5(b"", usedforsecurity=False).hexdigest(),
        "l": None,
    }


def test_without_that_interface_of_dvc_all_else_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC's inside may change with any version."""
    from dvc.repo import Repo
    from dvc_data.hashfile.state import State

    monkeypatch.setattr(hashes, "MANY_FILES", 1)
    Repo.init(str(tmp_path), no_scm=True).close()
    monkeypatch.delattr(State, "save_many")
    assert _extract(zipped(Entry("a", b"1")), tmp_path) == {"a": b"1"}


@pytest.mark.parametrize(
    ("size", "files", "told"), [(10**9, 1, True), (1, 10_000, True), (10**8, 100, False)]
)
def test_dvc_is_told_only_what_it_would_be_slower_to_find_out(
    size: int, files: int, told: bool, tmp_path: Path
) -> None:
    """Starting DVC for a small archive costs more than it saves; outside a repository nobody asks."""
    assert not hashes.wanted(tmp_path / "out", size, files)
    (tmp_path / ".dvc").mkdir()
    assert hashes.wanted(tmp_path / "out", size, files) is told


# The command


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


# Whatever comes


_letters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:")
_names = st.text(_letters, min_size=1, max_size=20).filter(lambda name: name not in {".", ".."})
_trees = st.recursive(
    st.binary(max_size=2000),
    lambda below: st.dictionaries(_names, below, max_size=5),
    max_leaves=20,
).filter(lambda found: isinstance(found, dict))


def _flat(nested: dict[str, object], above: str = "") -> Iterator[tuple[str, bytes | None]]:
    """The paths of a tree of dictionaries, without names that collide."""
    seen = set()
    for name, node in nested.items():
        key = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
        if key in seen:
            continue
        seen.add(key)
        if isinstance(node, bytes):
            yield above + name, node
        else:
            yield above + name, None
            yield from _flat(node, f"{above}{name}/")  # type: ignore[arg-type]  # of a recursive strategy


@given(nested=_trees, method=st.sampled_from([STORED, DEFLATED, BZIP2, LZMA]), front=st.binary(max_size=50))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.filter_too_much])
def test_any_tree_comes_back(
    nested: dict[str, object], method: int, front: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What zipfile packs, with any names and any data in front, arrives as it was."""
    folder = tmp_path_factory.mktemp("any")
    entries = dict(_flat(nested))
    assert _extract(front + _with_zipfile(entries, method), folder) == entries
    shutil.rmtree(folder)


# Contents with a control character: nothing in the format guards the type of a member, so a file
# of one line may become a link to that line.
_EXPECTED: Tree = {}
for _method in (STORED, DEFLATED, BZIP2, LZMA):
    _EXPECTED |= {f"{_method}": None, f"{_method}/é": bytes([_method, 7]) * 40}
_SOUND = zipped(
    *[Entry(name, data, method=data[0]) for name, data in _EXPECTED.items() if isinstance(data, bytes)]
)
_spots = st.integers(0, len(_SOUND))
_damages = st.one_of(
    st.tuples(st.just("flip"), _spots, st.integers(1, 255).map(lambda value: bytes([value]))),
    st.tuples(st.just("cut"), _spots, st.binary(min_size=1, max_size=60)),
    st.tuples(st.just("insert"), _spots, st.binary(min_size=1, max_size=60)),
)


def _damaged(content: bytes, damages: list[tuple[str, int, bytes]]) -> bytes:
    for how, spot, data in damages:
        rest = content[spot:]
        if how == "flip" and rest:
            rest = bytes([rest[0] ^ data[0]]) + rest[1:]
        elif how == "cut":
            rest = rest[len(data) :]
        elif how == "insert":
            rest = data + rest
        content = content[:spot] + rest
    return content


@given(damages=st.lists(_damages, min_size=1, max_size=3))
@settings(deadline=None, max_examples=600)
def test_any_damage_is_refused_or_harmless(
    damages: list[tuple[str, int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes flipped, cut out or put in: the exact tree or a refusal in words, and nothing beside it."""
    folder = tmp_path_factory.mktemp("damaged")
    content = _damaged(_SOUND, damages)
    refused: Tree = {"archive.zip": content}
    extracted: Tree = refused | {"out": None} | {f"out/{name}": data for name, data in _EXPECTED.items()}
    try:
        _extract(content, folder)
    except RepositoryError:
        extracted = refused
    assert tree(folder) == extracted
    shutil.rmtree(folder)
