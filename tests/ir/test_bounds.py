"""Interval arithmetic holds what IEEE arithmetic computes from numbers in the intervals."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from optdsl.ir import bounds
from optdsl.ir.arithmetic import Arrays, Floats
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import COMPARISONS, LOGIC, Op

ENDS = (-math.inf, -3.0, -1.0, -0.5, -1e-30, 0.0, 1e-30, 0.3, 1.0, 2.0, 700.0, math.inf)
UNARY = (
    Op.NEG,
    Op.ABS,
    Op.SIGN,
    Op.SQRT,
    Op.CBRT,
    Op.EXP,
    Op.EXPM1,
    Op.LOG,
    Op.LOG1P,
    Op.SIN,
    Op.COS,
    Op.TANH,
    Op.FLOOR,
)
BINARY = (Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD, Op.POW, Op.MIN, Op.MAX)
POINTS = 2_000


def drawn(chance: random.Random) -> tuple[Interval, float]:
    """Return an interval and a number in it."""
    while True:
        low, high = sorted((chance.choice(ENDS), chance.choice(ENDS)))
        interval = Interval(low, high, chance.random() < 0.5, chance.random() < 0.5)
        inside = [
            low,
            high,
            chance.choice(ENDS),
            chance.uniform(-4, 4),
            10 ** chance.uniform(-40, 3),
            float(chance.randint(-3, 5)),
        ]
        number = chance.choice(inside)
        if number in interval:
            return interval, number


def test_every_operation_is_looked_at() -> None:
    assert {*UNARY, *BINARY} == set(Op) - COMPARISONS - LOGIC


@pytest.mark.parametrize("op", [*UNARY, *BINARY])
def test_scalars_stay_within_bounds(op: Op) -> None:
    chance = random.Random(str(op))
    for _ in range(POINTS):
        pairs = [drawn(chance) for _ in range(1 if op in UNARY else 2)]
        result = Floats().scalar(op, tuple(number for _, number in pairs))
        found = bounds.applied(op, tuple(interval for interval, _ in pairs))
        assert math.isnan(result) or result in found, (op, pairs, result, found)


@pytest.mark.parametrize("op", [*UNARY, *BINARY])
def test_elements_stay_within_bounds(op: Op) -> None:
    chance = random.Random(str(op))
    arithmetic = Arrays(np.float32)
    for _ in range(POINTS):
        pairs = [drawn(chance) for _ in range(1 if op in UNARY else 2)]
        args = tuple(np.array([number]).astype(np.float32) for _, number in pairs)
        result = float(arithmetic.elements(op, args, 1)[0])
        intervals = tuple(bounds.as_elements(interval) for interval, _ in pairs)
        found = bounds.as_elements(bounds.applied(op, intervals, elements=True))
        assert math.isnan(result) or result in found, (op, pairs, result, found)


@pytest.mark.parametrize(
    ("op", "args", "expected"),
    [
        (Op.ADD, ((0, 1, "[)"), (0, 1, "(]")), "(0, 2]"),
        (Op.SUB, ((1, 1, "[]"), (0, 1, "[)")), "(0, 1]"),
        (Op.MUL, ((-1, 1, "[]"), (0, 1, "[]")), "[-1, 1]"),
        (Op.MUL, ((0, math.inf, "()"), (0, 5, "[]")), "[0, inf]"),
        (Op.DIV, ((1, 1, "[]"), (0, math.inf, "(]")), "[0, inf]"),
        (Op.DIV, ((1, 1, "[]"), (-1, 1, "[]")), "[-inf, inf]"),
        (Op.POW, ((0, 1, "[)"), (1, math.inf, "[)")), "[0, 1)"),
        (Op.POW, ((-2, 1, "[]"), (2, 2, "[]")), "[0, 4]"),
        (Op.SQRT, ((0, 4, "(]"),), "(0, 2]"),
        (Op.MAX, ((-1, 1, "[]"), (0, 0, "[]")), "[0, 1]"),
        (Op.ABS, ((-3, 1, "(]"),), "[0, 3)"),
        (Op.SIGN, ((0, 1, "(]"),), "[1, 1]"),
    ],
)  # fmt: skip
def test_bounds_are_close(op: Op, args: tuple[tuple[float, float, str], ...], expected: str) -> None:
    intervals = tuple(Interval(float(a), float(b), e[0] == "[", e[1] == "]") for a, b, e in args)
    assert str(bounds.applied(op, intervals)) == expected


def test_meeting_narrowing_and_whole_numbers() -> None:
    line = Interval(0.0, 2.0, True, True)
    assert bounds.is_empty(bounds.meet(line, Interval(2.0, 3.0, False, True)))
    assert str(bounds.narrowed(line, Op.NE, bounds.point(0.0))) == "(0, 2]"
    assert str(bounds.narrowed(line, Op.NE, bounds.point(1.0))) == "[0, 2]"
    assert str(bounds.narrowed(line, Op.LT, Interval(0.0, 1.0, True, True))) == "[0, 1)"
    assert str(bounds.whole(Interval(1.0, math.inf, False, False))) == "[2, inf)"
    assert str(bounds.whole(Interval(0.5, 3.0, True, False))) == "[1, 2]"
    assert bounds.below(Interval(0.0, 1.0, True, False), bounds.point(1.0)) is True
    assert bounds.below(line, bounds.point(0.0)) is False
    assert bounds.below(line, bounds.point(1.0)) is None
    assert float(Fraction(1, 2)) in line
