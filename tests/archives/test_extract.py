"""Extraction: what arrives, and what is refused before anything is written."""

from __future__ import annotations

import os
import random
import stat
import threading
import unicodedata
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from datarepo import files
from datarepo.archives.extract import TINY, fill, lay_out, shares
from datarepo.archives.reader import FileReader
from datarepo.archives.zip import CHUNK, ZipArchive
from datarepo.commands.unzip import unzip
from datarepo.errors import DiskError, UsageError

from tests.made_archives import REFUSED, STORED, Entry, refusal_of, tree, unpacked, with_zipfile, zipped

if TYPE_CHECKING:
    from collections.abc import Callable


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
    assert unpacked(with_zipfile(entries), tmp_path) == expected


def test_links_within_the_tree_arrive(tmp_path: Path) -> None:
    """To files, to folders, and to what is not there."""
    links = {"b/l": "../a", "c": "b", "d": "nowhere"}
    entries = [Entry(name, target.encode(), mode=0o120777) for name, target in links.items()]
    assert unpacked(zipped(Entry("a", b"1"), *entries), tmp_path) == {"a": b"1", "b": None, **links}


def test_permissions_keep_the_executable_bits_only(tmp_path: Path) -> None:
    """Setuid, setgid, sticky and unreadable modes do not survive; folders can always be entered."""
    modes = {"run": 0o100755, "setuid": 0o106755, "secret": 0o100000, "folder/": 0o041000, "dos": 0}
    unpacked(zipped(*[Entry(name, mode=mode) for name, mode in modes.items()]), tmp_path)
    umask = os.umask(0)
    os.umask(umask)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    expected = {"run": 0o777, "setuid": 0o777, "secret": 0o666, "folder": 0o777, "dos": 0o666}
    assert found == {name: mode & ~umask for name, mode in expected.items()}


def test_a_wrapping_folder_makes_no_difference(tmp_path: Path) -> None:
    """Named like the archive or like DIR, it is left out; named otherwise, it stays."""
    for wrapper in ("", "vqa/", "out/"):
        assert unpacked(zipped(Entry(wrapper + "a", b"1")), tmp_path, "vqa.zip") == {"a": b"1"}
    assert unpacked(zipped(Entry("v2/a", b"1")), tmp_path, "vqa.zip") == {"v2": None, "v2/a": b"1"}


def test_an_archive_without_members_gives_an_empty_folder(tmp_path: Path) -> None:
    """Which is there, and empty."""
    assert unpacked(zipped(), tmp_path) == {}


def test_many_members_of_all_sizes_arrive_with_any_number_of_jobs(tmp_path: Path) -> None:
    """However the work is shared out, the tree is the same."""
    sizes = [0, 1, 2_000_000, 10, 1_500_000, 300_000] + [100] * 2000
    entries: dict[str, bytes | None] = {
        f"{number % 7}/{number}": random.Random(number).randbytes(size) for number, size in enumerate(sizes)
    }
    (tmp_path / "a.zip").write_bytes(with_zipfile(entries))
    expected = entries | dict.fromkeys("0123456")
    for jobs in (1, 2, 9):
        unzip(tmp_path / "a.zip", tmp_path / "out", replace=True, jobs=jobs, quiet=True)
        assert tree(tmp_path / "out") == expected


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
    """Zip slip in its forms; the other rules for names are in test_safety."""
    assert rule in refusal_of(zipped(Entry("good", b"1"), Entry(name, b"2")), tmp_path)


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
    assert refusal_of(zipped(Entry(name, target, mode=0o120777)), tmp_path) == f"{REFUSED}{name}: {rule}"


def test_a_member_written_through_a_link_is_refused(tmp_path: Path) -> None:
    """A link, then a file below it, which would land where the link points."""
    archive = zipped(Entry("l", b".", mode=0o120777), Entry("l/evil", b"1"))
    assert refusal_of(archive, tmp_path) == (
        REFUSED + "l/evil: l is a link and a folder, so that members would be written through the link"
    )


def test_a_link_out_of_the_tree_by_way_of_another_is_refused(tmp_path: Path) -> None:
    """`l` reads as `a/b`, yet `a/b/up` is the top already, so that `l` is what is above it."""
    archive = zipped(Entry("a/b/up", b"../..", mode=0o120777), Entry("l", b"a/b/up/..", mode=0o120777))
    assert refusal_of(archive, tmp_path) == REFUSED + "l: its target a/b/up/.. leaves the tree, or never ends"


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_fifos_and_sockets_are_refused(kind: int, tmp_path: Path) -> None:
    """Data are files, folders and links."""
    assert refusal_of(zipped(Entry("a", mode=kind | 0o644)), tmp_path) == (
        REFUSED + "a: it is a device, fifo or socket"
    )


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        ("a", "a", "its name comes twice"),
        ("a", "a/b", "a is a folder and a file"),
    ],
)
def test_two_members_of_one_name_are_refused(first: str, second: str, rule: str, tmp_path: Path) -> None:
    """More in test_safety."""
    archive = zipped(Entry(first, b"1"), Entry(second, b"2"))
    assert refusal_of(archive, tmp_path) == f"{REFUSED}{second}: {rule}"


ALIKE: dict[str, bytes | None] = {"Readme": b"1", "README": b"2", "caf\u00e9": b"3", "cafe\u0301": b"4"}


def test_names_that_differ_in_case_or_unicode_form_arrive_where_there_is_room_for_both(
    tmp_path: Path,
) -> None:
    """With a word on those who have no such room; nothing is left of having tried."""
    archive = tmp_path / "archive.zip"
    archive.write_bytes(with_zipfile(ALIKE))
    report = unzip(archive, tmp_path / "new/out", quiet=True)
    assert tree(tmp_path / "new") == {"out": None} | {f"out/{name}": data for name, data in ALIKE.items()}
    [note] = report.notes()
    assert note == (
        "README and Readme differ in case or Unicode form only, and 1 more such pair: colleagues on macOS or"
        " Windows cannot have both"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip", "new"]


@pytest.mark.parametrize(
    ("spelled", "later", "first"),
    [(str.lower, "README", "Readme"), (partial(unicodedata.normalize, "NFD"), "cafe\u0301", "caf\u00e9")],
)
def test_names_that_are_one_on_this_file_system_are_refused(
    spelled: Callable[[str], str], later: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ignores case, or Unicode form, which none of the machine that runs this test may do."""
    there = os.path.lexists

    def lexists(path: bytes) -> bool:
        name = Path(os.fsdecode(path))
        return there(path) or spelled(name.name) in (spelled(each.name) for each in name.parent.iterdir())

    monkeypatch.setattr(os.path, "lexists", lexists)
    archive = with_zipfile(ALIKE)
    assert refusal_of(archive, tmp_path) == (
        f"{REFUSED}{later}: {later} and {first} are one name in {tmp_path}, where case or Unicode form is ignored"
    )


def _large_and_tiny() -> dict[str, bytes | None]:
    """Members stored one after the other: a large one, many tiny ones, a large one, and so on; no folders."""
    chance = random.Random(7)
    sizes = ([900_000] + [10] * 50 + [200_000, 400_000] + [3_000] * 20) * 2
    return {f"{number}": chance.randbytes(size) for number, size in enumerate(sizes)}


class _Arriving:
    """A file whose bytes arrive no further than `AHEAD` beyond the first that nobody has read yet."""

    AHEAD = 2 * CHUNK

    def __init__(self, reader: FileReader) -> None:
        self.name, self.size = reader.name, reader.size
        self._reader = reader
        self._read: list[tuple[int, int]] = []
        self._change = threading.Condition()

    def read_at(self, offset: int, length: int) -> bytes:
        with self._change:
            end = min(offset + length, self.size)
            if not self._change.wait_for(lambda: end <= self._wanted() + self.AHEAD, timeout=20):
                pytest.fail("each thread waits for bytes that arrive only once another has read on")
            self._read.append((offset, end))
            self._change.notify_all()
        return self._reader.read_at(offset, length)

    def _wanted(self) -> int:
        """The first byte that nobody has read yet."""
        wanted = 0
        for start, end in sorted(self._read):
            if start <= wanted:
                wanted = max(wanted, end)
        return wanted


def test_two_threads_read_an_archive_from_its_beginning_on(tmp_path: Path) -> None:
    """So that a download that waits for its reader, and readers that wait for bytes, never wait for each other.

    The directory lists the members the other way round: what counts is where they lie.
    """
    entries = _large_and_tiny()
    whole = with_zipfile(entries, STORED)
    (tmp_path / "a.zip").write_bytes(_backwards(whole))
    (tmp_path / "tree").mkdir()
    with FileReader(tmp_path / "a.zip") as reader:
        archive = ZipArchive(reader)
        assert [entry.member.name for entry in archive.entries] == list(entries)[::-1]
        layout = lay_out(archive, tmp_path / "out", (), 200)
        fill(archive.over(_Arriving(reader)), layout, tmp_path / "tree", jobs=2, in_order=True)
    assert tree(tmp_path / "tree") == entries


def _backwards(archive: bytes) -> bytes:
    """The same archive with its directory in reverse order."""
    begin = archive.index(b"PK\1\2")
    end = archive.rindex(b"PK\5\6")
    records = archive[begin:end].split(b"PK\1\2")[1:]
    return archive[:begin] + b"".join(b"PK\1\2" + record for record in reversed(records)) + archive[end:]


@pytest.mark.parametrize(
    ("in_order", "names"),
    [(False, [["b", "c", "e"], ["d"], ["a"]]), (True, [["a"], ["b", "c"], ["d"], ["e"]])],
)
def test_the_work_is_shared_out_by_size_or_in_order(
    in_order: bool, names: list[list[str]], tmp_path: Path
) -> None:
    """Tiny members are one piece of work: all of them, or neighbours."""
    sizes = {"a": TINY + 1, "b": TINY, "c": 0, "d": TINY + 2, "e": 1}
    (tmp_path / "a.zip").write_bytes(
        _backwards(with_zipfile({name: bytes(size) for name, size in sizes.items()}))
    )
    with FileReader(tmp_path / "a.zip") as reader:
        files = lay_out(ZipArchive(reader), tmp_path / "out", (), 200).members
        parts = shares(files, in_order=in_order)
    assert [sorted(path for _, path in part) for part in parts] == names


def test_more_than_the_disk_has_free_needs_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--force` goes on; the check comes before anything is written."""
    monkeypatch.setattr(files, "free", lambda _: 2)
    archive = tmp_path / "archive.zip"
    archive.write_bytes(zipped(Entry("a", b"123")))
    with pytest.raises(DiskError) as refused:
        unzip(archive, tmp_path / "new/out", quiet=True)
    assert refused.value.message == (
        f"not enough disk: the contents need 3 B, and 2 B are free in {tmp_path / 'new/out'}: 1 B short"
    )
    assert sorted(tmp_path.iterdir()) == [archive]
    unzip(archive, tmp_path / "new/out", force=True, quiet=True)
    assert tree(tmp_path / "new") == {"out": None, "out/a": b"123"}


def test_a_disk_that_fills_up_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write to the disk as well, so the check before is not enough."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    (tmp_path / "archive.zip").write_bytes(zipped(Entry("a", b"123")))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskError) as refused:
        unzip(tmp_path / "archive.zip", tmp_path / "out", quiet=True)
    monkeypatch.undo()
    assert refused.value.message == "the disk is full"
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]


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
        unzip(tmp_path / "archive.zip", tmp_path / folder, quiet=True)
    assert refused.value.message.endswith(message)
    assert tree(tmp_path).keys() == {"archive.zip", "file"}
