"""The catalogue, `params.yaml`: every asset there is, and the assets in use.

roots:
  dataset: data                               where the folders of a kind lie
assets:                                       in use: dvc.yaml iterates over them
  vqa:
    archive: archives/vqa.zip
    dir: data/vqa
catalogue:
  vqa:
    kind: dataset
    blob: remote://oscar/datasets/vqa.zip     remote://SOURCE/PATH, as in the stage's dependency
    dir: ${roots.dataset}/vqa
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import yaml

from datarepo.archives import formats as archive
from datarepo.atomic_file import replace_text
from datarepo.errors import CatalogueError, UsageError
from datarepo.pipeline import yamltext

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FILE = "params.yaml"
ARCHIVES = "archives"

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
        return archive.suffix(self.path)

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


@dataclass(frozen=True)
class Catalogue:
    """What `params.yaml` says; `used` are the names in use, in the order of the file."""

    assets: Mapping[str, Asset]
    used: tuple[str, ...]
    roots: Mapping[str, str]

    def find(self, names: Iterable[str]) -> list[Asset]:
        """The assets of those names, each once; UsageError names the closest ones to an unknown name."""
        found = []
        for name in dict.fromkeys(names):
            if name not in self.assets:
                close = closest(name, self.assets)
                raise UsageError(
                    f"there is no asset named '{name}' in the catalogue of {FILE}",
                    f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(self.assets)}",
                )
            found.append(self.assets[name])
        return found


def in_use(root: Path, known: Catalogue, asset: Asset) -> bool:
    """Whether an asset is in use: listed so, or, for a file that is no archive, imported."""
    return asset.name in known.used or (not asset.suffix and (root / asset.stage).exists())


def is_name(name: str) -> bool:
    """Whether an asset may have this name: it becomes a file's name, a stage's and a key."""
    return bool(_NAME.fullmatch(name))


def is_folder(folder: str) -> bool:
    """Whether an asset may land in this folder: a plain path below the repository's root.

    It also stands in a command of `dvc.yaml`, where a space or a `;` would mean something.

    >>> [is_folder(each) for each in ("data/vqa", "../vqa", "/vqa", ".git/vqa", "data/", "a b", "a;b")]
    [True, False, False, False, False, False, False]
    """
    return bool(_FOLDER.fullmatch(folder)) and folder.partition("/")[0] != ARCHIVES


def overlapping(asset: Asset, others: Iterable[Asset]) -> Asset | None:
    """The first other asset whose folder is this one's, or inside it, or around it; case does not count."""
    mine = f"{asset.dir}/".casefold()
    for other in others:
        theirs = f"{other.dir}/".casefold()
        if other.name != asset.name and (mine.startswith(theirs) or theirs.startswith(mine)):
            return other
    return None


def default_folder(kind: str, name: str) -> str:
    """The folder of a new asset as the catalogue writes it, so that it moves with its root."""
    return f"${{roots.{kind}}}/{name}"


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names that a typing mistake may have turned into this one.

    >>> closest("VQ", ["vqa", "GQA", "coco_ir"])
    ['vqa']
    """
    by_lower = {each.lower(): each for each in known}
    return [by_lower[each] for each in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)]


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
        raise CatalogueError(f"{FILE} is not UTF-8: {error}", f"git diff {FILE} shows what changed") from None


def parse(text: str) -> Catalogue:
    """Make a catalogue of the text of `params.yaml`; errors as for `load`."""
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogueError(
            f"{FILE}, line {line}: this is not YAML: {error.problem}", f"git diff {FILE} shows what changed"
        ) from None
    except yaml.YAMLError as error:
        raise CatalogueError(
            f"{FILE}: this is not YAML: {error}", f"git diff {FILE} shows what changed"
        ) from None
    top = _Mapping(document, ())
    roots = {kind: top.mapping("roots").text(kind) for kind in ("dataset", *top.mapping("roots").names())}
    listed = top.mapping("catalogue")
    assets = {name: _asset(name, listed.mapping(name), roots) for name in listed.names()}
    for name, asset in assets.items():
        if other := overlapping(asset, assets.values()):
            raise listed.mapping(name).wrong(
                f"{asset.dir} is not apart from {other.dir} of '{other.name}'", "dir"
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
    if not is_folder(folder):
        raise entry.wrong(f"{folder!r} is no folder below the repository's root", "dir")
    return Asset(name, entry.text("kind"), blob, folder)


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

    def _get(self, name: str) -> tuple[int, yaml.Node]:
        if name not in self._entries:
            raise self.wrong("this key is missing", name)
        return self._entries[name]

    def wrong(self, why: str, name: str = "", line: int = 0) -> CatalogueError:
        key = ".".join((*self._path, *([name] if name else [])))
        line = line or (self._entries[name][0] if name in self._entries else self._line)
        where = f"{FILE}, line {line}" + (f", key '{key}'" if key else "")
        return CatalogueError(f"{where}: {why}", f"git diff {FILE} shows what changed since the last commit")


def use(root: Path, asset: Asset) -> None:
    """Put an archive among the assets in use; nothing else of the file changes, and nothing if it is there.

    A file that is no archive needs no unzip stage, so `dvc.yaml` does not iterate over it.
    """
    text = read_text(root)
    if asset.suffix and asset.name not in parse(text).used:
        _insert(root, text, "assets", asset.name, _entry_in_use(asset))


def disuse(root: Path, asset: Asset) -> None:
    """Take an asset out of those in use; nothing else of the file changes."""
    text = read_text(root)
    if asset.name in parse(text).used:
        try:
            replace_text(root / FILE, yamltext.remove(text, "assets", asset.name))
        except ValueError as error:
            raise CatalogueError(f"{FILE}: {error}", f"remove assets.{asset.name} by hand") from None


def enter(root: Path, asset: Asset, folder: str) -> None:
    """Enter a new asset in the catalogue; `folder` is its `dir` as it is to be written there."""
    entry = {"kind": asset.kind, "blob": asset.blob, "dir": folder}
    _insert(root, read_text(root), "catalogue", asset.name, entry)


def _insert(root: Path, text: str, key: str, name: str, entry: Mapping[str, str]) -> None:
    try:
        text = yamltext.insert(text, key, name, entry)
    except ValueError as error:
        fields = ", ".join(f"{field}: {content}" for field, content in entry.items())
        raise CatalogueError(f"{FILE}: {error}", f"write it by hand: {key}.{name} with {fields}") from None
    parse(text)  # whatever is written can be read again
    replace_text(root / FILE, text)


def _entry_in_use(asset: Asset) -> dict[str, str]:
    return {"archive": asset.file, "dir": asset.dir}


def _blob(text: str) -> tuple[str, str]:
    match = _BLOB.fullmatch(text)
    assert match, text
    return match[1], match[2]
