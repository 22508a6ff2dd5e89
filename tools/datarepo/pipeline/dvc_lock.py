"""DVC's lock file, `dvc.lock`: which folders `dvc repro` made, and of which archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from datarepo.errors import StageError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "dvc.lock"


def unzipped(root: Path) -> dict[str, str]:
    """The folders that unzip stages made, each with the md5 of the archive it came from.

    Raises StageError when the file is not as DVC writes it, after a merge for instance.
    """
    try:
        document = yaml.safe_load((root / FILE).read_text(encoding="utf-8")) or {}
        stages = document.get("stages") or {}
        return {
            out["path"]: each["deps"][0]["md5"]
            for name, each in stages.items()
            if name.startswith("unzip@")
            for out in each["outs"]
        }
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, IndexError, TypeError):
        raise StageError(
            f"{FILE} is not as DVC writes it; is it in the middle of a merge?",
            f"'git checkout --ours {FILE}' (or --theirs), then dvc repro, settle a conflict in it",
        ) from None
