"""The results as Markdown, and their place in the README."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.measure import Spread, ratios
from tests.bench.parts import Comparison, Growth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"
PLOT = "tests/bench/bench.svg"


@dataclass(frozen=True)
class Results:
    """What a run found, and under which circumstances."""

    found: Sequence[Comparison | Growth]
    circumstances: str
    notes: Sequence[str] = ()

    @property
    def all_notes(self) -> list[str]:
        """Who and what is missing, each told once."""
        return list(dict.fromkeys([*self.notes, *(note for each in self.found for note in each.notes)]))


def document(results: Results) -> str:
    """The tables, with what they were measured on."""
    comparisons = [each for each in results.found if isinstance(each, Comparison) and each.figures]
    growths = [each for each in results.found if isinstance(each, Growth) and each.figures]
    lines = [results.circumstances, ""]
    if comparisons:
        lines += ["| | ratio | wall | CPU | memory | disk |", "|---|---|---|---|---|---|"]
        lines += [line for each in comparisons for line in _rows(each)]
        lines += [""]
    if growths:
        lines += ["| growth | wall | each further |", "|---|---|---|"]
        lines += [line for each in growths for line in _growth_rows(each)]
        lines += [""]
    lines += [f"- {note}" for note in results.all_notes]
    return "\n".join(lines).strip() + "\n"


def into_readme(text: str, table: str) -> str:
    r"""The README with the table between its marks; ValueError when they are not there once each.

    >>> into_readme("a <!-- bench --> old <!-- /bench --> b", "new")
    'a <!-- bench -->\nnew\n<!-- /bench --> b'
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the README has to hold {BEGIN} and {END} once")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table.strip()}\n{END}{rest.split(END)[1]}"


def circumstances(size: int, runs: int, scratch: Path) -> str:
    """The machine, the versions, the data, the date; how the figures are to be read."""
    programs = ", ".join(peer.told() for peer in peers.ALL if peer.found())
    load = os.getloadavg()[0]
    return (
        f"Measured on {date.today()} on {os.cpu_count()} cores ({_processor()}), {_memory()}, load"
        f" {load:.1f} before; Python {platform.python_version()}, DVC {metadata.version('dvc')}, {programs}."
        f" An archive of {bytes_of(size)} shaped like region features, in {_filesystem(scratch)}, page cache"
        f" warm. Medians of {runs} alternating runs (minimum-maximum)."
        " **Ratios are what counts**: seconds are this machine's. They are those of wall time against the"
        " first row of a group, run by run. Memory is that of the largest process (10 MB is the least"
        " that can be told), disk what was added to it."
    )


def _rows(comparison: Comparison) -> Iterator[str]:
    yield f"| **{comparison.title}** | | | | | |"
    for each in comparison.figures:
        ratio = told(ratios(comparison.figures[0], each), number)
        wall, cpu = (told(each.spread(what), seconds) for what in ("wall", "cpu"))
        memory, disk = (told(each.spread(what), bytes_of) for what in ("memory", "disk"))
        yield f"| {each.name} | {ratio} | {wall} | {cpu} | {memory} | {disk} |"


def _growth_rows(growth: Growth) -> Iterator[str]:
    for name, figures in growth.figures.items():
        medians = [each.spread("wall").median for each in figures]
        further = ["", *(seconds(slope) for slope in slopes(growth.amounts, medians))]
        yield f"| **{growth.title}**, {name}: each further {growth.unit} | | |"
        for amount, each, slope in zip(growth.amounts, figures, further, strict=True):
            yield f"| {_amount(amount, growth.unit)} | {told(each.spread('wall'), seconds)} | {slope} |"


def slopes(amounts: Sequence[float], values: Sequence[float]) -> list[float]:
    """What each further unit costs between neighbouring amounts: the same where growth is linear.

    >>> slopes([1, 2, 4], [5.0, 7.0, 11.0])
    [2.0, 2.0]
    """
    pairs = list(zip(amounts, values, strict=True))
    return [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(pairs)]


def number(value: float) -> str:
    """A number with two digits that count.

    >>> [number(value) for value in (0.0234, 1.26, 12.6, 126.0)]
    ['0.023', '1.3', '13', '126']
    """
    if abs(value) < 0.995:
        return f"{value:.2g}"
    return f"{value:.0f}" if abs(value) >= 9.95 else f"{value:.1f}"


def seconds(value: float) -> str:
    """Seconds, with their unit."""
    return f"{number(value)} s"


def told(spread: Spread, form: Callable[[float], str]) -> str:
    """A median with minimum and maximum, where these look different.

    >>> told(Spread(2, 1.5, 3), seconds), told(Spread(2, 2, 2.01), seconds)
    ('2.0 s (1.5-3.0)', '2.0 s')
    """
    middle, low, high = (form(value) for value in (spread.median, spread.low, spread.high))
    unit = " " + middle.partition(" ")[2]
    return (
        middle if low == middle == high else f"{middle} ({low.removesuffix(unit)}-{high.removesuffix(unit)})"
    )


def bytes_of(value: float) -> str:
    """Bytes in the unit people read.

    >>> [bytes_of(value) for value in (4096, 45_300_000, 1_260_000_000)]
    ['4 kB', '45 MB', '1.26 GB']
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if value >= factor:
            return f"{value / factor:.{2 if unit == 'GB' else 0}f} {unit}"
    return f"{value / 1e3:.0f} kB" if value else "0"


def _amount(amount: float, unit: str) -> str:
    """How much of a unit such as `100 MB`.

    >>> _amount(1.5, "100 MB"), _amount(10, "1,000 members")
    ('150 MB', '10,000 members')
    """
    count, _, what = unit.partition(" ")
    return f"{amount * int(count.replace(',', '')):,.0f} {what}"


def _processor() -> str:
    names = re.findall(r"model name\s*: (.*)", _text("/proc/cpuinfo"))
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB, {sys.platform}"


def _filesystem(folder: Path) -> str:
    """The kind of file system a folder is on, as /proc/mounts has it."""
    mounts = [line.split()[1:3] for line in _text("/proc/mounts").splitlines()]
    holding = [(len(top), kind) for top, kind in mounts if folder.resolve().is_relative_to(top)]
    return f"{max(holding)[1]}" if holding else "the temporary folder"


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
