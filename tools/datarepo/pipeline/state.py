"""Sparing DVC its second read: the hashes of what was just written, in DVC's own records.

DVC hashes an output by reading it all again, in one thread, unless its state database knows the
hash of a path with this inode, size and time. Whoever has just written the file can tell.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What DVC hashes in the half second that starting it here takes, and in the time of the MD5 itself.
MANY_BYTES, MANY_FILES = 1_000_000_000, 10_000


def wants_hashes(folder: Path, size: int, files: int) -> bool:
    """Whether `folder` lies in a DVC repository, which will ask for hashes, and telling it pays.

    `size` is in bytes, of so many `files`.
    """
    pays = size >= MANY_BYTES or files >= MANY_FILES
    return pays and any((above / ".dvc").is_dir() for above in folder.parents)


def record_hashes(folder: Path, digests: Mapping[str, str]) -> None:
    """Start DVC and record the MD5 of each file, by its path below `folder`, which has no links in it.

    Nothing depends on this: where DVC's inside is not as in 3.67, DVC reads the files as ever.
    """
    with contextlib.suppress(Exception):
        from dvc.repo import Repo

        with Repo(os.fspath(folder.parent)) as repo:
            save_hashes(repo, folder, digests)


def save_hashes(repo: Any, folder: Path, digests: Mapping[str, str]) -> None:  # noqa: ANN401  # DVC's Repo
    """Record hashes in the state database of a repository that DVC has opened."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_objects.fs.local import localfs

    entries = (
        (os.path.join(folder, path), HashInfo("md5", digest), None)  # noqa: PTH118  # as DVC spells it
        for path, digest in digests.items()
    )
    repo.state.save_many(entries, localfs)
