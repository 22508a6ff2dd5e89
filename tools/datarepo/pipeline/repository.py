"""DVC at work in the repository, in this process: stages written, archives recorded, found and removed.

Repository
├── record         blobs in import stages, partial: for any number of assets under one lock
├── describe       what the service says of blobs, in import stages that are complete
├── complete       archives and contents that have arrived, as `dvc repro` would
├── look           what is on this machine of each asset
├── check_cache    whether the cache is there that data are links into
├── unrecorded     the files in an asset's folder that DVC keeps nowhere
├── ask_team       what the team remote has
├── has_contents   whether the cache has what was unpacked of an archive
├── objects        the cache, to be verified byte by byte
├── free           archives out of workspace and cache
└── remove         stages, outputs and ignore entries
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datarepo.azure.blob import DEADLINE
from datarepo.azure.part_file import PartFile
from datarepo.console import few, first_line, note
from datarepo.deadline import ask_all, within
from datarepo.errors import RepositoryError, StageError
from datarepo.files import replace_text
from datarepo.pipeline import catalogue, commit, dvc_lock, edits, git_ignore, import_stage, state
from datarepo.pipeline.location import Condition, Location, Presence
from datarepo.pipeline.objects import Objects
from datarepo.pipeline.root import part_files, scratch

if TYPE_CHECKING:
    from datarepo.azure.blob import Blob
    from datarepo.pipeline.catalogue import Asset
    from datarepo.pipeline.dvc_lock import Unzipped
    from datarepo.pipeline.import_stage import ImportStage


@dataclass(frozen=True)
class Arrival:
    """What has arrived of an asset: `file` is its archive, of that md5, None where workspace or cache has it.

    `stage` is the import stage as it was when the transfer began; `digests` are the MD5s of the contents by
    path, which lie in the asset's folder, None when they do not.
    """

    asset: Asset
    stage: ImportStage
    file: Path | None
    md5: str
    digests: Mapping[str, str] | None = None
    restores: bool = False  # the contents that the cache has into the workspace


class Repository:
    """DVC for one run of a command; starting it costs about half a second, so do it once."""

    def __init__(self, root: Path) -> None:
        from dvc.repo import Repo

        from datarepo.pipeline import light_azure

        light_azure.install()
        logging.getLogger("dvc").setLevel(logging.ERROR)  # its hints would come between our lines
        self._root = root
        self._dvc: Any = Repo(str(root))
        self._stages: Any = None  # as `_unzip_stages` has read them, from files with this text
        self._stages_read: list[bytes] = []

    def record(self, blobs: Mapping[Asset, Blob]) -> None:
        """Record blobs in the assets' import stages, without an md5, so that `dvc repro` downloads them.

        A stage that is missing is made, as `dvc import-url --no-download` would. All is checked before
        anything is written; what a killed run has not written, the same call writes.
        """
        with self._working_on("import"):
            new = {asset: self._create(asset) for asset in blobs if not (self._root / asset.stage).exists()}
            if new:
                self._check_outputs(new)
            outputs = {asset: new[asset].outs[0] if asset in new else self.output(asset) for asset in blobs}
            git_ignore.ignore(self._root, [path for asset in blobs for path in asset.outputs])
            for asset, blob in blobs.items():
                out = outputs[asset]
                if self._is_there(asset.file):
                    if out.hash_info and not self._is_kept(asset.file) and not out.changed_checksum():
                        out.commit()  # the only copy of the old archive
                    if self._is_kept(asset.file):
                        self._remove(asset.file)  # a link, of which the cache has the bytes
                self._dump(out.stage, blob)

    def describe(self, blobs: Mapping[Asset, Blob]) -> None:
        """Renew the `meta` of the import stages of just these blobs, and nothing else."""
        with self._working_on("import"):
            for asset, blob in blobs.items():
                stage = self.output(asset).stage
                stage.meta = import_stage.meta(blob)
                self._dump(stage)

    def _create(self, asset: Asset) -> Any:  # noqa: ANN401  # DVC publishes no types
        from dvc.utils import resolve_paths

        (self._root / asset.file).parent.mkdir(parents=True, exist_ok=True)
        path, folder, out = resolve_paths(self._dvc, str(self._root / asset.file))
        made = self._dvc.stage.create(
            single_stage=True, validate=False, fname=path, wdir=folder, deps=[asset.blob], outs=[out]
        )
        made.frozen = True
        return made

    def _check_outputs(self, stages: Mapping[Asset, Any]) -> None:
        """Raise StageError when another stage or git has what one of the new stages is to bring."""
        from dvc.exceptions import OutputDuplicationError

        try:
            self._dvc.check_graph(stages=set(stages.values()))
        except OutputDuplicationError as error:
            others = set(error.stages) - set(stages.values())
            raise dvc_says(f"{error.output}.dvc", OutputDuplicationError(error.output, others)) from None
        paths = [path for asset in stages for path in asset.outputs]
        tracked = commit.tracked(self._root, paths)
        for path in paths:
            if any(name == path or name.startswith(f"{path}/") for name in tracked):
                raise StageError(
                    f"{path} is tracked by git, and DVC is to keep it",
                    f"git rm -r --cached {path}, then run the same command again",
                )

    def _dump(self, stage: Any, blob: Blob | None = None) -> None:  # noqa: ANN401  # DVC publishes no types
        """Write an import stage at one stroke; with a blob, as a partial import of it."""
        from dvc.stage.serialize import to_single_stage_file
        from dvc.utils.serialize import dumps_yaml
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.meta import Meta

        if blob:
            stage.deps[0].hash_info = HashInfo("etag", blob.etag)
            stage.deps[0].meta = Meta(size=blob.size, etag=blob.etag)
            stage.outs[0].clear()
            stage.meta = import_stage.meta(blob)
        stage.md5 = stage.compute_md5()
        replace_text(Path(stage.path), dumps_yaml(to_single_stage_file(stage)), scratch=scratch(self._root))

    def complete(self, arrivals: Sequence[Arrival]) -> None:
        """Record what has arrived as `dvc repro` would have: archives cached, contents cached, all linked.

        No byte is copied or read, where file and cache are on one disk: a file gets a second name in
        the cache, and the workspace links to that. The files themselves are the caller's to remove. Raises
        StageError, and records nothing, when an import stage is not any more what it was.
        """
        from dvc_data.hashfile.hash_info import HashInfo

        with self._working_on("dvc commit"):
            for arrival in arrivals:
                check_unchanged(self._root, arrival.asset, arrival.stage)
            recorded = dvc_lock.read(self._root) if any(each.restores for each in arrivals) else {}
            entries = {}
            git_ignore.ignore(self._root, [path for arrival in arrivals for path in arrival.asset.outputs])
            for arrival in arrivals:
                self._complete_import(arrival)
                name = arrival.asset.target
                if arrival.restores:
                    out = self._unzip_stages()[name].outs[0]
                    out.hash_info = HashInfo("md5", recorded[arrival.asset.name].contents)
                    out.checkout(force=True)
                if arrival.digests is not None:
                    stage = self._unzip_stages()[name]
                    entries[name] = self._commit_contents(arrival.asset, stage, arrival.digests)
            dvc_lock.save(self._root, entries)

    def _unzip_stages(self) -> Any:  # noqa: ANN401  # DVC publishes no types
        """The stages of `dvc.yaml` by name, without what `dvc.lock` records of them.

        Hundreds take DVC long to read: they are read again only when the files have changed.
        """
        from dvc.dvcfile import ProjectFile, load_file

        read = [(self._root / name).read_bytes() for name in ("dvc.yaml", catalogue.FILE)]
        if self._stages is None or read != self._stages_read:
            file = load_file(self._dvc, str(self._root / "dvc.yaml"))
            self._stages, self._stages_read = ProjectFile.LOADER(file, file.contents, {}), read
        return self._stages

    def _complete_import(self, arrival: Arrival) -> None:
        """Have the archive in workspace and cache, and its md5 in the import stage."""
        from dvc_data.hashfile.hash_info import HashInfo
        from dvc_data.hashfile.meta import Meta
        from dvc_objects.fs.local import localfs

        out = self.output(arrival.asset)
        if self.holds_another(arrival.asset.file, arrival.md5):
            self._remove(arrival.asset.file)  # a version that the cache has as well
        if arrival.file:
            self._mend_cache([arrival.md5])
            self._dvc.cache.local.add(str(arrival.file), localfs, arrival.md5, hardlink=True)
            if not out.hash_info:
                out.hash_info = HashInfo("md5", arrival.md5)
                out.meta = Meta(size=arrival.file.stat().st_size)
                self._dump(out.stage)
        elif (self._root / arrival.asset.file).exists():
            out.commit()
        if self._is_cached(arrival.md5):
            out.checkout()

    def _mend_cache(self, oids: Iterable[str]) -> None:
        """Remove those objects that a killed run has left half made under their names: DVC would take them.

        It creates each empty, to find out whether the disk can clone files, and protects it at the end.
        """
        from dvc_objects.errors import ObjectFormatError

        cache = self._dvc.cache.local
        for oid in oids:
            with contextlib.suppress(FileNotFoundError, ObjectFormatError):
                if not cache.is_protected(cache.oid_to_path(oid)):
                    cache.check(oid)

    def _commit_contents(self, asset: Asset, stage: Any, digests: Mapping[str, str]) -> str:  # noqa: ANN401  # as above
        """Have the contents in the cache, knowing their hashes; what `dvc.lock` is to say of them."""
        from dvc.stage.serialize import to_lockfile
        from dvc.utils.serialize import dumps_yaml

        state.save_hashes(self._dvc, (self._root / asset.dir).resolve(), digests)
        self._mend_cache(digests.values())
        stage.save()
        stage.commit()
        return str(dumps_yaml({"stages": to_lockfile(stage)})).split(":\n", 2)[2]

    def unrecorded(self, asset: Asset) -> list[str]:
        """The files in the asset's folder that `dvc.lock` does not record as they are, in order.

        What a killed run has unpacked is known as well; of a version that the cache has, only what DVC
        ignores counts. All count when `dvc.lock` records none, or when the cache has lost the list.
        """
        made = dvc_lock.read(self._root).get(asset.name)
        if not (self._root / asset.dir).is_dir():
            return [asset.dir] if self._is_there(asset.dir) else []
        ignored = self._ignored(asset.dir)
        condition = self._condition(asset.dir, None, made.contents if made else None)
        if condition not in (Condition.MODIFIED, Condition.DAMAGED):
            return ignored
        recorded = self._recorded(made.contents) if made else {}
        ours = PartFile(part_files(self._root), asset.name).unpacked
        there = _md5s(self._content(asset.dir))
        unknown = {name for name, md5 in there.items() if md5 not in (recorded.get(name), ours.get(name))}
        return sorted(unknown.difference(self._damaged(asset.dir, there, recorded)).union(ignored))

    def _dangling(self, path: str) -> list[str]:
        """The links at a path, or below it, to objects that are gone from the cache."""
        full, cache = str(self._root / path), os.path.realpath(self._dvc.cache.local.path)
        every = [os.path.join(top, name) for top, _, names in os.walk(full) for name in names]  # noqa: PTH118  # 100,000 of them
        links = [name for name in [full, *every] if os.path.islink(name) and not os.path.exists(name)]  # noqa: PTH110, PTH114  # as above
        gone = [name for name in links if os.path.realpath(name).startswith(f"{cache}/")]
        return ["" if name == full else os.path.relpath(name, full) for name in gone]

    def check_cache(self, assets: Iterable[Asset]) -> None:
        """Raise StageError when data of assets are links into a cache that is not there at all."""
        if Path(self._dvc.cache.local.path).exists():
            return
        if paths := [path for asset in assets for path in asset.outputs if self._dangling(path)]:
            unlinking = f"find -L {shlex.join(paths)} -type l -delete"
            raise StageError(
                f"the cache {self._dvc.cache.local.path} is not there, and data link to it: {few(paths)}",
                f"mount its disk; if it is lost, '{unlinking}' removes the links",
            )

    def _ignored(self, path: str) -> list[str]:
        """The files below a folder that DVC does not see, in order: it would delete them with the folder."""
        folder = str(self._root / path)
        seen = set(self.objects().files(folder))
        every = (os.path.join(top, name) for top, _, names in os.walk(folder) for name in names)  # noqa: PTH118  # 100,000 of them
        return sorted(os.path.relpath(name, folder) for name in every if name not in seen)

    def remove(
        self, outputs: Mapping[Asset, Iterable[str]], *, force: bool = False
    ) -> dict[Asset, list[str]]:
        """Remove the stages of assets, these outputs of theirs, and ignore entries; the paths that went.

        The cache keeps what it has. Raises StageError, before anything is removed, when an output
        holds what the cache does not have, unless `force`.
        """
        every = [path for paths in outputs.values() for path in paths]
        with self._working_on("dvc remove"), self._alone_with(every):
            present = {asset: list(filter(self._is_there, paths)) for asset, paths in outputs.items()}
            made = dvc_lock.read(self._root)
            for asset, paths in () if force else present.items():
                for path in paths:
                    self._check_may_go(asset, path, made.get(asset.name))
            dvc_lock.save(self._root, {})  # raises when it cannot be edited, which is to be known before
            for path in (path for paths in present.values() for path in paths):
                self._remove(path)
            dvc_lock.save(self._root, {f"unzip@{asset.name}": "" for asset in outputs})
            for asset in outputs:
                (self._root / asset.stage).unlink(missing_ok=True)
            git_ignore.unignore(self._root, [path for asset in outputs for path in asset.outputs])
        return present

    def _check_may_go(self, asset: Asset, path: str, made: Unzipped | None) -> None:
        """Raise StageError when something at a path of the asset would be lost with it."""
        is_listed = path != asset.dir or made is None or self.objects().contents(made.contents) is not None
        if not is_listed or not self._is_kept(path):
            raise self._not_kept(asset, path)
        if ignored := self._ignored(path):
            raise StageError(
                f"{path} holds what DVC ignores, and would go with it: {few(ignored)}",
                "move that away; --force deletes it",
            )

    def _remove(self, path: str) -> None:
        self._dvc.fs.remove(str(self._root / path), recursive=True)

    def _is_there(self, path: str) -> bool:
        return os.path.lexists(self._root / path)

    def output(self, asset: Asset) -> Any:  # noqa: ANN401  # DVC publishes no types
        """The output of the asset's import stage, as DVC has it."""
        return self._dvc.stage.load_one(str(self._root / asset.stage)).outs[0]

    def has_contents(self, asset: Asset, stage: ImportStage) -> bool:
        """Whether the cache has all contents of the archive that the stage records."""
        made = dvc_lock.read(self._root).get(asset.name)
        return made is not None and made.archive == stage.md5 and self._is_cached(made.contents)

    def free(self, archives: Mapping[Asset, str], *, force: bool = False) -> dict[Asset, int]:
        """Delete archives, by their md5, from workspace and cache; the bytes of disk that came free.

        What another output of the repository shares stays in the cache. Raises StageError, before
        anything is deleted, when the workspace holds what the cache does not have, or the cache lies
        outside of the clone, where others may use it, unless `force`.
        """
        with self._working_on("dvc"), self._alone_with([asset.file for asset in archives]):
            own = {str(self._root / asset.file) for asset in archives}
            shared = self._oids(out for out in self._dvc.index.outs if out.fs_path not in own)
            cache = self._dvc.cache.local
            for asset in () if force else archives:
                if not Path(cache.path).resolve().is_relative_to(self._root.resolve()):
                    raise StageError(
                        f"the cache {cache.path} lies outside of this clone, and others may use it",
                        "--force frees the archive regardless",
                    )
                if self._is_there(asset.file) and not self._is_kept(asset.file):
                    raise self._not_kept(asset, asset.file)
            return {
                asset: _delete(
                    [self._root / asset.file, *([] if md5 in shared else [Path(cache.oid_to_path(md5))])]
                )
                for asset, md5 in archives.items()
            }

    def _not_kept(self, asset: Asset, path: str) -> StageError:
        """The error of what the cache does not have, with what brings it there."""
        stage = import_stage.read(self._root, asset)
        presence = self.look({asset: stage})[asset]
        is_archive = bool(asset.suffix) and path == asset.file
        if is_archive:  # which `dvc commit` would tie to the blob that is upstream now
            way = f"tools/verify-asset {asset.name} puts it there, if it is the recorded archive"
        elif presence.is_ready:  # the cache has lost the list of its files
            way = f"tools/verify-asset {asset.name} puts it there"
        elif asset.suffix and presence.contents is None:
            way = "move it away: it is of another version of the archive"
        elif presence.is_damaged:
            way = f"it is damaged, and tools/verify-asset {asset.name} mends it"
        else:
            way = f"'{edits.keeping(asset, presence.archive)}' keeps it"
        return StageError(f"{path} holds what the cache does not have", f"{way}; --force deletes it")

    def _oids(self, outs: Iterable[Any]) -> set[str]:
        """The objects of outputs, with the files of those that are folders."""
        oids = set()
        for out in outs:
            if out.hash_info:
                oids.add(out.hash_info.value)
                tree = out.get_obj() if out.hash_info.isdir else None
                oids |= {info.value for _, (_, info) in tree.iteritems()} if tree else set()
        return oids

    def look(self, stages: Mapping[Asset, ImportStage | None]) -> dict[Asset, Presence]:
        """Look what is on this machine of each asset; `stages` are the import stages as they stand.

        DVC's state database makes what has not changed cheap to ask about; what it does not know is read.
        Raises StageError as `check_cache` does.
        """
        self.check_cache(stages)
        made = dvc_lock.read(self._root)
        return {asset: self._presence(asset, stage, made.get(asset.name)) for asset, stage in stages.items()}

    def _presence(self, asset: Asset, stage: ImportStage | None, made: Unzipped | None) -> Presence:
        archive, file = self._find(asset.file, stage.md5 if stage else None)
        arrived = PartFile(part_files(self._root), asset.name).arrived
        if archive is Location.UPSTREAM and arrived:
            archive = Location.PART_FILE
        if not asset.suffix:
            return Presence(archive, None, file, arrived, file)
        if made and stage and made.archive == stage.md5:
            contents, condition = self._find(asset.dir, made.contents)
            return Presence(archive, contents, condition, arrived, file)
        condition = self._condition(asset.dir, None, made.contents if made else None)
        return Presence(archive, None, condition, arrived, file)

    def _find(self, path: str, oid: str | None) -> tuple[Location, Condition]:
        """Where on this machine recorded data is, and how what lies at its path compares with it."""
        condition = self._condition(path, oid)
        if condition is Condition.AS_RECORDED:
            return Location.WORKSPACE, condition
        return (Location.CACHE if oid and self._is_cached(oid) else Location.UPSTREAM), condition

    def _condition(self, path: str, oid: str | None, former: str | None = None) -> Condition:
        """How what lies at a path compares with the object recorded, and with the one before it."""
        full = self._root / path
        if not full.exists() or (oid is None and full.is_dir() and not any(full.iterdir())):
            return Condition.MISSING
        if oid is None and full.is_file() and not full.is_symlink() and full.stat().st_nlink == 1:
            return Condition.MODIFIED  # no link into the cache: it may be long to read
        try:
            content = self._content(path)
        except StageError:
            return Condition.MODIFIED
        value = content.hash_info.value
        if value == oid:
            return Condition.AS_RECORDED
        if value == former or self._is_cached(value):
            return Condition.OTHER
        if not (oid or former):
            return Condition.MODIFIED
        there, recorded = _md5s(content), self._recorded(oid or former or "")
        if next(self._damaged(path, there, recorded), None) is not None:
            return Condition.DAMAGED
        if oid and there.items() <= recorded.items():
            return Condition.PARTIAL if there else Condition.MISSING
        return Condition.MODIFIED

    def _recorded(self, oid: str) -> dict[str, str]:
        """The md5 of each file of an object, as `_md5s` has them; none where the cache has lost a list."""
        return (self.objects().contents(oid) or {}) if oid.endswith(".dir") else {"": oid}

    def _damaged(self, path: str, there: Mapping[str, str], recorded: Mapping[str, str]) -> Iterator[str]:
        """The files of what lies at a path that are no edits of what is recorded, but damage."""
        yield from self._dangling(path)
        objects, full = self.objects(), str(self._root / path)
        for name, md5 in there.items():
            was = recorded.get(name, md5)
            if md5 != was and objects.is_damage(os.path.join(full, name) if name else full, md5, was):  # noqa: PTH118  # 100,000 of them
                yield name

    def holds_another(self, path: str, oid: str) -> bool:
        """Whether a version lies at a path that is not the recorded one, and that the cache has as well."""
        return self._condition(path, oid) is Condition.OTHER

    def _content(self, path: str) -> Any:  # noqa: ANN401  # DVC publishes no types
        """The object of what lies at a path: a file, or a folder as a tree; StageError when DVC has none."""
        from dvc_data.hashfile.build import IgnoreInCollectedDirError, build
        from dvc_objects.fs.local import localfs

        full, cache, ignore = str(self._root / path), self._dvc.cache.local, self._dvc.dvcignore
        try:
            return build(cache, full, localfs, "md5", ignore=ignore, dry_run=True)[2]
        except FileNotFoundError:  # a link to an object that is gone from the cache
            sound: Any = _WithoutDangling(ignore)
            return build(cache, full, localfs, "md5", ignore=sound, dry_run=True)[2]
        except IgnoreInCollectedDirError:
            raise StageError(
                f"{path} holds a .dvcignore, with which DVC keeps no folder", "move it away"
            ) from None

    def _is_kept(self, path: str) -> bool:
        """Whether the cache has every file at a path: a killed run may have removed some of a folder."""
        if not (self._root / path).exists():
            return True  # a link to an object that is gone
        return all(map(self._has, set(_md5s(self._content(path)).values())))

    def _is_cached(self, oid: str) -> bool:
        """Whether the cache has a file, or a folder with all its files."""
        if not oid.endswith(".dir"):
            return self._has(oid)
        contents = self.objects().contents(oid)  # which DVC believes, if it is read-only
        return contents is not None and all(map(self._has, set(contents.values())))

    def _has(self, oid: str) -> bool:
        """Whether the cache has an object, which is taken for sound if it is read-only, as DVC does.

        DVC's own check removes one that is not, and with it what tells damage from an edit.
        """
        from dvc_data.hashfile.hash import hash_file

        cache = self._dvc.cache.local
        path = cache.oid_to_path(oid)
        if cache.is_protected(path):
            return True
        try:
            return bool(hash_file(path, cache.fs, "md5", cache.state)[1].value == oid)
        except FileNotFoundError:
            return False

    def ask_team(
        self, stages: Mapping[Asset, ImportStage], presences: Mapping[Asset, Presence]
    ) -> dict[Asset, Presence]:
        """Ask the team remote for what is not on this machine: the archives, and their contents."""
        made = dvc_lock.read(self._root)
        archives = {asset.name: stage.md5 for asset, stage in stages.items() if stage.md5}
        contents = {
            asset.name: made[asset.name].contents for asset in stages if presences[asset].contents is not None
        }
        locations = self._ask_team({*archives.values(), *contents.values()})
        return {
            asset: replace(
                presences[asset],
                archive=locations[archives[asset.name]],
                contents=locations[contents[asset.name]] if asset.name in contents else None,
            )
            for asset in stages
            if asset.name in archives
        }

    def _ask_team(self, oids: Collection[str]) -> dict[str, Location]:
        """TEAM where the team remote has an object, UPSTREAM where not, UNKNOWN when it cannot be asked."""
        from dvc.config import NoRemoteError

        if not oids:
            return {}
        try:  # once: DVC opens a database for each, and two threads at it lock one another out
            remote = within(DEADLINE, self._dvc.cloud.get_remote_odb, "the team remote")
        except NoRemoteError:
            return dict.fromkeys(oids, Location.UPSTREAM)
        except Exception as error:  # noqa: BLE001  # each kind of remote fails in ways of its own
            note(f"the team remote cannot be asked: {first_line(error)}")
            return dict.fromkeys(oids, Location.UNKNOWN)

        # `exists` would take a remote that cannot be reached for an empty one.
        questions = {oid: partial(remote.fs.info, remote.oid_to_path(oid)) for oid in oids}
        locations, failures = {}, []
        for oid, answer in ask_all(questions, DEADLINE, "the team remote").items():
            locations[oid] = Location.TEAM
            if isinstance(answer, FileNotFoundError):
                locations[oid] = Location.UPSTREAM
            elif isinstance(answer, BaseException):
                locations[oid] = Location.UNKNOWN
                failures.append(first_line(answer))
        if failures:
            note(f"the team remote cannot be asked: {failures[0]}")
        return locations

    def objects(self) -> Objects:
        """The cache, whose objects are to be changed while `holding` what they are linked to."""
        return Objects(self._dvc)

    @contextlib.contextmanager
    def holding(self, asset: Asset, others: Iterable[str] = ()) -> Iterator[None]:
        """Keep other DVC commands from an asset, from other paths, and from the cache."""
        with self._working_on(asset.name), self._alone_with([*asset.outputs, *others]):
            yield

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
        """Remove DVC's list of who reads and writes what, when a killed run has left half of it, or itself.

        DVC writes it in place, and refuses to work with what it cannot read. It strikes out who is gone,
        but not a killed process that nobody has waited for, and in a container perhaps nobody ever will.
        Held under DVC's lock.
        """
        path = Path(self._dvc.tmp_dir) / "rwlock"
        with contextlib.suppress(FileNotFoundError):
            try:
                document = json.loads(path.read_text(encoding="utf-8"))
                entries = [entry for names in document.values() for entry in names.values()]
                infos = [
                    info for entry in entries for info in (entry if isinstance(entry, list) else [entry])
                ]
                is_needed = not infos or any(_is_alive(int(info["pid"])) for info in infos)
            except (ValueError, AttributeError, TypeError, KeyError):
                is_needed = False
            if not is_needed:
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
            raise dvc_says(what, error) from None


class _WithoutDangling:
    """DVC's ignore rules, by which links to nothing are ignored as well."""

    def __init__(self, rules: Any) -> None:  # noqa: ANN401  # DVC publishes no types
        self._rules = rules

    def walk(self, *place: Any) -> Iterator[tuple[str, list[str], list[str]]]:  # noqa: ANN401  # as above
        """The folders below a place, as DVC asks for them."""
        for folder, folders, names in self._rules.walk(*place):
            yield folder, folders, [name for name in names if (Path(folder) / name).exists()]


def _md5s(content: Any) -> dict[str, str]:  # noqa: ANN401  # DVC publishes no types
    """The md5 of each file of a folder by its path in it; of a file, under no name."""
    if not content.hash_info.isdir:
        return {"": content.hash_info.value}
    return {"/".join(key): info.value for key, _, info in content}


def check_unchanged(root: Path, asset: Asset, stage: ImportStage) -> None:
    """Raise StageError when an asset's import stage is not any more what it was."""
    if import_stage.read(root, asset) != stage:
        raise StageError(
            f"{asset.stage} has changed since this command began: tools/add-asset or git has written it",
            "run the same command again; what has arrived is used as far as it is of the new version",
        )


def _delete(paths: Iterable[Path]) -> int:
    """Delete files; the bytes that came free, which are none while a file has other names."""
    files = [(path, path.lstat()) for path in paths if path.is_symlink() or path.exists()]
    freed = {
        status.st_ino: status.st_size
        for _, status in files
        if status.st_nlink <= sum(other.st_ino == status.st_ino for _, other in files)
    }
    for path, _ in files:
        path.unlink()
    return sum(freed.values())


def _is_alive(pid: int) -> bool:
    import psutil  # type: ignore[import-untyped]  # which DVC brings, and asks the same

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def dvc_says(what: str, error: Exception) -> StageError:
    """The error of something that DVC could not do."""
    return StageError(f"{what}: DVC says: {error}", "'dvc doctor' and 'dvc status' tell more")
