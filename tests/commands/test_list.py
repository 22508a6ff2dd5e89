"""`tools/list-assets`: the catalogue, and where the data is now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests import samples

if TYPE_CHECKING:
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
        "NAME             KIND     SIZE  IN USE  DATA      FOLDER\n"
        "coco_caption     dataset     ?  -       upstream  data/coco_caption\n"
        "coco_ir          dataset     ?  -       upstream  data/coco_ir\n"
        "vqa              dataset     ?  -       upstream  data/vqa\n"
        "GQA              dataset     ?  -       upstream  data/GQA\n"
        "nlvr2            dataset     ?  -       upstream  data/nlvr2\n"
        "base-vg-labels   model       ?  -       upstream  models/base-vg-labels\n"
        "large-vg-labels  model       ?  -       upstream  models/large-vg-labels\n"
        "base-oid-labels  model       ?  -       upstream  models/base-oid-labels\n"
        "base-no-labels   model       ?  -       upstream  models/base-no-labels\n"
    )


def test_each_state_of_the_data_is_told(clone: Clone, upstream: Azurite) -> None:
    """From upstream to unzipped, and back to a clone that has to pull."""
    clone.tool("add-asset", "vqa")
    assert rows(clone)["vqa"] == ["dataset", "31.4 kB", "yes", "upstream", "data/vqa"]
    clone.ok("dvc", "repro", "archives/vqa.zip.dvc")
    assert rows(clone)["vqa"][3] == "archive cached"
    clone.ok("dvc", "repro")
    assert rows(clone)["vqa"][3] == "unzipped"
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))
    clone.tool("add-asset", "vqa")
    assert rows(clone)["vqa"][3] == "unzipped, older version"
    clone.ok("dvc", "repro")
    clone.ok("rm", "-rf", ".dvc/cache", "data/vqa", "archives/vqa.zip")
    assert rows(clone)["vqa"][3] == "not here, dvc pull"


def test_check_exits_1_when_an_asset_in_use_has_changed(clone: Clone, upstream: Azurite) -> None:
    """A change of an asset that nobody uses is none."""
    clone.tool("add-asset", "vqa")
    upstream.put("datasets/GQA.zip", samples.archive("GQA", edition=2))
    same = clone.tool("list-assets", "--check")
    upstream.put("datasets/vqa.zip", samples.archive("vqa", edition=2))
    before = clone.files()
    changed = clone.tool("list-assets", "--check")

    assert (same.code, same.stderr) == (0, "")
    assert "as recorded" in same.stdout
    assert (changed.code, changed.stderr) == (1, "changed upstream: vqa; tools/add-asset vqa records it\n")
    assert "  changed: " in changed.stdout
    assert clone.files() == before


def test_check_tells_a_blob_that_is_gone(clone: Clone, upstream: Azurite) -> None:
    """For an asset in use that is a change."""
    clone.tool("add-asset", "vqa")
    upstream.delete("datasets/vqa.zip")

    assert rows(clone, "--check")["vqa"][-1] == "missing"
    assert clone.tool("list-assets", "--check").code == 1


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
        "etag": recorded["etag"],
        "md5": None,
        "upstream": {
            "exists": True,
            "size": len(samples.archive("vqa")),
            "etag": recorded["etag"],
            "content_md5": recorded["upstream"]["content_md5"],
        },
        "changed": False,
    }
