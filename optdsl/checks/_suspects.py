"""Operations that have no finite value somewhere, and the range analysis that clears most of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from optdsl.checks import _trial
from optdsl.ir import bounds, ieee
from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind, Op, Rule
from optdsl.ir.ranges import Ranges

SWITCHED_ON = 0.1
"""What an option that is 0 by default is set to where a rule asks whether it is 0."""


_MOST_VISITS = 300
"""Intermediates looked at under conditions; the rest are looked at without."""


class Trouble(Enum):
    """Why an operation has no finite value."""

    ZERO = "a zero denominator, base of a negative power or argument of a logarithm"
    NEGATIVE = "a negative argument of a root, a logarithm or a power that isn't whole"


@dataclass(frozen=True)
class Suspect:
    """An operation and its part that ranges don't clear."""

    trouble: Trouble
    operation: ir.Apply
    part: ir.Expr


def trouble(op: Op | None, args: list[float]) -> Trouble | None:
    """Return what is wrong with an operation on numbers; None where it isn't its domain."""
    if not args or math.isnan(args[0]):
        return None
    match op:
        case Op.DIV | Op.MOD:
            return Trouble.ZERO if args[1] == 0 else None
        case Op.POW:
            if args[0] == 0 and args[1] < 0:
                return Trouble.ZERO
            return Trouble.NEGATIVE if args[0] < 0 and args[1] != ieee.floor(args[1]) else None
        case Op.SQRT:
            return Trouble.NEGATIVE if args[0] < 0 else None
        case Op.LOG | Op.LOG1P:
            least = 0.0 if op is Op.LOG else -1.0
            return Trouble.ZERO if args[0] == least else Trouble.NEGATIVE if args[0] < least else None
    return None


def suspects(rule: Rule, ranges: Ranges) -> list[Suspect]:
    """Return the operations of a rule whose operands may leave their domain, in arms that may be taken.

    An intermediate is looked at where it is read: under the conditions that hold there.
    """
    equations = {equation.target: equation.value for equation in rule.equations}
    found: dict[tuple[int, Trouble], Suspect] = {}
    visited: set[tuple[ir.Symbol, Ranges]] = set()

    def walk(expr: ir.Expr, where: Ranges) -> None:
        if isinstance(expr, ir.Select):
            decided = where.decide(expr.condition)
            walk(expr.condition, where)
            if decided is not False:
                walk(expr.chosen, where.where(expr.condition, True))
            if decided is not True:
                walk(expr.other, where.where(expr.condition, False))
            return
        if isinstance(expr, ir.Ref) and expr.symbol.role is ir.Role.LOCAL:
            key = (expr.symbol, where if len(visited) < _MOST_VISITS else ranges)
            if key not in visited:
                visited.add(key)
                walk(equations[expr.symbol], key[1])
        # What is known of one element isn't known of the others.
        elements_of_all = isinstance(expr, ir.Reduce | ir.ReduceRows)
        for part in ir.operands(expr):
            walk(part, ranges if elements_of_all else where)
        if isinstance(expr, ir.Apply):
            for suspect in _itself(expr, where):
                found.setdefault((id(expr), suspect.trouble), suspect)

    for equation in rule.equations:
        if equation.target.role is ir.Role.NEW:
            walk(equation.value, ranges)
    return list(found.values())


def _itself(expr: ir.Apply, ranges: Ranges) -> Iterator[Suspect]:
    quotient = expr.op in (Op.DIV, Op.MOD)
    part = expr.args[1] if quotient else expr.args[0]
    if not quotient and expr.op not in (Op.POW, Op.SQRT, Op.LOG, Op.LOG1P):
        return
    values = ranges.operand(expr, part)
    exponent = ranges.of(expr.args[1]) if expr.op is Op.POW else bounds.point(0.5)
    least = -1.0 if expr.op is Op.LOG1P else 0.0
    divides = expr.op is not Op.SQRT and (expr.op is not Op.POW or exponent.low < 0)
    whole = bounds.is_point(exponent) and exponent.low == ieee.floor(exponent.low)
    if divides and least in values:
        yield Suspect(Trouble.ZERO, expr, part)
    if not quotient and not whole and values.low < least:
        yield Suspect(Trouble.NEGATIVE, expr, part)


def settings(rule: Rule) -> list[dict[str, bool | float]]:
    """Return the settings under which a rule is tried: truth values either way, options that are off on as well."""
    on = _switched_on(rule)
    plain: list[dict[str, bool | float]] = [{**setting} for setting in _trial.settings(rule)]
    return [*plain, *({**setting, **on} for setting in plain if on)]


def around_defaults(rule: Rule, setting: Mapping[str, bool | float] | None = None) -> Ranges:
    """Return the ranges of a rule's values in a setting, or in any of `settings`, otherwise at the defaults."""
    usual = _trial.values(rule, setting or {})
    points = {h.symbol.name: bounds.point(usual[h.symbol.name]) for h in rule.hypers if h.symbol.kind is Kind.NUMBER}
    if setting is None:
        points |= {name: Interval(0.0, value, True, True) for name, value in _switched_on(rule).items()}
        return Ranges(rule, points)
    truths = {h.symbol.name: bool(usual[h.symbol.name]) for h in rule.hypers if h.symbol.kind is Kind.BOOLEAN}
    return Ranges(rule, points, truths)


def _switched_on(rule: Rule) -> dict[str, float]:
    """Return a value for each option that is 0 by default and that a constant condition asks about."""
    asked = {symbol for condition in _conditions(rule) for symbol in _hypers(condition)}
    usual = _trial.values(rule, {})
    return {
        hyper.symbol.name: SWITCHED_ON
        for hyper in rule.hypers
        if hyper.symbol in asked
        and hyper.symbol.kind is Kind.NUMBER
        and usual[hyper.symbol.name] == 0
        and (hyper.interval is None or SWITCHED_ON in hyper.interval)
    }


def _conditions(rule: Rule) -> Iterator[ir.Expr]:
    yield from (state.when for state in rule.states if state.when is not None)
    waiting = [equation.value for equation in rule.equations]
    while waiting:
        expr = waiting.pop()
        if isinstance(expr, ir.Select) and ir.rate(expr.condition) is ir.Rate.CONST:
            yield expr.condition
        elif isinstance(expr, ir.Apply) and expr.op in ir.COMPARISONS and ir.rate(expr) is ir.Rate.CONST:
            yield expr
        waiting += ir.operands(expr)


def _hypers(expr: ir.Expr) -> Iterator[ir.Symbol]:
    if isinstance(expr, ir.Ref) and expr.symbol.role is ir.Role.HYPER:
        yield expr.symbol
    for part in ir.operands(expr):
        yield from _hypers(part)
