"""What the documentation shows of the repository, made from the repository itself.

`python -m tests.documentation` writes it anew: the transcripts of the README, from commands typed in a clone
whose source is the emulator with nine small archives, and the tree of modules of CONTRIBUTING, from their
own first sentences.
"""

from __future__ import annotations

import ast
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests import clones, samples
from tests.azurite import ROOT, Azurite

if TYPE_CHECKING:
    from tests.clones import Clone

README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
_TREE = re.compile(r"(?<=```\n)datarepo/\n.*?(?=```)", re.DOTALL)
_BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "2026-01-01"),
    (re.compile(r"in \d+ s \([^)]+/s\)"), "in 0 s (1.0 MB/s)"),
    (re.compile(r"\S+ \S+ free"), "1.0 GB free"),
)


def blocks(text: str) -> list[str]:
    """The transcripts in a text."""
    return _BLOCK.findall(text)


def rerun(clone: Clone, block: str) -> str:
    """The transcript with what its commands say now, typed one after the other."""
    lines = []
    for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
        lines += [f"$ {command}", clone.run("bash", "-c", command).said.rstrip("\n")]
    return "".join(f"{line}\n" for line in lines)


def stable(block: str) -> str:
    """The transcript without what differs from run to run."""
    for pattern, text in _VARYING:
        block = pattern.sub(text, block)
    return block


def module_tree() -> str:
    """Draw the rooms of `tools/datarepo` in the order of the house, each with its first sentence."""
    top = ROOT / "tools" / "datarepo"
    rooms = [top / name for name in ("commands", "pipeline", "azure", "archives")]
    ground = [path for path in _modules(top) if path.name != "cli.py"]
    lines = ["datarepo/"]
    for path in (top / "cli.py", *rooms, *ground):
        corner = "└── " if path == ground[-1] else "├── "
        if path in rooms:
            lines.append(f"{corner}{path.name + '/':<22}{_first_sentence(path / '__init__.py')}")
            *others, last = _modules(path)
            lines += [f"│   ├── {module.name:<18}{_first_sentence(module)}" for module in others]
            lines.append(f"│   └── {last.name:<18}{_first_sentence(last)}")
        else:
            lines.append(f"{corner}{path.name:<22}{_first_sentence(path)}")
    return "".join(f"{line}\n" for line in lines)


def _modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def main() -> None:
    """Write transcripts and tree anew."""
    pages = CONTRIBUTING.read_text(encoding="utf-8")
    CONTRIBUTING.write_text(_TREE.sub(module_tree(), pages), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, Azurite() as service:
        for name in samples.NAMES:
            service.put(samples.blob_path(name), samples.archive(name))
        clone = clones.make(Path(folder) / "oscar-data", Path(folder) / "home")
        clone.use(service.connection_string(service.sas()))
        text = README.read_text(encoding="utf-8")
        README.write_text(_BLOCK.sub(lambda match: rerun(clone, match[0]), text), encoding="utf-8")


if __name__ == "__main__":
    main()
