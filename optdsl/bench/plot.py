"""A picture of results: our targets against the best of each library, over the floor."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from optdsl.bench.peers import FLOOR
from optdsl.bench.report import label
from optdsl.bench.results import Results, Row
from optdsl.trials.plot import DOTS_PER_INCH, empty_figure
from optdsl.trials.plot import check as check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#7a7f87"
"""Of letters and lines: to be read on white and on black, since the picture has no ground of its own."""
LIBRARIES = {
    "optdsl c": "#2f81d6", "optdsl numpy": "#8fbbe8", "torch": "#e0662b", "optax": "#3fa66a", "numpy": "#a98bd6",
    "numba": "#c9a227",
}  # fmt: skip
"""Of each library its colour; what isn't among them is another target."""
_OTHER = "#b0567f"
_WAYS = {
    "torch-for": ["for-loop"], "torch-foreach": ["foreach"], "torch-fused": ["fused"], "torch-compiled": ["compiled"],
    "numpy-out": ["out="],
}  # fmt: skip
"""How bars of a library are told apart."""
_FLOOR_LINE: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": (0, (2, 1))}
_BAR = 0.17
"""Inches a bar takes."""


def library(contestant: str) -> str:
    """Return which library's bar a contestant may be: our targets have one each."""
    name = label(contestant)
    return name if name.startswith("optdsl ") else name.split("-")[0]


def drawn(results: Results) -> dict[str, list[Row]]:
    """Return the rows that are drawn, by rule: of each library the fastest way, and the floor.

    They are of one size, that which most rules were timed at; among those the largest single tensor, else the largest.
    Raises ValueError where there are no rows.
    """
    if not results.rows:
        raise ValueError("there are no results to draw")
    pairs = results.pairs()
    timed = [pair[1:] for pair in pairs]

    def most(kind: tuple[str, str]) -> tuple[int, bool, int, bool]:
        row = next(rows[0] for pair, rows in pairs.items() if pair[1:] == kind)
        return timed.count(kind), row.tensors == 1, row.elements, row.gradients == "same"

    chosen = max(timed, key=most)
    found: dict[str, list[Row]] = {}
    for (rule, *kind), rows in pairs.items():
        if tuple(kind) == chosen:
            best: dict[str, Row] = {}
            for row in rows:  # the fastest first
                best.setdefault(library(row.contestant), row)
            order = [*LIBRARIES, *(name for name in best if name not in LIBRARIES)]
            found[rule] = [best[name] for name in order if name in best]
    return found


def draw(results: Results, file: str | PathLike[str]) -> None:
    """Draw the times of a step as bars, a group for each rule, in a format told by the file's ending.

    Raises:
        PlotError: matplotlib is missing.
        ValueError: There is nothing to draw, or an ending matplotlib doesn't know.
        OSError: The file can't be written.
    """
    rules = drawn(results)
    bars = sum(len([row for row in rows if row.contestant != FLOOR]) for rows in rules.values())
    picture = empty_figure(8.6, 1.1 + _BAR * (bars + 1.2 * len(rules)))
    from matplotlib import rc_context  # which `empty_figure` has found

    picture.patch.set_alpha(0)
    axes = picture.subplots()
    axes.patch.set_alpha(0)
    names = _bars(axes, rules)
    _legend(axes, names, any(row.contestant == FLOOR for rows in rules.values() for row in rows))
    first = next(iter(rules.values()))[0]
    noted = ";  * not the same rule" if any(row.note for rows in rules.values() for row in rows) else ""
    axes.set_xlabel(f"milliseconds of a step: {_what(first)}{noted}", color=INK)
    with rc_context({"svg.hashsalt": "optdsl"}):  # the same bytes for the same results
        picture.savefig(file, dpi=DOTS_PER_INCH, metadata=_undated(file))


def _what(row: Row) -> str:
    tensors = "one tensor" if row.tensors == 1 else f"{row.tensors:,} tensors"
    return f"{tensors}, {row.elements:,} float32"


def _undated(file: str | PathLike[str]) -> dict[str, None] | None:
    return {"Date": None} if str(file).lower().endswith(".svg") else None


def _bars(axes: Axes, rules: dict[str, list[Row]]) -> list[str]:
    """Draw the bars and return the libraries that have one."""
    at = 0.0
    ticks = []
    names: dict[str, None] = {}
    longest = max(row.median for rows in rules.values() for row in rows) * 1e3
    for rows in rules.values():
        begin = at
        floor = next((row.median * 1e3 for row in rows if row.contestant == FLOOR), None)
        for row in rows:
            if row.contestant == FLOOR:
                continue
            name = library(row.contestant)
            names[name] = None
            ms = row.median * 1e3
            axes.barh(at, ms, 0.86, color=LIBRARIES.get(name, _OTHER), linewidth=0)
            shown = "  ".join([f"{ms:.3g}", *_WAYS.get(row.contestant, ()), *(["*"] if row.note else [])])
            end = floor if floor is not None and ms < floor < ms + 0.06 * longest else ms
            axes.annotate(shown, (end, at), (3, 0), textcoords="offset points", va="center", fontsize=7, color=INK)
            at += 1
        ticks.append((begin + at - 1) / 2)
        if floor is not None:
            axes.plot([floor, floor], [begin - 0.5, at - 0.5], **_FLOOR_LINE)
        at += 1.2
    axes.set_yticks(ticks, list(rules), color=INK)
    axes.set_ylim(at - 1.4, -0.9)
    axes.set_xlim(0, longest * 1.14)
    axes.tick_params(colors=INK, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.xaxis.grid(True, color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    return list(names)


def _legend(axes: Axes, names: Sequence[str], floor: bool) -> None:
    """Name the colours above the bars, in one row."""
    for name in sorted(names, key=lambda name: [*LIBRARIES, name].index(name)):
        says = {"torch": "PyTorch", "numpy": "NumPy by hand", "optdsl c": "optdsl, C", "optdsl numpy": "optdsl, NumPy"}
        axes.barh([0], [0], color=LIBRARIES.get(name, _OTHER), label=says.get(name, name))
    if floor:
        axes.plot([], [], label="memory alone", **_FLOOR_LINE)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=7, frameon=False, fontsize=8, labelcolor=INK, handlelength=1.2,
        columnspacing=1.4, borderaxespad=0.2,
    )  # fmt: skip
