"""Extracting an archive: `DIR` becomes its contents, wholly or not at all.

    extract ─┬─ place, check_size      decide, before anything is written     (members)
             ├─ staged                 a folder beside DIR, renamed at last    (staging)
             ├─ _fill ── _write        folders, then files on all cores, then links
             └─ tell_dvc               hashes of what was written            (hashes)

"DIR becomes the contents" holds whether or not the archive wraps them in a folder of its own:
one top-level folder named like the archive (`vqa.zip`: `vqa/`), like the blob it was imported from, or
like DIR is left out, if it holds all there is. Time stamps are those of the extraction.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from datarepo import console
from datarepo.archives import formats as archives
from datarepo.archives.atomic_folder import staged, work_folder
from datarepo.archives.safety import MAX_RATIO, Kind, check_size, permissions, place, refuse, shown
from datarepo.errors import DiskError, UsageError
from datarepo.pipeline import import_stage as stage
from datarepo.pipeline import state as hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from datarepo.archives.formats import Archive, Entry

TINY = 1 << 15  # bytes of a member that is not worth a thread


def extract(
    archive: Path,
    folder: Path,
    *,
    jobs: int = 0,
    max_ratio: float = MAX_RATIO,
    force: bool = False,
    quiet: bool = False,
) -> None:
    """Make `folder` the contents of `archive`, replacing what was there.

    `jobs` threads work on it, one a core when 0; `max_ratio` is how many times its size the archive
    may unpack to; `force` goes on although the disk seems too small. Raises ArchiveError, DiskError
    or UsageError, with everything as it was before.
    """
    begun = time.monotonic()
    wrappers = {archives.stem(archive), stage.published_stem(archive) or folder.name, folder.name}
    folder = folder.resolve()  # a symbolic link stays one, its target is replaced
    _check_folder(folder, archive)
    with archives.opened(archive, max_ratio) as opened:
        for entry in opened.entries:
            if entry.flaw:
                raise refuse(entry.member.name, entry.flaw)
        members = [entry.member for entry in opened.entries]
        paths = place(members, wrappers, room=_room(folder))
        check_size(members, opened.size, None if force else _free(folder), max_ratio)
        work = [(entry, path) for entry, path in zip(opened.entries, paths, strict=True) if path]
        size = sum(member.size for member in members)
        hashed = hashes.wanted(folder, size, len(members))
        with console.Progress(quiet) as progress, staged(folder) as tree:
            advance = progress.task(folder.name, size)
            job = _Job(opened, os.fsencode(tree), advance, threading.Event(), hashed)
            digests = _fill(job, work, 1 if opened.sequential else jobs or _cores())
    if digests:
        hashes.tell_dvc(folder, digests)
    files = sum(member.kind is not Kind.FOLDER for member in members)
    if not quiet:
        seconds = time.monotonic() - begun
        console.say(f"{folder.name}: {files} files, {console.size(size)} in {seconds:.1f} s")


def show_members(archive: Path, *, as_json: bool = False) -> None:
    """Print what is in the archive, sound or not; nothing is extracted and nothing judged."""
    with archives.opened(archive, math.inf) as opened:
        members = [entry.member for entry in opened.entries]
    if as_json:
        console.show([member._asdict() | {"kind": member.kind.value} for member in members])
        return
    for member in members:
        arrow = f" -> {shown(member.target)}" if member.kind is Kind.LINK else ""
        console.say(f"{console.size(member.size):>9}  {shown(member.name)}{arrow}")
    files = sum(member.kind is not Kind.FOLDER for member in members)
    console.say(f"{files} files, {console.size(sum(member.size for member in members))}")


def _check_folder(folder: Path, archive: Path) -> None:
    """Raise when replacing the folder would cost more than the folder."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", "give the name of a folder, which need not exist")
    inmates = {"the archive itself": archive.parent.resolve(), "the current directory": Path.cwd()}
    for what, inside in inmates.items():
        if inside.is_relative_to(folder):
            raise UsageError(
                f"{folder} would be replaced, and contains {what}", "give the folder a name of its own"
            )


def _room(folder: Path) -> int:
    """The bytes a path may have below the folder, and below the longer name it is built under."""
    return os.pathconf("/", "PC_PATH_MAX") - 1 - len(os.fsencode(work_folder(folder) / "tree")) - 1


def _free(folder: Path) -> int:
    return shutil.disk_usage(next(place for place in folder.parents if place.exists())).free


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Job(NamedTuple):
    """What every thread needs: where from, where to, whom to tell, when to stop, whether to hash."""

    archive: Archive
    tree: bytes  # bytes, as all paths below it: names are UTF-8 whatever the locale
    advance: Callable[[int], None]
    stop: threading.Event
    hashed: bool


def _fill(job: _Job, work: Sequence[tuple[Entry, str]], jobs: int) -> dict[str, str]:
    """Write all members below the tree: folders first, links last, so that nothing goes through a link.

    The MD5 of each file by its path, or an empty dictionary when nobody asks for it.
    """
    folders = {path for entry, path in work if entry.member.kind is Kind.FOLDER}
    for _, path in work:
        while (path := path.rpartition("/")[0]) and path not in folders:
            folders.add(path)
    for path in sorted(folders):
        os.mkdir(_below(job.tree, path))  # noqa: PTH102  # bytes
    files = [(entry, path) for entry, path in work if entry.member.kind is Kind.FILE]
    digests: dict[str, str] = {}
    pool = ThreadPoolExecutor(jobs, "extract")
    try:
        parts = [files] if job.archive.sequential else shares(files)
        futures = [pool.submit(_write, job, part) for part in parts]
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            digests |= future.result()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskError("the disk is full", "make room and run the same command again") from None
        raise
    finally:
        job.stop.set()
        pool.shutdown(cancel_futures=True)
    for entry, path in work:
        if entry.member.kind is Kind.LINK:
            os.symlink(entry.member.target.encode(), _below(job.tree, path))  # noqa: PTH211
    return digests


def _below(tree: bytes, path: str) -> bytes:
    return b"%b/%b" % (tree, path.encode())


def shares(files: Sequence[tuple[Entry, str]]) -> list[list[tuple[Entry, str]]]:
    """The files as pieces of work: all the tiny ones together, then each of the others, largest first.

    Two threads that do nothing but system calls hand the interpreter lock to and fro, and take twice
    the time of one; from about TINY on, the codec runs without the lock for long enough.
    """
    tiny = [pair for pair in files if pair[0].member.size <= TINY]
    rest = [pair for pair in files if pair[0].member.size > TINY]
    rest.sort(key=lambda pair: -pair[0].member.size)
    return [tiny, *([pair] for pair in rest)]


def _write(job: _Job, share: Sequence[tuple[Entry, str]]) -> dict[str, str]:
    digests = {}
    for entry, path in share:
        if job.stop.is_set():
            break
        digest = hashlib.md5(usedforsecurity=False) if job.hashed else None
        mode = permissions(entry.member.mode)
        file = os.open(_below(job.tree, path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            for piece in job.archive.contents(entry):
                if job.stop.is_set():
                    break
                view = memoryview(piece)
                while view:
                    view = view[os.write(file, view) :]
                if digest:
                    digest.update(piece)
                job.advance(len(piece))
        finally:
            os.close(file)
        if digest:
            digests[path] = digest.hexdigest()
    return digests
