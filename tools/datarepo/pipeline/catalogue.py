"""The catalogue, `params.yaml`: every asset there is, and the assets in use.

roots:
  dataset: data                               where the folders of a kind lie
catalogue:
  vqa:
    kind: dataset
    blob: remote://oscar/datasets/vqa.zip     remote://SOURCE/PATH, as in the stage's dependency
    dir: ${roots.dataset}/vqa
    max_ratio: 500                            if need be: how many times its size it may unpack to
assets:                                       in use: dvc.yaml iterates over them; the tools write
  vqa:                                        this section whole, sorted by name
    archive: archives/vqa.zip
    dir: data/vqa
"""

from __future__ import annotations

import contextlib
import difflib
import math
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from datarepo.archives import formats
from datarepo.errors import CatalogueError, UsageError
from datarepo.files import replace_text
from datarepo.pipeline import yaml_file
from datarepo.pipeline.root import scratch

FILE = "params.yaml"
ARCHIVES = "archives"
_SEE = f"git diff {FILE} shows what changed since the last commit"

NAME_RULE = "made of letters, digits, '.', '_' and '-', and begins with a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FOLDER = re.compile(r"[\w+@=-][\w.+@=-]*(?:/[\w+@=-][\w.+@=-]*)*")
_BLOB = re.compile(r"remote://([^/\s]+)/(\S(?:.*\S)?)")
_ROOT = re.compile(r"\$\{roots\.([^}]*)\}")


@dataclass(frozen=True)
class Asset:
    """An entry of the catalogue: a blob with a name, and the folder it lands in.

    The contents of an archive land there, any other file as it is.
    """

    name: str
    kind: str
    blob: str
    dir: str
    max_ratio: float | None = None  # how many times its size the archive may unpack to

    @property
    def source(self) -> str:
        """The name of the DVC remote it comes from."""
        return _blob(self.blob)[0]

    @property
    def path(self) -> str:
        """The path of its blob in the container."""
        return _blob(self.blob)[1]

    @property
    def suffix(self) -> str:
        """The archive suffix of its blob, empty when the blob is no archive."""
        return formats.suffix(self.path)

    @property
    def file(self) -> str:
        """Where the blob lands, from the repository's root: an archive apart, anything else in `dir`."""
        if self.suffix:
            return f"{ARCHIVES}/{self.name}{self.suffix}"
        return f"{self.dir}/{PurePosixPath(self.path).name}"

    @property
    def stage(self) -> str:
        """Its import stage, from the repository's root."""
        return f"{self.file}.dvc"

    @property
    def target(self) -> str:
        """What brings its data here, as an argument of DVC's commands."""
        return f"unzip@{self.name}" if self.suffix else self.stage

    @property
    def outputs(self) -> tuple[str, ...]:
        """What DVC keeps of it, from the repository's root: the archive and its contents, or the file."""
        return (self.file, self.dir) if self.suffix else (self.file,)


@dataclass(frozen=True)
class Catalogue:
    """What `params.yaml` says; `used` are the names in use, in the order of the file."""

    assets: Mapping[str, Asset]
    used: tuple[str, ...]
    roots: Mapping[str, str]

    def find(self, names: Iterable[str]) -> list[Asset]:
        """The assets of those names, each once; UsageError names the closest ones to an unknown name."""
        assets = []
        for name in dict.fromkeys(names):
            if name not in self.assets:
                close = closest(name, self.assets)
                raise UsageError(
                    f"there is no asset named '{name}' in the catalogue of {FILE}",
                    f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(self.assets)}",
                )
            assets.append(self.assets[name])
        return assets


def in_use(root: Path, known: Catalogue, asset: Asset) -> bool:
    """Whether an asset is in use: listed so, or, for a file that is no archive, imported."""
    return asset.name in known.used or (not asset.suffix and (root / asset.stage).exists())


def assets_in_use(root: Path, known: Catalogue) -> list[Asset]:
    """All assets in use, in the order of the catalogue."""
    return [asset for asset in known.assets.values() if in_use(root, known, asset)]


def is_name(name: str) -> bool:
    """Whether an asset may have this name: it becomes a file's name, a stage's and a key."""
    return bool(_NAME.fullmatch(name))


def folder_fault(folder: str) -> str:
    """Why no asset may land in this folder; empty when it is a plain path below the repository's root.

    It also stands in a command of `dvc.yaml`, where a space or a `;` would mean something.

    >>> [folder_fault(each) for each in ("data/vqa", "a b", "a;b")]
    ['', "'a b' has a space in it, which a folder must not", "'a;b' has ';' in it, which a folder must not"]
    >>> [folder_fault(each) for each in ("../vqa", "/vqa", ".git/vqa", "data/")].count("")
    0
    """
    if strange := re.search(r"[^\w.+@=/-]", folder):
        what = "a space" if strange[0] == " " else repr(strange[0])
        return f"{folder!r} has {what} in it, which a folder must not"
    if not _FOLDER.fullmatch(folder) or folder.partition("/")[0] == ARCHIVES:
        return f"{folder!r} is no folder below the repository's root"
    return ""


def first_overlap(assets: Iterable[Asset]) -> tuple[Asset, Asset] | None:
    """Two assets with one folder, or one's in the other's; case does not count."""
    previous: Asset | None = None
    for asset in sorted(assets, key=lambda asset: f"{asset.dir}/".casefold()):
        if previous and f"{asset.dir}/".casefold().startswith(f"{previous.dir}/".casefold()):
            return previous, asset
        previous = asset
    return None


def default_folder(kind: str, name: str) -> str:
    """The folder of a new asset as the catalogue writes it, so that it moves with its root."""
    return f"${{roots.{kind}}}/{name}"


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The known names that were perhaps meant: those it is a part of, then up to three like it.

    >>> closest("coco", ["coco_caption", "vqa", "coco_ir"]), closest("VQ", ["vqa", "GQA"])
    (['coco_caption', 'coco_ir'], ['vqa'])
    """
    by_lower = {each.lower(): each for each in known}
    whole = [lower for lower in by_lower if name.lower() in lower]
    alike = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    return [by_lower[lower] for lower in dict.fromkeys([*whole, *alike])]


def load(root: Path) -> Catalogue:
    """Read and check `params.yaml`; CatalogueError says which key, on which line, is wrong."""
    return parse(read_text(root))


def read_text(root: Path) -> str:
    """The text of `params.yaml`, its line endings kept."""
    try:
        return (root / FILE).read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise CatalogueError(
            f"there is no {FILE} in {root}", f"git checkout -- {FILE} brings the committed one back"
        ) from None
    except UnicodeDecodeError as error:
        raise CatalogueError(f"{FILE} is not UTF-8: {error}", _SEE) from None


def parse(text: str) -> Catalogue:
    """Make a catalogue of the text of `params.yaml`; errors as for `load`."""
    try:
        document = yaml.compose(text, Loader=yaml_file.Loader)
    except yaml.YAMLError as error:  # which has a mark, or is one of the characters
        mark = getattr(error, "problem_mark", None)
        where = f"{FILE}, line {mark.line + 1}" if mark else FILE
        raise CatalogueError(f"{where}: this is not YAML: {getattr(error, 'problem', error)}", _SEE) from None
    top = _Mapping(document, ())
    roots = {kind: top.mapping("roots").text(kind) for kind in ("dataset", *top.mapping("roots").names())}
    listed = top.mapping("catalogue")
    assets = {name: _asset(name, listed.mapping(name), roots) for name in listed.names()}
    if overlap := first_overlap(assets.values()):
        outer, inner = overlap
        raise listed.mapping(inner.name).wrong(
            f"{inner.dir} is not apart from {outer.dir} of '{outer.name}'", "dir"
        )
    used = top.mapping("assets", may_be_empty=True)
    for name in used.names():
        _check_used(name, used.mapping(name), assets)
    return Catalogue(assets, tuple(used.names()), roots)


def _asset(name: str, entry: _Mapping, roots: Mapping[str, str]) -> Asset:
    if not is_name(name):
        raise entry.wrong(f"an asset's name is {NAME_RULE}")
    blob, folder = entry.text("blob"), entry.text("dir")
    if not _BLOB.fullmatch(blob):
        raise entry.wrong(f"{blob!r} does not read remote://SOURCE/PATH", "blob")
    for kind in _ROOT.findall(folder):
        if kind not in roots:
            raise entry.wrong(f"there is no root {kind!r} under 'roots'", "dir")
    folder = _ROOT.sub(lambda match: roots[match[1]], folder)
    if fault := folder_fault(folder):
        raise entry.wrong(fault, "dir")
    max_ratio = entry.ratio("max_ratio") if "max_ratio" in entry.names() else None
    return Asset(name, entry.text("kind"), blob, folder, max_ratio)


def _check_used(name: str, entry: _Mapping, assets: Mapping[str, Asset]) -> None:
    if name not in assets:
        raise entry.wrong(f"there is no asset {name!r} under 'catalogue'")
    for field, expected in _entry_in_use(assets[name]).items():
        if entry.text(field) != expected:
            raise entry.wrong(
                f"'{name}' is already used differently: {entry.text(field)!r} where the catalogue says"
                f" {expected!r}",
                field,
            )


class _Mapping:
    """A mapping of the file with its path, whose mistakes name the key and the line."""

    def __init__(self, node: yaml.Node | None, path: tuple[str, ...], line: int = 1) -> None:
        self._path = path
        self._line = line
        self._entries: dict[str, tuple[int, yaml.Node]] = {}
        if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"):
            return
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong("a mapping (KEY: VALUE lines) is expected here")
        for key, value in node.value:
            name = str(key.value)
            if name in self._entries:
                raise self.wrong("this key stands here twice", name, key.start_mark.line + 1)
            self._entries[name] = (key.start_mark.line + 1, value)

    def names(self) -> list[str]:
        return list(self._entries)

    def mapping(self, name: str, *, may_be_empty: bool = False) -> _Mapping:
        if name not in self._entries and may_be_empty:
            return _Mapping(None, (*self._path, name))
        line, node = self._get(name)
        found = _Mapping(node, (*self._path, name), line)
        if not found.names() and not may_be_empty:
            raise found.wrong("nothing stands under this key")
        return found

    def text(self, name: str) -> str:
        _, node = self._get(name)
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise self.wrong("a text is expected here", name)
        return str(node.value)

    def ratio(self, name: str) -> float:
        with contextlib.suppress(ValueError):
            if 1 <= (ratio := float(self.text(name))) < math.inf:  # which NaN is not
                return ratio
        raise self.wrong("a number, 1 or more, is expected here", name)

    def _get(self, name: str) -> tuple[int, yaml.Node]:
        if name not in self._entries:
            raise self.wrong("this key is missing", name)
        return self._entries[name]

    def wrong(self, why: str, name: str = "", line: int = 0) -> CatalogueError:
        key = ".".join((*self._path, *([name] if name else [])))
        line = line or (self._entries[name][0] if name in self._entries else self._line)
        where = f"{FILE}, line {line}" + (f", key '{key}'" if key else "")
        return CatalogueError(f"{where}: {why}", _SEE)


def save(root: Path, text: str) -> None:
    """Write `params.yaml`, if its text has changed."""
    if text != read_text(root):
        replace_text(root / FILE, text, scratch=scratch(root))


def with_used(text: str, assets: Iterable[Asset]) -> str:
    """The text of `params.yaml` with just these assets in use; every other section stays as it is.

    A file that is no archive needs no unzip stage, so `dvc.yaml` does not iterate over it. Raises
    CatalogueError when `assets` is written in a way that the tools cannot replace.
    """
    used = {
        asset.name: _entry_in_use(asset)
        for asset in sorted(assets, key=lambda asset: asset.name)
        if asset.suffix
    }
    # A line of its own for `assets:`, which branches that add assets to an empty section have in common.
    section = yaml_file.dump({"assets": used}) if used else "assets:\n  {}\n"
    match = _section(text, "assets")
    if match:
        edited = text[: match.start()] + _lines(section, text) + text[match.end() :]
    else:
        edited = text + ("" if text.endswith("\n") or not text else "\n") + _lines(f"\n{section}", text)
    return _checked(text, edited, "assets", used)


def with_entry(text: str, asset: Asset, folder: str) -> str:
    """The text of `params.yaml` with a new asset at the end of its catalogue.

    `folder` is its `dir` as it is to be written there. Raises CatalogueError as `with_used` does.
    """
    entry = {"kind": asset.kind, "blob": asset.blob, "dir": folder}
    match = _section(text, "catalogue")
    assert match, "params.yaml was read, and has a catalogue"
    indent = re.search(r"\n([ \t]+)[^\s#]", match[0])
    lines = textwrap.indent(yaml_file.dump({asset.name: entry}), indent[1] if indent else "  ")
    before = text[: match.end()]
    before += "" if before.endswith("\n") else "\n"
    edited = before + _lines(lines, text) + text[match.end() :]
    catalogue = {**yaml_file.load(text)["catalogue"], asset.name: entry}
    return _checked(text, edited, "catalogue", catalogue)


def with_folder(text: str, asset: Asset) -> str:
    """The text of `params.yaml` with the folder of an asset of the catalogue as it is in `asset`.

    Raises CatalogueError as `with_used` does.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)  # libyaml counts places in bytes
    for key in ("catalogue", asset.name, "dir"):
        assert isinstance(node, yaml.MappingNode), "params.yaml was read, and has the asset"
        node = next(value for name, value in node.value if name.value == key)
    assert node
    folder = yaml_file.dump([asset.dir]).removeprefix("- ").rstrip("\n")
    edited = text[: node.start_mark.index] + folder + text[node.end_mark.index :]
    entries = yaml_file.load(text)["catalogue"]
    expected = {**entries, asset.name: {**entries[asset.name], "dir": asset.dir}}
    return _checked(text, edited, "catalogue", expected)


def _section(text: str, key: str) -> re.Match[str] | None:
    """The lines of a top-level key: its own and the indented ones below it."""
    indented = r"(?:[ \t]+[^\n]*(?:\n|$)|\r?\n(?=[ \t]+\S))*"
    return re.search(rf"^(['\"]?){key}\1:[^\n]*\n?{indented}", text, re.MULTILINE)


def _lines(lines: str, text: str) -> str:
    """The lines with the line endings of a text."""
    return lines.replace("\n", "\r\n") if "\r\n" in text else lines


def _checked(before: str, after: str, key: str, expected: object) -> str:
    """The text after an edit, if that is the only change it made."""
    try:
        if yaml_file.load(after) == {**(yaml_file.load(before) or {}), key: expected}:
            return after
    except yaml.YAMLError:
        pass
    raise CatalogueError(
        f"{FILE}: '{key}' is written in a way that the tools cannot edit",
        f"write it in lines of its own, indented below '{key}:', then run the same command again",
    )


def _entry_in_use(asset: Asset) -> dict[str, str]:
    return {"archive": asset.file, "dir": asset.dir}


def _blob(text: str) -> tuple[str, str]:
    match = _BLOB.fullmatch(text)
    assert match, text
    return match[1], match[2]
