"""The main job from start to end, as `make demo` shows it: exactly the commands a user types.

Azure is the emulator on this machine, the team's storage a folder beside the clone; everything lies in
a scratch folder that is gone afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests import clones, samples
from tests.azurite import Azurite
from tests.clones import Clone


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
            print(line)
    return 0


def _tell(text: str) -> None:
    print(f"\n# {text}", flush=True)


def _type(clone: Clone, line: str) -> None:
    print(f"\n{clone.path.name} $ {line}", flush=True)
    subprocess.run(
        ["bash", "-c", line], cwd=clone.path, env=clone.environment(), check=True, stderr=subprocess.STDOUT
    )


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
