"""Every state that an asset can be in: what list-assets and add-asset tell, and that following it helps.

Each printed command is typed as it stands, through bash, until nothing is left to do.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from datarepo.azure.part_file import PartFile
from datarepo.pipeline import catalogue, import_stage

from tests import clones, samples
from tests.azurite import Azurite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.clones import Clone

TEAM = "oscar-team-remote"
USED = ("vqa", "GQA", "nlvr2")
ARRIVED = 15_000


@pytest.fixture(scope="module")
def service() -> Iterator[Azurite]:
    """An emulator whose archives stay as they are, but for those that a state replaces."""
    with Azurite() as service:
        for name in samples.NAMES:
            service.put(samples.blob_path(name), samples.archive(name))
        yield service


@pytest.fixture(scope="module")
def settled(service: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone with three assets in use, here, committed and pushed."""
    folder = tmp_path_factory.mktemp("settled")
    clone = clones.make(folder / "clone", folder / "home")
    clone.use(service.connection_string(service.sas()))
    assert clone.tool("add-asset", *USED).code == 0
    clone.ok("dvc", "repro", "--quiet")
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--quiet", "--message", "Add three")
    clone.ok("dvc", "push", "--quiet")
    return clone


def copy(settled: Clone, folder: Path) -> Clone:
    """The clone with its team's storage, in another place."""
    folder.mkdir()
    shutil.copytree(settled.path.parent / TEAM, folder / TEAM)
    return settled.copy(folder / "clone", folder / "home")


def fresh(clone: Clone) -> None:
    """As on a new machine."""
    clone.ok("rm", "-rf", ".dvc/cache", ".dvc/tmp", "data", "archives")
    clone.ok("git", "checkout", "--quiet", "--", ".")


def pull_contents(clone: Clone) -> None:
    """Only what people work with, of one asset."""
    fresh(clone)
    clone.ok("dvc", "pull", "--quiet", "unzip@vqa")


def pull_a_file(clone: Clone) -> None:
    """All that somebody needs of a large data set."""
    fresh(clone)
    clone.ok("dvc", "pull", "--quiet", "data/vqa/train.label.tsv")


def team_has(clone: Clone, *targets: str) -> None:
    """The team's storage has just this, and the clone is fresh."""
    shutil.rmtree(clone.path.parent / TEAM)
    if targets:
        clone.ok("dvc", "push", "--quiet", *targets)
    fresh(clone)


def begin_download(clone: Clone) -> None:
    """Some bytes of vqa have arrived, of a download that nobody has ended yet."""
    team_has(clone)
    assert clone.tool("add-asset", "vqa").code == 0
    asset = catalogue.load(clone.path).assets["vqa"]
    stage = import_stage.read(clone.path, asset)
    assert stage
    part_file = PartFile(clone.path / ".dvc/tmp/fetch", "vqa")
    part_file.folder.mkdir(parents=True)
    part_file.path.write_bytes(samples.archive("vqa")[:ARRIVED])
    state = {"etag": stage.etag, "size": stage.size, "done": [[0, ARRIVED]], "md5": None}
    (part_file.folder / "vqa.json").write_text(json.dumps(state))


def edit(clone: Clone) -> None:
    """Somebody works in the folder."""
    clone.ok("dvc", "unprotect", "data/vqa")
    (clone.path / "data/vqa/train.label.tsv").write_text("mine\n")


def damage_without_source(clone: Clone, file: str = "data/vqa/train.label.tsv") -> None:
    """Verified while nobody had a sound copy; now the team has one."""
    clone.ok("tools/remove-asset", "vqa", "--archive")
    with clones.without_sources(clone):
        clones.write_through(clone.path / file)
        assert clone.tool("verify-asset", "vqa").code == 1


def damage_that_upstream_mends(clone: Clone) -> None:
    """The same of a file that no other asset has, where the team never had any."""
    damage_without_source(clone, "data/vqa/train.feature.tsv")
    shutil.rmtree(clone.path.parent / TEAM)


def lose_an_object(clone: Clone) -> None:
    """A colleague's `dvc gc` in a shared cache, for instance, of which the data are symbolic links."""
    clone.ok("dvc", "config", "--local", "cache.type", "symlink")
    clone.ok("dvc", "checkout", "--quiet", "--relink")
    for name in ("data/vqa/train.feature.tsv", "archives/vqa.zip"):
        (clone.path / name).resolve().unlink()


def fetch_archive(clone: Clone) -> None:
    """In a clone without contents, of which the team has none either."""
    team_has(clone, *(f"archives/{name}.zip.dvc" for name in USED))
    clone.ok("dvc", "fetch", "--quiet", "archives/vqa.zip.dvc")


def keep_edit_and_go_back(clone: Clone) -> None:
    """The edit is a commit, and an older one is checked out: git's part of it."""
    edit(clone)
    clone.ok("dvc", "commit", "--quiet", "--force", "unzip@vqa")
    clone.ok("git", "commit", "--quiet", "--all", "--message", "Edit vqa")
    clone.ok("git", "checkout", "--quiet", "HEAD~1")


def replace_upstream(service: Azurite, name: str) -> None:
    """The second edition is published."""
    service.put(samples.blob_path(name), samples.archive(name, edition=2))


def update(clone: Clone, service: Azurite) -> None:
    """DVC's own way of taking a new version."""
    replace_upstream(service, "GQA")
    clone.ok("dvc", "update", "--quiet", "archives/GQA.zip.dvc")


def update_only_the_stage(clone: Clone, service: Azurite) -> None:
    """The same without the download."""
    replace_upstream(service, "nlvr2")
    clone.ok("dvc", "update", "--quiet", "--no-download", "archives/nlvr2.zip.dvc")


@dataclass
class State:
    """How a clone gets into a state, and what is told of it: list-assets' cell, add-asset's sentence."""

    name: str
    prepare: Callable[..., object]
    listed: str
    sentence: str
    ways: tuple[tuple[str, ...], ...]  # the commands that are printed and typed: a way, and another
    asset: str = "vqa"
    edition: int = 1
    note: str = ""


FETCH, REPRO = "tools/fetch-asset vqa", "dvc repro unzip@vqa"
PULL, CHECKOUT = "dvc pull unzip@vqa", "dvc checkout unzip@vqa"
PENDING = ", 4 members, 55.4 kB to be extracted"
LOST = (
    "unchanged upstream, but its archive is in neither the workspace nor the cache nor the team remote: made"
    " partial again, 31.4 kB to download" + PENDING
)
COMMIT_NEW = (
    "git add archives/.gitignore archives/coco_caption.zip.dvc data/.gitignore dvc.lock params.yaml"
    ' && git commit -m "Add coco_caption"'
)
COMMIT_NLVR2 = 'git add archives/nlvr2.zip.dvc dvc.lock && git commit -m "Update nlvr2"'
NOT_HERE = (
    "not here: {}; 'dvc pull {}' brings it from the team remote, 'tools/fetch-asset {}' from upstream\n"
)
ALL_NOT_HERE = NOT_HERE.format(", ".join(USED), "unzip", "--all")


def sh(*commands: str) -> Callable[[Clone], object]:
    """The preparation that a user types."""
    return lambda clone: clone.ok("bash", "-ec", "\n".join(commands))


def damaged(name: str, prepare: Callable[[Clone], object], *assets: str, path: str = "data/vqa") -> State:
    """A state of damage at a path, of vqa alone or of all assets that share the file."""
    told = assets or ("vqa",)
    return State(
        name,
        prepare,
        "damaged",
        f"unchanged upstream; {path} is damaged: its objects in the cache were overwritten, or are gone",
        (("tools/verify-asset vqa",),),
        note=f"damaged: {', '.join(told)}; tools/verify-asset {' '.join(told)} mends it\n",
    )


STATES = [
    State("ready", lambda _: None, "unzipped", "unchanged upstream", ((),)),
    State(
        "fresh",
        fresh,
        "not here",
        "unchanged upstream, and on the team remote",
        ((PULL,),),
        note=ALL_NOT_HERE,
    ),
    State("fresh-without-team", team_has, "not here", LOST, ((FETCH,), (REPRO,)), note=ALL_NOT_HERE),
    State(
        "team-has-archives",
        lambda clone: team_has(clone, *(f"archives/{name}.zip.dvc" for name in USED)),
        "not here",
        "unchanged upstream, and its archive is on the team remote",
        ((f"dvc pull archives/vqa.zip.dvc && {REPRO}",),),
        note=ALL_NOT_HERE,
    ),
    State(
        "team-has-contents",
        lambda clone: team_has(clone, "unzip"),
        "not here",
        "unchanged upstream, and on the team remote",
        ((PULL,),),
        note=ALL_NOT_HERE,
    ),
    State(
        "one-file-pulled",
        pull_a_file,
        "partly here",
        "unchanged upstream, and on the team remote",
        ((PULL,),),
        note=NOT_HERE.format("GQA, nlvr2", "unzip@GQA unzip@nlvr2", "GQA nlvr2"),
    ),
    State(
        "some-deleted",
        sh("rm -r data/vqa/annotations"),
        "partly here",
        "unchanged upstream, and in the cache",
        ((CHECKOUT,),),
    ),
    State(
        "contents-pulled-alone",
        pull_contents,
        "contents only",
        "unchanged upstream",
        ((),),
        note=NOT_HERE.format("GQA, nlvr2", "unzip@GQA unzip@nlvr2", "GQA nlvr2"),
    ),
    State(
        "archive-freed", sh("tools/remove-asset vqa --archive"), "contents only", "unchanged upstream", ((),)
    ),
    State(
        "archive-freed-contents-deleted",
        sh("tools/remove-asset vqa --archive", "rm -r data/vqa"),
        "in the cache",
        "unchanged upstream, and in the cache",
        ((CHECKOUT,),),
    ),
    State(
        "deleted-here",
        sh("rm -r data/vqa archives/vqa.zip"),
        "in the cache",
        "unchanged upstream, and in the cache",
        ((CHECKOUT,),),
    ),
    State(
        "contents-lost",
        sh("mv archives/vqa.zip kept", "rm -rf data/vqa .dvc/cache", "mv kept archives/vqa.zip"),
        "to unzip",
        "unchanged upstream, not unzipped yet",
        ((REPRO,),),
    ),
    State(
        "half-here",
        begin_download,
        "48% here",
        f"unchanged upstream, 15.0 kB of 31.4 kB here{PENDING}",
        ((FETCH,), (REPRO,)),
        note=NOT_HERE.format("GQA, nlvr2", "unzip@GQA unzip@nlvr2", "GQA nlvr2"),
    ),
    State(
        "older-commit",
        keep_edit_and_go_back,
        "another version",
        "unchanged upstream, and in the cache",
        ((CHECKOUT,),),
    ),
    State(
        "edited",
        edit,
        "modified",
        "unchanged upstream; data/vqa was edited: 'dvc commit --force unzip@vqa' keeps that, 'dvc checkout"
        " --force unzip@vqa' undoes it, files of your own there included",
        ((),),
    ),
    damaged("damaged", lambda clone: clones.write_through(clone.path / "data/vqa/train.label.tsv"), *USED),
    damaged(
        "damaged-archive",
        lambda clone: clones.write_through(clone.path / "archives/vqa.zip"),
        path="archives/vqa.zip",
    ),
    damaged("damage-that-had-no-source", damage_without_source, *USED),
    damaged("damage-that-upstream-mends", damage_that_upstream_mends),
    damaged("links-to-nothing", lose_an_object),
    State(
        "archive-in-the-cache",
        fetch_archive,
        "to unzip",
        "unchanged upstream, and its archive is in the cache",
        ((f"dvc checkout archives/vqa.zip.dvc && {REPRO}",),),
        note=NOT_HERE.format("GQA, nlvr2", "unzip@GQA unzip@nlvr2", "GQA nlvr2"),
    ),
    State(
        "imported-by-hand",
        sh("dvc import-url -q remote://oscar/datasets/coco_ir.zip archives/coco_ir.zip"),
        "see below",
        "unchanged upstream, not unzipped yet",
        (
            (
                "dvc repro unzip@coco_ir",
                COMMIT_NEW.replace("coco_caption", "coco_ir"),
            ),
        ),
        asset="coco_ir",
        note="coco_ir has an import stage, and is not among the assets in use of params.yaml: tools/add-asset"
        " coco_ir puts it in use, tools/remove-asset coco_ir takes the stage away\n",
    ),
    State(
        "new",
        lambda _: None,
        "not in use",
        f"added, 31.5 kB of DATE{PENDING}",
        (("tools/fetch-asset coco_caption", COMMIT_NEW), ("dvc repro unzip@coco_caption", COMMIT_NEW)),
        asset="coco_caption",
    ),
    State(
        "dvc-update",
        update,
        "another version",
        "unchanged upstream, not unzipped yet",
        (
            (
                "dvc repro unzip@GQA",
                'git add archives/GQA.zip.dvc dvc.lock && git commit -m "Update GQA"',
            ),
        ),
        asset="GQA",
        edition=2,
    ),
    State(
        "dvc-update-no-download",
        update_only_the_stage,
        "to download",
        "unchanged upstream, not downloaded yet, 31.4 kB" + PENDING,
        (
            (
                "tools/fetch-asset nlvr2",
                COMMIT_NLVR2,
            ),
            (
                "dvc repro unzip@nlvr2",
                COMMIT_NLVR2,
            ),
        ),
        asset="nlvr2",
        edition=2,
    ),
]


def prepared(state: State, settled: Clone, service: Azurite, folder: Path) -> Clone:
    """A clone in that state."""
    clone = copy(settled, folder)
    state.prepare(*((clone, service) if state.asset in ("GQA", "nlvr2") else (clone,)))
    return clone


def follow(clone: Clone, name: str, word: str) -> tuple[str, list[str]]:
    """Type what add-asset says, until nothing is left: its first sentence, and the commands.

    `word` is `or` for the way of DVC alone, where there is one.
    """
    first, commands = "", list[str]()
    while len(commands) < 5:
        lines = clone.tool("add-asset", name).stdout.splitlines()
        first = first or re.sub(r"of \d{4}-\d\d-\d\d", "of DATE", lines[0].removeprefix(f"{name}: "))
        told = dict(re.findall(r"^(next|or|then): (.*)$", "\n".join(lines), re.MULTILINE))
        if told["next"].startswith("nothing"):
            break
        for command in (told.get(word, told["next"]), told.get("then")):
            if command:
                commands.append(command)
                clone.ok("bash", "-c", command)
    return first, commands


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_what_is_told_is_true_and_what_is_printed_helps(
    state: State, settled: Clone, service: Azurite, tmp_path: Path
) -> None:
    """The row, the sentence, and every way to the data."""
    clone = prepared(state, settled, service, tmp_path / "0")
    listed = clone.tool("list-assets")
    row = next(line for line in listed.stdout.splitlines() if line.startswith(f"{state.asset} "))
    size = f"{len(samples.archive(state.asset, state.edition)) / 1000:.1f} kB"

    assert re.split(r" {2,}", row) == [
        state.asset,
        "?" if state.name == "new" else size,
        state.listed,
        f"data/{state.asset}",
    ]
    assert (listed.code, listed.stderr) == (0, state.note)
    for number, (way, word) in enumerate(zip(state.ways, ("next", "or"), strict=False)):
        here = prepared(state, settled, service, tmp_path / f"way{number}") if number else clone
        assert follow(here, state.asset, word) == (state.sentence, list(way))
        if state.name != "edited":
            assert here.tree(f"data/{state.asset}") == samples.tree(state.asset, state.edition)
        assert here.ok("git", "status", "--porcelain") == ""


def test_a_cache_that_is_not_mounted_is_no_lost_data(settled: Clone, tmp_path: Path) -> None:
    """Nothing is recorded or downloaded anew, on the disk below; where it is lost, the hint helps."""
    clone = copy(settled, tmp_path / "0")
    cache = tmp_path / "cache"
    clone.ok("dvc", "cache", "dir", "--local", str(cache))
    clone.ok("dvc", "config", "--local", "cache.type", "symlink")
    (clone.path / ".dvc/cache").rename(cache)
    clone.ok("dvc", "checkout", "--quiet", "--relink")
    cache.rename(tmp_path / "elsewhere")
    before = clone.files()

    for command in ("list-assets", "add-asset vqa", "fetch-asset vqa", "verify-asset vqa"):
        result = clone.tool(*command.split())
        paths = "archives/vqa.zip data/vqa"
        if command == "list-assets":
            paths += " archives/GQA.zip data/GQA archives/nlvr2.zip data/nlvr2"
        assert (result.code, result.stdout) == (1, "")
        assert result.error.startswith(f"error: the cache {cache}/files/md5 is not there, and data link to")
        assert result.stderr.endswith(
            f"hint: mount its disk; if it is lost, 'find -L {paths} -type l -delete' removes the links\n"
        )
    assert (clone.files(), cache.exists()) == (before, False)
    clone.ok("bash", "-c", "find -L archives/vqa.zip data/vqa -type l -delete")
    clone.ok("tools/fetch-asset", "vqa")
    assert clone.tree("data/vqa") == samples.tree("vqa")


def test_a_damaged_archive_that_dvc_has_recorded_is_told(settled: Clone, tmp_path: Path) -> None:
    """`dvc repro` takes what lies there for the archive, frozen or not; the printed commands undo that."""
    clone = copy(settled, tmp_path / "0")
    archive = clone.path / "archives/vqa.zip"
    archive.chmod(0o644)
    archive.write_bytes(b"")
    assert clone.run("dvc", "repro", "--quiet").code != 0

    listed = clone.tool("list-assets")
    mend = "git checkout HEAD -- archives/vqa.zip.dvc && tools/verify-asset vqa && tools/fetch-asset vqa"

    assert listed.stderr == (
        "archives/vqa.zip.dvc records an archive that is not the published one, as dvc repro and commit do: if"
        f" nobody wanted that, {mend}\n"
    )
    for result in (clone.tool("add-asset", "vqa"), clone.tool("fetch-asset", "vqa")):
        assert (result.code, result.stderr.splitlines()[1]) == (1, f"hint: if nobody wanted that, {mend}")
    clone.ok("bash", "-c", mend)
    assert not archive.exists()  # DVC has dropped the damaged object, and the contents are complete
    assert follow(clone, "vqa", "next") == ("unchanged upstream", [])
    assert clone.tree("data/vqa") == samples.tree("vqa")
    assert clone.ok("git", "status", "--porcelain") == ""
