"""`a % b` is Python's on every target, bit by bit."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from optdsl.ir.arithmetic import Arrays, Digits, Floats
from optdsl.ir.nodes import Op
from optdsl.loading import loads
from optdsl.passes.decimals import CONTEXT, modulo

SAMPLES = (
    0.0, -0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, 0.1, -0.3, 2.5, -7.25, 6.0, 1e-20, -1e-20, 1e20, -1e20, 5e-324, 1.7e308,
    float(2**53), math.inf, -math.inf, math.nan,
)  # fmt: skip
PAIRS = [(a, b) for a in SAMPLES for b in SAMPLES]

TEXT = """
rule Remainder(x, g)

hyper
  a = 0 in [-inf, inf]
  b = 1 in [-inf, inf]

state
  r: scalar = 0

update
  r' = a % b
  x' = x - 0*g
"""


def same(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other and math.copysign(1, one) == math.copysign(1, other)


def expected(a: float, b: float) -> float:
    return a % b if b != 0 else math.nan


def test_targets_compute_it_as_python_does(target: str) -> None:
    made: Any = loads(TEXT, target)
    x, g = np.zeros(1), np.zeros(1)
    optimizer = made([x])
    for a, b in PAIRS:
        if not math.isnan(a) and not math.isnan(b):
            optimizer.param_groups[0].update({"a": a, "b": b})
            optimizer.step([g])
            found = float(optimizer.state["0"]["r"])
            assert same(found, expected(a, b)), (a, b, found, expected(a, b))


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_the_interpreters_agree(a: float, b: float) -> None:
    assert same(Floats().scalar(Op.MOD, (a, b)), expected(a, b))
    (element,) = Arrays(np.float64).elements(Op.MOD, (np.array([a]), np.array([b])), 1)
    assert same(float(element), expected(a, b))


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_many_digits_know_the_same_remainder(a: float, b: float) -> None:
    if max(abs(a), abs(b)) > 1e30 and not (math.isinf(a) or math.isinf(b)):
        return  # quotients of more digits than are carried
    wanted = expected(a, b)
    digits = Digits(60)
    exact = float(digits.scalar(Op.MOD, (digits.literal(a), digits.literal(b))))
    with localcontext(CONTEXT):
        decimal = float(modulo(Decimal(a), Decimal(b)))
    for found in (exact, decimal):
        assert same(abs(found), abs(wanted)) or abs(found - wanted) <= 1e-15 * abs(b), (found, wanted)


def test_steps_are_counted(target: str) -> None:
    text = "rule R(x, g)\n\nupdate\n  x' = if t % 3 == 0 then x + g else x\n"
    x = np.zeros(2)
    optimizer: Any = loads(text, target)([x])
    seen = []
    for _ in range(7):
        optimizer.step([np.ones(2)])
        seen.append(float(x[0]))
    assert seen == [0, 0, 1, 1, 1, 2, 2]
