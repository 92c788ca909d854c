"""A rule's path on two test functions, as a small SVG whose bytes depend on the rule alone.

The SVG is written here: whole coordinates, no library, no date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from math import inf, log10

import numpy as np

from optdsl.runtime.optimizer import Optimizer
from optdsl.trials.functions import FUNCTIONS, Function
from optdsl.trials.run import run_function

SHOWN = {"quadratic": 100, "rosenbrock": 400}
"""The functions, each with the steps that are drawn."""
RATES = ("lr", "eta", "learning_rate")
"""What a learning rate is called."""
LEARNING_RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Those tried, at the rule's other defaults."""
TRIED = 50
"""Steps that a learning rate is tried for."""
FLOOR = 1e-6
"""A value that counts as having arrived."""
FAR = 1e3
"""A coordinate that counts as lost."""
NUDGE, SAME = 1e-12, 1e-4
"""A relative change of the start, and a change of the points that can't be seen."""

WIDTH, HEIGHT, GAP, TITLE = 640, 520, 40, 44
"""Units of a panel; two of them are a pixel."""
LEVELS = 9
STYLE = " ".join([
    "text{font:26px sans-serif;fill:#222}",
    ".contours{fill:none;stroke:#9db4c8;stroke-width:1.5}",
    ".path{fill:none;stroke:#c2271a;stroke-width:3;stroke-linejoin:round}",
    ".steps{fill:none;stroke:#8a1a10;stroke-width:6;stroke-linecap:round}",
    ".start{fill:#fff;stroke:#222;stroke-width:3}",
    ".minimum{fill:#f2c14e;stroke:#222;stroke-width:2}",
])  # fmt: skip

Point = tuple[float, float]
Line = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Path:
    """The points of a run, and the learning rate it was made with, None where the rule has none."""

    function: Function
    points: list[Point]
    rate: float | None


def svg(rule: type[Optimizer]) -> str:
    """Return the picture of a rule's paths, side by side."""
    paths = [path(rule, FUNCTIONS[name], steps) for name, steps in SHOWN.items()]
    panels = [_panel(one, index * (WIDTH + GAP)) for index, one in enumerate(paths)]
    width, height = len(SHOWN) * (WIDTH + GAP) - GAP, TITLE + HEIGHT
    size = f'viewBox="0 0 {width} {height}" width="{width // 2}" height="{height // 2}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f"<title>The path of {rule.rule.name} on the functions {' and '.join(SHOWN)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *panels,
        "</svg>\n",
    ])  # fmt: skip


def path(rule: type[Optimizer], function: Function, steps: int) -> Path:
    """Return the run that comes down soonest, of those with the learning rates tried; one run where there is none."""
    names = [hyper.name for hyper in rule.rule.hypers]
    name = next((name for name in RATES if name in names), None)
    if name is None:
        return Path(function, _run(rule, function, {}, steps), None)
    heights = {rate: _height(function, _run(rule, function, {name: rate}, TRIED)) for rate in LEARNING_RATES}
    ranked = sorted(LEARNING_RATES, key=lambda rate: (heights[rate], rate))
    calm = (rate for rate in ranked if _is_calm(rule, function, {name: rate}, steps))
    rate = next(calm, ranked[0])
    return Path(function, _run(rule, function, {name: rate}, steps), rate)


def _is_calm(rule: type[Optimizer], function: Function, options: Mapping[str, float], steps: int) -> bool:
    """Return whether a run stays below its start, and is the same for a start that differs by a rounding or so.

    Another would have another picture on another machine, and say little.
    """
    x, y = function.start
    first = _run(rule, function, options, steps)
    second = _run(rule, replace(function, start=(x * (1 + NUDGE), y)), options, steps)
    if len(first) <= steps or len(second) <= steps:
        return False
    values = [float(function.at(*point)[0]) for point in first]
    return max(values) <= values[0] and float(np.abs(np.subtract(first, second)).max()) < SAME


def _run(rule: type[Optimizer], function: Function, options: Mapping[str, float], steps: int) -> list[Point]:
    """Return the points of a run, to the last before it is lost."""
    points = run_function(rule, function, options, steps=steps).path
    lost = ~(np.abs(points) < FAR).all(axis=1)
    end = int(lost.argmax()) if lost.any() else len(points)
    return [(float(x), float(y)) for x, y in points[:end]]


def _height(function: Function, points: Sequence[Point]) -> float:
    """Return how high a run is on average, in decades; one that is lost is higher than any."""
    values = [float(function.at(*point)[0]) for point in points]
    heights = [log10(max(value, FLOOR)) for value in values]
    return round(sum(heights) / len(heights), 3) if len(points) > TRIED else inf


def _panel(run: Path, left: int) -> str:
    """Return a function's contours, the run, its start and the minimum."""
    (low_x, high_x), (low_y, high_y) = run.function.window

    def place(point: tuple[float, float]) -> tuple[int, int]:
        x = (point[0] - low_x) / (high_x - low_x) * WIDTH
        y = (high_y - point[1]) / (high_y - low_y) * HEIGHT
        return round(min(max(x, -WIDTH), 2 * WIDTH)), round(min(max(y, -HEIGHT), 2 * HEIGHT))

    points = [place(point) for point in run.points]
    rate = "" if run.rate is None else f", learning rate {run.rate:g}"
    name, start = f"clip{left}", points[0]
    minima = "".join(f'<path class="minimum" d="{_star(place(minimum))}"/>' for minimum in run.function.minima)
    return "\n".join([
        f'<g transform="translate({left} {TITLE})">',
        f'<clipPath id="{name}"><rect width="{WIDTH}" height="{HEIGHT}"/></clipPath>',
        f'<text x="0" y="-14">{run.function.name}, {len(points) - 1} steps{rate}</text>',
        f'<g clip-path="url(#{name})"><path class="contours" d="{_contours(run.function.name)}"/>',
        f'<path class="path" d="{_drawn([_thinned(points)])}"/><path class="steps" d="{_dots(points)}"/>{minima}',
        f'<circle class="start" cx="{start[0]}" cy="{start[1]}" r="9"/></g>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#888"/></g>',
    ])  # fmt: skip


def _star(at: tuple[int, int]) -> str:
    x, y = at
    return f"M{x} {y - 16}l4 12 13 0-10 8 4 12-11-8-11 8 4-12-10-8 13 0z"


def _thinned(points: Line) -> Line:
    """Return a line without points that repeat the one before."""
    return [point for index, point in enumerate(points) if index == 0 or point != points[index - 1]]


def _dots(points: Line) -> str:
    """Return a dot for every step that lands on a place of its own."""
    return "".join(f"M{x} {y}h0" for x, y in dict.fromkeys(points))


def _drawn(lines: Iterable[Line]) -> str:
    """Return lines as path data, each point told from the one before."""
    parts = []
    for line in lines:
        parts.append(f"M{line[0][0]} {line[0][1]}")
        moves = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(line)]
        if moves:
            parts.append("l" + " ".join(f"{dx} {dy}" for dx, dy in moves).replace(" -", "-"))
    return "".join(parts)


# Contours


@cache
def _contours(name: str) -> str:
    """Return the contours of a function as path data, levels spaced by ratio."""
    function = FUNCTIONS[name]
    (low_x, high_x), (low_y, high_y) = function.window
    columns, rows = 128, 104
    x, y = np.meshgrid(np.linspace(low_x, high_x, columns + 1), np.linspace(high_y, low_y, rows + 1))
    values = function.at(x, y)[0]
    top = float(values.max())
    levels = np.geomspace(top * 1e-3, top * 0.6, LEVELS)
    lines: list[Line] = []
    for level in levels:
        for line in _joined(_segments(values, level)):
            whole = [(round(px * WIDTH / columns), round(py * HEIGHT / rows)) for px, py in line]
            lines.append(_straightened(_thinned(whole)))
    return _drawn(lines)


def _segments(values: np.ndarray, level: float) -> Iterator[tuple[Point, Point]]:
    """Yield the pieces of a contour, one or two in each square of the grid that it crosses."""
    above = values > level
    count = above[:-1, :-1] + above[:-1, 1:] * 1 + above[1:, 1:] + above[1:, :-1]
    for i, j in np.argwhere((count > 0) & (count < 4)).tolist():
        corners = ((i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j))
        crossed = []
        for k, corner in enumerate(corners):
            first, last = sorted((corner, corners[(k + 1) % 4]))  # the same from both squares that share a side
            if above[first] != above[last]:
                share = (level - values[first]) / (values[last] - values[first])
                row, column = first[0] + share * (last[0] - first[0]), first[1] + share * (last[1] - first[1])
                crossed.append((round(float(column), 6), round(float(row), 6)))
        yield from zip(crossed[::2], crossed[1::2], strict=True)


def _joined(segments: Iterable[tuple[Point, Point]]) -> Iterator[list[Point]]:
    """Yield whole lines made of pieces that share their ends."""
    neighbours: dict[Point, list[Point]] = {}
    for a, b in segments:
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    ends = [point for point, others in neighbours.items() if len(others) == 1]
    for start in [*ends, *neighbours]:
        line = [start]
        while neighbours[line[-1]]:
            after = neighbours[line[-1]].pop(0)
            neighbours[after].remove(line[-1])
            line.append(after)
        if len(line) > 1:
            yield line


def _straightened(line: Line, most: float = 0.8) -> Line:
    """Return a line without the points that lie within `most` units of the line that is left (Douglas and Peucker)."""
    if len(line) < 3:
        return line
    (ax, ay), (bx, by) = line[0], line[-1]
    length = float(np.hypot(bx - ax, by - ay))
    if length == 0:
        away = [float(np.hypot(x - ax, y - ay)) for x, y in line]
    else:
        away = [abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length for x, y in line]
    far = max(range(1, len(line) - 1), key=away.__getitem__)
    if away[far] <= most:
        return [line[0], line[-1]]
    return _straightened(line[: far + 1], most)[:-1] + _straightened(line[far:], most)
