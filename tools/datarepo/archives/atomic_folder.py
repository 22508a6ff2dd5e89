"""A folder that appears whole or not at all: built beside its place, then renamed into it.

While `data/vqa` is being built there is a work folder beside it:

    data/.vqa.unzip/
        lock          held by the run that is alive; a killed run holds nothing
        .gitignore    `*`: git sees nothing of a killed run,
        .dvcignore    `*`: nor does DVC, even if there is a dvc.yaml among the data
        tree/         what becomes data/vqa
        old/          what was data/vqa, for the moment between two renames

Its name is always the same, so the next run finds what a killed one left, and two runs for one
folder cannot overlap. Nothing is flushed to the disk: after a power cut, as after any other
program's work, DVC's hashes tell.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from datarepo.errors import UsageError
from datarepo.files import locked


def work_folder(folder: Path) -> Path:
    """Where `folder` is built."""
    return folder.with_name(f".{folder.name}.unzip")


@contextlib.contextmanager
def appearing(folder: Path, *, replace: bool = True) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `folder` when the block ends without error.

    Raises UsageError when another run is building the same folder; without `replace` also when, by then,
    there is something in `folder`.
    """
    work = work_folder(folder)
    busy = UsageError(f"another run is extracting to {folder}", "wait until it has ended")
    with locked(work / "lock", busy):
        _put_back(work, folder)
        try:
            _empty(work)
            for name in (".gitignore", ".dvcignore"):
                (work / name).write_text("*\n")
            tree = work / "tree"
            tree.mkdir()
            yield tree
            _swap(tree, folder, work / "old", replace=replace)
        finally:
            _remove(work, folder)


def clear(folder: Path) -> None:
    """Remove what a killed run has left beside `folder`; nothing while a run is at work there."""
    work = work_folder(folder)
    if work.exists():
        with contextlib.suppress(UsageError), locked(work / "lock", UsageError("at work")):
            _remove(work, folder)


def _remove(work: Path, folder: Path) -> None:
    _put_back(work, folder)
    _empty(work)
    # The lock goes last: whoever makes a new one then finds nothing else in the folder.
    (work / "lock").unlink()
    with contextlib.suppress(OSError):  # not empty: the next run is here already
        work.rmdir()


def _empty(work: Path) -> None:
    """Delete all in the work folder but the lock."""
    for name in ("tree", "old"):
        if os.path.lexists(work / name):
            delete(work / name)
    for name in (".gitignore", ".dvcignore"):
        (work / name).unlink(missing_ok=True)


def not_empty(folder: Path) -> UsageError:
    """The error of a folder that would be replaced, and has something in it."""
    return UsageError(
        f"{folder} is not empty, and would be replaced as a whole",
        "give a folder of its own, or say --replace to lose what is in it",
    )


def _swap(tree: Path, folder: Path, old: Path, *, replace: bool) -> None:
    if replace and folder.exists():
        # A folder cannot be moved to another parent without the right to write in it.
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IWUSR)
        folder.rename(old)
    try:
        tree.rename(folder)  # also over an empty folder
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise not_empty(folder) from None
        raise


def _put_back(work: Path, folder: Path) -> None:
    """Undo half a swap, so that no run ends with less than it found."""
    if (work / "old").exists() and not folder.exists():
        (work / "old").rename(folder)


def delete(tree: Path) -> None:
    """Delete a folder and all below it, read-only folders too, touching nothing a link points to."""
    folders = [os.fspath(tree)]
    for folder in folders:  # which grows as it is walked: a deep tree needs no deep stack
        os.chmod(folder, stat.S_IRWXU)  # noqa: PTH101  # 20,000 Path objects a run are half a second
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    os.unlink(entry.path)  # noqa: PTH108
    for folder in reversed(folders):
        os.rmdir(folder)  # noqa: PTH106
