"""Between which bounds the values of a rule lie, at every step that can be reached.

What a rule implies follows from its equations: a state's range is one that holds its initial value and that its
equation doesn't leave, found by applying the equation again and again. So an average of squares is never negative, and
neither is the maximum of such averages. Hyperparameters lie where they are declared, or where the caller says; the
parameter and the gradient may be any number. A range is about numbers: NaN is left aside. "Unknown" is the whole line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import assert_never

from optdsl.ir import bounds
from optdsl.ir import nodes as ir
from optdsl.ir.bounds import ANY, INF, hull, meet
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind, Op, Rate, Role, Rule, Symbol

_LANDMARKS = (0.0, 1.0, 2.0, 1e3, INF)
"""Sizes at which the range of a state may come to rest before it is unbounded."""
_ROUNDS = 40
_MOST_CASES = 500
"""Conditions that are taken into account; more would be forgotten, since cases of cases double."""
_COUNT = Interval(1.0, INF, True, False)
_AXES = Interval(0.0, INF, True, False)
_FLIPPED = {Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE, Op.EQ: Op.EQ, Op.NE: Op.NE}
_NEGATED = {Op.LT: Op.GE, Op.GE: Op.LT, Op.LE: Op.GT, Op.GT: Op.LE, Op.EQ: Op.NE, Op.NE: Op.EQ}


class Ranges:
    """The range of every expression of a rule, where certain conditions hold.

    `hypers` gives the ranges of hyperparameters (by default what their declarations say), `truths` the values of
    truth-valued ones where they are fixed.
    """

    def __init__(
        self, rule: Rule, hypers: Mapping[str, Interval] | None = None, truths: Mapping[str, bool] | None = None
    ) -> None:
        self._equations = {equation.target: equation.value for equation in rule.equations}
        self._declared = {h.symbol.name: h.interval or ANY for h in rule.hypers} | dict(hypers or {})
        self._assumed: dict[ir.Expr, bool] = {}
        self._narrowed: dict[ir.Expr, Interval] = {}
        self._known: dict[Symbol, Interval] = {}
        self._everywhere = self
        for hyper in rule.hypers:
            if truths is not None and hyper.symbol.name in truths:
                self._assumed[ir.Ref(hyper.symbol)] = truths[hyper.symbol.name]
        self._left = _MOST_CASES
        self._states: dict[Symbol, Interval] = {}
        self._states = _invariants(rule, self)
        self._forget()

    def where(self, condition: ir.Expr, holds: bool) -> Ranges:
        """Return the ranges where a condition holds, or where it doesn't."""
        if self._everywhere._left <= 0:
            return self
        self._everywhere._left -= 1
        other = object.__new__(Ranges)
        other._equations, other._declared, other._states = self._equations, self._declared, self._states
        other._assumed, other._narrowed = dict(self._assumed), dict(self._narrowed)
        other._known, other._everywhere = {}, self._everywhere
        other._assume(condition, holds)
        return other

    def operand(self, expr: ir.Expr, part: ir.Expr) -> Interval:
        """Return the range of a part of an expression, as it is once it is in the expression's arithmetic."""
        found = self.of(part)
        return bounds.as_elements(found) if ir.rate(expr) is Rate.ELEMENT else found

    def of(self, expr: ir.Expr) -> Interval:
        """Return the range of a number."""
        found = self._computed(expr)
        if self._narrowed and expr in self._narrowed:
            both = meet(found, self._narrowed[expr])
            return found if bounds.is_empty(both) else both
        return found

    def decide(self, condition: ir.Expr) -> bool | None:
        """Return whether a condition holds at every step, None where it may or may not."""
        if condition in self._assumed:
            return self._assumed[condition]
        match condition:
            case ir.Truth(truth):
                return truth
            case ir.Ref(symbol):
                return self.decide(self._equations[symbol]) if symbol in self._equations else None
            case ir.Apply(Op.NOT, (inner,)):
                return _not(self.decide(inner))
            case ir.Apply(Op.AND, (left, right)):
                return _both(self.decide(left), self.where(left, True).decide(right))
            case ir.Apply(Op.OR, (left, right)):
                return _not(_both(_not(self.decide(left)), _not(self.where(left, False).decide(right))))
            case ir.Select(inner, chosen, other):
                first = self.decide(inner)
                if first is not None:
                    return self.decide(chosen if first else other)
                one, two = self.where(inner, True).decide(chosen), self.where(inner, False).decide(other)
                return one if one is two else None
            case ir.Apply(op, (left, right)) if op in ir.COMPARISONS:
                return self._compared(op, left, right)
        return None

    def _compared(self, op: Op, left: ir.Expr, right: ir.Expr) -> bool | None:
        if _is_infinite(left) or _is_infinite(right):
            return None  # `abs(g) <= inf` asks for NaN, which ranges leave aside
        opposite = ir.Apply(_NEGATED[op], (left, right))
        if opposite in self._assumed:
            return not self._assumed[opposite]
        a, b = self.of(left), self.of(right)
        if max(ir.rate(left), ir.rate(right)) is Rate.ELEMENT:
            a, b = bounds.as_elements(a), bounds.as_elements(b)
        match op:
            case Op.LT:
                return bounds.below(a, b)
            case Op.GT:
                return bounds.below(b, a)
            case Op.LE:
                return _not(bounds.below(b, a))
            case Op.GE:
                return _not(bounds.below(a, b))
        apart = bounds.is_empty(meet(a, b))
        same = None if apart or not (bounds.is_point(a) and a == b) else True
        equal = False if apart else same
        return equal if op is Op.EQ else _not(equal)

    def _computed(self, expr: ir.Expr) -> Interval:
        match expr:
            case ir.Number(value):
                return bounds.point(float(value))
            case ir.Ref(symbol):
                if symbol not in self._known:
                    self._known[symbol] = self._of_symbol(symbol)
                return self._known[symbol]
            case ir.Select(condition, chosen, other):
                decided = self.decide(condition)
                if decided is not None:
                    return self.operand(expr, chosen if decided else other)
                return hull(
                    self.where(condition, True).operand(expr, chosen),
                    self.where(condition, False).operand(expr, other),
                )
            case ir.Reduce(fold, args):
                return _reduced(fold, args, self._everywhere)
            case ir.ReduceRows(row_fold, args):
                return bounds.as_elements(_reduced_rows(row_fold, args, self._everywhere))
            case ir.Apply():
                return self._applied(expr)
        return ANY

    def _of_symbol(self, symbol: Symbol) -> Interval:
        match symbol.role:
            case Role.HYPER:
                return self._declared[symbol.name]
            case Role.STEP | Role.SIZE:
                return _COUNT
            case Role.NDIM:
                return _AXES
            case Role.OLD:
                return self._states.get(symbol, ANY)
            case Role.NEW | Role.LOCAL if symbol in self._equations and symbol.kind is Kind.NUMBER:
                found = self.of(self._equations[symbol])
                return bounds.as_elements(found) if symbol.rate is Rate.ELEMENT else found
        return ANY

    def _forget(self) -> None:
        """Drop what was computed from other ranges of the states."""
        self._known, self._left = {}, _MOST_CASES

    def _applied(self, expr: ir.Apply) -> Interval:
        elements = ir.rate(expr) is Rate.ELEMENT
        args = tuple(self.operand(expr, part) for part in expr.args)
        blend = _blend(expr)
        if blend is not None and bounds.is_share(self.of(blend[2])):
            between = hull(self.operand(expr, blend[0]), self.operand(expr, blend[1]))
            found = bounds.applied(Op.ADD, (between, bounds.point(0.0)), elements)
        elif expr.op is Op.MUL and expr.args[0] == expr.args[1]:
            found = bounds.applied(Op.POW, (args[0], bounds.point(2.0)), elements)
        elif expr.op is Op.POW:
            found = bounds.applied(Op.POW, (args[0], self.of(expr.args[1])), elements)
        else:
            found = bounds.applied(expr.op, args, elements)
        return bounds.as_elements(found) if elements else found

    def _assume(self, condition: ir.Expr, holds: bool) -> None:
        match condition:
            case ir.Apply(Op.NOT, (inner,)):
                self._assume(inner, not holds)
            case ir.Apply(Op.AND | Op.OR as op, (left, right)) if holds is (op is Op.AND):
                self._assume(left, holds)
                self._assume(right, holds)
            case ir.Ref(symbol) if symbol in self._equations:
                self._assume(self._equations[symbol], holds)
            case ir.Apply(op, (left, right)) if op in ir.COMPARISONS:
                self._narrow(op if holds else _NEGATED[op], left, right)
        self._assumed[condition] = holds

    def _narrow(self, op: Op, left: ir.Expr, right: ir.Expr) -> None:
        """Take note of what a comparison that holds says of both sides."""
        for side, other, direction in ((left, right, op), (right, left, _FLIPPED[op])):
            if isinstance(side, ir.Number):
                continue
            before = self.of(side)
            after = bounds.narrowed(before, direction, self.of(other))
            if isinstance(side, ir.Ref) and side.symbol.role in (Role.STEP, Role.SIZE, Role.NDIM):
                after = bounds.whole(after)
            if not bounds.is_empty(after):
                self._narrowed[side] = after
        self._known = {}


def _invariants(rule: Rule, ranges: Ranges) -> dict[Symbol, Interval]:
    """Return for every state a range that it never leaves; none where the search doesn't come to rest."""
    new = {e.target.name: e.target for e in rule.equations if e.target.role is Role.NEW}
    start = {state.symbol: _stored(state, ranges.of(state.init)) for state in rule.states}

    def after(found: dict[Symbol, Interval]) -> dict[Symbol, Interval]:
        ranges._states = found
        ranges._forget()
        return {
            state.symbol: hull(start[state.symbol], _stored(state, ranges.of(ir.Ref(new[state.name]))))
            for state in rule.states
        }

    found = start
    for _ in range(_ROUNDS):
        grown = {symbol: hull(found[symbol], values) for symbol, values in after(found).items()}
        if grown == found:
            return after(found)  # what a range that is never left leads to is never left either
        found = {symbol: _widened(found[symbol], grown[symbol]) for symbol in found}
    return {}


def _stored(state: ir.State, values: Interval) -> Interval:
    """Return the range of a state's values once they are stored: of 16-bit numbers only the sign is sure."""
    if state.scalar:
        return values
    if state.storage in ("f16", "bf16"):
        return Interval(0.0 if values.low >= 0 else -INF, 0.0 if values.high <= 0 else INF, True, True)
    return bounds.as_elements(values)


def _widened(before: Interval, after: Interval) -> Interval:
    """Move the ends that moved to the next landmark, so that the search ends."""
    low, high = after.low, after.high
    if low < before.low:
        low = max(mark for size in _LANDMARKS for mark in (size, -size) if mark <= low)
    if high > before.high:
        high = min(mark for size in _LANDMARKS for mark in (size, -size) if mark >= high)
    return Interval(low, high, after.low_closed or low != after.low, after.high_closed or high != after.high)


def _reduced(fold: ir.Fold, args: tuple[ir.Expr, ...], ranges: Ranges) -> Interval:
    values = ranges.of(args[0])
    if fold is ir.Fold.AMAX:
        return bounds.as_elements(values)
    if fold is ir.Fold.DOT:
        pair = (values, ranges.of(args[1]))
        same = args[0] == args[1]
        values = bounds.NOT_NEGATIVE if same else bounds.applied(Op.MUL, pair)
    return Interval(0.0 if values.low >= 0 else -INF, 0.0 if values.high <= 0 else INF, True, True)


def _reduced_rows(fold: ir.RowFold, args: tuple[ir.Expr, ...], ranges: Ranges) -> Interval:
    match fold:
        case ir.RowFold.AMAX:
            return _reduced(ir.Fold.AMAX, args, ranges)
        case ir.RowFold.NORM | ir.RowFold.RMS:
            return bounds.NOT_NEGATIVE
        case ir.RowFold.DOT:
            return _reduced(ir.Fold.DOT, args, ranges)
        case ir.RowFold.SUM | ir.RowFold.MEAN:
            return _reduced(ir.Fold.SUM, args, ranges)
    assert_never(fold)


def _blend(expr: ir.Apply) -> tuple[ir.Expr, ir.Expr, ir.Expr] | None:
    """Return (a, b, w) of `a + w*(b - a)`, in any of the ways to write it."""
    if expr.op not in (Op.ADD, Op.SUB):
        return None
    for start, change in (expr.args, expr.args[::-1])[: 2 if expr.op is Op.ADD else 1]:
        if not isinstance(change, ir.Apply) or change.op is not Op.MUL:
            continue
        for weight, gap in (change.args, change.args[::-1]):
            if isinstance(gap, ir.Apply) and gap.op is Op.SUB:
                end, first = gap.args if expr.op is Op.ADD else gap.args[::-1]
                if first == start:
                    return start, end, weight
    return None


def _is_infinite(expr: ir.Expr) -> bool:
    if isinstance(expr, ir.Apply) and expr.op is Op.NEG:
        return _is_infinite(expr.args[0])
    return isinstance(expr, ir.Number) and math.isinf(expr.value)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return True if left and right else None
