"""DVC at work in this process: the files it would have written itself, and no more work than that takes."""

from __future__ import annotations

import pstats
from typing import TYPE_CHECKING

from datarepo.pipeline import catalogue, import_stage
from datarepo.pipeline.location import Location
from datarepo.pipeline.repository import Repository

from tests import samples

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.clones import Clone

# Functions by the end of their file's path. What costs as much as there are assets is done once a run,
ONCE = (
    ("datarepo/pipeline/catalogue.py", "parse"),
    ("datarepo/pipeline/commit.py", "tracked"),
    ("dvc/repo/index.py", "from_repo"),
    ("adlfs/spec.py", "__init__"),
)
# and what costs the same for each asset, so many times for each.
EACH = (
    ("dvc/stage/__init__.py", "create_stage"),
    ("dvc/stage/loader.py", "load_stage"),
    ("dvc/utils/serialize/_yaml.py", "parse_yaml"),
    ("dvc/utils/serialize/_yaml.py", "dumps_yaml"),
    ("yaml/__init__.py", "load"),
    ("datarepo/atomic_file.py", "replace_bytes"),
)


# Runs a command under a profile, which is written before the command ends its process at once.
PROFILED = """
import cProfile, os, runpy, sys
sys.argv.pop(0)
profile, end = cProfile.Profile(), os._exit
os._exit = lambda code: (profile.disable(), profile.dump_stats("{0}"), end(code))
sys.path.insert(0, "tools")
profile.enable()
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def without_meta(text: str) -> str:
    """An import stage without what the service says of the blob, which DVC does not record."""
    lines = text.splitlines(keepends=True)
    start = lines.index("meta:\n")
    end = next((at for at in range(start + 1, len(lines)) if not lines[at].startswith(" ")), len(lines))
    return "".join(lines[:start] + lines[end:])


def test_import_stages_are_those_of_dvc_import_url(clone: Clone) -> None:
    """Byte for byte but for `meta`, for several assets at once; DVC goes on with them."""
    names = ("vqa", "GQA", "base-no-labels")
    archives = clone.path / "archives"
    archives.mkdir()
    for name in names:
        url = f"remote://oscar/{samples.blob_path(name)}"
        clone.ok("dvc", "import-url", "--quiet", "--no-download", url, f"archives/{name}.zip")
    expected = {name: (archives / f"{name}.zip.dvc").read_text() for name in names}
    ignored = sorted((archives / ".gitignore").read_text().splitlines())
    clone.ok("rm", "-r", "archives")

    assert clone.tool("add-asset", *names).code == 0
    assert {name: without_meta((archives / f"{name}.zip.dvc").read_text()) for name in names} == expected
    assert sorted((archives / ".gitignore").read_text().splitlines()) == ignored
    assert "archives/vqa.zip.dvc:" in clone.ok("dvc", "status")
    clone.ok("dvc", "repro")
    assert clone.ok("dvc", "status") == "Data and pipelines are up to date.\n"
    assert {name: clone.tree(f"{root(name)}/{name}") for name in names} == {
        name: samples.tree(name) for name in names
    }


def root(name: str) -> str:
    """The root of an asset's folder."""
    return "data" if name in samples.DATASETS else "models"


def calls(clone: Clone, profile: Path, *command: str) -> dict[tuple[str, str], int]:
    """How often the functions above are called in a run of a command of `tools/`."""
    tool, *arguments = command
    clone.ok("python", "-c", PROFILED.format(profile), f"tools/{tool}", *arguments)
    counts = dict.fromkeys(ONCE + EACH, 0)
    stats: dict[tuple[str, int, str], tuple[int, int]] = vars(pstats.Stats(str(profile)))["stats"]
    for (path, _, name), (_, count, *_) in stats.items():
        for file, function in counts:
            if path.endswith(f"/{file}") and name == function:
                counts[file, function] += count
    return counts


def test_each_further_asset_takes_the_same_work(clone: Clone, tmp_path: Path) -> None:
    """Adding, refreshing and removing cost what the number of assets costs, and not its square."""
    runs = [
        calls(clone, tmp_path / "profile", tool, *samples.DATASETS[:count])
        for count in (1, 3, 5)
        for tool in ("add-asset", "add-asset", "remove-asset")  # new, refreshed, removed
    ]

    for one, three, five in (runs[::3], runs[1::3], runs[2::3]):
        assert {work: five[work] - three[work] for work in EACH} == {
            work: three[work] - one[work] for work in EACH
        }
        assert [{work: run[work] for work in ONCE} for run in (three, five)] == 2 * [
            {work: one[work] for work in ONCE}
        ]
    added, refreshed, removed = runs[-3:]
    assert [run["adlfs/spec.py", "__init__"] for run in runs] == 9 * [0]
    assert added["dvc/stage/__init__.py", "create_stage"] == 5
    assert refreshed["dvc/stage/loader.py", "load_stage"] == 0
    assert removed["dvc/stage/loader.py", "load_stage"] == 0


def test_the_team_remote_answers_for_many_objects_at_once(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Always, also before DVC has a database of what the remote has: tried where it has none, 40 times."""
    names = ("vqa", "GQA", "nlvr2")
    clone.tool("add-asset", *names)
    clone.ok("dvc", "repro", "--quiet")
    clone.ok("dvc", "push", "--quiet", "archives/vqa.zip.dvc")
    clone.ok("rm", "-rf", ".dvc/cache", "archives/vqa.zip", "archives/GQA.zip", "archives/nlvr2.zip")
    assets = catalogue.load(clone.path).assets
    stages = {assets[name]: stage for name in names if (stage := import_stage.read(clone.path, assets[name]))}

    answers = set()
    for number in range(40):
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / str(number)))
        repository = Repository(clone.path)
        presences = repository.ask_team(stages, repository.look(stages))
        answers.add(tuple(presences[assets[name]].archive for name in names))
    assert answers == {(Location.TEAM, Location.UPSTREAM, Location.UPSTREAM)}
