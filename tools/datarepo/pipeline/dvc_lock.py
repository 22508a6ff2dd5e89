"""DVC's lock file, `dvc.lock`: which contents `dvc repro` made, and of which archives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from datarepo.errors import StageError
from datarepo.pipeline import yaml_file

FILE = "dvc.lock"


@dataclass(frozen=True)
class Unzipped:
    """What an unzip stage made: a folder, the md5 of the archive, and DVC's hash of the contents.

    `files` and `size` (in bytes) are those of the contents.
    """

    folder: str
    archive: str
    contents: str
    files: int
    size: int


def read(root: Path) -> dict[str, Unzipped]:
    """What unzip stages made, by the asset's name.

    Raises StageError when the file is not as DVC writes it, after a merge for instance.
    """
    try:
        document = yaml_file.load((root / FILE).read_text(encoding="utf-8")) or {}
        return {
            name.removeprefix("unzip@"): Unzipped(
                stage["outs"][0]["path"],
                stage["deps"][0]["md5"],
                stage["outs"][0]["md5"],
                stage["outs"][0]["nfiles"],
                stage["outs"][0]["size"],
            )
            for name, stage in (document.get("stages") or {}).items()
            if name.startswith("unzip@")
        }
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, IndexError, TypeError):
        raise StageError(
            f"{FILE} is not as DVC writes it; is it in the middle of a merge?",
            f"'git checkout --ours {FILE}', then 'dvc repro --pull', settle a conflict in it",
        ) from None
