"""The catalogue, `params.yaml`: read with the line of each mistake, edited without touching the rest."""

from __future__ import annotations

import string

import pytest
import yaml
from datarepo.errors import CatalogueError
from datarepo.pipeline import catalogue
from datarepo.pipeline.catalogue import Asset
from hypothesis import given
from hypothesis import strategies as st

from tests import samples
from tests.azurite import ROOT

GOOD = """\
roots:
  dataset: data
assets:
  vqa:
    archive: archives/vqa.zip
    dir: data/vqa
catalogue:
  vqa:
    kind: dataset
    blob: remote://oscar/datasets/vqa.zip
    dir: ${roots.dataset}/vqa
"""


def test_the_committed_catalogue_names_the_nine_assets() -> None:
    """Five datasets and four models, each with its blob and folder, and none in use."""
    known = catalogue.load(ROOT)

    assert known.used == ()
    assert list(known.assets.values()) == [
        *(
            Asset(name, "dataset", f"remote://oscar/datasets/{name}.zip", f"data/{name}")
            for name in samples.DATASETS
        ),
        *(
            Asset(name, "model", f"remote://oscar/pretrained_models/{name}.zip", f"models/{name}")
            for name in samples.MODELS
        ),
    ]


def test_an_asset_knows_its_source_blob_archive_and_stage() -> None:
    """All from its name and its blob."""
    vqa = catalogue.parse(GOOD).assets["vqa"]

    assert (vqa.source, vqa.path, vqa.file, vqa.stage) == (
        "oscar",
        "datasets/vqa.zip",
        "archives/vqa.zip",
        "archives/vqa.zip.dvc",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("roots:", "root:"), "line 1, key 'roots': this key is missing"),
        (("  dataset: data\n", ""), "line 1, key 'roots': nothing stands under this key"),
        (("dataset: data", "model: data"), "line 1, key 'roots.dataset': this key is missing"),
        (
            ("roots.dataset", "roots.model"),
            "line 11, key 'catalogue.vqa.dir': there is no root 'model' under 'roots'",
        ),
        (("data\nassets", "[data]\nassets"), "line 2, key 'roots.dataset': a text is expected here"),
        (("    kind: dataset\n", ""), "line 8, key 'catalogue.vqa.kind': this key is missing"),
        (
            ("remote://oscar/", "https://"),
            "line 10, key 'catalogue.vqa.blob': 'https://datasets/vqa.zip' does not read",
        ),
        (("${roots.dataset}", ".."), "line 11, key 'catalogue.vqa.dir': '../vqa' is no folder below"),
        (("${roots.dataset}", "/data"), "line 11, key 'catalogue.vqa.dir': '/data/vqa' is no folder below"),
        (("${roots.dataset}", ".git"), "line 11, key 'catalogue.vqa.dir': '.git/vqa' is no folder below"),
        (
            ("dir: data/vqa", "dir: x"),
            "line 6, key 'assets.vqa.dir': 'vqa' is already used differently: 'x' where",
        ),
        (
            ("assets:\n  vqa", "assets:\n  GQA"),
            "line 4, key 'assets.GQA': there is no asset 'GQA' under 'catalogue'",
        ),
        (
            ("catalogue:", "catalogue: [vqa]\nx:"),
            "line 7, key 'catalogue': a mapping (KEY: VALUE lines) is expected",
        ),
        (
            ("catalogue:\n", "catalogue:\n  vqa: {}\n"),
            "line 9, key 'catalogue.vqa': this key stands here twice",
        ),
        (("kind: dataset", "kind: ["), "line 11: this is not YAML: "),
        (("    kind", "\tkind"), "line 9: this is not YAML: "),
        (
            ("  vqa:\n    kind", "  v q:\n    kind"),
            "line 8, key 'catalogue.v q': an asset's name is made of letters",
        ),
        *(
            (
                ("kind: dataset", f"kind: dataset\n    max_ratio: {ratio}"),
                "line 10, key 'catalogue.vqa.max_ratio': a number, 1 or more, is expected here",
            )
            for ratio in ("nan", ".nan", "inf", "1e999", "-500", "0", "0.5", "much")
        ),
    ],
)
def test_a_mistake_is_told_with_its_key_and_line(change: tuple[str, str], message: str) -> None:
    """Each in a file that is right but for it."""
    catalogue.parse(GOOD)

    with pytest.raises(CatalogueError) as caught:
        catalogue.parse(GOOD.replace(*change))

    assert caught.value.message.startswith(f"params.yaml, {message}")
    assert caught.value.hint


VQA = Asset("vqa", "dataset", "remote://oscar/datasets/vqa.zip", "data/vqa")
COCO = Asset("coco", "dataset", "remote://oscar/coco.tar", "data/coco")
USED = "  vqa:\n    archive: archives/vqa.zip\n    dir: data/vqa\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("assets: {}\n", f"assets:\n{USED}"),
        ("assets:\n  {}\n", f"assets:\n{USED}"),
        ('"assets": {}\n', f"assets:\n{USED}"),
        ("assets: {}\nroots: 1\n", f"assets:\n{USED}roots: 1\n"),
        ("assets:\n\n# c\nroots: 1\n", f"assets:\n{USED}\n# c\nroots: 1\n"),
        ("assets: null\nx: 1", f"assets:\n{USED}x: 1"),
        ("# n\nassets:\n    a:\n        dir:   'x'\n\n    b: {}\n\n# n\n", f"# n\nassets:\n{USED}\n# n\n"),
        ("assets: {a: {dir: x}}\n", f"assets:\n{USED}"),
        ("x: 1", f"x: 1\n\nassets:\n{USED}"),
        ("", f"\nassets:\n{USED}"),
        ("assets:\r\n  a: 1\r\nz: 1\r\n", f"assets:\n{USED}z: 1\n".replace("\n", "\r\n")),
        ("x:\n  assets: 1\nassets: {}", f"x:\n  assets: 1\nassets:\n{USED}"),
    ],
    ids=["empty", "as-it-comes", "quoted", "before-others", "nothing", "null", "odd", "flow", "missing", "empty-file", "crlf", "nested"],
)  # fmt: skip
def test_the_assets_in_use_are_written_whole_and_every_other_byte_stays(before: str, after: str) -> None:
    """However a person wrote the rest of the file."""
    assert catalogue.with_used(before, [VQA]) == after


def test_the_assets_in_use_are_sorted_and_none_is_an_empty_mapping() -> None:
    """So that git merges two branches that add different assets, and `dvc repro` finds nothing to do."""
    both = catalogue.with_used("assets: {}\n", [VQA, COCO])

    assert list(yaml.safe_load(both)["assets"]) == ["coco", "vqa"]
    assert catalogue.with_used("assets: {}\n", [COCO, VQA]) == both
    assert catalogue.with_used(both, []) == "assets:\n  {}\n"


@pytest.mark.parametrize(
    "text", ["{assets: {}, x: 1}\n", "assets: {a: 1,\nb: 2}\n", "assets: &x {}\ny: *x\n"]
)
def test_what_cannot_be_replaced_is_left_to_people(text: str) -> None:
    """Rather than guess where the section ends."""
    with pytest.raises(CatalogueError) as caught:
        catalogue.with_used(text, [VQA])

    assert caught.value.message == "params.yaml: 'assets' is written in a way that the tools cannot edit"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("catalogue:\n  a:\n    dir: x # c\n\nz: 1\n", "catalogue:\n  a:\n    dir: x # c\n{}\nz: 1\n"),
        ("catalogue:\n    # c\n    a: 1", "catalogue:\n    # c\n    a: 1\n{}"),
        ("catalogue:\r\n  a: 1\r\n", "catalogue:\r\n  a: 1\r\n{}"),
    ],
)
def test_a_new_asset_is_entered_at_the_end_of_the_catalogue(before: str, after: str) -> None:
    """Indented as the entries that are there."""
    added = catalogue.with_entry(before, COCO, "data/coco")

    head, tail = after.split("{}")
    assert added.startswith(head)
    assert added.endswith(tail)
    assert yaml.safe_load(added)["catalogue"] == {
        **yaml.safe_load(before)["catalogue"],
        "coco": {"kind": "dataset", "blob": COCO.blob, "dir": "data/coco"},
    }


_names = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)


@given(st.lists(_names, unique=True), st.text(string.printable.replace("\r", ""), max_size=40))
def test_any_names_in_use_are_read_back(names: list[str], note: str) -> None:
    """Also those that YAML would take for a number or for nothing, below any comment."""
    comment = "".join(f"# {line}\n" for line in note.splitlines())
    assets = [Asset(name, "dataset", "remote://oscar/a.zip", f"data/{name}") for name in names]

    text = catalogue.with_used(f"{comment}x: 1\n", assets)

    assert text.startswith(f"{comment}x: 1\n")
    assert yaml.safe_load(text)["assets"].keys() == set(names)
