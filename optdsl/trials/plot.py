"""Pictures of runs. matplotlib is an extra, and loaded only when a picture is asked for."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optdsl.trials.run import DigitsResult, FunctionResult, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUN, TEST, START, END, MINIMUM = "#1f5fa8", "#c2571a", "white", "#c2271a", "#f2c14e"
DOTS_PER_INCH = 150
ROUNDING = 1e-16
"""Relative rounding of float64. Near a minimum, values below its square say nothing."""


class PlotError(ImportError):
    """No picture can be drawn here; the message says what to install."""


def check(file: str | PathLike[str]) -> None:
    """Say before a run whether its picture could be drawn and written.

    Raises:
        PlotError: matplotlib is missing.
        ValueError: The file's ending is of no kind that matplotlib writes, or its folder doesn't exist.
    """
    path = Path(file)
    known = empty_figure(1, 1).canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"{path} should end in one of {', '.join('.' + ending for ending in sorted(known))}")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} to")


def plot(result: Result, file: str | PathLike[str]) -> None:
    """Draw a run in the way that suits it. Raises as `plot_curve` does."""
    if isinstance(result, DigitsResult):
        plot_curve(result, file)
    else:
        plot_path(result, file)


def plot_curve(result: DigitsResult, file: str | PathLike[str]) -> None:
    """Draw loss and accuracy over the steps, in a format told by the file's ending.

    Raises:
        PlotError: matplotlib is missing.
        ValueError: An ending matplotlib doesn't know.
        OSError: The file can't be written.
    """
    figure = empty_figure(7.5, 6.5)
    upper, lower = figure.subplots(2, 1, sharex=True)
    steps = [point.step for point in result.checkpoints]
    upper.plot(
        range(1, len(result.losses) + 1), result.losses, color=RUN, alpha=0.25, linewidth=0.7, label="each batch"
    )
    upper.plot(steps, [point.train.loss for point in result.checkpoints], color=RUN, label="training images")
    upper.plot(steps, [point.test.loss for point in result.checkpoints], color=TEST, label="test images")
    upper.set_yscale("log")
    upper.set_ylabel("mean cross-entropy")
    upper.legend(frameon=False)
    lower.plot(steps, [100 * point.train.accuracy for point in result.checkpoints], color=RUN)
    lower.plot(steps, [100 * point.test.accuracy for point in result.checkpoints], color=TEST)
    last = result.checkpoints[-1].test.accuracy
    lower.annotate(
        f"{100 * last:.1f} %",
        (steps[-1], 100 * last),
        (-4, -14),
        textcoords="offset points",
        color=TEST,
        ha="right",
        va="top",
    )
    lower.set_ylim(0, 103)
    lower.set_ylabel("images named rightly, %")
    lower.set_xlabel("step")
    for axes in (upper, lower):
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{result.rule} on handwritten digits" + _ending(result))
    figure.savefig(file, dpi=DOTS_PER_INCH)


def plot_path(result: FunctionResult, file: str | PathLike[str]) -> None:
    """Draw the way over a function's contours, and the value over the steps. Raises as `plot_curve` does."""
    figure = empty_figure(11, 5)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _contours(figure, left, result)
    _way(left, result)
    values = _values(result)
    right.plot(values, color=RUN)
    if np.nanmax(values) > 10 * np.nanmin(values):
        right.set_yscale("log")
    right.set_xlim(0, len(values) - 1)
    right.xaxis.get_major_locator().set_params(nbins=5, integer=True)
    right.set_xlabel("step")
    right.set_ylabel("value")
    right.grid(color="0.92")
    right.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{result.rule} on {result.function.name}" + _ending(result))
    figure.savefig(file, dpi=DOTS_PER_INCH)


def empty_figure(width: float, height: float) -> Figure:
    """Return an empty figure that is bound to no window and to no global state."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError(f"plotting needs matplotlib ({error}); pip install 'optdsl[plot]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def _ending(result: Result) -> str:
    return " (diverged)" if result.diverged else ""


def _contours(figure: Figure, axes: Axes, result: FunctionResult) -> None:
    """Draw a function's contours, spaced by ratio, so that a steep wall leaves the floor of a valley visible."""
    from matplotlib.colors import LogNorm

    (low_x, high_x), (low_y, high_y) = result.function.window
    x, y = np.meshgrid(np.linspace(low_x, high_x, 401), np.linspace(low_y, high_y, 401))
    values: npt.NDArray[np.float64] = result.function.at(x, y)[0]
    # The minimum of all these functions is 0, which no logarithm reaches: the lowest values share one colour.
    top = float(values.max())
    bottom = max(float(np.quantile(values, 1e-3)), top * 1e-5)
    levels: Any = np.geomspace(bottom, top, 25)
    filled = axes.contourf(x, y, np.maximum(values, bottom), levels, norm=LogNorm(bottom, top), cmap="viridis")
    axes.contour(x, y, values, levels, colors="white", linewidths=0.3, alpha=0.5)
    decades = 10.0 ** np.arange(np.ceil(np.log10(bottom)), np.floor(np.log10(top)) + 1)
    bar = figure.colorbar(filled, ax=axes, ticks=decades, format="%g")
    bar.ax.minorticks_off()
    bar.ax.set_title("value", fontsize="medium")
    axes.set_xlim(low_x, high_x)
    axes.set_ylim(low_y, high_y)
    axes.set_xlabel("x")
    axes.set_ylabel("y")


def _way(axes: Axes, result: FunctionResult) -> None:
    """Draw the points of a run, its two ends and the minima."""
    path = result.path[np.isfinite(result.path).all(axis=1)]
    axes.plot(path[:, 0], path[:, 1], color="white", linewidth=2.6, alpha=0.8)
    axes.plot(path[:, 0], path[:, 1], color=END, linewidth=1.2)
    minima = np.array(result.function.minima)
    axes.plot(minima[:, 0], minima[:, 1], "*", color=MINIMUM, markeredgecolor="black", markersize=15, label="minimum")
    axes.plot(*path[0], "o", color=START, markeredgecolor="black", markersize=8, label="start")
    within = all(low <= at <= high for at, (low, high) in zip(path[-1], result.function.window, strict=True))
    label = f"after {len(path) - 1:,} steps" + ("" if within else ", outside")
    axes.plot(*path[-1], "X", color=END, markeredgecolor="white", markersize=9, label=label)
    axes.legend(loc="best", framealpha=0.9)


def _values(result: FunctionResult) -> npt.NDArray[np.float64]:
    """Return the values of a run, with NaN, which leaves a gap, for those that are rounding or no finite number."""
    values = np.array(result.losses)
    return np.where(np.isfinite(values) & (values > ROUNDING**2), values, np.nan)
