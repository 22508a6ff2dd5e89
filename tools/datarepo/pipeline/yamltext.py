"""YAML edited as text: one entry of a mapping in or out, every other byte as a person left it.

PyYAML tells where each node stands; a round-trip dump, even ruamel's, would re-indent the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping


def insert(text: str, key: str, name: str, entry: Mapping[str, str]) -> str:
    r"""Add `name` with its fields at the end of the top-level mapping `key`, which may be empty or missing.

    Raises ValueError when the result would not read back as just that change.

    >>> print(insert("assets: {}  # in use\n", "assets", "vqa", {"dir": "data/vqa"}), end="")
    assets:  # in use
      vqa:
        dir: data/vqa
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    root = _root(text)
    value = _entry(root, key)
    if value is None:
        text += "" if not text or text.endswith("\n") else newline
        text += f"{key}:{newline}"
        at, indent = len(text), 2
    elif _is_flow(value[1]) and (value[1].value or _is_flow(root)):
        kept = text[: value[1].end_mark.index - 1].rstrip()
        comma = ", " if value[1].value and not kept.endswith(",") else ""
        flow = _dump({name: dict(entry)}, flow=True)[1:-1]  # without its braces
        return _checked(text, f"{kept}{comma}{flow}{text[len(kept) :]}", key, name, entry)
    elif _is_empty(value[1]):
        begin, end = value[1].start_mark.index, value[1].end_mark.index
        before = text[:begin].rstrip(" ") if end > begin else text[:begin]
        at, indent = _line_end(before + text[end:], len(before)), value[0].start_mark.column + 2
        text = before + text[end:]
    else:
        at, indent = _line_end(text, _last(value[1])), value[1].value[0][0].start_mark.column
    if at and not text[:at].endswith("\n"):
        text, at = text[:at] + newline + text[at:], at + len(newline)
    lines = _dump({name: dict(entry)}, flow=False).splitlines()
    block = "".join(f"{' ' * indent}{line}{newline}" for line in lines)
    return _checked(text, text[:at] + block + text[at:], key, name, entry)


def _checked(before: str, after: str, key: str, name: str, entry: Mapping[str, str]) -> str:
    wanted = yaml.safe_load(before) or {}
    wanted[key] = {**(wanted.get(key) or {}), name: dict(entry)}
    return _same(after, wanted, key)


def _same(text: str, wanted: object, key: str) -> str:
    try:
        if yaml.safe_load(text) == wanted:
            return text
    except yaml.YAMLError:
        pass
    raise ValueError(f"'{key}' is written in a way that this tool cannot edit")


def remove(text: str, key: str, name: str) -> str:
    r"""Take `name` out of the top-level mapping `key`; an emptied mapping stays, as `{}`.

    Raises ValueError when the result would not read back as just that change.

    >>> remove("assets:\n  vqa:\n    dir: data/vqa\n", "assets", "vqa")
    'assets: {}\n'
    """
    mapping = _entry(_root(text), key)
    assert mapping is not None
    entries = mapping[1].value
    position = next(i for i, (node, _) in enumerate(entries) if node.value == name)
    node, value = entries[position]
    if _is_flow(mapping[1]):
        begin = entries[position - 1][1].end_mark.index if position else node.start_mark.index
        end = (
            entries[position + 1][0].start_mark.index
            if not position and len(entries) > 1
            else value.end_mark.index
        )
    else:
        begin = node.start_mark.index - node.start_mark.column
        end = _line_end(text, _last(value))
    after = text[:begin] + text[end:]
    if len(entries) == 1 and not _is_flow(mapping[1]):
        at = mapping[0].end_mark.index + 1  # behind the colon
        after = after[:at] + " {}" + after[at:]
    wanted = yaml.safe_load(text)
    del wanted[key][name]
    return _same(after, wanted, key)


def _root(text: str) -> yaml.Node | None:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _entry(mapping: yaml.Node | None, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = mapping.value if isinstance(mapping, yaml.MappingNode) else []
    return next(((node, value) for node, value in pairs if node.value == key), None)


def _is_empty(node: yaml.Node) -> bool:
    return not node.value or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"))


def _is_flow(node: yaml.Node | None) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _last(node: yaml.Node) -> int:
    """Where the last thing written of a node ends; a block's own end lies behind the comments after it."""
    if isinstance(node, yaml.CollectionNode) and not _is_flow(node) and node.value:
        last = node.value[-1]
        return _last(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index


def _line_end(text: str, at: int) -> int:
    if text[:at].endswith("\n"):  # a block scalar ends at the start of the next line
        return at
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _dump(mapping: object, *, flow: bool) -> str:
    text = yaml.safe_dump(
        mapping, default_flow_style=flow, width=float("inf"), allow_unicode=True, sort_keys=False
    )
    return str(text).strip()
