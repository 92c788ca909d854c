"""Conjectures about the states of two rules that take the same course: each found in numbers, none proved here.

A state is a multiple of a state of the other rule, or a number that doesn't depend on the gradients. The multiples are
products of powers of what the rules are made of: open hyperparameters h, 1 - h, and 1 - h^t. None of them divides by
what may be 0: that would leave out the hyperparameters for which the state of one rule says nothing of the other's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from optdsl.algebra.points import Course, outcomes, random_number
from optdsl.algebra.systems import Case, System
from optdsl.algebra.unroll import substitute
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Floats
from optdsl.ir.nodes import Expr, Kind, Op, Rate, Role, Symbol

STEPS = 5
"""Steps of each course that is looked at."""
MOST_FACTORS = 24
"""Factors of which multiples are made."""
LARGEST_EXPONENT = 4
LARGEST_LOG = 600.0
"""Largest logarithm of a multiple."""
ACCURACY = 1e-9

_AGE = Symbol(Role.STEP, "age", Rate.STEP)
"""Stands for the number of steps a state has seen."""


@dataclass(frozen=True)
class Relation:
    """`state = multiple * base` for a state of a rule (0 is the first, 1 the second) and one of the other rule.

    Without a base the state is the multiple. `multiple` is an expression over open hyperparameters and the steps seen.
    """

    side: int
    state: str
    multiple: Expr
    base: str | None = None

    def value(self, bases: Mapping[str, Expr], age: Expr) -> Expr:
        """Return what the state is after `age` steps."""
        multiple = substitute(self.multiple, {_AGE: age})
        if self.base is None:
            return multiple
        return bases[self.base] if multiple == ir.number(1) else ir.Apply(Op.MUL, (multiple, bases[self.base]))


@dataclass(frozen=True)
class _Seen:
    """Columns of numbers, one row for each point and step: states of both rules, and factors with their expressions.

    `vanishing` says which factors may be 0.
    """

    states: tuple[dict[str, Any], dict[str, Any]]
    logs: Any
    factors: tuple[Expr, ...]
    vanishing: tuple[bool, ...]


def conjectured(
    first: System, second: System, case: Case, names: tuple[Sequence[str], Sequence[str]]
) -> list[Relation]:
    """Return relations that hold at random points of a case; at most one for each state. `names` are the states."""
    seen = _seen(first, second, case, names)
    if seen is None:
        return []
    found: dict[tuple[int, str], Relation] = {}
    for side in (0, 1):
        for name in names[side]:
            bases = sorted(names[0], key=lambda base: base != name) if side else []
            free = [base for base in bases if (0, base) not in found]
            relation = next(_of(seen, side, name, bases, free), None)
            if relation is not None:
                found[relation.side, relation.state] = relation
    return list(found.values())


def _of(seen: _Seen, side: int, name: str, bases: Sequence[str], free: Sequence[str]) -> Iterator[Relation]:
    """Yield relations of a state to those of `bases`, or of one of those in `free` to it."""
    column = seen.states[side][name]
    if not np.any(column):
        yield Relation(side, name, ir.number(0))
        return
    for base in bases:
        multiple = _multiple(seen, column, seen.states[0][base])
        if multiple is not None:
            yield Relation(side, name, multiple, base)
        inverse = _multiple(seen, seen.states[0][base], column) if base in free else None
        if inverse is not None:
            yield Relation(0, base, inverse, name)
    multiple = _multiple(seen, column, np.ones_like(column))
    if multiple is not None:
        yield Relation(side, name, multiple)


def _multiple(seen: _Seen, column: Any, base: Any) -> Expr | None:
    """Return by what a column is a multiple of another in every row where they aren't both 0."""
    rows = column != 0
    if not (np.all(np.isfinite(column)) and np.all(np.isfinite(base)) and np.array_equal(rows, base != 0)):
        return None
    logs = np.log(np.abs(column[rows])) - np.log(np.abs(base[rows]))
    signs = np.sign(column[rows]) * np.sign(base[rows])
    if len(set(signs.tolist())) != 1 or float(np.max(np.abs(logs))) > LARGEST_LOG:
        return None
    factors = seen.logs[rows]
    fitted, *_ = np.linalg.lstsq(factors, logs, rcond=1e-10)
    exponents = [round(float(value)) for value in fitted[:-1]]
    rest = logs - factors[:, :-1] @ np.array(exponents, float)
    if max(map(abs, exponents), default=0) > LARGEST_EXPONENT or float(np.ptp(rest)) > ACCURACY:
        return None
    if any(exponent < 0 and zero for exponent, zero in zip(exponents, seen.vanishing, strict=True)):
        return None
    constant = Fraction(math.exp(float(np.mean(rest)))).limit_denominator(1000)
    if constant == 0 or abs(float(np.mean(rest)) - math.log(constant)) > ACCURACY:
        return None
    return _written(constant * int(signs[0]), exponents, seen.factors)


def _written(constant: Fraction, exponents: Sequence[int], factors: Sequence[Expr]) -> Expr:
    result: Expr = ir.number(constant)
    for exponent, factor in zip(exponents, factors, strict=True):
        for _ in range(abs(exponent)):
            result = ir.Apply(Op.MUL if exponent > 0 else Op.DIV, (result, factor))
    return result


def _seen(first: System, second: System, case: Case, names: tuple[Sequence[str], Sequence[str]]) -> _Seen | None:
    """Return the states and factors of some random courses, None where one of them leaves the domain."""
    chance = random.Random(2)
    factors = _factors(case)
    rows: list[list[float]] = []
    states: tuple[dict[str, list[float]], ...] = ({name: [] for name in names[0]}, {name: [] for name in names[1]})
    for _ in range(4 + len(factors) // 2):
        point = _random_point(case, chance)
        course = Course((chance.uniform(-2, 2),), tuple((chance.uniform(-2, 2),) for _ in range(STEPS)))
        runs = [list(outcomes(system, point, course, Floats())) for system in (first, second)]
        if any(len(run) < STEPS for run in runs):
            return None
        for t in range(1, STEPS + 1):
            for side in (0, 1):
                for name in names[side]:
                    value = runs[side][t - 1].states[name]
                    states[side][name].append(float(value[0] if isinstance(value, list) else value))
            rows.append([*(_log(kind, float(point[symbol.name]), t) for symbol, kind in factors), 1.0])
    if not np.all(np.isfinite(rows)):
        return None
    columns = [{name: np.array(column) for name, column in side.items()} for side in states]
    vanishing = tuple((0.0 if kind == "itself" else 1.0) in case.intervals[symbol] for symbol, kind in factors)
    written = tuple(_factor(symbol, kind) for symbol, kind in factors)
    return _Seen((columns[0], columns[1]), np.array(rows), written, vanishing)


def _factors(case: Case) -> list[tuple[Symbol, str]]:
    """Return what multiples are made of: open numbers above 0, and where they are below 1 what is left to 1."""
    found = []
    for symbol, interval in case.intervals.items():
        if symbol.kind is Kind.NUMBER and symbol not in case.values and interval.low >= 0:
            found.append((symbol, "itself"))
            if interval.high <= 1:
                found += [(symbol, "rest"), (symbol, "rest of power")]
    return found[:MOST_FACTORS]


def _log(kind: str, value: float, age: int) -> float:
    factor = value if kind == "itself" else 1 - value if kind == "rest" else 1 - value**age
    return math.log(factor) if factor > 0 else -math.inf


def _factor(symbol: Symbol, kind: str) -> Expr:
    own = ir.Ref(symbol)
    if kind == "itself":
        return own
    return ir.Apply(Op.SUB, (ir.number(1), own if kind == "rest" else ir.Apply(Op.POW, (own, ir.Ref(_AGE)))))


def _random_point(case: Case, chance: random.Random) -> dict[str, float | bool]:
    point: dict[str, float | bool] = {s.name: v.value for s, v in case.values.items() if isinstance(v, ir.Truth)}
    for symbol, interval in case.intervals.items():
        settled = interval.low == interval.high
        point[symbol.name] = interval.low if settled else random_number(interval, chance)
    return point
