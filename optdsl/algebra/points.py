"""Points at which statements about rules are tried, simplest first, and what a rule makes of them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optdsl.algebra.systems import Domain, System, infinities
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arithmetic, Arrays
from optdsl.ir.evaluate import Outcome, constant, evaluate, initial_states, step
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind, Role, Symbol

Point = Mapping[str, float | bool]
"""Values of the open hyperparameters."""

SIMPLE = (0.0, 1.0, 0.5, 2.0, 0.9, 3.0, 0.1, -1.0, 0.25, 0.75)
"""Values of open hyperparameters, simplest first."""
GRADIENTS = (1.0, -1.0, 0.0, 2.0, 0.5)
"""Values of gradients, simplest first."""
STARTS = (0.0, 1.0, -2.0)
"""Values of the parameter before the first step, simplest first."""
ENUMERATED = 4
"""Steps of which every combination of gradients is tried."""
MOST_TRUTHS = 16
"""Combinations of open truth values that are tried."""
MOST_LITERALS = 6
SMALLEST, LARGEST = 1e-2, 50.0
"""Literals whose neighbourhood is tried: how many, and of which sizes."""
RANDOM_POINTS = 8
RANDOM_ELEMENTS = 64


@dataclass(frozen=True)
class Course:
    """Starts and gradients of some elements: `starts[i]` goes with `gradients[k][i]` for each step k."""

    starts: tuple[float, ...]
    gradients: tuple[tuple[float, ...], ...]

    def __len__(self) -> int:
        return len(self.starts)

    def cut(self, steps: int, element: int | None = None) -> Course:
        """Return the first steps, of one element or of all."""
        which = slice(None) if element is None else slice(element, element + 1)
        return Course(self.starts[which], tuple(row[which] for row in self.gradients[:steps]))

    def rank(self, element: int, steps: int) -> tuple[int, ...]:
        """Return how far an element is from being simple, by its gradients and then by its start."""
        places = [_place(GRADIENTS, row[element]) for row in self.gradients[:steps]]
        return (sum(places), *places, _place(STARTS, self.starts[element]))


def _place(values: Sequence[float], value: float) -> int:
    return values.index(value) if value in values else 2 * len(values)


def points(domain: Domain) -> Iterator[Point]:
    """Yield values of the open hyperparameters: the defaults, truth values turned, simple numbers, random ones."""
    usual = {symbol.name: domain.usual[symbol.name] for symbol in domain.symbols}
    truths = [symbol.name for symbol in domain.symbols if symbol.kind is Kind.BOOLEAN]
    numbers = [symbol for symbol in domain.symbols if symbol.kind is Kind.NUMBER]
    choices = itertools.product((False, True), repeat=len(truths))
    turned = [
        {name: bool(usual[name]) is not turn for name, turn in zip(truths, choice, strict=True)}
        for choice in itertools.islice(choices, MOST_TRUTHS)
    ]
    yield from ({**usual, **truth} for truth in turned)
    for symbol in numbers:
        allowed = [value for value in SIMPLE if value in domain.interval(symbol)]
        tried = [*allowed[:3], *infinities(domain.interval(symbol))]
        yield from ({**usual, symbol.name: value} for value in tried if value != usual[symbol.name])
    chance = random.Random(0)
    for _ in range(RANDOM_POINTS if domain.symbols else 0):
        drawn = {symbol.name: random_number(domain.interval(symbol), chance) for symbol in numbers}
        yield {**chance.choice(turned), **drawn}


def random_number(interval: Interval, chance: random.Random) -> float:
    """Return a random number of an interval."""
    low, high = interval.low, interval.high
    if math.isfinite(low) and math.isfinite(high):
        share = chance.uniform(0.05, 0.95)
        return low * (1 - share) + high * share  # high - low may be too large for a float
    if math.isfinite(low):
        return low + chance.uniform(0.01, 2)
    return high - chance.uniform(0.01, 2) if math.isfinite(high) else chance.uniform(-2, 2)


def literals(systems: Sequence[System]) -> list[float]:
    """Return the numbers that rules write down, of the sizes an element may have: what they clip and compare with."""
    found: dict[float, None] = {}

    def look(expr: ir.Expr) -> None:
        if isinstance(expr, ir.Number) and SMALLEST <= abs(float(expr.value)) <= LARGEST:
            found[float(expr.value)] = None
        for part in ir.operands(expr):
            look(part)

    for system in systems:
        for equation in system.rule.equations:
            look(equation.value)
    return list(found)[:MOST_LITERALS]


def courses(steps: int, mixing: bool, near: Sequence[float] = ()) -> list[Course]:
    """Return what to try for some steps: one course of many elements or, where elements mix, many of a few.

    Gradients and starts are also tried at the numbers of `near`, and on either side of them.
    """
    chance = random.Random(1)
    first = min(steps, ENUMERATED)
    simple = [
        (start, [*row, *[1.0] * (steps - first)])
        for row in itertools.product(GRADIENTS, repeat=first)
        for start in STARTS
    ]
    beside = [side * value * factor for value in near for factor in (1.0, 2.0, 0.5) for side in (1, -1)]
    simple += [(start, [value] * steps) for value in beside for start in (0.0, value)]
    simple += [(value, [1.0] * steps) for value in beside]
    mixed = [(chance.uniform(-2, 2), [chance.uniform(-2, 2) for _ in range(steps)]) for _ in range(RANDOM_ELEMENTS)]
    if not mixing:
        return [_course([*simple, *mixed], steps)]
    simple.sort(key=lambda row: _course([row], steps).rank(0, steps))
    single = [_course([row], steps) for row in simple[:16]]
    several = [_course(chance.sample(simple, 3), steps) for _ in range(8)]
    return [*single, *several, *(_course(mixed[i : i + 3], steps) for i in range(0, 24, 3))]


def _course(rows: Sequence[tuple[float, Sequence[float]]], steps: int) -> Course:
    return Course(tuple(start for start, _ in rows), tuple(tuple(row[k] for _, row in rows) for k in range(steps)))


def hypers_at(system: System, point: Mapping[str, Any], arithmetic: Arithmetic | None = None) -> dict[str, Any] | None:
    """Return the hyperparameters of a rule at a point; None where one is outside its interval."""
    values: dict[str, Any] = {}
    for hyper in system.rule.hypers:
        value = constant(system.hypers[hyper.symbol], point, arithmetic)
        if hyper.interval is not None and float(value) not in hyper.interval:
            return None
        values[hyper.symbol.name] = value
    return values


def outcomes(system: System, point: Point, course: Course, arithmetic: Arithmetic) -> Iterator[Outcome]:
    """Yield what each step leaves, in a given arithmetic; nothing where a hyperparameter is outside its interval."""

    def entered(value: float | bool) -> Any:
        if isinstance(value, bool):
            return value
        return arithmetic.literal(Fraction(repr(value)) if math.isfinite(value) else value)

    def elements(values: Sequence[float]) -> Any:
        if isinstance(arithmetic, Arrays):
            return np.array(values, arithmetic.dtype)
        return [entered(value) for value in values]

    exact = {name: entered(value) for name, value in point.items()}
    hypers = hypers_at(system, exact, arithmetic)
    if hypers is None:
        return
    rule, size = system.unrounded, len(course)
    shape = (1, size) if size > 1 else (size,)  # several elements are one row
    x = elements(course.starts)
    states = initial_states(rule, arithmetic, hypers, x, shape)
    for t, row in enumerate(course.gradients, 1):
        raw = elements(row)

        def value_of(symbol: Symbol, raw: Any = raw) -> Any:
            if symbol.role is Role.NDIM:
                return arithmetic.literal(Fraction(len(shape)))
            if symbol.role is Role.SIZE:
                return arithmetic.literal(Fraction(size))
            return raw if symbol.role is Role.GRADIENT else exact[symbol.name]

        g = arithmetic.spread(evaluate(system.gradient, value_of, arithmetic, size), size)
        outcome = step(rule, arithmetic, hypers, x, g, states, t, shape)
        yield outcome
        x, states = outcome.parameter, outcome.states
