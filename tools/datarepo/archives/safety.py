"""What an archive may hold and where each member goes: decisions only, for every archive format.

    refusal   the first rule a member breaks by itself, looked up in RULES
    place     the path of every member inside the folder, or a refusal of the whole archive
    clashes   paths that not every file system tells apart
    is_kept   whether DVC keeps a path
    check_ratio   whether so many bytes are plausible

Nothing here opens a file. An archive is data from elsewhere, so the rules do not ask whether a
name would be harmless on this system: an archive that is refused here is refused everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from datarepo import console
from datarepo.errors import ArchiveError

NAME_BYTES = 255  # of one component: NAME_MAX of ext4, XFS, APFS, NFS
LINK_BYTES = 4095  # of a link's target: PATH_MAX of Linux without the final NUL
LINK_STEPS = 40  # links followed in one lookup, as Linux does before ELOOP
MAX_RATIO = 200.0  # deflate's limit is 1032; text reaches 20, logs and tables 100
HARMLESS = 1_000_000  # bytes: an archive that unpacks to less is no bomb, whatever its ratio
NO_ARCHIVE = "is it the right file? archives are .zip, .tar, .tar.gz, .tar.bz2, .tar.xz or .tar.zst"
AGAIN = "get the archive again: this copy is damaged or incomplete"
HINT = "nothing was extracted; get the archive again, or ask whoever made it"


class Kind(Enum):
    """What a member becomes."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "device, fifo or socket"


class Member(NamedTuple):
    """One entry of an archive, whatever the format.

    `name` and `target` (of a link) are as the archive spells them, `size` is in bytes, `mode`
    holds the Unix permission bits, 0 where the archive records none.
    """

    name: str
    kind: Kind
    size: int = 0
    mode: int = 0
    target: str = ""


def _has_control(text: str) -> bool:
    return not text.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in text)


def _is_unicode(text: str) -> bool:
    return text.isprintable() or not any("\ud800" <= letter <= "\udfff" for letter in text)


RULES: tuple[tuple[str, Callable[[Member], bool]], ...] = (
    ("it is a device, fifo or socket", lambda m: m.kind is Kind.OTHER),
    ("its name has a control character", lambda m: _has_control(m.name)),
    ("its name is not valid UTF-8", lambda m: not _is_unicode(m.name)),
    ("its name has a backslash", lambda m: "\\" in m.name),
    ("its name is an absolute path", lambda m: m.name.startswith("/")),
    ("its name begins with a drive letter", lambda m: m.name[1:2] == ":" and m.name[0].isalpha()),
    ("its name climbs with '..'", lambda m: ".." in m.name.split("/")),
    ("its name is empty", lambda m: not _path(m.name) and (m.kind is not Kind.FOLDER or not m.name)),
    (
        f"its name has a part of more than {NAME_BYTES} bytes",
        lambda m: (
            len(m.name) * 4 > NAME_BYTES
            and any(len(part.encode()) > NAME_BYTES for part in m.name.split("/"))
        ),
    ),
    ("it is a folder with contents of its own", lambda m: m.kind is Kind.FOLDER and m.size > 0),
    ("it is a link to nothing", lambda m: m.kind is Kind.LINK and not m.target),
    ("its target has a control character", lambda m: _has_control(m.target)),
    ("its target is not valid UTF-8", lambda m: not _is_unicode(m.target)),
    ("its target is an absolute path", lambda m: m.target.startswith("/")),
)


# Names that break no rule, which nearly all are; the whole table takes longer than all else here.
_PLAIN = re.compile(r"\w[\w.+=@ -]*(?:/\w[\w.+=@ -]*)*", re.ASCII)


def refusal(member: Member) -> str:
    """The first rule that the member breaks by itself, as the end of a sentence; empty when none.

    >>> refusal(Member("a/../../b", Kind.FILE))
    "its name climbs with '..'"
    """
    if member.kind is Kind.FILE and len(member.name) <= NAME_BYTES and _PLAIN.fullmatch(member.name):
        return ""
    return next((rule for rule, broken in RULES if broken(member)), "")


def shown(name: str) -> str:
    r"""A name for the terminal: as it is if printable, else escaped, and never a page long.

    >>> shown("é.txt"), shown("a\x1b[2J")
    ('é.txt', "'a\\x1b[2J'")
    """
    name = name if len(name) <= 300 else name[:300] + "…"
    return name if name.isprintable() else repr(name)


def refuse(name: str, why: str, hint: str = HINT) -> ArchiveError:
    """The error that names the member and the rule it breaks."""
    return ArchiveError(f"archive refused: member {shown(name)}: {why}", hint)


def permissions(mode: int) -> int:
    """The mode to create a file with: readable and writable, executable if it was; the umask applies.

    >>> oct(permissions(0o4755)), oct(permissions(0o000))
    ('0o777', '0o666')
    """
    return 0o666 | (mode & 0o111)


def place(members: Sequence[Member], wrappers: Collection[str] = (), room: int = LINK_BYTES) -> list[str]:
    """The path of each member relative to the folder it is extracted to, `""` for the folder itself.

    When everything lies in one top-level folder whose name is among `wrappers`, that folder is
    left out, so that an archive made of `vqa/…` and one made of `…` give the same tree. Anything
    beside that folder (a `__MACOSX`, a README) keeps the tree as it is. `room` is the number of
    bytes a path may have. Raises ArchiveError naming the member and the rule it breaks.
    """
    for member in members:
        if why := refusal(member):
            raise refuse(member.name, why)
    paths = _unwrap([_path(member.name) for member in members], members, wrappers)
    for member, path in zip(members, paths, strict=True):
        if len(path) * 4 > room and len(path.encode()) > room:
            raise refuse(member.name, f"its path has more than the {room} bytes this place allows")
    _check_kinds(members, paths)
    links = {path: m for m, path in zip(members, paths, strict=True) if m.kind is Kind.LINK}
    for spelled in (str, _key):  # the links as a file system finds them that tells names apart, or does not
        targets = {spelled(path): link.target for path, link in links.items()}
        for path, link in links.items():
            if leaves(path, link.target, targets, spelled):
                raise refuse(link.name, f"its target {shown(link.target)} leaves the tree, or never ends")
    return paths


def _path(name: str) -> str:
    """The name without what means nothing: `./`, `//`, a final slash."""
    if "//" in name or "./" in name or name.endswith(("/", "/.")) or name == ".":
        return "/".join(part for part in name.split("/") if part not in ("", "."))
    return name


def _unwrap(paths: list[str], members: Sequence[Member], wrappers: Collection[str]) -> list[str]:
    tops = {path.partition("/")[0] for path in paths} - {""}
    if len(tops) != 1 or not tops <= set(wrappers):
        return paths
    (top,) = tops
    if any(
        path == top and member.kind is not Kind.FOLDER for path, member in zip(paths, members, strict=True)
    ):
        return paths
    return [path[len(top) + 1 :] for path in paths]


def _key(path: str) -> str:
    """What the path is to a file system that ignores case and Unicode form.

    Canonical caseless matching (Unicode 3.13, D145), which ext4's and F2FS's casefolding, APFS
    and HFS+ do or come close to. Compatible matching would refuse `x²` beside `x2`, and does nothing
    for any of them.
    """
    if path.isascii():
        return path.lower()
    decomposed = unicodedata.normalize("NFD", path)
    return unicodedata.normalize("NFD", decomposed.casefold())


def _check_kinds(members: Sequence[Member], paths: Sequence[str]) -> None:
    """Refuse a path that is two things; the same folder twice is one folder."""
    kinds: dict[str, Kind] = {}
    for member, path in zip(members, paths, strict=True):
        kind = kinds.get(path)
        if kind is None:
            kinds[path] = member.kind
        elif kind is not member.kind:
            raise refuse(member.name, _two_kinds(path, member.kind, kind))
        elif kind is not Kind.FOLDER:
            raise refuse(member.name, "its name comes twice")
    checked = {""}
    for member, path in zip(members, paths, strict=True):
        while (path := path.rpartition("/")[0]) not in checked:
            checked.add(path)
            kind = kinds.get(path)
            if kind not in (None, Kind.FOLDER):
                raise refuse(member.name, _two_kinds(path, Kind.FOLDER, kind))


def _two_kinds(path: str, one: Kind, other: Kind) -> str:
    if Kind.LINK in (one, other) and Kind.FOLDER in (one, other):
        return f"{shown(path)} is a link and a folder, so that members would be written through the link"
    return f"{shown(path)} is a {one.value} and a {other.value}"


def clashes(paths: Iterable[str]) -> list[tuple[str, str]]:
    """The paths that are one where case or Unicode form is ignored, in pairs that differ in the last part.

    >>> clashes(["A/x", "a/x", "b"])
    [('a', 'A')]
    """
    pairs = []
    spellings: dict[tuple[str, str], str] = {}
    seen = {""}
    for each in paths:
        path = each
        while path not in seen:
            seen.add(path)
            above, _, name = path.rpartition("/")
            first = spellings.setdefault((above, _key(name)), path)
            if first != path:
                pairs.append((path, first))
            path = above
    return pairs


def is_kept(path: str, kind: Kind) -> bool:
    """Whether DVC keeps such a path in a folder: some it passes over, and of one it takes no folder.

    They are the patterns of `dvc.ignore.DvcIgnoreFilter`, and what `dvc_data` refuses to build.

    >>> [is_kept(path, Kind.FILE) for path in ("a", "a/.git/config", "a/.dvcignore", "a/.gitignore")]
    [True, False, False, True]
    """
    if path[:1] != "." and "/." not in path:
        return True
    *folders, name = f"{path}/".split("/") if kind is Kind.FOLDER else path.split("/")
    return name not in (".git", ".dvcignore") and {".git", ".hg", ".dvc"}.isdisjoint(folders)


def leaves(path: str, target: str, links: Mapping[str, str], spelled: Callable[[str], str] = _key) -> bool:
    """Whether a link at `path` leads out of the tree, or on and on; `links` are all links, as `spelled`.

    The target is followed as the system would, through other links: `a -> b/..` is the parent of
    whatever `b` is, and may be outside although its text is not.

    >>> leaves("a/b", "../c", {}), leaves("a/b", "../../c", {})
    (False, True)
    """
    here = path.split("/")[:-1]
    ahead = target.split("/")[::-1]
    steps = 0
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not here:
                return True
            here.pop()
            continue
        here.append(part)
        onward = links.get(spelled("/".join(here)))
        if onward is not None:
            steps += 1
            if steps > LINK_STEPS:
                return True
            here.pop()
            ahead.extend(onward.split("/")[::-1])
    return False


def check_ratio(members: Sequence[Member], packed: int, max_ratio: float) -> None:
    """Raise ArchiveError when the members are more than `packed` bytes can honestly hold."""
    total = sum(member.size for member in members)
    if total > max(max_ratio * packed, HARMLESS):
        worst = max(members, key=lambda member: member.size)
        raise refuse(
            worst.name,
            f"the largest of {console.size(total)} in an archive of {console.size(packed)}, "
            f"over {max_ratio:g} times its size",
            "if the data really is that repetitive, allow more: 'max_ratio: N' in the asset's entry of"
            " params.yaml, or --max-ratio N of tools/unzip-asset",
        )
