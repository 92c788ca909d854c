"""Pictures of regions of stability, over the learning rate and the curvature."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from optdsl.settings import shown
from optdsl.stability.cases import learning_rate
from optdsl.stability.grid import STEPS, WATCHED, Floats
from optdsl.stability.region import FACTOR, Region, limits, region
from optdsl.trials.plot import DOTS_PER_INCH, END, empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVATURES = (1e-2, 1e2)
_FINE, _COARSE = 300, 90
_SHADE = "#d9d9d9"
_SMALLEST = 1e-8
_MOST_STEPS = 1e5


def check(found: Region) -> None:
    """Raise ValueError where there is no learning rate to draw a region over."""
    if learning_rate(found.rule) is None:
        raise ValueError(f"a picture is drawn over the learning rate, and {found.rule.name} has none")


def draw(found: Region, file: str | PathLike[str], tick: Callable[[int], None] | None = None) -> None:
    """Draw where a rule is stable: the spectral radius of a linear step, else how far simulated runs end.

    A learning rate that is given is marked, as the default is otherwise.

    Raises:
        PlotError: matplotlib is missing.
        OSError: The file can't be written.
    """
    rate = learning_rate(found.rule)
    assert rate is not None
    name = rate.symbol.name
    free = region(found.rule, {key: value for key, value in found.given.items() if key != name})
    rates = _rates(free, found.values[name], tick)
    points = _FINE if free.usual is not None else _COARSE
    x, y = np.meshgrid(np.geomspace(*rates, points), np.geomspace(*CURVATURES, points))
    picture = empty_figure(7.5, 6)
    axes = picture.subplots()
    if free.usual is not None:
        filled = _radius(axes, x, y, free.grid(rate.symbol).radius(x, y, free.variables))
        label = "steps to come ten times closer, 1/log10(1/spectral radius)"
    else:
        filled = _distance(axes, x, y, *free.grid(rate.symbol).runs(x, y, tick))
        label = f"largest |{found.rule.parameter.name}| in the last {WATCHED} of {STEPS:,} steps from 1"
    bar = picture.colorbar(filled, ax=axes)
    bar.set_label(label)
    bar.ax.minorticks_off()
    _mark(axes, name, found.values[name], rates)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"{name}, the learning rate")
    axes.set_ylabel(f"{found.curvature.name}, the curvature")
    fixed = [f"{key} = {shown(value)}" for key, value in found.values.items() if key != name]
    picture.suptitle(f"{found.rule.name} on a quadratic" + ("" if free.usual is not None else ", simulated"))
    axes.set_title(_lines(fixed), fontsize="small", color="0.3")
    picture.savefig(file, dpi=DOTS_PER_INCH)


def _rates(found: Region, usual: float, tick: Callable[[int], None] | None) -> tuple[float, float]:
    """Return the ends of the axis of learning rates: about the largest stable one at a curvature of 1."""
    at_one = [limit.value for limit in limits(found, tick) if limit.curvature == 1 and limit.value is not None]
    middle = at_one[0] if at_one and np.isfinite(at_one[0]) else max(usual, 1e-3)
    return middle / 10**2.5, middle * 10**1.5


def _radius(axes: Axes, x: Floats, y: Floats, radius: Floats) -> Any:
    """Draw in how many steps a linear rule comes ten times closer, by the spectral radius of its step."""
    from matplotlib.colors import LogNorm

    levels = np.geomspace(1, _MOST_STEPS, 11)
    with np.errstate(divide="ignore"):
        steps = -1 / np.log10(np.clip(radius, 0, 1 - 1e-12))
    colours = np.clip(steps, levels[0], levels[-1])
    filled = axes.contourf(x, y, colours, levels, norm=LogNorm(levels[0], levels[-1]), cmap="viridis_r")
    axes.contour(x, y, colours, levels[2:-1:2], colors="white", linewidths=0.5)
    _edge(axes, x, y, np.minimum(radius, 2.0), 1.0)
    return filled


def _distance(axes: Axes, x: Floats, y: Floats, largest: Floats, last: Floats) -> Any:
    """Draw how far runs end from the minimum, where they are stable."""
    from matplotlib.colors import LogNorm

    levels = np.geomspace(_SMALLEST, FACTOR, 10)
    ends = np.clip(last, _SMALLEST, FACTOR)
    filled = axes.contourf(x, y, ends, levels, norm=LogNorm(_SMALLEST, FACTOR), cmap="viridis_r")
    _edge(axes, x, y, np.clip(largest, None, 10 * FACTOR), FACTOR)
    return filled


def _edge(axes: Axes, x: Floats, y: Floats, values: Floats, level: float) -> None:
    """Shade where values are above a level, and draw the edge of that."""
    axes.contourf(x, y, values, [level, np.inf], colors=[_SHADE])
    if values.min() < level < values.max():
        axes.contour(x, y, values, [level], colors=END, linewidths=2)
        axes.plot([], [], color=END, linewidth=2, label="edge of the stable region")
    axes.plot([], [], color=_SHADE, linewidth=6, label="not stable")


def _mark(axes: Axes, name: str, value: float, rates: tuple[float, float]) -> None:
    if rates[0] <= value <= rates[1]:
        axes.axvline(value, color="black", linestyle="--", linewidth=1, label=f"{name} = {shown(value)}")
    axes.legend(loc="upper right", framealpha=0.9, fontsize="small")


def _lines(parts: list[str]) -> str:
    """Return parts joined by commas, four to a line."""
    return ",\n".join(", ".join(parts[i : i + 4]) for i in range(0, len(parts), 4))
