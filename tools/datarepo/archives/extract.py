"""Extracting an archive: an empty folder becomes its contents.

    lay_out    which member goes where, and how much it is in all; decided before anything is written
    fill       folders, then files on all cores, then links, into an empty folder

"Becomes its contents" holds whether or not the archive wraps them in a folder of its own: one
top-level folder named like the archive (`vqa.zip`: `vqa/`), like the blob it was imported from, or
like the folder it goes to is left out, if it holds all there is. Time stamps are those of the
extraction.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from datarepo.archives.atomic_folder import work_folder
from datarepo.archives.safety import Kind, check_ratio, clashes, is_kept, permissions, place, refuse, shown
from datarepo.console import few
from datarepo.errors import DiskError
from datarepo.files import is_full

if TYPE_CHECKING:
    from datarepo.archives.formats import Archive, Entry

TINY = 1 << 15  # bytes of a member that is not worth a thread


@dataclass(frozen=True)
class Layout:
    """Where the members of an archive go: entries with their paths below the folder.

    `files` counts what is not a folder, `size` is in bytes; `clashes` are pairs of paths that other file
    systems than that of the folder take for one, `left_out` are members that DVC does not keep: without
    them everybody has the same contents.
    """

    members: Sequence[tuple[Entry, str]]
    files: int
    size: int
    clashes: Sequence[tuple[str, str]] = ()
    left_out: Sequence[str] = ()

    @property
    def remark(self) -> str:
        """What people should know of it, though it is no hindrance here; empty when there is nothing."""
        remarks = []
        if self.clashes:
            one, other = sorted(map(shown, self.clashes[0]))
            others = len(self.clashes) - 1
            more = f", and {others} more such {'pair' if others == 1 else 'pairs'}" if others else ""
            remarks.append(
                f"{one} and {other} differ in case or Unicode form only{more}: colleagues on macOS or Windows"
                " cannot have both"
            )
        if self.left_out:
            names = few([shown(path) for path in self.left_out])
            remarks.append(f"left out, as DVC does not keep it: {names}")
        return "; ".join(remarks)


def lay_out(archive: Archive, folder: Path, wrappers: Collection[str], max_ratio: float) -> Layout:
    """Decide where each member goes; ArchiveError, naming member and rule, when one must not.

    `wrappers` are the names of a top-level folder that is left out, `max_ratio` is how many times its
    size the archive may unpack to.
    """
    for entry in archive.entries:
        if entry.flaw:
            raise refuse(entry.member.name, entry.flaw)
    members = [entry.member for entry in archive.entries]
    paths = place(members, {*wrappers, folder.name}, room=_room(folder))
    check_ratio(members, archive.size, max_ratio)
    pairs = clashes(paths)
    if pairs:
        _check_told_apart(pairs, folder)
    kept: list[tuple[Entry, str]] = []
    left_out: list[str] = []
    for entry, path in zip(archive.entries, paths, strict=True):
        if not is_kept(path, entry.member.kind):
            left_out.append(path)
        elif path:
            kept.append((entry, path))
    return Layout(
        kept,
        sum(entry.member.kind is not Kind.FOLDER for entry, _ in kept),
        sum(entry.member.size for entry, _ in kept),
        pairs,
        left_out,
    )


def _check_told_apart(pairs: Sequence[tuple[str, str]], folder: Path) -> None:
    """Refuse paths that are one where the folder will be, as trying it there shows."""
    import tempfile

    near = next(place for place in folder.parents if place.is_dir())
    with tempfile.TemporaryDirectory(dir=near, prefix=f".{folder.name}.probe-") as probe:
        for path, other in pairs:
            first, second = (_below(os.fsencode(probe), each.rpartition("/")[2]) for each in (other, path))
            os.mkdir(first)  # noqa: PTH102  # bytes; a folder, as git does not see an empty one
            alike = os.path.lexists(second)
            os.rmdir(first)  # noqa: PTH106  # bytes
            if alike:
                raise refuse(
                    path,
                    f"{shown(path)} and {shown(other)} are one name in {near}, where case or Unicode form is"
                    " ignored",
                    "extract it on a file system that tells them apart, or ask whoever made it",
                )


def fill(
    archive: Archive,
    layout: Layout,
    tree: Path,
    *,
    jobs: int = 0,
    advance: Callable[[int], None] = lambda _: None,
    hashed: bool = False,
    in_order: bool = False,
) -> Mapping[str, str]:
    """Write all members below an empty folder: folders first, links last, so that nothing goes through one.

    `jobs` threads work on it, one a core when 0; `advance` is told the bytes written, from any thread. With
    `in_order` the bytes of the archive are asked for from its beginning on, as far as several threads can.
    The answer is the MD5 of each file by its path, empty unless `hashed`. Raises ArchiveError or DiskError.
    """
    top = os.fsencode(tree)  # bytes, as all paths below it: names are UTF-8 whatever the locale
    folders = {path for entry, path in layout.members if entry.member.kind is Kind.FOLDER}
    for _, path in layout.members:
        while (path := path.rpartition("/")[0]) and path not in folders:
            folders.add(path)
    for path in sorted(folders):
        os.mkdir(_below(top, path))  # noqa: PTH102  # bytes
    files = [(entry, path) for entry, path in layout.members if entry.member.kind is Kind.FILE]
    writer = _Writer(archive, top, advance, hashed)
    pool = ThreadPoolExecutor(1 if archive.sequential else jobs or _cores(), "extract")
    digests: dict[str, str] = {}
    try:
        parts = [files] if archive.sequential else shares(files, in_order=in_order)
        futures = [pool.submit(writer.write, part) for part in parts]
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            digests |= future.result()
    except OSError as error:
        if is_full(error):
            raise DiskError("the disk is full", "make room and run the same command again") from None
        raise
    finally:
        writer.stop.set()
        pool.shutdown(cancel_futures=True)
    for entry, path in layout.members:
        if entry.member.kind is Kind.LINK:
            os.symlink(entry.member.target.encode(), _below(top, path))  # noqa: PTH211  # bytes
    return digests


def _room(folder: Path) -> int:
    """The bytes a path may have below the folder, and below the longer name it is built under."""
    return os.pathconf("/", "PC_PATH_MAX") - 1 - len(os.fsencode(work_folder(folder) / "tree")) - 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _below(tree: bytes, path: str) -> bytes:
    return b"%b/%b" % (tree, path.encode())


def shares(files: Sequence[tuple[Entry, str]], *, in_order: bool = False) -> list[list[tuple[Entry, str]]]:
    """The files as pieces of work: all the tiny ones together, then each of the others, largest first.

    With `in_order` they come as they lie in the archive, tiny neighbours together: whoever has the first of
    what is left never waits for bytes behind those that others wait for.

    Two threads that do nothing but system calls hand the interpreter lock to and fro, and take twice
    the time of one; from about TINY on, the codec runs without the lock for long enough.
    """
    if in_order:
        ordered = sorted(files, key=lambda pair: pair[0].start)
        runs = [(is_tiny, list(run)) for is_tiny, run in itertools.groupby(ordered, _is_tiny)]
        return [part for is_tiny, run in runs for part in ([run] if is_tiny else [[pair] for pair in run])]
    rest = sorted(itertools.filterfalse(_is_tiny, files), key=lambda pair: -pair[0].member.size)
    return [list(filter(_is_tiny, files)), *([pair] for pair in rest)]


def _is_tiny(pair: tuple[Entry, str]) -> bool:
    return pair[0].member.size <= TINY


@dataclass
class _Writer:
    """What every thread needs: where from, where to, whom to tell, whether to hash, when to stop."""

    archive: Archive
    tree: bytes
    advance: Callable[[int], None]
    hashed: bool
    stop: threading.Event = field(default_factory=threading.Event)

    def write(self, share: Sequence[tuple[Entry, str]]) -> dict[str, str]:
        """Write some files; the MD5 of each by its path, or nothing when nobody asks."""
        import hashlib

        digests = {}
        for entry, path in share:
            if self.stop.is_set():
                break
            digest = hashlib.md5(usedforsecurity=False) if self.hashed else None
            mode = permissions(entry.member.mode)
            file = os.open(_below(self.tree, path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                for piece in self.archive.contents(entry):
                    if self.stop.is_set():
                        break
                    view = memoryview(piece)
                    while view:
                        view = view[os.write(file, view) :]
                    if digest:
                        digest.update(piece)
                    self.advance(len(piece))
            finally:
                os.close(file)
            if digest:
                digests[path] = digest.hexdigest()
        return digests
