"""The main job from start to end, as `make demo` shows it: exactly the commands a user types.

Azure is the emulator on this machine, the team's storage a folder beside the clone; everything lies in
a scratch folder that is gone afterwards. `python -m tests.demo --picture` also draws what it has shown, as
docs/demo-light.svg and docs/demo-dark.svg.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from rich.text import Text

from tests import clones, samples
from tests.azurite import ROOT, Azurite
from tests.clones import Clone

if TYPE_CHECKING:
    from rich.terminal_theme import TerminalTheme


shown: list[str] = []


def main() -> int:
    """Run the demo; 0 when every command did what it should."""
    with tempfile.TemporaryDirectory(prefix="demo-") as scratch, Azurite() as service:
        folder = Path(scratch)
        for name in samples.NAMES:
            service.put(samples.blob_path(name), samples.archive(name))
        _tell(
            f"An Azure Blob service runs at {service.endpoint}, with nine archives in the container 'oscar'."
        )
        mine = clones.make(folder / "oscar-data", folder / "home")
        _tell("A fresh clone, pointed at that service: address and SAS go to .dvc/config.local.")
        mine.use(service.connection_string(service.sas()))
        _type(mine, "tools/add-asset vqa base-vg-labels")
        _type(mine, "dvc repro")
        _type(mine, "tools/list-assets")
        _type(mine, 'git add -A && git commit -m "Add vqa and base-vg-labels" && dvc push')

        _tell("A colleague, with no SAS at all:")
        theirs = Clone(folder / "colleague", folder / "home")
        _type(mine, "git clone . ../colleague")
        (theirs.path / ".venv").symlink_to(mine.path / ".venv")
        _type(theirs, "dvc pull")
        for data in ("data", "models"):
            assert mine.tree(data) == theirs.tree(data) != {}, f"the trees of {data} differ"
        _tell("The colleague has the same data:")
        for line in _tree(theirs.path):
            _show(line)
    if "--picture" in sys.argv:
        _draw(ROOT / "docs/demo-light.svg", DEFAULT_TERMINAL_THEME)
        _draw(ROOT / "docs/demo-dark.svg", SVG_EXPORT_THEME)
    return 0


def _show(line: str) -> None:
    shown.append(line)
    print(line, flush=True)


def _tell(text: str) -> None:
    _show(f"\n# {text}")


def _type(clone: Clone, line: str) -> None:
    _show(f"\n{clone.path.name} $ {line}")
    with subprocess.Popen(
        ["bash", "-c", line],
        cwd=clone.path,
        env=clone.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as command:
        assert command.stdout
        for said in command.stdout:
            _show(said.rstrip("\n"))
    if command.returncode:
        raise subprocess.CalledProcessError(command.returncode, line)


def _draw(path: Path, theme: TerminalTheme) -> None:
    """Draw what was shown, as far as a glance reaches, as a terminal that has no font of its own."""
    console = Console(record=True, width=100, file=io.StringIO())
    end = shown.index("\n# The colleague has the same data:")
    for text in shown[:end]:
        for line in text.split("\n"):
            style = "bold" if " $ " in line else "dim" if line.startswith("# ") else ""
            console.print(Text(line, style=style), soft_wrap=False)
    template = (Console.export_svg.__kwdefaults__ or {})["code_format"]
    format_without_fonts = re.sub(r"@font-face \{\{.*?\}\}|<!--.*?-->", "", template, flags=re.DOTALL)
    drawn = console.export_svg(
        title="make demo", theme=theme, code_format=format_without_fonts, unique_id="demo"
    )
    path.write_text(drawn.replace("Fira Code", "monospace"), encoding="utf-8")


def _tree(root: Path) -> list[str]:
    """Draw what a user has: the folders of data with sizes, and the files git keeps for them."""
    shown = [root / "params.yaml", root / "dvc.yaml", root / "dvc.lock"]
    shown += sorted(path for folder in ("archives", "data", "models") for path in (root / folder).rglob("*"))
    return [root.name] + [
        f"  {path.relative_to(root).as_posix()}{'/' if path.is_dir() else f'  {path.stat().st_size:,} bytes'}"
        for path in shown
    ]


if __name__ == "__main__":
    sys.exit(main())
