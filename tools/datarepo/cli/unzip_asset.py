"""`tools/unzip-asset ARCHIVE DIR`: what `dvc repro` runs to unpack an asset."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from datarepo import console
from datarepo.archives.safety import MAX_RATIO
from datarepo.cli import new_app
from datarepo.errors import UsageError

app = new_app()


@app.command()
def unzip_asset(
    *,
    archive: Annotated[
        Path, typer.Argument(metavar="ARCHIVE", help="A zip or tar archive.", exists=True, dir_okay=False)
    ],
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The folder that becomes its contents.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show the members, extract nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --list: as JSON.")] = False,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=0, help="Threads; 0: one a core.")] = 0,
    max_ratio: Annotated[
        float, typer.Option(min=1, help="How many times its size the archive may unpack to.")
    ] = MAX_RATIO,
    force: Annotated[bool, typer.Option("--force", help="Go on although the disk seems too small.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
) -> None:
    """Unpack ARCHIVE so that DIR becomes its contents, wholly or not at all.

    A DIR that exists is replaced, at the very end. A top-level folder named like the archive or
    like DIR is left out if it holds everything. An archive that is damaged, or that would write
    outside DIR, is refused.

    Example: tools/unzip-asset archives/vqa.zip data/vqa
    """
    from datarepo.archives.extract import extract, show_members

    if listing:
        show_members(archive, as_json=as_json)
    elif folder is None:
        raise UsageError("DIR is missing", "only --list goes without")
    else:
        extract(archive, folder, jobs=jobs, max_ratio=max_ratio, force=force, quiet=quiet)


def main() -> None:
    """Run the command."""
    gc.disable()  # a fifth of the time for 100,000 members, none of which is part of a cycle
    console.run(app, "unzip-asset")
