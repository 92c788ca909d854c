"""The questions the checks put to SymPy: each is answered, or `None` where no answer is found within the limits.

An answer holds for every value the symbols can take: hyperparameters in their declared intervals, elements any real
number. It is about real numbers, not about rounded ones, and says nothing of points where the expression is undefined.
Wherever a question has `positive`, those are symbols taken to be above 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal, TypeVar

from optdsl.algebra.bridge import Bridge
from optdsl.algebra.construct import Sym, Value
from optdsl.algebra.limits import SECONDS, Unknown, check_size, limited
from optdsl.algebra.unroll import symbols_read
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Digits
from optdsl.ir.evaluate import evaluate
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind, Op, Rate, Role, Rule, Symbol

Sign = Literal[-1, 0, 1]
Found = TypeVar("Found")
POINTS = 8
"""Points at which an identity is tried before it is proved."""


def equal(a: ir.Expr, b: ir.Expr, rule: Rule, seconds: float = SECONDS) -> bool | None:
    """Return whether two numbers are equal everywhere; False where they differ at a point that was found."""
    return is_zero(ir.Apply(Op.SUB, (a, b)), rule, seconds=seconds)


def is_zero(expr: ir.Expr, rule: Rule, positive: Collection[Symbol] = (), seconds: float = SECONDS) -> bool | None:
    """Return whether a number is 0 everywhere; False where it isn't at a point that was found."""

    def prove() -> bool | None:
        value = Bridge(rule, positive).to_sympy(expr)
        return True if any(_vanishes(form) for form in _forms(value)) else None

    try:
        check_size(expr)
        return False if limited(lambda: _differs_from_zero(expr, rule, positive), seconds) else limited(prove, seconds)
    except Unknown:
        return None


def sign(expr: ir.Expr, rule: Rule, positive: Collection[Symbol] = (), seconds: float = SECONDS) -> Sign | None:
    """Return the sign of a number where it is the same everywhere."""
    return _settled(expr, rule, positive, seconds, _sign)


def is_nonnegative(
    expr: ir.Expr, rule: Rule, positive: Collection[Symbol] = (), seconds: float = SECONDS
) -> bool | None:
    """Return whether a number is nowhere below 0; False only where it is below 0 everywhere."""

    def look(value: Value) -> bool | None:
        arms = _arms(value)
        if all(arm.is_nonnegative for arm in arms):
            return True
        return False if all(arm.is_negative for arm in arms) else None

    return _settled(expr, rule, positive, seconds, look)


def _settled(
    expr: ir.Expr, rule: Rule, positive: Collection[Symbol], seconds: float, look: Callable[[Value], Found | None]
) -> Found | None:
    """Return what `look` first sees in the forms of an expression, intervals with an upper end taken into account."""

    def prove() -> Found | None:
        bridge = Bridge(rule, positive)
        value = _unbounded(bridge.to_sympy(expr), bridge)
        return next((found for form in _forms(value) if (found := look(form)) is not None), None)

    try:
        return limited(prove, seconds)
    except Unknown:
        return None


# Normal forms. `simplify` isn't among them: on some small expressions it never ends.


def _forms(value: Value) -> Iterator[Value]:
    """Yield a value in forms that are equal to it, cheapest first."""
    yield value
    arms = Sym.piecewise_fold(value) if value.has(Sym.Piecewise) else value
    if isinstance(arms, Sym.Piecewise):
        yield arms
        for rewrite in (Sym.cancel, Sym.factor):
            yield Sym.Piecewise(*((rewrite(arm), condition) for arm, condition in arms.args))
        return
    transforms: tuple[Callable[[Value], Value], ...] = (Sym.factor_terms, Sym.expand, Sym.cancel, Sym.factor)
    for rewrite in transforms:
        yield rewrite(arms)


def _arms(value: Value) -> tuple[Value, ...]:
    return tuple(arm for arm, _ in value.args) if isinstance(value, Sym.Piecewise) else (value,)


def _vanishes(value: Value) -> bool:
    return all(arm.is_zero is True for arm in _arms(value))


def _sign(value: Value) -> Sign | None:
    """Return the sign that SymPy sees at a glance in every arm."""
    arms = _arms(value)
    if all(arm.is_zero for arm in arms):
        return 0
    if all(arm.is_positive for arm in arms):
        return 1
    if all(arm.is_negative for arm in arms):
        return -1
    return None


def _unbounded(value: Value, bridge: Bridge) -> Value:
    """Write each number of a bounded interval `[low, high)` as (low + high*u)/(1 + u) with u >= 0.

    SymPy's assumptions know of signs, not of upper ends; this way 1 - beta, for beta in [0, 1), is seen to be positive.
    """
    replacements: dict[Value, Value] = {}
    for key, symbol in list(bridge.values.items()):
        interval = bridge.intervals.get(key) if isinstance(key, Symbol) else None
        if interval is not None and _half_open(interval) and key not in bridge.positive:
            above = {"nonnegative": True} if interval.low_closed else {"positive": True}
            free = Sym.Symbol(f"u{symbol.name}", **above)
            low, high = Sym.Rational(interval.low), Sym.Rational(interval.high)
            replacements[symbol] = (low + high * free) / (1 + free)
    return value.xreplace(replacements) if replacements else value


def _half_open(interval: Interval) -> bool:
    return abs(interval.low) < float("inf") and abs(interval.high) < float("inf") and not interval.high_closed


# Refutation by a point, in 50-digit arithmetic


def _differs_from_zero(expr: ir.Expr, rule: Rule, positive: Collection[Symbol]) -> bool:
    """Return whether a number is clearly not 0 at one of a few points of its domain."""
    if ir.has_reduction(expr):
        return False  # the points below have one element, of which a reduction is no free number
    digits = Digits(50)
    symbols = symbols_read(expr)
    intervals = {hyper.symbol: hyper.interval for hyper in rule.hypers}
    chance = random.Random(0)
    for _ in range(POINTS):
        values = {s: _drawn(s, intervals.get(s), s in positive, chance) for s in symbols}
        exact = {s: v if isinstance(v, bool) else digits.literal(v) for s, v in values.items()}
        placed = {s: [v] if s.rate is Rate.ELEMENT else v for s, v in exact.items()}
        result: Any = evaluate(expr, placed.__getitem__, digits, 1)
        number = result[0] if isinstance(result, list) else result
        # Cancellation of terms up to 1e10 leaves errors far below 1e-25; NaN compares as no difference.
        if 1e-25 < abs(number) < 1e10:
            return True
    return False


def _drawn(symbol: Symbol, interval: Interval | None, positive: bool, chance: random.Random) -> float | bool:
    """Return a random value a symbol can have."""
    if symbol.kind is Kind.BOOLEAN:
        return chance.random() < 0.5
    if symbol.role in (Role.STEP, Role.SIZE, Role.NDIM):
        return float(chance.randint(1, 20))
    low, high = (interval.low, interval.high) if interval is not None else (-float("inf"), float("inf"))
    low = max(low, 0.0) if positive else low
    if low == -float("inf") and high == float("inf"):
        return chance.uniform(-2, 2)
    if high == float("inf"):
        return low + chance.uniform(0.01, 2)
    if low == -float("inf"):
        return high - chance.uniform(0.01, 2)
    return low + (high - low) * chance.uniform(0.05, 0.95)
