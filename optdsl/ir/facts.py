"""Deciding CONST conditions from what is assumed about hyperparameters.

Enough for the conditions rules have: truth-valued hyperparameters, and comparisons of one hyperparameter with a
number, joined by `and`, `or`, `not`. Any other condition is decided only where the very same one was assumed before;
undecided is always a safe answer. Hyperparameters may be infinite, never NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from optdsl.ir import nodes as ir
from optdsl.ir.evaluate import constant
from optdsl.ir.interval import Interval

_FLIPPED = {ir.Op.LT: ir.Op.GT, ir.Op.LE: ir.Op.GE, ir.Op.GT: ir.Op.LT, ir.Op.GE: ir.Op.LE}
_NEGATED = {
    ir.Op.LT: ir.Op.GE, ir.Op.GE: ir.Op.LT, ir.Op.LE: ir.Op.GT, ir.Op.GT: ir.Op.LE,
    ir.Op.EQ: ir.Op.NE, ir.Op.NE: ir.Op.EQ,
}  # fmt: skip


@dataclass(frozen=True)
class Range:
    """The values a number may have: an interval less some points."""

    interval: Interval = field(default_factory=Interval)
    without: frozenset[float] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether no value is left."""
        low, high = self.interval.low, self.interval.high
        return low > high or (low == high and (low not in self.interval or low in self.without))

    def narrowed(self, op: ir.Op, bound: float) -> Range:
        """Return the values for which the comparison with `bound` holds."""
        low, high, low_closed, high_closed = (
            self.interval.low, self.interval.high, self.interval.low_closed, self.interval.high_closed,
        )  # fmt: skip
        if op is ir.Op.NE:
            return replace(self._trimmed(bound), without=self.without | {bound})
        if op in (ir.Op.GT, ir.Op.GE, ir.Op.EQ) and bound >= low:
            closed = op is not ir.Op.GT
            low_closed = closed and (low_closed or bound > low) if bound == low else closed
            low = bound
        if op in (ir.Op.LT, ir.Op.LE, ir.Op.EQ) and bound <= high:
            closed = op is not ir.Op.LT
            high_closed = closed and high_closed if bound == high else closed
            high = bound
        if op is ir.Op.EQ and bound not in self.interval:
            return NONE
        return Range(Interval(low, high, low_closed, high_closed), self.without)._trimmed()

    def _trimmed(self, point: float | None = None) -> Range:
        """Open the ends that are excluded points."""
        points = self.without if point is None else self.without | {point}
        interval = self.interval
        if interval.low_closed and interval.low in points:
            interval = replace(interval, low_closed=False)
        if interval.high_closed and interval.high in points:
            interval = replace(interval, high_closed=False)
        return Range(interval, self.without)


ANY = Range(Interval(low_closed=True, high_closed=True))
"""Every number, the infinities too."""
NONE = Range(Interval(1.0, 0.0))
"""No number."""


@dataclass(frozen=True)
class Facts:
    """What is known of the hyperparameters: truth values, ranges of numbers, and other conditions by their form."""

    truths: Mapping[str, bool] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    others: Mapping[ir.Expr, bool] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((frozenset(self.truths.items()), frozenset(self.ranges.items()), frozenset(self.others.items())))

    @staticmethod
    def declared(hypers: Iterable[ir.Hyper]) -> Facts:
        """Return what the declared intervals say."""
        return Facts({}, {h.symbol.name: Range(h.interval) for h in hypers if h.interval is not None})

    @property
    def contradictory(self) -> bool:
        """Whether no hyperparameters satisfy these facts."""
        return any(values.empty for values in self.ranges.values())

    def decide(self, condition: ir.Expr) -> bool | None:
        """Return whether a condition holds, None where these facts leave it open."""
        match condition:
            case ir.Truth(truth):
                return truth
            case ir.Ref(symbol) if symbol.role is ir.Role.HYPER:
                return self.truths.get(symbol.name)
            case ir.Apply(ir.Op.NOT, (inner,)):
                value = self.decide(inner)
                return None if value is None else not value
            case ir.Apply(ir.Op.AND, (left, right)):
                answer = _both(self.decide(left), lambda: self.assume(left, True).decide(right))
                return self.others.get(condition) if answer is None else answer
            case ir.Apply(ir.Op.OR, (left, right)):
                answer = _both(_not(self.decide(left)), lambda: _not(self.assume(left, False).decide(right)))
                return self.others.get(condition) if answer is None else _not(answer)
            case ir.Select(inner, chosen, other):
                first = self.decide(inner)
                if first is not None:
                    return self.decide(chosen if first else other)
                answers = {self.assume(inner, True).decide(chosen), self.assume(inner, False).decide(other)}
                return answers.pop() if len(answers) == 1 else self.others.get(condition)
        comparison = _comparison(condition)
        if comparison is None:
            return self.others.get(condition)
        name, op, bound = comparison
        values = self.ranges.get(name, ANY)
        if values.narrowed(op, bound).empty:
            return False
        if values.narrowed(_NEGATED[op], bound).empty:
            return True
        return None

    def assume(self, condition: ir.Expr, holds: bool) -> Facts:
        """Return these facts and that a condition holds, or doesn't."""
        match condition:
            case ir.Ref(symbol) if symbol.role is ir.Role.HYPER:
                known = self.truths.get(symbol.name)
                if known is not None and known != holds:
                    return replace(self, ranges={**self.ranges, symbol.name: NONE})
                return replace(self, truths={**self.truths, symbol.name: holds})
            case ir.Apply(ir.Op.NOT, (inner,)):
                return self.assume(inner, not holds)
            case ir.Apply(ir.Op.AND, (left, right)) if holds:
                return self.assume(left, True).assume(right, True)
            case ir.Apply(ir.Op.OR, (left, right)) if not holds:
                return self.assume(left, False).assume(right, False)
            case ir.Apply(ir.Op.AND, (left, right)):
                return self._remaining(condition, left, right, True)
            case ir.Apply(ir.Op.OR, (left, right)):
                return self._remaining(condition, left, right, False)
            case ir.Select(inner, chosen, other):
                value = self.decide(inner)
                if value is not None:
                    return self.assume(chosen if value else other, holds)
        comparison = _comparison(condition)
        if comparison is None:
            known = self.decide(condition)
            return replace(self, others={**self.others, condition: holds}) if known is None else self
        name, op, bound = comparison
        values = self.ranges.get(name, ANY).narrowed(op if holds else _NEGATED[op], bound)
        return replace(self, ranges={**self.ranges, name: values})

    def _remaining(self, condition: ir.Expr, left: ir.Expr, right: ir.Expr, neutral: bool) -> Facts:
        """Return what follows where `left and right` fails, or `left or right` holds."""
        if self.decide(left) is neutral:
            return self.assume(right, not neutral)
        if self.decide(right) is neutral:
            return self.assume(left, not neutral)
        return replace(self, others={**self.others, condition: not neutral})


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _both(left: bool | None, right: Callable[[], bool | None]) -> bool | None:
    if left is False:
        return False
    other = right()
    if other is False:
        return False
    return True if left and other else None


def _comparison(condition: ir.Expr) -> tuple[str, ir.Op, float] | None:
    """Return a comparison of one hyperparameter with a number as (name, operator, number)."""
    if not isinstance(condition, ir.Apply) or condition.op not in ir.COMPARISONS:
        return None
    left, right = condition.args
    op = condition.op
    if isinstance(right, ir.Ref):
        left, right, op = right, left, _FLIPPED.get(op, op)
    if not isinstance(left, ir.Ref) or left.symbol.role is not ir.Role.HYPER or not _is_literal(right):
        return None
    return left.symbol.name, op, float(constant(right, {}))


def _is_literal(expr: ir.Expr) -> bool:
    return isinstance(expr, ir.Number) or (
        isinstance(expr, ir.Apply) and expr.op is ir.Op.NEG and _is_literal(expr.args[0])
    )


def prune(expr: ir.Expr, facts: Facts) -> ir.Expr:
    """Return an expression with the branches that can't be taken cut off."""
    if isinstance(expr, ir.Select):
        decided = facts.decide(expr.condition)
        if decided is not None:
            return prune(expr.chosen if decided else expr.other, facts)
        return ir.Select(
            prune(expr.condition, facts), prune(expr.chosen, facts.assume(expr.condition, True)),
            prune(expr.other, facts.assume(expr.condition, False)), expr.span,
        )  # fmt: skip
    if ir.kind(expr) is ir.Kind.BOOLEAN and not isinstance(expr, ir.Truth):
        decided = facts.decide(expr)
        if decided is not None:
            return ir.Truth(decided, expr.span)
    return ir.rebuild(expr, tuple(prune(part, facts) for part in ir.operands(expr)))


def with_conditions_written_out(rule: ir.Rule) -> ir.Rule:
    """Return a rule in which constant conditions stand where they are read, not under the name of an intermediate."""
    named = {
        equation.target: equation.value
        for equation in rule.equations
        if equation.target.kind is ir.Kind.BOOLEAN and equation.target.rate is ir.Rate.CONST
    }

    def written_out(expr: ir.Expr) -> ir.Expr:
        if isinstance(expr, ir.Ref):
            return written_out(named[expr.symbol]) if expr.symbol in named else expr
        return ir.rebuild(expr, tuple(written_out(part) for part in ir.operands(expr)))

    if not named:
        return rule
    return replace(rule, equations=tuple(replace(e, value=written_out(e.value)) for e in rule.equations))
