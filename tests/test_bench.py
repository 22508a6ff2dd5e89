"""The bench is complete and honest; how fast anything is, no test says."""

from __future__ import annotations

import dataclasses
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tests.azurite import ROOT
from tests.bench import __main__ as doorway
from tests.bench import archives, measure, peers, plot, report, worlds
from tests.bench.measure import Contender, Figures, Run
from tests.bench.parts import PARTS, Bench, Comparison, Growth
from tests.bench.peers import NGINX, Peer
from tests.bench.report import Results
from tests.bench.server import ACCOUNT, CONTAINER, SAS, Server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

needs_nginx = pytest.mark.skipif(not NGINX.found(), reason=NGINX.missing())


def figures(name: str, *walls: float) -> Figures:
    """Runs of those seconds."""
    return Figures(name, tuple(Run(wall, wall / 2, 45_000_000, 4096) for wall in walls))


RESULTS = Results(
    [
        Comparison(
            "Unzip", [figures("`ours`", 1.0, 2.0), figures("theirs <&>", 3.0, 4.0)], ["7z is left out"]
        ),
        Comparison("Fetch", [], ["nginx is left out"]),
        Growth(
            "By size", "100 MB", [1, 2, 4], {"`ours`": [figures("`ours`", seconds) for seconds in (5, 7, 11)]}
        ),
    ],
    "Measured on a machine.",
    ["whole failed: for a reason"],
)


def test_the_table_has_each_contender_growth_and_note() -> None:
    """Ratios are those of the pairs of runs: 3 to 1 and 4 to 2; ranges stand where there is one."""
    assert report.document(RESULTS) == (
        "Measured on a machine.\n\n"
        "| | ratio | wall | CPU | memory | disk |\n"
        "|---|---|---|---|---|---|\n"
        "| **Unzip** | | | | | |\n"
        "| `ours` | 1.0 | 1.5 s (1.0-2.0) | 0.75 s (0.5-1.0) | 45 MB | 4 kB |\n"
        "| theirs <&> | 2.5 (2.0-3.0) | 3.5 s (3.0-4.0) | 1.8 s (1.5-2.0) | 45 MB | 4 kB |\n\n"
        "| growth | wall | each further |\n"
        "|---|---|---|\n"
        "| **By size**, `ours`: each further 100 MB | | |\n"
        "| 100 MB | 5.0 s |  |\n"
        "| 200 MB | 7.0 s | 2.0 s |\n"
        "| 400 MB | 11 s | 2.0 s |\n\n"
        "- whole failed: for a reason\n"
        "- 7z is left out\n"
        "- nginx is left out\n"
    )


def test_the_plot_is_xml_with_each_name_in_it() -> None:
    """Names are escaped, and what has no figures is not drawn."""
    drawn = "".join(ElementTree.fromstring(plot.svg(RESULTS.found)).itertext())  # noqa: S314  # our own

    for name in ("Unzip", "ours", "theirs <&>", "By size", "400 MB"):
        assert name in drawn
    assert "Fetch" not in drawn


def test_a_plot_of_nothing_is_xml_too() -> None:
    """A run in which everything was left out still writes it."""
    assert ElementTree.fromstring(plot.svg([])).tag.endswith("svg")  # noqa: S314  # as above


def test_the_results_replace_those_in_the_readme(tmp_path: Path) -> None:
    """All around them stays; the plot lies where the README shows it from."""
    (tmp_path / "README.md").write_text(
        f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8"
    )

    for _ in range(2):
        doorway.write(RESULTS, report.document(RESULTS), tmp_path)

    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"before\n{report.BEGIN}\n![")
    assert text.endswith(f"- nginx is left out\n{report.END}\nafter\n")
    assert "old" not in text
    assert f"({report.PLOT})" in text
    assert (tmp_path / report.PLOT).is_file()


@pytest.mark.parametrize("text", ["", report.BEGIN, f"{report.BEGIN}{report.BEGIN}{report.END}"])
def test_a_readme_without_the_marks_is_left_alone(text: str) -> None:
    """Rather than guess where the table belongs."""
    with pytest.raises(ValueError, match="once"):
        report.into_readme(text, "table")


def test_the_readme_has_the_marks_once() -> None:
    """A run of all parts writes there."""
    assert report.into_readme((ROOT / "README.md").read_text(encoding="utf-8"), "table")


def test_an_archive_is_shaped_like_region_features(tmp_path: Path) -> None:
    """Four huge members beside many small ones, of the size asked for, a third of it saved."""
    made = archives.like_features(tmp_path / "a.zip", 3_000_000, json_files=50)

    with zipfile.ZipFile(made.path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        assert archive.testzip() is None
    huge = [sizes.pop(name) for name in archives.FEATURES]
    assert made.size == pytest.approx(3_000_000, rel=0.02) == made.path.stat().st_size
    assert 1.3 < made.unpacked / made.size < 2
    assert made.members == 54
    assert len(sizes) == 50
    assert max(sizes.values()) < 1000 < min(huge)


def test_the_members_of_an_archive_of_tiny_files_are_counted(tmp_path: Path) -> None:
    """In folders of a thousand."""
    made = archives.of_tiny_files(tmp_path / "a.zip", 1001)

    assert made.members == 1001
    assert zipfile.ZipFile(made.path).namelist()[-1] == "annotations/001/001000.json"


def test_contenders_alternate_and_those_that_fail_are_told(tmp_path: Path) -> None:
    """Each run in a copy of its world; who fails is out, who is missing was never in."""
    world, log = worlds.empty(tmp_path / "world"), tmp_path / "log"
    told: list[str] = []
    found, notes = measure.alternate(
        [
            Contender("one", f"echo one >> {log}; echo x > file", world, leaves={"file": 2}),
            Contender("missing", "true", world, (Peer("Nobody", "no-such-program", "-v", "do this"),)),
            Contender("fails", f"echo fails >> {log}; echo why; exit 3", world),
            Contender("idle", "true", world, leaves={"file": 2}),
            Contender("two", f"echo two >> {log}; test ! -e file", world),
        ],
        2,
        tmp_path,
        told.append,
    )

    assert log.read_text().split() == ["one", "fails", "two", "one", "two"]
    assert [(each.name, len(each.runs)) for each in found] == [("one", 2), ("two", 2)]
    assert notes == [
        "Nobody is left out, since it is not installed: `do this`",
        "fails failed: exit code 3: why",
        "idle failed: file has 0 bytes, expected 2",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "world"]


def test_a_run_is_measured(tmp_path: Path) -> None:
    """The CPU time and memory of a grandchild, and blocks of two hard links once."""
    world = worlds.empty(tmp_path / "world")
    code = "x = bytes(range(256)) * 200_000; [y for y in range(10 ** 6)]"
    line = f'sh -c \'"{sys.executable}" -c "{code}"\'; head -c 100000 /dev/zero > a; ln a b'
    run = measure.run(line, world, {"a": 100_000, "b": 100_000})

    assert run.wall > 0
    assert run.cpu > 0
    assert 50_000_000 < run.memory < 500_000_000
    assert 100_000 <= run.disk < 150_000


@needs_nginx
def test_the_server_answers_as_a_blob_service(tmp_path: Path) -> None:
    """Ranges by either header, the MD5 of the blob beside them, on both of its ports."""
    made = archives.of_tiny_files(tmp_path / "a.zip", 3)
    content = made.path.read_bytes()
    with Server(_folder(tmp_path), {"datasets/a.zip": made}) as server:
        for capped in (True, False):
            whole = _get(server, capped=capped)
            assert (whole[0], whole[2]) == (200, content)
            assert whole[1]["Content-MD5"]
            for header in ("Range", "x-ms-range"):
                status, headers, body = _get(server, {header: "bytes=5-9"}, capped=capped)
                assert (status, body) == (206, content[5:10])
                assert headers["Content-Range"] == f"bytes 5-9/{len(content)}"
                assert headers["x-ms-blob-content-md5"] == whole[1]["Content-MD5"]
                assert headers["ETag"] == whole[1]["ETag"]
                assert headers["Content-MD5"] is None
                assert headers.get_all("x-ms-blob-type") == ["BlockBlob"]
    with pytest.raises(ConnectionError):
        _get(server, capped=False)


@needs_nginx
def test_the_server_ends_when_the_bench_is_killed(tmp_path: Path) -> None:
    """No process is left that nobody ends."""
    archives.of_tiny_files(tmp_path / "a.zip", 1)
    code = (
        "import pathlib, sys, time; from tests.bench.server import Server; from tests.bench.archives import describe\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with Server(folder / 'server', {'a.zip': describe(folder / 'a.zip')}) as server:\n"
        "    print(server.endpoint(capped=False), flush=True); time.sleep(60)"
    )
    _folder(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as bench:
        assert bench.stdout
        port = int(bench.stdout.readline().split(":")[2].split("/")[0])
        bench.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while _listens(port) and time.monotonic() < end:
        time.sleep(0.05)

    assert not _listens(port)


@pytest.mark.parametrize(("part", "least"), [("add", 2), ("unzip", 1), ("startup", 7)])
def test_a_part_that_needs_no_server_runs_alone(part: str, least: int) -> None:
    """Its table is printed, with all four measures of each row; the exit code is 0."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", part, "--size", "0.3", "--runs", "1"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    rows = [line for line in done.stdout.splitlines() if re.match(r"\| [^*|]", line)]
    assert len(rows) >= least, done.stdout + done.stderr
    assert all(len([cell for cell in row.split("|") if cell.strip()]) == 6 for row in rows)
    assert "failed" not in done.stdout
    assert "Ratios are what counts" in done.stdout


def test_an_unknown_part_is_wrong_usage() -> None:
    """The parts there are stand in the error."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "unzap"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "unzap" in done.stderr
    assert "startup" in done.stderr


def test_growth_by_members_needs_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nginx, the other half of it is left out with a line."""
    _hide(monkeypatch, tmp_path, "nginx")
    by_size, by_members = PARTS["growth"](dataclasses.replace(_small(tmp_path), tiny_files=(1, 2, 3)))

    assert isinstance(by_members, Growth)
    assert by_members.amounts == [0.001, 0.002, 0.003]
    assert len(by_members.figures["`tools/unzip-asset`"]) == 3
    assert by_size.notes == [NGINX.missing()]


@pytest.mark.parametrize("part", ["fetch", "whole", "again"])
def test_without_nginx_a_part_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """With a line that says how to install it."""
    _hide(monkeypatch, tmp_path, "nginx")
    [left_out] = PARTS[part](_small(tmp_path))

    assert (list(left_out.figures), left_out.notes) == ([], [NGINX.missing()])
    assert "apt-get install nginx-light" in NGINX.missing()


@needs_nginx
def test_fetch_compares_all_who_are_here(tmp_path: Path) -> None:
    """With and without the cap; every contender has figures, or a line."""
    capped, free = PARTS["fetch"](_small(tmp_path))

    assert isinstance(capped, Comparison)
    assert isinstance(free, Comparison)
    assert (capped.title, free.title) == ("Fetch, 30 MB/s a connection", "Fetch, no cap")
    for each in (capped, free):
        absent = [peer for peer in (peers.AZCOPY, peers.WGET) if not peer.found()]
        assert list(each.notes) == [peer.missing() for peer in absent]
        assert len(each.figures) == 5 - len(absent)


def test_a_part_that_fails_becomes_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on."""

    def broken(_: Bench) -> Sequence[Comparison]:
        raise OSError("no\nroom")

    def fine(_: Bench) -> Sequence[Comparison]:
        return [Comparison("Fine", [figures("ours", 1)])]

    monkeypatch.setattr(doorway, "PARTS", {"broken": broken, "fine": fine})
    results = doorway.measure(["broken", "fine"], 1, 1)

    assert [each.title for each in results.found] == ["Fine"]
    assert results.notes == ["broken failed: no room"]


def _small(folder: Path) -> Bench:
    return Bench(folder, 300_000, 1)


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "server"
    folder.mkdir()
    return folder


def _hide(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Take a program off the PATH, and leave all others on it."""
    places = os.environ["PATH"].split(os.pathsep)
    shown = folder / "bin"
    shown.mkdir()
    for place in reversed([place for place in places if os.access(place, os.R_OK)]):
        for name in os.listdir(place):  # noqa: PTH208  # names are all it takes
            (shown / name).unlink(missing_ok=True)
            (shown / name).symlink_to(os.path.join(place, name))  # noqa: PTH118  # a link, not resolved
    (shown / program).unlink(missing_ok=True)
    monkeypatch.setenv("PATH", str(shown))
    assert shutil.which(program) is None


def _get(
    server: Server, headers: dict[str, str] | None = None, *, capped: bool
) -> tuple[int, http.client.HTTPMessage, bytes]:
    host = server.endpoint(capped=capped).split("/")[2]
    client = http.client.HTTPConnection(host, timeout=10)
    client.request("GET", f"/{ACCOUNT}/{CONTAINER}/datasets%2Fa.zip?{SAS}", headers=headers or {})
    with client.getresponse() as response:
        return response.status, response.headers, response.read()


def _listens(port: int) -> bool:
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
    except OSError:
        return False
    return True
