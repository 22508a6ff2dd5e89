"""Nine small archives that look like the real ones.

    datasets/vqa.zip                         pretrained_models/base-vg-labels.zip
    └── vqa/                                 └── base-vg-labels/
        ├── train.feature.tsv    huge            ├── pytorch_model.bin    huge
        ├── train.label.tsv      small           ├── config.json          small
        └── annotations/*.json   small           └── vocab.txt            small

Whether a real archive wraps its contents in a folder of its own name is not known, so some do here, and
some do not; both land as `data/vqa/train.feature.tsv`.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import random
import zipfile

DATASETS = ("coco_caption", "coco_ir", "vqa", "GQA", "nlvr2")
MODELS = ("base-vg-labels", "large-vg-labels", "base-oid-labels", "base-no-labels")
NAMES = DATASETS + MODELS
WRAPPED = frozenset({"coco_caption", "vqa", "nlvr2", "base-vg-labels", "base-no-labels"})
SAS = (  # of the form in which it is published
    "sp=r&st=2023-08-28T01:12:41Z&se=3023-08-28T09:12:41Z&sv=2022-11-02&sr=c"
    "&sig=6R1YmWluiXmPLsdVn1rDUpeBp2SYBMxDjc6KoKNlY8Q%3D"
)


def blob_path(name: str) -> str:
    """The path of an asset's blob in the container."""
    return f"{'datasets' if name in DATASETS else 'pretrained_models'}/{name}.zip"


def tree(name: str, edition: int = 1) -> dict[str, bytes]:
    """The contents of an asset's archive by path; another edition differs in every file."""
    chance = random.Random(f"{name} {edition}")  # the same archive in every run
    if name in MODELS:
        return {
            "pytorch_model.bin": _floats(chance, 16_000),
            "config.json": json.dumps({"hidden_size": 768, "model": name, "edition": edition}).encode(),
            "vocab.txt": "".join(f"[unused{i}]\n" for i in range(edition, 500)).encode(),
        }
    features = b"".join(b"%d\t%s\n" % (image, base64.b64encode(_floats(chance, 500))) for image in range(20))
    return {
        "train.feature.tsv": features,
        "train.label.tsv": "".join(f"{i}\t[{{'class': 'tag {edition}'}}]\n" for i in range(20)).encode(),
        "annotations/train.json": json.dumps([{"image": i, "edition": edition} for i in range(50)]).encode(),
        "annotations/.splits": f"train val {edition}\n".encode(),
    }


def _floats(chance: random.Random, count: int) -> bytes:
    """Bytes that compress by about half, as float features do."""
    return b"".join(chance.randbytes(2) + b"\x00\x3f" for _ in range(count))


@functools.cache
def archive(name: str, edition: int = 1) -> bytes:
    """An asset's archive, byte for byte the same in every run."""
    stream = io.BytesIO()
    prefix = f"{name}/" if name in WRAPPED else ""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for path, content in tree(name, edition).items():
            member = zipfile.ZipInfo(prefix + path, (2023, 8, 28, 1, 12, 40))
            member.external_attr = 0o644 << 16
            file.writestr(member, content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()
