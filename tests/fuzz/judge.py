"""Whether a simplified rule is as good as the written one, by other means than those that let it pass.

Kernels are run by the interpreter's own arithmetic at points that validation doesn't know, whole rules at a time: in
50 digits with the Σ|terms| of every value, in float64, and in float32.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.ir.arithmetic import Arrays, Floats
from optdsl.ir.evaluate import constant, defaults, initial_states, step
from optdsl.ir.kernel import Kernel, Program, run
from optdsl.ir.nodes import Expr, Kind, Rule, operands
from optdsl.passes.terms import Term, Terms

UNIT = 2.0**-53
NOT_FINITE = "is no longer finite"
CLEAR = 2.0**-1022 * 2**20
"""Numbers below this may have lost digits to underflow, in whatever order they are multiplied."""
LOST = 1e6
"""How many times a value its error may be before there is nothing left of it."""
STEPS = (1, 2, 7, 1000)
SPECIAL = (0.0, -0.0, 1e-45, 1e-38, 5e-324, 1e-310, 1e-160, 1e18, 3e38, 1e160, 1e300, 1.7e308, 1.0, -1.0)
ROOM = 2.0**17
"""How near the largest float a value of the written rule may come, where hyperparameters aren't the defaults."""
ELEMENTS = 6
SHAPES = ((6,), (2, 3), (1, 2, 3))


@dataclass(frozen=True)
class Finding:
    """A point at which a simplified kernel is worse than the rule as written."""

    what: str
    value: str
    hypers: Mapping[str, Any]
    t: int
    figures: str

    def __str__(self) -> str:
        shown = ", ".join(f"{name} = {value}" for name, value in self.hypers.items())
        return f"{self.value} {self.what} at t = {self.t}, {shown}: {self.figures}"


@dataclass(frozen=True)
class Point:
    """Values for one step."""

    hypers: dict[str, Any]
    usual: bool
    x: list[float]
    g: list[float]
    states: dict[str, Any]
    t: int
    shape: tuple[int, ...]


def findings(program: Program, seed: int, points: int) -> Iterator[Finding]:
    """Yield what is wrong with a simplified program at some points."""
    kernels = {kernel.variant: kernel for kernel in program.kernels}
    chance = random.Random(seed)
    for number in range(points):
        point = _point(program.rule, chance, special=number % 2 == 1)
        variant = sum(bool(constant(c, point.hypers)) << bit for bit, c in enumerate(program.conditions))
        yield from _compare(program.rule, kernels[variant], point)


def _point(rule: Rule, chance: random.Random, special: bool) -> Point:
    hypers = defaults(rule)
    usual = chance.random() < 0.4
    for hyper in rule.hypers:
        if not usual and chance.random() < 0.6:
            hypers[hyper.symbol.name] = _hyper(hyper.symbol.kind, hyper.interval, hypers[hyper.symbol.name], chance)
    x, g = ([_number(chance, special) for _ in range(ELEMENTS)] for _ in range(2))
    t = chance.choice(STEPS)
    shape = chance.choice(SHAPES)
    states = initial_states(rule, Floats(), hypers, x, shape)
    if t > 1:
        for name, value in states.items():
            drawn = [abs(_number(chance, special)) for _ in range(ELEMENTS)]
            states[name] = drawn if isinstance(value, list) else abs(_number(chance, special=False))
    return Point(hypers, usual, x, g, states, t, shape)


def _hyper(kind: Kind, interval: Any, default: Any, chance: random.Random) -> Any:
    if kind is Kind.BOOLEAN:
        return chance.random() < 0.5
    for _ in range(20):
        value = chance.choice((chance.random(), 10.0 ** chance.uniform(-9, 3), 0.0, -chance.uniform(0, 3), 1.0))
        if interval is None or value in interval:
            return value
    return default


def _number(chance: random.Random, special: bool) -> float:
    if special and chance.random() < 0.4:
        return chance.choice(SPECIAL)
    return float(np.float32(chance.gauss(0, 1) * 10.0 ** chance.randint(-4, 3)))


def _compare(rule: Rule, kernel: Kernel, point: Point) -> Iterator[Finding]:
    operations = sum(_operations(let.value) for let in kernel.lets()) + 1
    terms = Terms(least=CLEAR, doubt=4 * operations * UNIT)
    hypers = {name: v if isinstance(v, bool) else terms.given(v) for name, v in point.hypers.items()}
    states = {name: _terms(value, terms) for name, value in point.states.items()}
    meant = step(rule, terms, hypers, _terms(point.x, terms), _terms(point.g, terms), states, point.t, point.shape)
    reference = {rule.parameter.name: meant.parameter, **meant.states}
    for dtype in (np.float64, np.float32):
        bound = 4 * operations * float(np.finfo(dtype).eps) / 2
        for name, before, after in _in_floats(rule, kernel, point, dtype):
            columns = [v if isinstance(v, list) else [v] for v in (reference[name], before, after)]
            for term, old, new in zip(*columns, strict=True):
                what = _worse(term, old, new, bound, terms.doubtful)
                if what == NOT_FINITE or (what and dtype is np.float64):
                    figures = (
                        f"{new!r} where {old!r} was, of {float(term.value)!r}, with terms of {float(term.size):.3g}"
                    )
                    yield Finding(what, f"{name}' in {np.dtype(dtype)}", point.hypers, point.t, figures)


def _in_floats(rule: Rule, kernel: Kernel, point: Point, dtype: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield each new value by the rule as written and by the kernel, in some type, where that can be asked."""
    arithmetic = Arrays(dtype)

    def narrow(value: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.array(value, dtype) if isinstance(value, list) else value

    x, g, states = narrow(point.x), narrow(point.g), {name: narrow(value) for name, value in point.states.items()}
    if not all(np.all(np.isfinite(value)) for value in (x, g, *states.values())):
        return
    plain = step(rule, arithmetic, point.hypers, x, g, states, point.t, point.shape)
    if not point.usual and _near_overflow(plain.values, dtype):
        return
    parameter, after = run(kernel, arithmetic, point.hypers, x, g, states, point.t, point.shape)
    yield rule.parameter.name, _listed(plain.parameter), _listed(parameter)
    for name in point.states:
        yield name, _listed(plain.states[name]), _listed(after[name])


def _listed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _worse(term: Term, before: float, after: float, bound: float, doubtful: bool) -> str:
    """Return what is wrong with a value, or "".

    Where a decision hangs by a rounding, a value only has to stay finite; where rounding leaves it without a digit, or
    the rule has no value, nothing can be asked of it.
    """
    allowed = bound * term.size
    if not math.isfinite(before) or not allowed <= LOST * max(1, abs(term.value)):
        return ""
    if not math.isfinite(after):
        return NOT_FINITE
    error, own = abs(after - term.value), abs(before - term.value)
    if doubtful or not own <= allowed or error <= allowed:
        return ""
    return "is outside the bound"


def _near_overflow(values: Mapping[Any, Any], dtype: Any) -> bool:
    """Return whether a value of the written rule is near the largest float."""
    columns = [np.abs(np.atleast_1d(np.array(value, np.float64))) for value in values.values()]
    largest = float(np.finfo(dtype).max)
    return any(bool(np.any((column > largest / ROOM) & (column < math.inf))) for column in columns)


def _terms(value: Any, terms: Terms) -> Any:
    return [terms.given(item) for item in value] if isinstance(value, list) else terms.given(value)


def _operations(expr: Expr) -> int:
    return bool(operands(expr)) + sum(_operations(part) for part in operands(expr))
