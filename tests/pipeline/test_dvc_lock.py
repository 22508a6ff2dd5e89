"""`dvc.lock`, edited by stage."""

from __future__ import annotations

from pathlib import Path

import pytest
from datarepo.errors import StageError
from datarepo.pipeline import dvc_lock
from dvc.utils.serialize import dumps_yaml
from hypothesis import given
from hypothesis import strategies as st

_MD5 = st.integers(min_value=0, max_value=2**128 - 1).map("{:032x}".format)
_ENTRY = st.fixed_dictionaries(
    {
        "cmd": st.sampled_from(
            ["make", "a 'quoted' \"one\": # no comment", "a long one " * 12, "two\nlines\n\nmore"]
        ),
        "outs": st.lists(
            st.fixed_dictionaries({"path": st.just("data/vqa"), "md5": _MD5, "size": st.integers(0)})
        ),
    }
)
_OURS = st.sampled_from(["unzip@vqa", "unzip@GQA", "unzip@a.b-c_d"])
_ALL = _OURS | st.sampled_from(["train", "1"])
_SECTIONS = st.fixed_dictionaries({}, optional={"datasets": st.just([{"name": "books", "type": "dc"}])})


def _document(stages: dict[str, object], sections: dict[str, object]) -> str:
    return str(dumps_yaml({"schema": "2.0", **sections, "stages": stages}))


def _entry(entry: object) -> str:
    """What stands below a stage's name in the file that DVC writes."""
    return _document({"x": entry}, {}).partition("  x:\n")[2]


@given(
    st.dictionaries(_ALL, _ENTRY, max_size=3),
    st.dictionaries(_OURS, _ENTRY, max_size=2),
    st.sets(_ALL),
    _SECTIONS,
)
def test_an_edit_gives_the_file_that_dvc_would_write(
    before: dict[str, object], new: dict[str, object], gone: set[str], sections: dict[str, object]
) -> None:
    """Byte by byte, whatever stands beside: replaced in its place, added at the end, or taken out."""
    after = {name: entry for name, entry in {**before, **new}.items() if name not in gone}
    expected = _document(after, sections) if after or sections else ""
    edits = {**{name: _entry(entry) for name, entry in new.items()}, **dict.fromkeys(gone, "")}
    assert dvc_lock.edited(_document(before, sections), edits) == expected


def test_lines_that_the_tools_did_not_write_stay_as_they_are() -> None:
    """A comment, an order of keys, quotes and another indentation below a stage are its owner's."""
    text = (
        "# ours\nschema: '2.0'\nstages:\n  # a remark\n"
        '  train:\n      outs: []\n      cmd: "make"\n  unzip@vqa:\n    cmd: old\n'
    )
    with pytest.raises(StageError):
        dvc_lock.edited(text.replace("  # a remark\n", "\tx\n"), {})
    assert dvc_lock.edited(text, {"unzip@vqa": "    cmd: new\n"}) == text.replace("old", "new")
    assert dvc_lock.edited(text.rstrip("\n"), {}) == text


@pytest.mark.parametrize(
    "text",
    [
        "schema: '2.0'\nstages:\n<<<<<<< HEAD\n  a:\n    cmd: x\n=======\n  b:\n    cmd: x\n>>>>>>> other\n",
        "schema: '2.0'\nstages: {a: {cmd: x}}\n",
        "{schema: '2.0'}\n",
        "stages:\n  a:\n    cmd: x\n  ? b\n  : cmd: x\n",
    ],
    ids=["conflict", "flow style", "no stages", "long keys"],
)
def test_a_file_that_is_not_as_dvc_writes_it_is_refused(text: str, tmp_path: Path) -> None:
    """What cannot be edited line by line is left alone, with a word on how to settle a conflict."""
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(StageError) as raised:
        dvc_lock.save(tmp_path, {"a": "    cmd: y\n"})
    assert raised.value.message == "dvc.lock is not as DVC writes it; is it in the middle of a merge?"
    assert (tmp_path / "dvc.lock").read_text() == text


def test_the_file_goes_with_its_last_stage(tmp_path: Path) -> None:
    """As in DVC; taking out a stage of a file that is not there makes none."""
    dvc_lock.save(tmp_path, {"a": ""})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  a:\n    cmd: x\n")
    dvc_lock.save(tmp_path, {"a": "", "b": ""})
    assert list(tmp_path.iterdir()) == []
