"""Functions of two numbers to minimise, with gradients, starts and minima.

Each is written for numbers and for arrays alike, and returns its value and its derivatives by x and by y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import e, hypot, pi
from typing import Any

import numpy as np

Coordinate = Any
"""A number or an array of numbers; NumPy's, so that an overflow is infinite rather than an exception."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of two numbers and where to look at it.

    Attributes:
        name: What it is called on the command line.
        at: `at(x, y)` returns the value and the two derivatives.
        start: Where a run begins.
        minima: All global minima.
        window: The part of the plane worth drawing: (least x, greatest x), (least y, greatest y).
    """

    name: str
    at: Callable[[Coordinate, Coordinate], tuple[Any, Any, Any]]
    start: Point
    minima: tuple[Point, ...]
    window: tuple[Point, Point]

    def distance(self, point: Point) -> float:
        """Return the Euclidean distance from a point to the nearest global minimum."""
        return min(hypot(point[0] - x, point[1] - y) for x, y in self.minima)


def rosenbrock(x: Coordinate, y: Coordinate) -> tuple[Any, Any, Any]:
    """(1 - x)^2 + 100 (y - x^2)^2: a curved valley whose floor hardly slopes.

    Rosenbrock 1960, "An automatic method for finding the greatest or least value of a function", The Computer Journal
    3(3):175-184; the start (-1.2, 1) is his.
    """
    off = y - x**2
    return (1 - x) ** 2 + 100 * off**2, -2 * (1 - x) - 400 * x * off, 200 * off


def quadratic(x: Coordinate, y: Coordinate) -> tuple[Any, Any, Any]:
    """(x^2 + 100 y^2)/2: a bowl a hundred times as steep along y as along x.

    The textbook case of a badly conditioned problem; Boyd & Vandenberghe 2004, "Convex Optimization", section 9.3.2.
    """
    return (x**2 + 100 * y**2) / 2, x, 100 * y


def beale(x: Coordinate, y: Coordinate) -> tuple[Any, Any, Any]:
    """(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2: flat around its minimum, with steep walls.

    Beale 1958, "On an iterative method for finding a local minimum of a function of more than one variable", Princeton;
    start and form as problem 5 of Moré, Garbow & Hillstrom 1981, ACM TOMS 7(1):17-41.
    """
    value, dx, dy = 0.0, 0.0, 0.0
    for power, constant in ((1, 1.5), (2, 2.25), (3, 2.625)):
        residual = constant - x + x * y**power
        value = value + residual**2
        dx = dx + 2 * residual * (y**power - 1)
        dy = dy + 2 * residual * x * power * y ** (power - 1)
    return value, dx, dy


def himmelblau(x: Coordinate, y: Coordinate) -> tuple[Any, Any, Any]:
    """(x^2 + y - 11)^2 + (x + y^2 - 7)^2: four minima of the same depth.

    Himmelblau 1972, "Applied Nonlinear Programming", McGraw-Hill.
    """
    a, b = x**2 + y - 11, x + y**2 - 7
    return a**2 + b**2, 4 * x * a + 2 * b, 2 * a + 4 * y * b


def booth(x: Coordinate, y: Coordinate) -> tuple[Any, Any, Any]:
    """(x + 2y - 7)^2 + (2x + y - 5)^2: a bowl that lies aslant to both axes.

    Jamil & Yang 2013, "A literature survey of benchmark functions for global optimization problems", arXiv:1308.4008.
    """
    a, b = x + 2 * y - 7, 2 * x + y - 5
    return a**2 + b**2, 2 * a + 4 * b, 4 * a + 2 * b


def ackley(x: Coordinate, y: Coordinate) -> tuple[Any, Any, Any]:
    """20 + e - 20 exp(-r/5) - exp((cos 2 pi x + cos 2 pi y)/2) with r = sqrt((x^2 + y^2)/2): a funnel full of dents.

    Ackley 1987, "A Connectionist Machine for Genetic Hillclimbing", Kluwer. The tip of the funnel has no derivative; 0
    is returned there.
    """
    r = np.sqrt((x**2 + y**2) / 2)
    funnel, dents = 20 * np.exp(-r / 5), np.exp((np.cos(2 * pi * x) + np.cos(2 * pi * y)) / 2)
    # d exp(-r/5)/dx = -exp(-r/5)/5 * x/(2 r); the comparison makes 0/0 at the tip 0/1.
    slope = funnel / 10 / (r + (r == 0))
    value = 20 + e - funnel - dents
    return value, slope * x + pi * np.sin(2 * pi * x) * dents, slope * y + pi * np.sin(2 * pi * y) * dents


def rastrigin(x: Coordinate, y: Coordinate) -> tuple[Any, Any, Any]:
    """20 + x^2 + y^2 - 10 cos 2 pi x - 10 cos 2 pi y: a dent near every point with whole coordinates.

    Rastrigin 1974, "Systems of Extremal Control", Nauka, in two dimensions. Descent ends in the dent it starts in.
    """
    value = 20 + x**2 + y**2 - 10 * np.cos(2 * pi * x) - 10 * np.cos(2 * pi * y)
    return value, 2 * x + 20 * pi * np.sin(2 * pi * x), 2 * y + 20 * pi * np.sin(2 * pi * y)


_HIMMELBLAU = (
    (3.0, 2.0),
    (-2.805118086952745, 3.131312518250573),
    (-3.779310253377747, -3.283185991286170),
    (3.584428340330492, -1.848126526964404),
)

FUNCTIONS: Mapping[str, Function] = {
    function.name: function
    for function in (
        Function("rosenbrock", rosenbrock, (-1.2, 1.0), ((1.0, 1.0),), ((-1.8, 1.8), (-0.8, 2.2))),
        Function("quadratic", quadratic, (-2.0, 0.8), ((0.0, 0.0),), ((-2.4, 1.2), (-1.2, 1.2))),
        Function("beale", beale, (1.0, 1.0), ((3.0, 0.5),), ((-0.5, 4.0), (-1.2, 1.6))),
        Function("himmelblau", himmelblau, (-0.5, -1.0), _HIMMELBLAU, ((-5.0, 5.0), (-5.0, 5.0))),
        Function("booth", booth, (-1.0, -1.0), ((1.0, 3.0),), ((-4.0, 5.0), (-3.0, 6.0))),
        Function("ackley", ackley, (1.6, -1.3), ((0.0, 0.0),), ((-2.5, 2.5), (-2.5, 2.5))),
        Function("rastrigin", rastrigin, (1.3, -0.7), ((0.0, 0.0),), ((-2.5, 2.5), (-2.5, 2.5))),
    )
}
"""The functions by name."""
