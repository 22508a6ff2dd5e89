"""DVC's objects, by what their bytes say: DVC itself believes its state database and a file's mode.

An object is a file of the cache, named by the md5 of its bytes. That of a folder (`….dir`) lists the
md5 of each file. With hard links, an object and its file in the workspace are one and the same.

digests     the md5 of files, read on all cores
examine     recorded files and their objects, compared with the record
listing     the object of a folder, in bytes
Objects     the cache of a repository
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datarepo.archives.extract import TINY
from datarepo.azure.blob import DEADLINE
from datarepo.console import first_line, note
from datarepo.deadline import within
from datarepo.files import replace_text

if TYPE_CHECKING:
    from datarepo.progress import Progress

_CHUNK = 1024 * 1024


class Digest(NamedTuple):
    """What was read of a file: its md5, its size in bytes, and what its names have in common."""

    md5: str
    size: int
    inode: tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """What the bytes say of an object and of the workspace's files that are recorded with it.

    An md5 is None where there is no file. `linked` are the files that are the object itself, or what was
    taken out of the cache in its place; `size` is in bytes.
    """

    oid: str
    stored: str | None = None
    files: Mapping[str, str | None] = field(default_factory=dict)
    linked: frozenset[str] = frozenset()
    size: int = 0

    @property
    def is_here(self) -> bool:
        """Whether there is anything of it, be it a link to where it should be."""
        return self.stored is not None or any(
            md5 is not None or Path(path).is_symlink() for path, md5 in self.files.items()
        )

    @property
    def is_lacking(self) -> bool:
        """Whether the cache should have the object, and has not: it is damaged, or gone from under a file.

        So it is where the cache has it again, and a file still has what was taken out.
        """
        is_stale = any(self.files[path] != self.oid for path in self.linked)
        return self.is_here and (self.stored != self.oid or is_stale)

    @property
    def sound_file(self) -> str | None:
        """A file of the workspace that has the recorded bytes."""
        return next((path for path, md5 in self.files.items() if md5 == self.oid), None)

    @property
    def modified(self) -> list[str]:
        """The files that differ on their own, not through a damaged object: a user's edits."""
        return [
            path
            for path, md5 in self.files.items()
            if md5 not in (None, self.oid) and path not in self.linked
        ]


def digests(paths: Iterable[str], progress: Progress | None = None) -> dict[str, Digest]:
    """What is read of each file that is there, once whatever its number of names.

    The md5 is empty for what is no file, and for what the disk cannot read any more. Paths are texts:
    of 100,000 files, objects for them would take longer than the reading.
    """
    found: dict[str, Digest] = {}
    names: dict[tuple[int, int], str] = {}  # one of each file
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116  # as said
        except (FileNotFoundError, NotADirectoryError):
            continue
        found[path] = Digest("", status.st_size, (status.st_dev, status.st_ino))
        if stat.S_ISREG(status.st_mode):
            names.setdefault(found[path].inode, path)
    sizes = {path: found[path].size for path in names.values()}
    md5s = _md5s(sizes, progress.task("verify", sum(sizes.values())) if progress else lambda _: None)
    read = {inode: md5s.get(path) for inode, path in names.items()}
    return {
        path: Digest(md5, file.size, file.inode)
        for path, file in found.items()
        if (md5 := read.get(file.inode, "")) is not None  # else it has gone meanwhile
    }


def _md5s(sizes: Mapping[str, int], advance: Callable[[int], None]) -> dict[str, str]:
    """The md5 of files of those sizes, read on all cores."""
    stop = threading.Event()

    def read(share: Sequence[str]) -> dict[str, str]:
        buffer = memoryview(bytearray(_CHUNK))
        results = {}
        for path in share:
            md5 = hashlib.md5(usedforsecurity=False)
            try:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # as above
                    if sizes[path] > _CHUNK and hasattr(os, "posix_fadvise"):
                        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)  # reads further ahead
                    while (count := file.readinto(buffer)) and not stop.is_set():
                        md5.update(buffer[:count])
                        advance(count)
                results[path] = md5.hexdigest()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                results[path] = ""
        return results

    # The largest first, so that none is left over for one core; the tiny are not worth a thread each.
    tiny = [path for path, size in sizes.items() if size <= TINY]
    rest = sorted(sizes.keys() - tiny, key=lambda path: -sizes[path])
    md5s: dict[str, str] = {}
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for results in pool.map(read, [*([path] for path in rest), tiny]):
            md5s |= results
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return md5s


def listing(md5s: Mapping[str, str]) -> bytes:
    """The object of a folder as DVC writes it, from the md5 of each file by its path.

    >>> listing({"b": "02", "a": "01"})
    b'[{"md5": "01", "relpath": "a"}, {"md5": "02", "relpath": "b"}]'
    """
    return json.dumps([{"md5": md5s[path], "relpath": path} for path in sorted(md5s)]).encode()


def examine(objects: Objects, files: Mapping[str, Sequence[str]], progress: Progress) -> dict[str, Finding]:
    """Read objects, and the files of the workspace that are recorded with each; what they say, by object."""
    places = {oid: objects.path(oid) for oid in files}
    read = digests([*places.values(), *(path for paths in files.values() for path in paths)], progress)
    findings = {}
    for oid, paths in files.items():
        stored, here = read.get(places[oid]), {path: read[path] for path in paths if path in read}
        linked = frozenset(
            path
            for path, file in here.items()
            if (stored and file.inode == stored.inode) or file.md5 == objects.taken_out.get(oid)
        )
        md5s = {path: here[path].md5 if path in here else None for path in paths}
        size = next((file.size for file in (stored, *here.values()) if file), 0)
        findings[oid] = Finding(oid, stored.md5 if stored else None, md5s, linked, size)
    return findings


class Objects:
    """The cache of a repository.

    `taken_out` are the md5s of damaged bytes that were taken out of it, by the objects in whose place they
    were: a file of the workspace that still has them is no edit.
    """

    def __init__(self, dvc: Any) -> None:  # noqa: ANN401  # DVC publishes no types
        self._dvc = dvc
        self._cache = dvc.cache.local
        self._is_team_lost = False
        self._scratch = Path(dvc.tmp_dir) / "verify"
        self._record = self._scratch.with_name("damaged.json")
        try:
            self.taken_out: dict[str, str] = json.loads(self._record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            self.taken_out = {}

    def path(self, oid: str) -> str:
        """Where the cache has an object."""
        return str(self._cache.oid_to_path(oid))

    def contents(self, oid: str) -> dict[str, str] | None:
        """The md5 of each file of a folder by its path; None when the folder's object is not sound."""
        try:
            content = Path(self.path(oid)).read_bytes()
        except FileNotFoundError:
            return None
        if f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}.dir" != oid:
            return None
        return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}

    def is_damage(self, file: str, md5: str, oid: str) -> bool:
        """Whether a file of the workspace, of that md5, differs because its object is damaged, or was."""
        with contextlib.suppress(FileNotFoundError):  # there may be no object
            if os.path.samefile(file, self.path(oid)):  # noqa: PTH121  # as above
                return True
        return self.taken_out.get(oid) == md5

    def places(self, oids: Collection[str]) -> dict[str, set[str]]:
        """Where outputs of the repository should have files of those objects, by what is recorded."""
        found: dict[str, set[str]] = {oid: set() for oid in oids}
        for out in self._dvc.index.outs:
            if out.hash_info and out.is_in_repo:
                files = {"": out.hash_info.value}
                if out.hash_info.isdir:
                    files = self.contents(out.hash_info.value) or {}
                for path, oid in files.items():
                    if oid in found:
                        found[oid].add(os.path.join(out.fs_path, path) if path else out.fs_path)  # noqa: PTH118  # as above
        return found

    def files(self, folder: str) -> list[str]:
        """The files below a folder of the workspace that DVC does not ignore."""
        return list(self._dvc.dvcignore.find(self._dvc.fs, folder))

    def fetch(self, oids: Collection[str], folder: Path) -> dict[str, str]:
        """Fetch objects from the team remote into a folder; those that it has, not verified.

        None once it could not be asked: it would let people wait each time.
        """
        from dvc.config import NoRemoteError

        def ask() -> Any:  # noqa: ANN401  # DVC publishes no types
            remote = self._dvc.cloud.get_remote_odb()
            remote.fs.exists(remote.oid_to_path(next(iter(oids))))
            return remote

        def bring(oid: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                remote.fs.get_file(remote.oid_to_path(oid), str(folder / oid))

        if self._is_team_lost:
            return {}
        try:
            remote = within(DEADLINE, ask, "the team remote")
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(bring, oids))
        except NoRemoteError:
            pass
        except Exception as error:  # noqa: BLE001  # each kind of remote fails in ways of its own
            self._is_team_lost = True
            note(f"the team remote cannot be asked: {first_line(error)}")
        return {oid: str(folder / oid) for oid in oids if (folder / oid).exists()}

    def put(self, finding: Finding, file: str) -> None:
        """Put a verified file in the place of a lacking object, and of the links to it.

        The links go first: whoever is killed in between leaves sound files to mend the object from.
        """
        path = sound = Path(self.path(finding.oid))
        if finding.stored != finding.oid:
            sound = path.with_name(f".{path.name}.new")
            self._cache.makedirs(str(path.parent))
            self._bring(Path(file), sound)
            self._cache.protect(str(sound))
        for name in map(Path, finding.linked):
            if not name.is_symlink():
                copy = self._beside(name)
                self._bring(sound, copy)
                copy.replace(name)
        sound.replace(path)
        if self.taken_out.pop(finding.oid, None) is not None:
            self._save()

    def _bring(self, file: Path, to: Path) -> None:
        """Give a file a second name, or a copy where the cache does not link hard."""
        to.unlink(missing_ok=True)  # of a killed run
        if "hardlink" in self._cache.cache_types and file.stat().st_dev == to.parent.stat().st_dev:
            os.link(file, to)
        else:
            shutil.copyfile(file, to)

    def take_out(self, finding: Finding) -> None:
        """Remove a damaged object from the cache; a file that was linked to it keeps the bytes."""
        path = Path(self.path(finding.oid))
        if finding.stored is not None:
            self.taken_out[finding.oid] = finding.stored
            self._save()
        for name in map(Path, finding.linked):
            if name.is_symlink():
                copy = self._beside(name)
                shutil.copyfile(path, copy)
                copy.replace(name)
        path.unlink(missing_ok=True)
        self.forget(finding.files)

    def _beside(self, file: Path) -> Path:
        """Where a file of the workspace is written before it gets its name: out of DVC's sight, if it can."""
        self._scratch.mkdir(exist_ok=True)
        near = self._scratch.stat().st_dev == file.parent.stat().st_dev
        return (self._scratch if near else file.parent) / f".{file.name}.new"

    def _save(self) -> None:
        replace_text(self._record, json.dumps(self.taken_out), scratch=self._scratch)

    def forget(self, files: Iterable[str]) -> None:
        """Let DVC read files of the workspace anew, whatever its state database says of them."""
        for file in files:
            self._dvc.state.hashes.delete(file)
