"""The import stage of an asset: what is read of it, and what is not believed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import yaml
from datarepo.errors import StageError
from datarepo.pipeline import import_stage
from datarepo.pipeline.catalogue import Asset
from datarepo.pipeline.import_stage import ImportStage

from tests import samples

if TYPE_CHECKING:
    from pathlib import Path

    from tests.azurite import Azurite
    from tests.clones import Clone

VQA = Asset("vqa", "dataset", "remote://oscar/datasets/vqa.zip", "data/vqa")
SAID = {"modified": "2023-08-28T01:12:41Z", "content_md5": "0a"}


@pytest.mark.parametrize(
    ("meta", "believed"),
    [
        ({"etag": "0xNOW", **SAID}, SAID),
        ({"etag": "0xNOW", "modified": SAID["modified"]}, {"modified": SAID["modified"]}),
        ({"etag": "0xBEFORE", **SAID}, {}),
        (SAID, {}),
        (None, {}),
        ("a remark of somebody's", {}),
    ],
)
def test_meta_is_believed_of_the_version_it_names(meta: object, believed: dict[str, str]) -> None:
    """`dvc update` renews ETag and size, and leaves `meta` as it was."""
    document = {
        "frozen": True,
        "deps": [{"etag": "0xNOW", "size": 9, "path": VQA.blob}],
        "outs": [{"path": "vqa.zip"}],
        "meta": meta,
    }

    assert import_stage.parse(document, VQA) == ImportStage("0xNOW", 9, None, **believed)


@pytest.mark.parametrize("content", [b"\xff", b"a: ["])
def test_a_stage_that_cannot_be_read_is_told_from_a_defect(content: bytes, tmp_path: Path) -> None:
    """Neither text nor YAML: after a merge, or a disk's fault."""
    (tmp_path / "archives").mkdir()
    (tmp_path / VQA.stage).write_bytes(content)

    with pytest.raises(StageError) as caught:
        import_stage.read(tmp_path, VQA)

    assert caught.value.message == f"{VQA.stage} is not the import stage of 'vqa': it is not YAML"


def test_the_old_archive_is_not_taken_for_the_new_one_that_dvc_update_recorded(
    clone: Clone, azurite: Azurite, tmp_path: Path
) -> None:
    """Its md5 was published, of another version; add-asset reads the new one's, by which it is refused."""
    old = samples.archive("vqa")
    new = old.replace(b"\x94\x09\x1c\x57", b"\x95\x09\x1c\x57")  # the members' time, two seconds later
    (tmp_path / "old.zip").write_bytes(old)
    (tmp_path / "new.zip").write_bytes(new)
    clone.tool("add-asset", "vqa")
    azurite.put("datasets/vqa.zip", new)
    clone.ok("dvc", "update", "--no-download", "archives/vqa.zip.dvc")
    other = clone.copy(tmp_path / "other", tmp_path / "home")

    unverified = other.tool("fetch-asset", "vqa", "--from", str(tmp_path / "new.zip"), "--json")
    refreshed = clone.tool("add-asset", "vqa")
    refused = clone.tool("fetch-asset", "vqa", "--from", str(tmp_path / "old.zip"))
    taken = clone.tool("fetch-asset", "vqa", "--from", str(tmp_path / "new.zip"))

    stage = yaml.safe_load((clone.path / "archives/vqa.zip.dvc").read_text())
    md5 = [hashlib.md5(content, usedforsecurity=False).hexdigest() for content in (old, new)]
    assert (unverified.code, '"verified": false' in unverified.stdout) == (0, True)
    assert refreshed.stdout.startswith("vqa: unchanged upstream, not downloaded yet")
    assert stage["meta"]["content_md5"] == md5[1]
    words = f"its md5 is {md5[0]}, and the publisher's Content-MD5 says {md5[1]}"
    assert (refused.code, refused.error) == (
        1,
        f"error: {tmp_path}/old.zip is not the archive of vqa: {words}",
    )
    assert (taken.code, taken.stdout.splitlines()[0].endswith(", md5 verified")) == (0, True)
