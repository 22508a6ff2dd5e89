"""Which members are allowed, and where each goes."""

from __future__ import annotations

import pytest
from datarepo.archives.safety import (
    HARMLESS,
    RULES,
    Kind,
    Member,
    check_ratio,
    clashes,
    leaves,
    permissions,
    place,
    refusal,
    shown,
)
from datarepo.errors import ArchiveError
from hypothesis import given
from hypothesis import strategies as st

FILE, FOLDER, LINK, OTHER = Kind.FILE, Kind.FOLDER, Kind.LINK, Kind.OTHER


def _files(*names: str) -> list[Member]:
    return [Member(name, FOLDER if name.endswith("/") else FILE) for name in names]


@pytest.mark.parametrize(
    ("member", "rule"),
    [
        (Member("a", FILE), ""),
        (Member("a/b.c/.d", FILE), ""),
        (Member("a/", FOLDER), ""),
        (Member("./", FOLDER), ""),
        (Member("ä ö\u3042 \U0001f408 'quoted' $HOME *?<>|\"", FILE), ""),
        (Member("..a/b../...", FILE), ""),
        (Member("a:b", FILE, target=""), "its name begins with a drive letter"),
        (Member("ab:c", FILE), ""),
        (Member("1:2", FILE), ""),
        (Member("a/c:", FILE), ""),
        (Member("n" * 255, FILE), ""),
        (Member("n" * 256, FILE), "its name has a part of more than 255 bytes"),
        (Member("ä" * 128 + "/b", FILE), "its name has a part of more than 255 bytes"),
        (Member("", FILE), "its name is empty"),
        (Member("", FOLDER), "its name is empty"),
        (Member("./", FILE), "its name is empty"),
        (Member("/etc/passwd", FILE), "its name is an absolute path"),
        (Member("//host/share", FILE), "its name is an absolute path"),
        (Member("/", FOLDER), "its name is an absolute path"),
        (Member("..", FILE), "its name climbs with '..'"),
        (Member("../a", FILE), "its name climbs with '..'"),
        (Member("a/../b", FILE), "its name climbs with '..'"),
        (Member("a/..", FOLDER), "its name climbs with '..'"),
        (Member("C:/Windows", FILE), "its name begins with a drive letter"),
        (Member("c:a", FILE), "its name begins with a drive letter"),
        (Member("..\\a", FILE), "its name has a backslash"),
        (Member("a\\b", FILE), "its name has a backslash"),
        (Member("a\0b", FILE), "its name has a control character"),
        (Member("a\nb", FILE), "its name has a control character"),
        (Member("\x1b[2J", FILE), "its name has a control character"),
        (Member("a\x7f", FILE), "its name has a control character"),
        (Member("a\x9b", FILE), "its name has a control character"),
        (Member("a\udcff", FILE), "its name is not valid UTF-8"),
        (Member("a", OTHER), "it is a device, fifo or socket"),
        (Member("a/", FOLDER, size=1), "it is a folder with contents of its own"),
        (Member("a", LINK, target="b/../c"), ""),
        (Member("a", LINK), "it is a link to nothing"),
        (Member("a", LINK, target="b\0c"), "its target has a control character"),
        (Member("a", LINK, target="\udcff"), "its target is not valid UTF-8"),
        (Member("a", LINK, target="/etc/passwd"), "its target is an absolute path"),
    ],
)
def test_a_member_is_refused_by_the_rule_it_breaks(member: Member, rule: str) -> None:
    """Each rule by itself: what it forbids, and what only resembles that."""
    assert refusal(member) == rule


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        ([], []),
        (["a", "b/c"], ["a", "b/c"]),
        (["./", "./a", "./b//c", "d/./e", "f/"], ["", "a", "b/c", "d/e", "f"]),
        (["b/", "b/a", "b/c/"], ["b", "b/a", "b/c"]),
        (["b/a", "b/"], ["b/a", "b"]),
        # One folder that holds everything and is named like the asset is left out …
        (["vqa/", "vqa/a", "vqa/b/c"], ["", "a", "b/c"]),
        (["vqa/a", "vqa/vqa/b"], ["a", "vqa/b"]),
        (["./", "./vqa/", "./vqa/a"], ["", "", "a"]),
        (["vqa/"], [""]),
        # … but not when it is no folder, named otherwise, or not alone.
        (["vqa"], ["vqa"]),
        (["VQA/a"], ["VQA/a"]),
        (["other/a"], ["other/a"]),
        (["vqa/a", "__MACOSX/._a"], ["vqa/a", "__MACOSX/._a"]),
        (["vqa/a", ".DS_Store"], ["vqa/a", ".DS_Store"]),
    ],
)
def test_a_member_goes_where_its_name_says_without_the_wrapping_folder(
    names: list[str], paths: list[str]
) -> None:
    """The path is the name without empty steps, and without one folder named like the asset."""
    assert place(_files(*names), wrappers={"vqa"}) == paths


@pytest.mark.parametrize(
    ("members", "culprit", "rule"),
    [
        (_files("a", "b", "a"), "a", "its name comes twice"),
        (_files("a", "./a"), "./a", "its name comes twice"),
        (_files("a", "a/"), "a/", "a is a folder and a file"),
        (_files("a", "a/b"), "a/b", "a is a folder and a file"),
        (_files("a/b/c", "a/b"), "a/b/c", "a/b is a folder and a file"),
        (
            [Member("l", LINK, target="d"), *_files("d/", "l/x")],
            "l/x",
            "l is a link and a folder, so that members would be written through the link",
        ),
        (
            [*_files("l/x"), Member("l", LINK, target="d")],
            "l/x",
            "l is a link and a folder, so that members would be written through the link",
        ),
        ([Member("l", LINK, target="d"), Member("l", FILE)], "l", "l is a file and a link"),
        (
            [Member("a/l", LINK, target="../../b")],
            "a/l",
            "its target ../../b leaves the tree, or never ends",
        ),
    ],
)
def test_members_that_get_in_each_others_way_are_refused(
    members: list[Member], culprit: str, rule: str
) -> None:
    """Two members of one name are refused by the name of the later, or of the one below the other."""
    with pytest.raises(ArchiveError) as refused:
        place(members)
    assert refused.value.message == f"archive refused: member {culprit}: {rule}"
    assert refused.value.hint.startswith("nothing was extracted")


def test_a_folder_that_is_listed_twice_is_one_folder() -> None:
    """Its permissions are not kept, so there is nothing that the two could contradict each other in."""
    assert place(_files("a/", "a/b", "a/", "./a/")) == ["a", "a/b", "a", "a"]


CAFE = ("caf\u00e9", "cafe\u0301")


@pytest.mark.parametrize(
    ("paths", "pairs"),
    [
        ([], []),
        (["a", "b", "ab", "a.b"], []),
        (["A", "a"], [("a", "A")]),
        (["a", "A", "b/a", "B"], [("A", "a"), ("B", "b")]),
        (["A/x", "a/y"], [("a", "A")]),
        (["A/x", "a/x", "a/X"], [("a", "A"), ("a/X", "a/x")]),
        (["straße", "STRASSE"], [("STRASSE", "straße")]),
        (list(CAFE), [(CAFE[1], CAFE[0])]),
        ([CAFE[0].upper(), CAFE[1]], [(CAFE[1], CAFE[0].upper())]),
        # Compatible characters make different names on every file system.
        (["x2", "x²", "1", "\uff11", "ss", "s"], []),
    ],
)
def test_paths_that_some_file_systems_take_for_one_are_told(
    paths: list[str], pairs: list[tuple[str, str]]
) -> None:
    """Once for each pair of neighbours: what lies below two folders of one name is the same mistake."""
    assert clashes(paths) == pairs
    assert place(_files(*paths)) == paths


@given(
    st.text(st.sampled_from("aZ09_.+=@ -/\\:\0é\x9b\udcff~"), max_size=12) | st.just("n" * 256), st.booleans()
)
def test_no_rule_is_forgotten_for_the_sake_of_speed(name: str, is_link: bool) -> None:
    """Names that are taken for harmless at a glance break none of the rules."""
    member = Member(name, LINK, target="/") if is_link else Member(name, FILE)
    assert refusal(member) == next((rule for rule, broken in RULES if broken(member)), "")


def test_a_path_is_refused_when_the_place_has_no_room_for_it() -> None:
    """The room counts bytes, not letters."""
    assert place(_files("ä/b"), room=4) == ["ä/b"]
    with pytest.raises(ArchiveError) as refused:
        place(_files("ä/b"), room=3)
    assert refused.value.message == (
        "archive refused: member ä/b: its path has more than the 3 bytes this place allows"
    )


LINKS = {"deep": "a/b/c", "up": "..", "a/b/c/top": "../../..", "loop": "loop", "ping": "pong", "pong": "ping"}


@pytest.mark.parametrize(
    ("path", "target", "outside"),
    [
        ("l", "a", False),
        ("l", ".", False),
        ("l", "not/there", False),
        ("a/l", "..", False),
        ("a/l", "../a/../b", False),
        ("l", "..", True),
        ("l", "a/../..", True),
        ("a/b/l", "../../../x", True),
        ("l", "deep/../..", False),
        ("l", "deep/top", False),
        # The text stays inside, yet the link on the way is already at the top.
        ("l", "a/b/c/top/..", True),
        ("l", "DEEP/top/..", True),
        ("l", "deep/top/up", True),
        ("l", "loop", True),
        ("l", "ping", True),
    ],
)
def test_a_link_is_followed_as_the_system_would(path: str, target: str, outside: bool) -> None:
    """Through other links, whatever their spelling in case, and no further than the top."""
    assert leaves(path, target, LINKS) is outside


@pytest.mark.parametrize("names", [("up", "UP"), ("UP", "up")])
def test_a_link_is_followed_as_each_file_system_would(names: tuple[str, str]) -> None:
    """One that tells names apart finds one link of two, one that does not the other, and neither may leave."""
    inner, outer = names
    links = [Member(inner, LINK, target="a/b"), Member(f"a/b/{outer}", LINK, target="../..")]
    place([*links, Member("l", LINK, target=f"a/b/{outer}/a")])
    with pytest.raises(ArchiveError) as refused:
        place([*links, Member("l", LINK, target=f"a/b/{outer}/../a")])
    assert refused.value.message.startswith("archive refused: member l: its target ")
    with pytest.raises(ArchiveError) as refused:
        place(
            [
                Member(inner, LINK, target="a/b"),
                *_files(f"{outer}/x"),
                Member("l", LINK, target=f"{outer}/../.."),
            ]
        )
    assert refused.value.message.startswith("archive refused: member l: its target ")


@pytest.mark.parametrize(
    ("mode", "created"),
    [(0o644, 0o666), (0o755, 0o777), (0o000, 0o666), (0o100, 0o766), (0o6755, 0o777), (0o1000, 0o666)],
)
def test_of_the_permissions_only_the_executable_bits_survive(mode: int, created: int) -> None:
    """Setuid, setgid and sticky are dropped; an unreadable file becomes readable."""
    assert permissions(mode) == created


def test_sizes_within_reason_pass() -> None:
    """Up to the ratio itself; a small tree passes at any ratio."""
    check_ratio([Member("a", FILE, 2_000_000)], packed=10_000, max_ratio=200)
    check_ratio([Member("a", FILE, HARMLESS)], packed=1, max_ratio=200)
    check_ratio([Member("a", FILE, 10**12)], packed=10**11, max_ratio=200)


def test_a_ratio_no_data_has_is_refused() -> None:
    """The refusal names the largest member and the option that allows more."""
    with pytest.raises(ArchiveError) as refused:
        check_ratio([Member("a", FILE, 1), Member("b", FILE, 2_000_000)], 10_000, max_ratio=200)
    assert (refused.value.message, refused.value.hint) == (
        "archive refused: member b: the largest of 2.0 MB in an archive of 10.0 kB, over 200 times its size",
        "if the data really is that repetitive, allow more: 'max_ratio: N' in the asset's entry of params.yaml, or --max-ratio N of tools/unzip-asset",
    )


def test_a_name_is_shown_without_what_a_terminal_would_obey() -> None:
    """Escapes, direction marks and endless names are not printed as they are."""
    assert shown("plain ü 猫") == "plain ü 猫"
    assert shown("a\x1b]0;b") == r"'a\x1b]0;b'"
    assert shown("a\u202egpj") == r"'a\u202egpj'"
    assert shown("x" * 70_000) == "x" * 300 + "…"
