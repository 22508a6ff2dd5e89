"""DVC's lock file, `dvc.lock`: which contents `dvc repro` made, and of which archives.

DVC parses and writes all of it for each stage, which costs minutes where there are hundreds; `save`
exchanges the entries of some stages and leaves every other line as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from datarepo.errors import StageError
from datarepo.files import replace_text
from datarepo.pipeline import yaml_file
from datarepo.pipeline.root import scratch

FILE = "dvc.lock"

# A stage as DVC writes it: its name, and the lines below. The other sections are not ours.
_ENTRY = r"  ([^\s#].*):\n((?: {3}.*\n| {1,2}#.*\n|\n)*)"
_OTHER = r"(?:\w+:.*\n(?:[ -].*\n)*|#.*\n)*"
_FILE = re.compile(
    rf"(?P<before>{_OTHER}?)stages:(?: {{}})?\n"
    rf"(?P<remarks>(?: +#.*\n)*)(?P<stages>(?:{_ENTRY})*)(?P<after>{_OTHER})"
)


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
        raise _not_as_dvc_writes_it() from None


def save(root: Path, entries: Mapping[str, str]) -> None:
    """Have these entries of stages in the file, and no other line changed; errors as for `read`.

    `entries` are what stands indented below a stage's name, empty for a stage to be taken out. A file
    without a stage goes.
    """
    path = root / FILE
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = edited(before, entries)
    if not after:
        path.unlink(missing_ok=True)
    elif after != before:
        replace_text(path, after, scratch=scratch(root))


def edited(text: str, entries: Mapping[str, str]) -> str:
    r"""The text of `dvc.lock` after `save`; empty when no stage is left.

    >>> edited("", {"unzip@vqa": "    cmd: make\n"})
    "schema: '2.0'\nstages:\n  unzip@vqa:\n    cmd: make\n"
    """
    whole = text if text.endswith("\n") else f"{text}\n"  # an editor may have taken the end of the last line
    match = _FILE.fullmatch(whole if text else "schema: '2.0'\nstages: {}\n")
    if not match:
        raise _not_as_dvc_writes_it()
    stages = {name.strip("'\""): (name, body) for name, body in re.findall(_ENTRY, match["stages"])}
    stages |= {name: (name, entry) for name, entry in entries.items()}
    lines = [f"  {name}:\n{body}" for name, body in stages.values() if body]
    if not lines and re.fullmatch("schema: .*\n", match["before"] + match["after"]):
        return ""
    section = "stages:\n" if lines else "stages: {}\n"
    return "".join([match["before"], section, match["remarks"], *lines, match["after"]])


def _not_as_dvc_writes_it() -> StageError:
    return StageError(
        f"{FILE} is not as DVC writes it; is it in the middle of a merge?",
        f"'git checkout --ours {FILE}', then 'dvc repro --pull', settle a conflict in it",
    )
