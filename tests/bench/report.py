"""The rows as a Markdown table, with what they were measured on, and as an SVG plot."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from datetime import date
from html import escape
from importlib import metadata
from pathlib import Path
from statistics import median

from tests.bench.measure import PEERS, Contender

_MARKS = re.compile(r"(?<=<!-- bench -->\n).*(?=<!-- /bench -->)", re.DOTALL)
_HEAD = "| | ratio | wall, s | CPU, s | memory, MB | disk, MB | served |\n|---|---|---|---|---|---|---|"
_WIDTH, _LABELS, _ROW, _PANEL = 720, 210, 24, 44  # of the plot, in pixels
_OPENING = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {{}}">'
_STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .bar { fill: #b8a894 } .ours { fill: #2f6fdb } .range { stroke: #59636e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .bar { fill: #75695b } .ours { fill: #4a8cf7 } .range { stroke: #9198a1 }
  }
</style>"""


def document(groups: dict[str, list[Contender]], notes: Iterable[str], circumstances: str) -> str:
    """The table, ratios against the first row of each group, and the notes, each once."""
    lines = [circumstances, "", _HEAD]
    for group, rows in groups.items():
        lines.append(f"| **{group}** | | | | | | |")
        for row in rows:
            ratios = [run.wall / base.wall for run, base in zip(row.runs, rows[0].runs, strict=True)]
            times = [_told(values, 2) for values in (ratios, row.values("wall"), row.values("cpu"))]
            sizes = [_told([size / 1e6 for size in row.values(what)], 1) for what in ("memory", "disk")]
            served = _told(row.values("served"), 2) if any(row.values("served")) else ""
            lines.append(f"| {' | '.join([row.name, *times, *sizes, served])} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in dict.fromkeys(notes))]).strip() + "\n"


def _told(values: list[float], digits: int) -> str:
    """The median with minimum and maximum, where these look different."""
    low, middle, high = (f"{each:.{digits}f}" for each in (min(values), median(values), max(values)))
    return middle if low == high else f"{middle} ({low}-{high})"


def write(table: str, groups: dict[str, list[Contender]], docs: Path) -> None:
    """Put the table between the marks of its page, and the plot beside it; ValueError without marks."""
    page = docs / "benchmark.md"
    text, count = _MARKS.subn(lambda _: table, page.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{page} has to hold the marks <!-- bench --> and <!-- /bench -->")
    page.write_text(text, encoding="utf-8")
    (docs / "benchmark.svg").write_text(svg(groups), encoding="utf-8")


def circumstances(size: int, runs: int, scratch: Path) -> str:
    """The machine, the versions, the data, the date."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    peers = ""
    for each in filter(shutil.which, PEERS):
        said = subprocess.run([each, PEERS[each][0]], capture_output=True, text=True, check=False).stdout
        peers += f", {each} {re.findall(r'[0-9]+[.][.0-9]+', said)[0]}"
    return (
        f"Measured on {date.today()} on {os.cpu_count()} cores, {memory:.0f} GiB, {platform.platform()}, load"
        f" {os.getloadavg()[0]:.1f} before; Python {platform.python_version()}, DVC {metadata.version('dvc')}{peers}."
        f" An archive of {size / 1e6:.0f} MB shaped like region features, below {scratch.parent}, page cache warm."
        f" Medians of at least {runs} alternating runs (minimum-maximum)."
    )


def svg(groups: dict[str, list[Contender]]) -> str:
    """Draw a panel of bars for each group, each with a scale of its own."""
    shapes, top = [_STYLE], 0
    for group, rows in groups.items():
        shapes.append(f'<text class="title" y="{top + 18}">{escape(group)}</text>')
        scale = (_WIDTH - _LABELS - 60) / max([1e-9, *(wall for row in rows for wall in row.values("wall"))])
        for y, row in enumerate(rows):
            walls = row.values("wall")
            low, middle, high = (scale * value for value in (min(walls), median(walls), max(walls)))
            shapes.append(
                f'<g transform="translate({_LABELS} {top + 28 + _ROW * y})">'
                f'<text x="-8" y="13" text-anchor="end">{escape(row.name.replace("`", ""))}</text>'
                f'<rect class="{"ours" if "`tools/" in row.name else "bar"}" width="{middle:.1f}" height="17" rx="2"/>'
                f'<path class="range" d="M{low:.1f} 8.5H{high:.1f}"/>'
                f'<text x="{high + 6:.1f}" y="13">{median(walls):.1f} s</text></g>'
            )
        top += _PANEL + _ROW * len(rows)
    return "\n".join([_OPENING.format(top), *shapes, "</svg>\n"])
