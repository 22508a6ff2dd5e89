"""The repository: where it is, who may write to it, and what DVC does in it on our behalf.

find_root   the folder with .git and .dvc, from any folder below it
writing     one writer at a time; whatever fails midway is undone
Repository  DVC in this process: partial imports, and where a file is kept
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarepo.atomic_file import remember, replace_text, undone_on_failure
from datarepo.azure.blob import DEADLINE
from datarepo.console import note
from datarepo.deadline import within
from datarepo.errors import RepositoryError, StageError
from datarepo.pipeline import import_stage as stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from datarepo.azure.blob import Blob
    from datarepo.pipeline.catalogue import Asset


class Kept(Enum):
    """Where a downloaded archive is, the nearest place first."""

    WORKSPACE = "workspace"
    CACHE = "cache"
    TEAM = "team remote"
    NOWHERE = "nowhere"
    UNKNOWN = "unknown"  # the team remote cannot be asked


def find_root(start: Path | None = None) -> Path:
    """The root of the repository around a folder, by default the current one; StageError outside."""
    start = (start or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / ".dvc").is_dir():
            if any((each / ".git").exists() for each in (folder, *folder.parents)):
                return folder
            raise StageError(
                f"{folder} is a DVC repository without git",
                "clone the repository with git, or run 'git init' there",
            )
    raise StageError(
        f"{start} is in no DVC repository",
        "change into the clone of the repository, then run the command again",
    )


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Hold the repository for one writer, and put back what it wrote when the work fails.

    Another writer waits, and says so; a killed one leaves no lock behind.
    """
    from filelock import FileLock, Timeout

    (root / ".dvc" / "tmp").mkdir(exist_ok=True)
    lock = FileLock(root / ".dvc" / "tmp" / "datarepo.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        note("waiting for another command of tools/ that writes to this repository")
        lock.acquire()
    try:
        with undone_on_failure():
            yield
    finally:
        lock.release()


def at_root(root: Path, command: str) -> str:
    """The command as it is to be typed in the current folder: `dvc repro` looks for dvc.yaml there."""
    here = Path.cwd()
    return command if not command or here == root else f"cd {os.path.relpath(root, here)} && {command}"


class Repository:
    """DVC at work in the repository; starting it costs about half a second, so do it once."""

    def __init__(self, root: Path) -> None:
        from dvc import dvcfile
        from dvc.repo import Repo

        # DVC writes its files in place, so that a kill could leave half an import stage.
        dvcfile.dump_yaml = _dump_whole
        logging.getLogger("dvc").setLevel(logging.ERROR)  # its hints would come between our lines
        self._root = root
        self._dvc: Any = Repo(str(root))

    def import_partially(self, asset: Asset, blob: Blob) -> None:
        """Write the asset's import stage without downloading: `dvc import-url --no-download`."""
        (self._root / asset.file).parent.mkdir(parents=True, exist_ok=True)
        with self._working_on(asset.stage):
            remember((self._root / asset.file).with_name(".gitignore"))  # DVC adds to it
            made = self._dvc.imp_url(asset.blob, out=str(self._root / asset.file), no_download=True)
            self._record(made, blob)

    def make_partial(self, asset: Asset, blob: Blob) -> None:
        """Record the blob as it is now and forget the archive's md5, so that `dvc repro` downloads it."""
        with self._working_on(asset.stage):
            out = self.output(asset)
            if out.hash_info and out.exists and not out.changed_checksum() and not out.changed_cache():
                out.remove()  # the old archive: a link, of which the cache has the bytes
            self._record(out.stage, blob)

    def _record(self, found: Any, blob: Blob) -> None:  # noqa: ANN401  # DVC publishes no types
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.meta import Meta

        found.deps[0].hash_info = HashInfo("etag", blob.etag)
        found.deps[0].meta = Meta(size=blob.size, etag=blob.etag)
        found.outs[0].clear()
        found.meta = stage.meta(blob)
        found.md5 = found.compute_md5()
        found.dump()

    def remove(self, assets: Iterable[Asset], *, force: bool = False) -> dict[str, list[str]]:
        """Remove the assets' stages with outputs and ignore entries; the paths removed, by asset.

        The cache keeps what it has. Raises StageError, before anything is removed, when an output
        holds what the cache does not have, unless `force`.
        """
        from dvc.dvcfile import Lockfile

        lock = Lockfile(self._dvc, str(self._root / "dvc.lock"))
        stages = {each.addressing: each for each in self._dvc.index.stages}
        of = {asset.name: (stages.get(asset.stage), stages.get(f"unzip@{asset.name}")) for asset in assets}
        removed: dict[str, list[str]] = {}
        paths = [str(each.outs[0]) for found in of.values() for each in found if each]
        with self._working_on("dvc remove"), self._alone_with(paths):
            for name, found in of.items():
                outs = [each.outs[0] for each in found if each and each.outs[0].exists]
                lost = [out for out in outs if out.changed_checksum() or out.changed_cache()]
                if lost and not force:
                    raise StageError(
                        f"{lost[0]} holds what the cache does not have",
                        "'dvc commit' keeps it; --force deletes it",
                    )
                removed[name] = [str(out) for out in outs]
            for imported, unzip in of.values():
                for each in filter(None, (imported, unzip)):
                    remember(Path(each.outs[0].fs_path).with_name(".gitignore"))
                    each.remove_outs(ignore_remove=True, force=True)
                if unzip:
                    lock.remove_stage(unzip)
                if imported:
                    imported.dvcfile.remove_stage(imported)
        return removed

    def look(self, asset: Asset, md5: str) -> Kept | None:
        """Where on this machine the asset's archive is, its content compared with the md5.

        A file in the workspace is read only when DVC does not know its md5. StageError when it is not
        the archive.
        """
        if (self._root / asset.file).exists() and self.output(asset).get_hash().value != md5:
            raise StageError(
                f"{asset.file} is there, and is not the file that {asset.stage} records",
                "move it away, then run the same command again",
            )
        return self.here(asset, md5)

    def settle(self, asset: Asset) -> None:
        """Have the archive of a pinned stage in both workspace and cache, from whichever has it."""
        with self._working_on(asset.stage):
            out = self.output(asset)
            if (self._root / asset.file).exists():
                out.commit()
            else:
                out.checkout()

    def complete(self, asset: Asset, file: Path, md5: str) -> None:
        """Complete an import with a file of that md5, as `dvc repro` would have with its own download.

        No byte is copied or read, where file and cache are on one disk: the file gets a second name
        in the cache, and the workspace links to that. The file itself is the caller's to remove.
        """
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.meta import Meta
        from dvc_objects.fs.local import localfs

        with self._working_on(asset.stage):
            out = self.output(asset)
            pinned = bool(out.hash_info)
            self._dvc.cache.local.add(str(file), localfs, md5, hardlink=True)
            if not pinned:
                remember((self._root / asset.file).with_name(".gitignore"))
                out.ignore()
                out.hash_info = HashInfo("md5", md5)
                out.meta = Meta(size=file.stat().st_size)
                out.stage.md5 = out.stage.compute_md5()
                out.stage.dump()
            out.checkout()

    def output(self, asset: Asset) -> Any:  # noqa: ANN401  # DVC publishes no types
        """The output of the asset's import stage, as DVC has it."""
        return self._dvc.stage.load_one(str(self._root / asset.stage)).outs[0]

    def where(self, asset: Asset, md5: str) -> Kept:
        """Where the asset's archive of that md5 is; the team remote is asked only when it has to be."""
        return self.here(asset, md5) or self._on_team_remote(asset, md5)

    def here(self, asset: Asset, md5: str) -> Kept | None:
        """Where on this machine the asset's archive of that md5 is, None when it is not."""
        if (self._root / asset.file).exists():
            return Kept.WORKSPACE
        return Kept.CACHE if self._dvc.cache.local.exists(md5) else None

    def _on_team_remote(self, asset: Asset, md5: str) -> Kept:
        from dvc.config import NoRemoteError

        def ask() -> bool:
            remote = self._dvc.cloud.get_remote_odb()
            try:  # `exists` would take a remote that cannot be reached for an empty one
                remote.fs.info(remote.oid_to_path(md5))
            except FileNotFoundError:
                return False
            return True

        try:
            return Kept.TEAM if within(DEADLINE, ask) else Kept.NOWHERE
        except NoRemoteError:
            return Kept.NOWHERE
        except Exception as error:  # noqa: BLE001  # each kind of remote fails in ways of its own
            words = str(error).partition("\n")[0] or type(error).__name__
            note(f"the team remote cannot be asked for {asset.file}: {words}")
            return Kept.UNKNOWN

    @contextlib.contextmanager
    def _alone_with(self, paths: list[str]) -> Iterator[None]:
        """Hold outputs that `dvc repro` may be at work on: it lets go of its lock while a stage runs."""
        from dvc.rwlock import rwlock

        full = [str(self._root / path) for path in paths]
        by_link = self._dvc.config["core"].get("hardlink_lock", False)
        command = " ".join(sys.argv)  # as DVC says it, which knows by that whose lock it is
        with rwlock(self._dvc.tmp_dir, self._dvc.fs, command, [], full, by_link):
            yield

    def _mend_rwlock(self) -> None:
        """Remove DVC's list of who reads and writes what, when a killed run has left half of it.

        DVC writes it in place, and refuses to work with what it cannot read. Held under DVC's lock.
        """
        path = Path(self._dvc.tmp_dir) / "rwlock"
        with contextlib.suppress(FileNotFoundError):
            try:
                json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                path.unlink()

    @contextlib.contextmanager
    def _working_on(self, what: str) -> Iterator[None]:
        """Hold DVC's own lock, and put its failures in words."""
        from dvc.lock import LockError
        from dvc.repo import lock_repo

        try:
            with lock_repo(self._dvc):
                self._mend_rwlock()
                yield
        except LockError:
            raise StageError(
                "another dvc command is at work in this repository",
                "wait until it is done, then run the command again",
            ) from None
        except RepositoryError:
            raise
        except Exception as error:  # noqa: BLE001  # DVC lets through what its clients raise
            raise StageError(
                f"{what}: DVC says: {error}", "'dvc doctor' and 'dvc status' tell more"
            ) from None


def _dump_whole(path: str, data: object, **_: object) -> None:
    """Write a file of DVC's as DVC would, but at one stroke."""
    from dvc.utils.serialize import dumps_yaml

    replace_text(Path(path), dumps_yaml(data))
