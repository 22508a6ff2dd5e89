"""The bench is complete and honest; how fast anything is, no test says."""

import contextlib
import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.azurite import ROOT
from tests.bench import measure, report, worlds
from tests.bench.measure import Contender, Run
from tests.bench.parts import PARTS, Bench
from tests.bench.server import SLOW, Pace, Server

TABLE = """A machine.

| | ratio | wall, s | CPU, s | memory, MB | disk, MB | served |
|---|---|---|---|---|---|---|
| **Fetch** | | | | | | |
| `tools/x` | 1.00 | 1.50 (1.00-2.00) | 0.75 (0.50-1.00) | 45.0 | 2.0 | 1.25 |
| theirs <&> | 2.50 (2.00-3.00) | 3.50 (3.00-4.00) | 1.75 (1.50-2.00) | 45.0 | 2.0 |  |

- 7z is left out
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench of 300 kB, each command run twice."""
    with contextlib.closing(Server(tmp_path / "blobs")) as server:
        yield Bench(tmp_path, server, 300_000, 2)


def test_table_and_plot_have_each_contender_and_note(tmp_path: Path) -> None:
    """Ratios are those of pairs of runs: 3 to 1, 4 to 2; the page around the table stays."""
    ours, theirs = (Contender(name, "", ROOT) for name in ("`tools/x`", "theirs <&>"))
    ours.runs = [Run(wall, wall / 2, 45_000_000, 2_000_000, 1.25) for wall in (1, 2)]
    theirs.runs = [Run(wall, wall / 2, 45_000_000, 2_000_000) for wall in (3, 4)]
    groups, page = {"Fetch": [ours, theirs]}, tmp_path / "benchmark.md"
    assert report.document(groups, ["7z is left out"] * 2, "A machine.") == TABLE
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="marks"):
        report.write(TABLE, groups, tmp_path)
    page.write_text((ROOT / "docs" / page.name).read_text(encoding="utf-8") + "after\n", encoding="utf-8")
    for table in ("other\n", TABLE):
        report.write(table, groups, tmp_path)

    assert page.read_text(encoding="utf-8").endswith(f"<!-- bench -->\n{TABLE}<!-- /bench -->\nafter\n")
    plot = ElementTree.parse(tmp_path / "benchmark.svg")  # noqa: S314  # our own
    texts = [element.text for element in plot.iter() if element.tag.endswith("text")]
    assert texts == ["Fetch", "tools/x", "1.5 s", "theirs <&>", "3.5 s"]


def test_contenders_alternate_and_failures_are_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run in a copy of its world; who fails is out, who is missing was never in; so with parts."""
    monkeypatch.setitem(measure.PEERS, "nobody", ("-v", "make nobody"))
    monkeypatch.setitem(PARTS, "broken", lambda _: 1 / 0)
    world, log = worlds.empty(bench.scratch), bench.scratch / "log"
    bench.compare(
        "Race",
        Contender("one", f"echo one >> {log}; echo x > file", world, ("file", 2)),
        Contender("missing", "true && nobody -x", world),
        Contender("fails", f"echo fails >> {log}; echo why; exit 3", world),
        Contender("idle", "true", world, ("file", 2)),
        Contender("two", f"echo two >> {log}; test ! -e file", world),
    )
    bench.measure("broken")

    assert log.read_text().split() == ["one", "fails", "two", "one", "two"]
    assert [(each.name, len(each.runs)) for each in bench.groups["Race"]] == [("one", 2), ("two", 2)]
    assert bench.notes == [
        "nobody is left out: `make nobody`",
        "Race: fails failed: exit code 3: why",
        "Race: idle failed: file has 0 bytes, expected 2",
        "broken failed: ZeroDivisionError: division by zero",
    ]


def test_a_run_is_measured(tmp_path: Path) -> None:
    """The CPU time and memory of a grandchild, and blocks of two hard links once."""
    code = "x = bytes(range(256)) * 200_000; [y for y in range(10 ** 6)]"
    line = f'sh -c \'"{sys.executable}" -c "{code}"\'; head -c 100000 /dev/zero > a; ln a b'
    run = measure.measure(Contender("", line, worlds.empty(tmp_path), ("b", 100_000)))

    assert min(run.cpu, run.wall) > 0
    assert 50_000_000 < run.memory < 500_000_000
    assert 100_000 <= run.disk < 150_000


def test_a_line_lets_no_more_pass_than_its_rate() -> None:
    """Bytes wait for those before them; a line that was idle makes up for a moment only."""
    pace = Pace(100)

    assert [pace.reserve(100, now) for now in (10, 10, 20)] == pytest.approx([10.98, 11.98, 20.98])


def test_the_server_answers_as_a_blob_service(bench: Bench) -> None:
    """Ranges by either header, the MD5 of the whole beside them; what is sent is counted."""
    content, answers = bench.archive.read_bytes(), []
    host, path = bench.url(SLOW).strip("'").removeprefix("http://").split("/", 1)
    with contextlib.closing(http.client.HTTPConnection(host, timeout=10)) as client:
        for name in ("Accept", "Range", "x-ms-range"):
            client.request("GET", f"/{path.replace('/vqa', '%2Fvqa')}", headers={name: "bytes=5-9"})
            answer = client.getresponse()
            told = map(answer.getheader, ("Content-MD5", "x-ms-blob-content-md5", "Content-Range"))
            answers.append((answer.status, answer.read(), *told))
        client.request("HEAD", "/nothing")
        assert client.getresponse().status == 404  # by now, all that was sent is counted
    md5 = answers[0][2]
    part = (206, content[5:10], None, md5, f"bytes 5-9/{len(content)}")

    assert answers == [(200, content, md5, None, None), part, part]
    assert (bench.server.sent, len(str(md5))) == (len(content) + 10, 24)


@pytest.mark.parametrize(("part", "least"), [("add", 2), ("unzip", 1), ("fetch", 9), ("startup", 7)])
def test_a_part_runs_alone(part: str, least: int) -> None:
    """Its table is printed, nothing failed; who is not on this machine is left out."""
    command = [sys.executable, "-m", "tests.bench", part, "--size", "0.3", "--runs", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert len(re.findall(r"^\| [^*|]", done.stdout, re.MULTILINE)) >= least, done.stdout + done.stderr
    assert "failed" not in done.stdout
