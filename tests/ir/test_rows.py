"""The meaning of reductions over rows, in every kind of number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optdsl.ir.arithmetic import Arithmetic, Arrays, Digits, Floats
from optdsl.ir.evaluate import Shape, defaults, initial_states, row_width, step
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

SHAPES: list[Shape] = [(), (0,), (5,), (1, 5), (5, 1), (2, 3), (3, 2, 2), (2, 0), (0, 2)]
BY_HAND: dict[str, Any] = {
    "sum(g, axes=rest)": lambda g, x: g.sum(),
    "mean(g, axes=rest)": lambda g, x: g.mean(),
    "norm(g, axes=rest)": lambda g, x: np.sqrt((g * g).sum()),
    "norm1(g, axes=rest)": lambda g, x: np.abs(g).sum(),
    "amax(g, axes=rest)": lambda g, x: g.max(),
    "rms(g, axes=rest)": lambda g, x: np.sqrt((g * g).mean()),
    "dot(g, x, axes=rest)": lambda g, x: (g * x).sum(),
    "mean(g*ndim(x), axes=rest)": lambda g, x: 0 * g.sum() + (g * g.ndim_of_parameter).mean(),
}


class Row(np.ndarray):
    """Elements of a row that know how many axes their parameter has."""

    ndim_of_parameter = 0


def by_hand(form: str, g: Any, x: Any, shape: Shape) -> Any:
    """Return the value of each element by NumPy alone."""
    out = np.zeros(shape)
    indices = np.ndindex(shape) if len(shape) < 2 else ((index,) for index in range(shape[0]))
    for index in indices:
        row = np.atleast_1d(g.reshape(shape)[index]).reshape(-1).view(Row)
        row.ndim_of_parameter = len(shape)
        if row.size:
            out[index] = BY_HAND[form](row, np.atleast_1d(x.reshape(shape)[index]).reshape(-1))
    return out.reshape(-1)


def elements(arithmetic: Arithmetic, values: Any) -> Any:
    if isinstance(arithmetic, Arrays):
        return values.astype(arithmetic.dtype)
    return [arithmetic.literal(float(value)) for value in values]


@pytest.mark.parametrize(
    "arithmetic", [Floats(), Digits(30), Arrays(np.float64), Arrays(np.float32)], ids=["floats", "digits", "f64", "f32"]
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", BY_HAND)
def test_each_element_has_the_value_of_its_row(form: str, shape: Shape, arithmetic: Arithmetic) -> None:
    rule = rule_of(SourceFile("rule.opt", f"rule R(x, g)\nupdate\n  x' = {form}\n"))
    chance = np.random.default_rng(0)
    x, g = (chance.standard_normal(int(np.prod(shape))).astype(np.float32).astype(float) for _ in range(2))
    after = step(rule, arithmetic, {}, elements(arithmetic, x), elements(arithmetic, g), {}, 1, shape).parameter
    bound = 1e-6 if isinstance(arithmetic, Arrays) and arithmetic.dtype == np.float32 else 1e-14
    assert np.array([float(value) for value in after]) == pytest.approx(
        by_hand(form, g, x, shape), rel=bound, abs=bound
    )


def test_without_a_shape_each_element_is_a_row() -> None:
    rule = rule_of(SourceFile("rule.opt", "rule R(x, g)\nupdate\n  x' = x - mean(g, axes=rest)*ndim(x)\n"))
    assert step(rule, Floats(), {}, [1.0, 2.0], [3.0, 4.0], {}, 1).parameter == [-2.0, -2.0]


def test_states_can_begin_with_rows_and_axes() -> None:
    text = "rule R(x, g)\nstate\n  m = sum(x, axes=rest) + ndim(x)\nupdate\n  m' = m\n  x' = x - m*g\n"
    rule = rule_of(SourceFile("rule.opt", text))
    x = [1.0, 2.0, 3.0, 4.0]
    assert initial_states(rule, Floats(), defaults(rule), x, (2, 2)) == {"m": [5.0, 5.0, 9.0, 9.0]}
    assert initial_states(rule, Floats(), defaults(rule), x) == {"m": [2.0, 3.0, 4.0, 5.0]}


def test_a_value_is_rounded_once() -> None:
    """In float32 the squares overflow, and a sum of thirds loses more digits than one rounding does."""
    rule = rule_of(SourceFile("rule.opt", "rule R(x, g)\nupdate\n  x' = norm(g, axes=rest)\n"))
    g = np.full(4, 1e30, np.float32)
    assert (step(rule, Arrays(np.float32), {}, g, g, {}, 1, (1, 4)).parameter == np.float32(2e30)).all()


@pytest.mark.parametrize(
    ("shape", "width"), [((), 1), ((7,), 1), ((7, 1), 1), ((2, 3), 3), ((2, 3, 4), 12), ((2, 0), 0)]
)
def test_row_width(shape: Shape, width: int) -> None:
    assert row_width(shape) == width
