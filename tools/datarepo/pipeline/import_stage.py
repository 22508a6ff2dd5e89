"""The import stage of an asset, `archives/NAME.zip.dvc`: what it records, and how that is renewed.

frozen: true
deps:
- etag: '"0x8DBA7"'                        the blob as it was when it was recorded
  size: 91000000000
  path: remote://oscar/datasets/vqa.zip    no signature: that is the source's affair
outs:
- md5: f772…                               once downloaded; without it the import is partial,
  path: vqa.zip                            and the next dvc repro downloads
meta:
  etag: '"0x8DBA7"'                        the blob that the rest of meta is about: dvc update renews
  modified: '2023-08-28T01:12:41Z'         deps and leaves meta as it was
  content_md5: f772…                       the publisher's Content-MD5, where there is one
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from datarepo.archives.formats import stem
from datarepo.errors import StageError
from datarepo.pipeline import yaml_file

if TYPE_CHECKING:
    from datarepo.azure.blob import Blob
    from datarepo.pipeline.catalogue import Asset


@dataclass(frozen=True)
class ImportStage:
    """What an import stage records; `md5` is the archive's, None while the import is partial.

    `modified` and `content_md5` are None also where `meta` is missing, or about another version of the
    blob.
    """

    etag: str
    size: int
    md5: str | None = None
    modified: str | None = None
    content_md5: str | None = None

    def describes(self, blob: Blob) -> bool:
        """Whether the blob is still the one recorded."""
        return (self.etag, self.size) == (blob.etag, blob.size)


def read(root: Path, asset: Asset) -> ImportStage | None:
    """Read the import stage of an asset, None when there is none yet.

    Raises StageError when the file is not the import stage that the catalogue asks for.
    """
    try:
        document = yaml_file.load((root / asset.stage).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise _edited(asset, "it is not YAML") from None
    return parse(document, asset)


def parse(document: Any, asset: Asset) -> ImportStage:  # noqa: ANN401  # whatever YAML holds
    """Make an import stage of a `.dvc` file's content; errors as for `read`."""
    if not isinstance(document, dict):
        raise _edited(asset, "it is not a mapping")
    dependency, output = _only(document, "deps", asset), _only(document, "outs", asset)
    if dependency.get("path") != asset.blob:
        raise _edited(asset, f"deps[0].path is {dependency.get('path')!r}, not {asset.blob!r}")
    if output.get("path") != PurePosixPath(asset.file).name or document.get("wdir", ".") != ".":
        raise _edited(
            asset, f"outs[0].path is {output.get('path')!r}, not {PurePosixPath(asset.file).name!r}"
        )
    if document.get("frozen") is not True:
        raise _edited(
            asset,
            "frozen is not true, so every dvc command would ask the source",
            f"dvc freeze {asset.stage} makes it so again",
        )
    etag, size, md5 = dependency.get("etag"), dependency.get("size"), output.get("md5")
    if not isinstance(etag, str) or not isinstance(size, int):
        raise _edited(asset, "deps[0] lacks its etag or size")
    if md5 is not None and not isinstance(md5, str):
        raise _edited(asset, "outs[0].md5 is not a text")
    meta = document.get("meta")
    kept = {name: str(value) for name, value in meta.items()} if isinstance(meta, dict) else {}
    if kept.get("etag") != etag:
        kept = {}
    return ImportStage(etag, size, md5, kept.get("modified"), kept.get("content_md5"))


def published_stem(archive: Path) -> str | None:
    """The name without suffix under which an archive was published, by the import stage beside it."""
    try:
        document = yaml_file.load(archive.with_name(f"{archive.name}.dvc").read_text(encoding="utf-8"))
        return stem(PurePosixPath(document["deps"][0]["path"]))
    except (OSError, ValueError, yaml.YAMLError, KeyError, IndexError, TypeError):
        return None


def meta(blob: Blob) -> dict[str, str]:
    """What the stage's `meta` keeps of the service's word on the blob."""
    kept = {"etag": blob.etag, "modified": blob.modified.strftime("%Y-%m-%dT%H:%M:%SZ")}
    if blob.md5:
        kept["content_md5"] = blob.md5
    return kept


def _only(document: dict[str, Any], key: str, asset: Asset) -> dict[str, Any]:
    entries = document.get(key)
    if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], dict):
        raise _edited(asset, f"'{key}' does not hold exactly one entry")
    entry: dict[str, Any] = entries[0]
    return entry


def _edited(asset: Asset, how: str, hint: str = "") -> StageError:
    return StageError(
        f"{asset.stage} is not the import stage of '{asset.name}': {how}",
        hint
        or f"'git checkout -- {asset.stage}' brings the committed one back; or remove the file, and"
        f" tools/add-asset {asset.name} writes it anew",
    )
