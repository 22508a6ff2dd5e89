"""Zip archives: every form they come in is read, and what contradicts itself is refused."""

from __future__ import annotations

import io
import random
import shutil
import struct
import unicodedata
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from datarepo.errors import RepositoryError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.clones import CHECKOUT
from tests.made_archives import (
    BZIP2,
    DEFLATED,
    LZMA,
    REFUSED,
    STORED,
    Entry,
    compress,
    endless_zeros,
    refusal_of,
    tree,
    unpacked,
    with_zipfile,
    zipped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.made_archives import Tree


@pytest.mark.parametrize("method", [STORED, DEFLATED, BZIP2, LZMA])
@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 3_000_000])
def test_each_method_gives_back_the_bytes(method: int, size: int, tmp_path: Path) -> None:
    """Of every size around that of the pieces they are read in."""
    data = (random.Random(1).randbytes(size // 2 + 1) + bytes(size))[:size]
    assert unpacked(with_zipfile({"a": data}, method), tmp_path) == {"a": data}


def test_lzma_without_an_end_mark_works(tmp_path: Path) -> None:
    """Bit 1 of the flags says whether LZMA data mark their end (APPNOTE 4.4.4); neither is trusted."""
    assert unpacked(zipped(Entry("a", b"abc" * 1000, method=LZMA)), tmp_path) == {"a": b"abc" * 1000}


def test_zip64_works(tmp_path: Path) -> None:
    """Sizes and offsets of 64 bits, as zipfile writes them into a stream of unknown length."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("a", "b"):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(name.encode())
    assert unpacked(stream.getvalue(), tmp_path) == {"a": b"a", "b": b"b"}


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
    assert unpacked(front + archive, tmp_path) == {"a": b"1", "b": b"22"}


def test_zip64_without_the_sizes_is_refused(tmp_path: Path) -> None:
    """The sizes that 32 bits cannot hold have to be somewhere."""
    archive = zipped(Entry("a", b"1", size=0xFFFFFFFF))
    assert refusal_of(archive, tmp_path) == REFUSED + "a: its zip64 sizes are missing"


def test_more_members_than_16_bits_count_work(tmp_path: Path) -> None:
    """Programs without zip64 let the count of the end record wrap around."""
    entries = [Entry(f"{number}/", mode=0o40755, method=STORED) for number in range(65_537)]
    (tmp_path / "archive.zip").write_bytes(zipped(*entries, count=1))
    code, out, err = CHECKOUT.tool("unzip-asset", "--list", "archive.zip", cwd=tmp_path)
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
    assert unpacked(pipe.getvalue(), tmp_path) == {"a": b"1" * 99, "b": b"2"}


@pytest.mark.parametrize("comment", [b"a word", b"PK\5\6" * 9, zipped(), b"x" * 0xFFFF])
def test_archive_comments_work(comment: bytes, tmp_path: Path) -> None:
    """Even one that holds the signature of an end record; a whole empty archive wins, as elsewhere."""
    expected = {} if comment == zipped() else {"a": b"1"}
    assert unpacked(zipped(Entry("a", b"1", comment=b"of a member"), comment=comment), tmp_path) == expected


def test_self_extracting_archives_work(tmp_path: Path) -> None:
    """Data in front of the archive shift all offsets, whether they were adjusted or not."""
    archive = zipped(Entry("a", b"1"))
    assert unpacked(b"MZ" + bytes(9000) + archive, tmp_path) == {"a": b"1"}
    adjusted = io.BytesIO(b"MZ" + bytes(9000))
    with zipfile.ZipFile(adjusted, "a") as writer:
        writer.writestr("a", b"2")
    assert unpacked(adjusted.getvalue(), tmp_path) == {"a": b"2"}


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
    assert [name for name, data in unpacked(zipped(entry), tmp_path).items() if data is not None] == [name]


def test_names_stay_in_the_unicode_form_they_have(tmp_path: Path) -> None:
    """A decomposed name, as macOS writes, arrives as it is."""
    name = unicodedata.normalize("NFD", "Ångström")
    assert unpacked(zipped(Entry(name, b"1")), tmp_path) == {name: b"1"}


def test_a_name_cut_short_by_nul_is_refused(tmp_path: Path) -> None:
    """Python would extract `good.txt`; others might see `.exe`."""
    message = refusal_of(zipped(Entry(b"good.txt\0.exe", b"1")), tmp_path)
    assert message == REFUSED + r"'good.txt\x00.exe': its name has a control character"


def test_a_name_that_is_not_utf8_although_it_says_so_is_refused(tmp_path: Path) -> None:
    """Bit 11 of the flags promises UTF-8."""
    message = refusal_of(zipped(Entry(b"a\xff", b"1", flags=1 << 11)), tmp_path)
    assert message == REFUSED + r"'a\udcff': its name is not valid UTF-8"


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    """The zip bomb of David Fifield: many members share one run of data."""
    zeros = bytes(100_000)
    twice = zipped(Entry("a", zeros), Entry("b", zeros, start=0, local_name=b"a"))
    assert refusal_of(twice, tmp_path) == REFUSED + "a: its data overlap those of b"
    quoted = zipped(Entry("a", zeros, packed=300), Entry("b", zeros))
    assert refusal_of(quoted, tmp_path) == REFUSED + "a: its data overlap those of b"
    directory = zipped(Entry("a", zeros, packed=9_999))
    assert refusal_of(directory, tmp_path) == REFUSED + "a: its data overlap the directory"


def test_an_overlap_that_only_the_local_header_shows_is_refused(tmp_path: Path) -> None:
    """A long extra field there pushes the data into the next member."""
    archive = bytearray(zipped(Entry("a", b"1"), Entry("b", b"2")))
    struct.pack_into("<H", archive, 28, 40)
    assert (
        refusal_of(bytes(archive), tmp_path) == REFUSED + "a: its data overlap what comes next in the archive"
    )


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
    assert refusal_of(archive, tmp_path).startswith(f"{REFUSED}a: {rule}")


def test_a_bomb_stops_at_the_size_it_admits(tmp_path: Path) -> None:
    """A member that claims to be small is not unpacked beyond that to find out."""
    bomb = endless_zeros("a", 10**9).replace(struct.pack("<L", 10**9), struct.pack("<L", 10))
    assert refusal_of(bomb, tmp_path) == REFUSED + "a: its data are more than the 10 bytes promised"


def test_data_after_the_end_of_the_data_are_refused(tmp_path: Path) -> None:
    """Something may hide there."""
    archive = zipped(Entry("a", b"x", raw=compress(b"x", DEFLATED) + b"hidden"))
    assert refusal_of(archive, tmp_path) == REFUSED + "a: its data go on after their end"


def test_a_stored_member_of_two_sizes_is_refused(tmp_path: Path) -> None:
    """Without compression both sizes are one."""
    assert refusal_of(zipped(Entry("a", b"123", method=STORED, size=2)), tmp_path) == (
        REFUSED + "a: it is stored without compression, yet 2 bytes are said to be 3"
    )


def test_a_local_header_of_another_member_is_refused(tmp_path: Path) -> None:
    """Programs that read local headers would extract something else."""
    assert refusal_of(zipped(Entry("a", b"1", local_name=b"b")), tmp_path) == (
        REFUSED + "a: its local header is that of another member"
    )
    assert refusal_of(b"P?" + zipped(Entry("a", b"1"))[2:], tmp_path) == (
        REFUSED + "a: there is no local header where the directory says"
    )


def test_a_flag_that_says_nothing_of_an_ascii_name_may_differ(tmp_path: Path) -> None:
    """Some writers set it in the directory only; of any other name it changes the letters."""
    flagged = bytearray(zipped(Entry("ä".encode(), b"1")))
    struct.pack_into("<H", flagged, 6, 1 << 11)
    assert refusal_of(bytes(flagged), tmp_path) == REFUSED + "ä: its local header is that of another member"
    flagged = bytearray(zipped(Entry("a", b"1")))
    struct.pack_into("<H", flagged, 6, 1 << 11)
    assert unpacked(bytes(flagged), tmp_path) == {"a": b"1"}


def test_the_same_folder_twice_is_one_folder(tmp_path: Path) -> None:
    """With a header for each, or one for both; a file is not so lucky."""
    folder = Entry("a/", mode=0o40755, method=STORED)
    other = Entry("c/", mode=0o40755, method=STORED, start=0, local_name=b"a/")
    assert refusal_of(zipped(folder, other), tmp_path) == REFUSED + "a/: its data overlap those of c/"
    same = Entry("a/", mode=0o40755, method=STORED, start=0)
    for twice in (folder, same):
        assert unpacked(zipped(folder, twice, Entry("a/b", b"1")), tmp_path) == {"a": None, "a/b": b"1"}


def test_an_lzma_dictionary_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    """A dictionary is memory, and members may ask for 4 GB of it."""
    properties = struct.pack("<2HBL", 0, 5, 93, 0xFFFFFFFF)
    archive = zipped(Entry("a", raw=properties + bytes(10**6), method=LZMA, size=150 * 10**6))
    assert (
        refusal_of(archive, tmp_path)
        == REFUSED + "a: its LZMA dictionary would take 150000000 bytes of memory"
    )


@pytest.mark.parametrize("flag", [1 << 0, 1 << 6, 1 << 13])
def test_encrypted_members_are_refused(flag: int, tmp_path: Path) -> None:
    """By password, strongly, or with masked headers."""
    assert refusal_of(zipped(Entry("a", b"1", flags=flag)), tmp_path) == REFUSED + "a: it is encrypted"


@pytest.mark.parametrize(
    ("method", "name"), [(9, "Deflate64"), (93, "Zstandard"), (98, "PPMd"), (1234, "an unknown method")]
)
def test_an_unsupported_compression_method_is_named(method: int, name: str, tmp_path: Path) -> None:
    """By the name its users know, and by number."""
    assert refusal_of(zipped(Entry("a", b"1", method=method)), tmp_path) == (
        f"{REFUSED}a: it is compressed with {name} ({method}), which is not supported"
    )


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    """Wherever it was cut."""
    whole = with_zipfile({"a": random.Random(1).randbytes(5_000), "b": b"2"})
    for length in [4, 100, 5_000, len(whole) - 23, len(whole) - 22, len(whole) - 1]:
        assert refusal_of(whole[:length], tmp_path) == (
            f"{tmp_path / 'archive.zip'}: truncated zip: it has no end record"
            if length < len(whole) - 18
            else f"{tmp_path / 'archive.zip'}: damaged zip: its end record does not end the file"
        )


def test_an_archive_that_lost_its_beginning_is_refused(tmp_path: Path) -> None:
    """Its directory says how much is missing."""
    assert refusal_of(zipped(Entry("a", b"1"))[9:], tmp_path) == (
        f"{tmp_path / 'archive.zip'}: truncated zip: 9 bytes are missing before its end"
    )


def test_a_directory_that_hides_members_is_refused(tmp_path: Path) -> None:
    """One wrong length makes the rest of the directory a comment; the count gives it away."""
    archive = zipped(Entry("a", b"1"), Entry("b", b"2"), count=3)
    path = tmp_path / "archive.zip"
    assert refusal_of(archive, tmp_path) == f"{path}: damaged zip directory: 2 members instead of 3"
    hidden = bytearray(zipped(Entry("a", b"1"), Entry("b", b"2")))
    struct.pack_into("<H", hidden, hidden.index(b"PK\1\2") + 32, 47)
    assert refusal_of(bytes(hidden), tmp_path) == f"{path}: damaged zip directory: 1 members instead of 2"


def test_a_part_of_a_split_archive_is_refused(tmp_path: Path) -> None:
    """Its members are in other files."""
    archive = bytearray(zipped(Entry("a", b"1")))
    struct.pack_into("<H", archive, len(archive) - 18, 1)
    assert (
        refusal_of(bytes(archive), tmp_path) == f"{tmp_path / 'archive.zip'}: one part of a split zip archive"
    )


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
    assert unpacked(front + with_zipfile(entries, method), folder) == entries
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
        unpacked(content, folder)
    except RepositoryError:
        extracted = refused
    assert tree(folder) == extracted
    shutil.rmtree(folder)
