"""The results as SVG: a panel of bars for each comparison, of lines for each growth.

Greys and hues of middle brightness, so that it reads on a light and on a dark page.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tests.bench.parts import Comparison, Growth
from tests.bench.report import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_WIDTH = 760
_LABELS = 270  # where bars begin
_BAR_ROOM = _WIDTH - _LABELS - 110  # the rest is for their numbers
_ROW = 22
_PANEL_GAP = 44
_LINES_HEIGHT = 170
TICK = "`"  # Markdown, which an SVG shows as it is
_OURS, _THEIRS, _INK = "#2f81f7", "#9a8c7c", "#7d8590"


def svg(found: Sequence[Comparison | Growth]) -> str:
    """Draw everything that has figures."""
    shapes = [_text(0, 14, "Seconds of wall time: medians; the thin lines run from minimum to maximum.")]
    y = 40.0
    for each in found:
        if isinstance(each, Comparison) and each.figures:
            shapes += _bars(each, y)
            y += _PANEL_GAP + _ROW * len(each.figures)
    growths = [each for each in found if isinstance(each, Growth) and each.figures]
    room = _WIDTH / max(len(growths), 1)
    for position, growth in enumerate(growths):
        shapes += _lines(growth, position * room + 40, y + 40, room - 110)
    height = y + (_LINES_HEIGHT + 80 if growths else 0)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}">',
            f'<g font-family="system-ui, sans-serif" font-size="13" fill="{_INK}">',
            *shapes,
            "</g></svg>\n",
        ]
    )


def _bars(comparison: Comparison, top: float) -> Iterator[str]:
    longest = max(each.spread("wall").high for each in comparison.figures) or 1
    yield _text(0, top + 14, f"{comparison.title.replace(TICK, '')}", weight="bold")
    for row, each in enumerate(comparison.figures):
        y = top + 24 + _ROW * row
        wall = each.spread("wall")
        median, low, high = (
            _LABELS + value / longest * _BAR_ROOM for value in (wall.median, wall.low, wall.high)
        )
        colour = _OURS if _is_ours(each.name) else _THEIRS
        yield _text(_LABELS - 8, y + 13, each.name.replace(TICK, ""), anchor="end")
        yield f'<rect x="{_LABELS}" y="{y + 2:.1f}" width="{median - _LABELS:.1f}" height="14" fill="{colour}"/>'
        yield _line(low, y + 18, high, y + 18)
        yield _text(max(high, median) + 6, y + 13, number(wall.median))


def _lines(growth: Growth, left: float, top: float, width: float) -> Iterator[str]:
    """Both axes begin at zero, so that what grows linearly is a straight line."""
    most = max(growth.amounts)
    walls_of_all = [each.spread("wall").high for figures in growth.figures.values() for each in figures]
    longest = 1.2 * max(walls_of_all) or 1  # room for the name above the line
    bottom = top + _LINES_HEIGHT

    def x(amount: float) -> float:
        return left + amount / most * width

    def y(seconds: float) -> float:
        return bottom - seconds / longest * _LINES_HEIGHT

    yield _text(left - 40, top - 18, f"{growth.title}", weight="bold")
    yield _line(left, bottom, left + width, bottom)
    yield _line(left, top, left, bottom)
    yield _text(left - 6, y(longest) + 5, number(longest), anchor="end")
    yield _text(left - 6, bottom + 5, "0", anchor="end")
    count, _, unit = growth.unit.partition(" ")
    for amount in (each for each in growth.amounts if each > most / 3):
        told = f"{amount * int(count.replace(',', '')):,.0f} {unit}"
        yield _text(x(amount), bottom + 18, told, anchor="middle")
    for name, figures in growth.figures.items():
        walls = [each.spread("wall") for each in figures]
        colour = _OURS if _is_ours(name) else _THEIRS
        points = [(x(amount), y(wall.median)) for amount, wall in zip(growth.amounts, walls, strict=True)]
        corners = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        yield f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for amount, wall, (px, py) in zip(growth.amounts, walls, points, strict=True):
            yield f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>'
            yield _line(x(amount), y(wall.low), x(amount), y(wall.high))
        yield _text(
            points[-1][0],
            points[-1][1] + (-12 if _is_ours(name) else 24),
            name.replace(TICK, ""),
            anchor="end",
        )


def _is_ours(name: str) -> bool:
    """Ours are the commands of this repository, and what runs in a clone of it."""
    return name.startswith(("`tools/", "`dvc repro` alone", "ours"))


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{_INK}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
    )
