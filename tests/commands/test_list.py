"""`tools/list-assets`: the catalogue, and where the data is now."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from datarepo.azure.blob import Blob
from datarepo.commands.list import Row, data, table
from datarepo.pipeline import catalogue
from datarepo.pipeline.catalogue import Asset
from datarepo.pipeline.import_stage import ImportStage
from datarepo.pipeline.location import Condition, Location, Presence

from tests import samples
from tests.azurite import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.azurite import Azurite
    from tests.clones import Clone


def rows(clone: Clone, *options: str) -> dict[str, list[str]]:
    """The table's cells by asset, without the headline."""
    lines = clone.tool("list-assets", *options).stdout.splitlines()[1:]
    return {
        cells[0]: cells[1:]
        for cells in ([cell.strip() for cell in line.split("  ") if cell] for line in lines)
    }


def test_a_fresh_clone_lists_the_whole_catalogue_without_network(untouched: Clone) -> None:
    """Nothing is in use, sizes are unknown, and nobody is asked."""
    result = untouched.tool("list-assets")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == (
        "NAME             SIZE  DATA        FOLDER\n"
        "coco_caption        ?  not in use  data/coco_caption\n"
        "coco_ir             ?  not in use  data/coco_ir\n"
        "vqa                 ?  not in use  data/vqa\n"
        "GQA                 ?  not in use  data/GQA\n"
        "nlvr2               ?  not in use  data/nlvr2\n"
        "base-vg-labels      ?  not in use  models/base-vg-labels\n"
        "large-vg-labels     ?  not in use  models/large-vg-labels\n"
        "base-oid-labels     ?  not in use  models/base-oid-labels\n"
        "base-no-labels      ?  not in use  models/base-no-labels\n"
    )


def test_check_exits_3_when_an_asset_in_use_has_changed(clone: Clone, upstream: Azurite) -> None:
    """A change of an asset that nobody uses is none; 1 is for what failed."""
    clone.tool("add-asset", "vqa")
    upstream.put("datasets/GQA.zip", samples.archive("GQA", edition=2))
    same = clone.tool("list-assets", "--check")
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))
    before = clone.files()
    changed = clone.tool("list-assets", "--check")

    assert (same.code, same.stderr) == (0, "")
    assert "as recorded" in same.stdout
    told, then = changed.stderr.splitlines()
    assert (changed.code, then) == (3, "changed upstream: vqa; tools/add-asset vqa records it")
    assert re.match(r"vqa changed upstream: (size .* -> .*, )?(date .* -> .*, )?ETag \S+ -> \S+$", told)
    assert "  changed\n" in changed.stdout
    assert clone.files() == before
    clone.use(upstream.connection_string(upstream.sas("l")))
    failed = clone.tool("list-assets", "--check")
    assert (failed.code, failed.stdout.count("  unknown\n")) == (1, len(samples.NAMES))
    assert failed.stderr.startswith("source 'oscar': the SAS does not allow reading: ")


def test_a_source_that_cannot_be_asked_hides_no_other(clone: Clone, upstream: Azurite) -> None:
    """Its SAS is none: the table is whole, and a new SAS is taken in its place."""
    clone.tool("add-asset", "vqa")
    private = (clone.path / ".dvc/config.local").read_text()
    (clone.path / ".dvc/config.local").write_text(private.replace("sig=", "gis="))
    clone.ok("dvc", "remote", "add", "--quiet", "--local", "open", "azure://oscar")
    access = f"BlobEndpoint={upstream.endpoint};SharedAccessSignature={upstream.sas()}"
    clone.ok("dvc", "remote", "modify", "--local", "open", "connection_string", access)
    params = clone.path / "params.yaml"
    entry = "remote://oscar/datasets/GQA.zip"
    params.write_text(params.read_text().replace(entry, entry.replace("oscar", "open")))

    plain, checked = clone.tool("list-assets"), clone.tool("list-assets", "--check")
    healed = clone.tool("add-asset", "vqa", "--sas-stdin", stdin=upstream.sas())

    assert (plain.code, checked.code, healed.code) == (0, 1, 0)
    for result in (plain, checked):
        assert result.stderr.startswith("source 'oscar': ")
        assert [line for line in result.stdout.splitlines() if line.startswith("vqa ")]
    rows = {line.split()[0]: line.split()[-1] for line in checked.stdout.splitlines()}
    assert (rows["vqa"], rows["GQA"]) == ("unknown", "-")


def test_check_tells_the_sizes_of_what_is_not_in_use(clone: Clone) -> None:
    """Before anything is added, and within 80 columns."""
    result = clone.tool("list-assets", "--check")

    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:3] == [
        "NAME                SIZE  DATA        FOLDER                  UPSTREAM",
        "coco_caption     31.5 kB  not in use  data/coco_caption       -",
        "coco_ir          31.4 kB  not in use  data/coco_ir            -",
    ]


def test_the_longest_cells_fit_80_columns() -> None:
    """Whatever the state of each of the nine assets is, with and without --check."""
    now = datetime(2023, 8, 28, tzinfo=timezone.utc)
    stage = ImportStage('"0xE"', 999_949_999, "0a")
    rows = [
        Row(asset, stage, True, Presence(condition=Condition.OTHER), upstream=Blob('"0xE"', 999_949_999, now))
        for asset in catalogue.load(ROOT).assets.values()
    ]

    lines = list(table(rows, asked=True))

    assert lines[7] == ("large-vg-labels  999.9 MB  another version  models/large-vg-labels  as recorded")
    assert max(map(len, lines)) <= 80


VQA, FILE = (Asset("a", "dataset", f"remote://s/a{suffix}", "data/a") for suffix in (".zip", ".pt"))
PARTIAL, PINNED = ImportStage('"0xE"', 100), ImportStage('"0xE"', 100, "0a")


@pytest.mark.parametrize(
    ("asset", "stage", "presence", "told"),
    [
        (VQA, None, Presence(), "not in use"),
        (VQA, PARTIAL, Presence(), "to download"),
        (VQA, PARTIAL, Presence(condition=Condition.OTHER), "to download"),
        (VQA, PARTIAL, Presence(condition=Condition.MODIFIED), "modified"),
        (VQA, PARTIAL, Presence(Location.PART_FILE, arrived=52), "52% here"),
        (VQA, PINNED, Presence(), "not here"),
        (VQA, PINNED, Presence(file=Condition.MODIFIED), "archive differs"),
        (VQA, PINNED, Presence(Location.CACHE), "to unzip"),
        (VQA, PINNED, Presence(Location.WORKSPACE, condition=Condition.OTHER), "another version"),
        (VQA, PINNED, Presence(Location.CACHE, Location.CACHE), "in the cache"),
        (VQA, PINNED, Presence(Location.CACHE, Location.WORKSPACE, Condition.AS_RECORDED), "unzipped"),
        (VQA, PINNED, Presence(contents=Location.WORKSPACE, condition=Condition.AS_RECORDED), "contents only"),
        (VQA, PINNED, Presence(Location.PART_FILE, Location.WORKSPACE, Condition.AS_RECORDED, 52), "contents, 52%"),
        (FILE, PINNED, Presence(Location.WORKSPACE, condition=Condition.AS_RECORDED), "here"),
        (FILE, PINNED, Presence(Location.CACHE), "in the cache"),
        (FILE, PINNED, Presence(condition=Condition.MODIFIED, file=Condition.MODIFIED), "modified"),
    ],
)  # fmt: skip
def test_where_data_is_in_a_few_words(
    asset: Asset, stage: ImportStage | None, presence: Presence, told: str
) -> None:
    """The states that test_states.py brings about for real, and rarer ones."""
    assert data(asset, stage, presence) == told


def break_stage(clone: Clone) -> None:
    """Somebody took the freeze off."""
    clone.ok("dvc", "unfreeze", "archives/vqa.zip.dvc")


def lose_stage(clone: Clone) -> None:
    """It was never committed."""
    (clone.path / "archives/vqa.zip.dvc").unlink()


def delete_stage(clone: Clone) -> None:
    """It is committed."""
    commit(clone)
    lose_stage(clone)


def commit(clone: Clone) -> None:
    """Commit everything."""
    clone.ok("git", "add", "--all")
    clone.ok("git", "commit", "--quiet", "--message", "Add what is here")


def forget_parameters(clone: Clone) -> None:
    """The commit that DVC proposes lacks params.yaml."""
    clone.ok("git", "checkout", "--quiet", "params.yaml")


def forget_all_but_the_lock(clone: Clone) -> None:
    """And the stage."""
    forget_parameters(clone)
    lose_stage(clone)


@pytest.mark.parametrize(
    ("undo", "note", "mend"),
    [
        (break_stage, "archives/vqa.zip.dvc is not the import stage of 'vqa': frozen is not true, so every dvc command would ask the source: dvc freeze archives/vqa.zip.dvc makes it so again", "dvc freeze archives/vqa.zip.dvc"),
        (lose_stage, "vqa is in use, and archives/vqa.zip.dvc is missing: tools/add-asset vqa makes it, tools/remove-asset vqa takes the asset out of use", "rm archives/vqa.zip && tools/add-asset vqa && tools/fetch-asset vqa"),
        (delete_stage, "vqa is in use, and archives/vqa.zip.dvc is missing: git checkout HEAD -- archives/vqa.zip.dvc", "git checkout HEAD -- archives/vqa.zip.dvc"),
        (forget_parameters, "vqa has an import stage, and is not among the assets in use of params.yaml: tools/add-asset vqa puts it in use, tools/remove-asset vqa takes the stage away", "tools/add-asset vqa"),
        (forget_all_but_the_lock, "vqa is not in use, and dvc.lock has an entry of it: tools/remove-asset vqa", "tools/remove-asset vqa"),
    ],
)  # fmt: skip
def test_records_that_do_not_belong_together_are_told_with_their_mend(
    clone: Clone, undo: Callable[[Clone], None], note: str, mend: str
) -> None:
    """In the row and below the table; the other assets are listed as ever, and the mend works."""
    clone.tool("add-asset", "GQA")
    clone.ok("dvc", "repro")
    commit(clone)
    clone.tool("add-asset", "vqa")
    clone.ok("dvc", "repro")
    undo(clone)

    broken = clone.tool("list-assets")
    clone.ok("bash", "-c", mend)
    mended = clone.tool("list-assets")

    states = {line.split("  ")[0]: line for line in broken.stdout.splitlines()}
    assert (broken.code, broken.stderr) == (0, f"{note}\n")
    assert "  see below  " in states["vqa"]
    assert "  unzipped  " in re.sub(" {2,}", "  ", states["GQA"])
    assert (mended.code, mended.stderr) == (0, "")
    untracked = clone.ok("git", "ls-files", "--others", "--exclude-standard").split()
    assert set(untracked) <= {"archives/vqa.zip.dvc"}  # and no data among it


def test_the_part_file_of_an_asset_that_is_not_in_use_is_told(clone: Clone) -> None:
    """It takes space, and remove-asset frees it."""
    folder = clone.path / ".dvc/tmp/fetch"
    folder.mkdir(parents=True)
    (folder / "vqa.part").write_bytes(bytes(2000))
    (folder / "vqa.json").write_text('{"etag": "0xE", "size": 9000, "done": [[0, 2000]], "md5": null}')

    listed = clone.tool("list-assets")
    removed = clone.tool("remove-asset", "vqa")

    note = "vqa is not in use, and 2.0 kB of an interrupted download of it are here: tools/remove-asset vqa\n"
    assert listed.stderr == note
    assert (removed.code, removed.stdout.splitlines()) == (
        0,
        [
            "vqa: out of use, with 2.0 kB of an interrupted download",
            "next: nothing, git sees no change",
        ],
    )
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == []


def test_check_tells_a_blob_that_is_gone(clone: Clone, upstream: Azurite) -> None:
    """For an asset in use that is a change."""
    clone.tool("add-asset", "vqa")
    upstream.delete("datasets/vqa.zip")

    assert rows(clone, "--check")["vqa"][-1] == "missing"
    assert clone.tool("list-assets", "--check").code == 3


def test_a_lock_file_in_the_middle_of_a_merge_is_said(clone: Clone) -> None:
    """Not a defect of the tool, and how to settle it."""
    clone.tool("add-asset", "vqa")
    (clone.path / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> other\n")

    result = clone.tool("list-assets")

    assert (result.code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "error: dvc.lock is not as DVC writes it; is it in the middle of a merge?\nhint: "
    )


def test_json_holds_the_same_facts(clone: Clone) -> None:
    """A list of objects, sizes in bytes."""
    clone.tool("add-asset", "vqa")

    result = clone.tool("list-assets", "--check", "--json")

    assets = {asset["name"]: asset for asset in json.loads(result.stdout)}
    assert (result.code, list(assets)) == (0, list(samples.NAMES))
    recorded = assets["vqa"]
    assert recorded["upstream"].pop("modified")
    assert recorded == {
        "name": "vqa",
        "kind": "dataset",
        "source": "oscar",
        "lacks_sas": False,
        "blob": "remote://oscar/datasets/vqa.zip",
        "file": "archives/vqa.zip",
        "dir": "data/vqa",
        "used": True,
        "size": len(samples.archive("vqa")),
        "archive": "upstream",
        "contents": None,
        "condition": "missing",
        "arrived": 0,
        "fault": None,
        "etag": recorded["etag"],
        "md5": None,
        "upstream": {
            "exists": True,
            "size": len(samples.archive("vqa")),
            "etag": recorded["etag"],
            "content_md5": recorded["upstream"]["content_md5"],
        },
        "changed": False,
        "failure": None,
    }
