"""The functions of two numbers: gradients, minima, and runs on them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer
from optdsl.trials.functions import FUNCTIONS, Function
from optdsl.trials.run import run_function

each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())


@each_function
def test_the_gradient_is_that_of_the_value(function: Function) -> None:
    rng = np.random.default_rng(0)
    (low_x, high_x), (low_y, high_y) = function.window
    width = 1e-6
    for x, y in zip(rng.uniform(low_x, high_x, 50), rng.uniform(low_y, high_y, 50), strict=True):
        value, dx, dy = function.at(x, y)
        by_x = (function.at(x + width, y)[0] - function.at(x - width, y)[0]) / (2 * width)
        by_y = (function.at(x, y + width)[0] - function.at(x, y - width)[0]) / (2 * width)
        # The difference of two values is good to their rounding, divided by the width.
        rounding = 1e-15 * (1 + abs(value)) / width
        assert dx == pytest.approx(by_x, rel=1e-5, abs=1e-6 + rounding)
        assert dy == pytest.approx(by_y, rel=1e-5, abs=1e-6 + rounding)


@each_function
def test_the_minima_are_minima(function: Function) -> None:
    for x, y in function.minima:
        value, dx, dy = function.at(np.float64(x), np.float64(y))
        assert value == pytest.approx(0, abs=1e-12)
        assert (dx, dy) == pytest.approx((0, 0), abs=1e-6)
        assert function.distance((x, y)) == 0
    (low_x, high_x), (low_y, high_y) = function.window
    values = function.at(*np.meshgrid(np.linspace(low_x, high_x, 201), np.linspace(low_y, high_y, 201)))[0]
    assert values.min() >= -1e-12


@each_function
def test_start_and_minima_are_in_the_window(function: Function) -> None:
    for x, y in (function.start, *function.minima):
        assert function.window[0][0] < x < function.window[0][1]
        assert function.window[1][0] < y < function.window[1][1]


@each_function
def test_arrays_and_numbers_agree(function: Function) -> None:
    x, y = np.array([0.5, -1.25, 0.0]), np.array([1.5, 0.75, 0.0])
    together = np.array(function.at(x, y))
    for index in range(3):
        assert together[:, index] == pytest.approx(np.array(function.at(x[index], y[index]), dtype=np.float64))


def test_known_values() -> None:
    assert FUNCTIONS["rosenbrock"].at(-1.2, 1.0)[0] == pytest.approx(24.2)
    assert FUNCTIONS["beale"].at(1.0, 1.0)[0] == pytest.approx(14.203125)
    assert FUNCTIONS["himmelblau"].at(0.0, 0.0)[0] == 170
    assert FUNCTIONS["booth"].at(0.0, 0.0)[0] == 74
    assert FUNCTIONS["rastrigin"].at(1.0, 0.0)[0] == pytest.approx(1.0)
    assert FUNCTIONS["ackley"].at(np.float64(1.0), np.float64(0.0))[0] == pytest.approx(
        20 + math.e - 20 * math.exp(-0.2 * math.sqrt(0.5)) - math.e
    )


@pytest.mark.parametrize("name", ["rosenbrock", "quadratic", "beale", "himmelblau", "booth"])
def test_adam_reaches_a_minimum(target: str, name: str) -> None:
    result = run_function(load("adam", target), name)
    assert not result.diverged
    assert result.function.distance(result.end) < 1e-3


@pytest.mark.parametrize("name", ["ackley", "rastrigin"])
def test_adam_ends_in_a_dent(adam: type[Optimizer], name: str) -> None:
    result = run_function(adam, name)
    _, dx, dy = result.function.at(*result.path[-1])
    # Where the curvature is 400, a step of some 1e-5 to and fro is a slope of some 1e-2.
    assert (dx, dy) == pytest.approx((0, 0), abs=0.05)
    assert result.losses[-1] < result.losses[0]


def test_the_path_has_a_point_and_a_value_for_every_step(adam: type[Optimizer]) -> None:
    seen: list[tuple[int, float]] = []
    result = run_function(adam, "booth", {"lr": 0.1}, steps=7, progress=lambda *report: seen.append(report))
    assert result.path.shape == (8, 2)
    assert tuple(result.path[0]) == result.function.start
    assert seen == list(enumerate(result.losses[1:], start=1))
    for point, loss in zip(result.path, result.losses, strict=True):
        assert result.function.at(*point)[0] == loss


def test_a_run_starts_where_the_last_one_did(adam: type[Optimizer]) -> None:
    first, second = (run_function(adam, "beale", steps=5) for _ in range(2))
    assert first.losses == second.losses


def test_divergence_ends_the_run(descent: type[Optimizer]) -> None:
    result = run_function(descent, "rosenbrock")
    assert result.diverged
    assert len(result.losses) < 20
    assert not math.isfinite(result.losses[-1])
    assert all(map(math.isfinite, result.losses[:-1]))


def test_too_few_steps_are_refused(adam: type[Optimizer]) -> None:
    with pytest.raises(ValueError, match="steps = 0 is below 1"):
        run_function(adam, "booth", steps=0)
