"""The catalogue, `params.yaml`: read with the line of each mistake, edited without touching the rest."""

from __future__ import annotations

import string

import pytest
import yaml
from datarepo.errors import CatalogueError
from datarepo.pipeline import catalogue, yamltext
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
    ],
)
def test_a_mistake_is_told_with_its_key_and_line(change: tuple[str, str], message: str) -> None:
    """Each in a file that is right but for it."""
    catalogue.parse(GOOD)

    with pytest.raises(CatalogueError) as caught:
        catalogue.parse(GOOD.replace(*change))

    assert caught.value.message.startswith(f"params.yaml, {message}")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("assets: {}\n", "assets:\n  b:\n    dir: d\n"),
        ("assets: {}   # c\nroots: 1\n", "assets:   # c\n  b:\n    dir: d\nroots: 1\n"),
        ("assets:\n\n# c\nroots: 1\n", "assets:\n  b:\n    dir: d\n\n# c\nroots: 1\n"),
        ("assets: null\nx: 1", "assets:\n  b:\n    dir: d\nx: 1"),
        ("assets:\n    a:\n        dir:   'x'   # c\n\n# n\n", "assets:\n    a:\n        dir:   'x'   # c\n    b:\n      dir: d\n\n# n\n"),
        ("assets: {a: {dir: x}}  # c\n", "assets: {a: {dir: x}, b: {dir: d}}  # c\n"),
        ("x: 1", "x: 1\nassets:\n  b:\n    dir: d\n"),
        ("", "assets:\n  b:\n    dir: d\n"),
        ("assets:\r\n  a:\r\n    dir: x\r\nz: 1\r\n", "assets:\r\n  a:\r\n    dir: x\r\n  b:\r\n    dir: d\r\nz: 1\r\n"),
        ("assets:\n  a:\n    dir: >-\n      x\n\nz: 1", "assets:\n  a:\n    dir: >-\n      x\n\n  b:\n    dir: d\nz: 1"),
    ],
    ids=["empty", "comment", "nothing", "null", "odd", "flow", "missing", "empty-file", "crlf", "folded"],
)  # fmt: skip
def test_an_entry_is_added_and_every_other_byte_stays(before: str, after: str) -> None:
    """However a person wrote the file."""
    assert yamltext.insert(before, "assets", "b", {"dir": "d"}) == after


_names = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
_texts = st.text(string.printable.strip() + " é", min_size=1, max_size=20).filter(
    lambda text: text == text.strip()
)


@given(
    st.dictionaries(_names, st.dictionaries(_names, _texts, min_size=1), max_size=4),
    _names,
    _texts,
    st.booleans(),
)
def test_an_entry_added_and_removed_leaves_the_file_as_it_was(
    entries: dict[str, dict[str, str]], name: str, content: str, flow: bool
) -> None:
    """For any names and contents, in block and in flow style."""
    entries.pop(name, None)
    before = yaml.safe_dump({"assets": entries, "z": 1}, default_flow_style=flow, allow_unicode=True)

    added = yamltext.insert(before, "assets", name, {"dir": content})

    assert yaml.safe_load(added)["assets"] == {**entries, name: {"dir": content}}
    assert yamltext.remove(added, "assets", name) == before
