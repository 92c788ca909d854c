"""`dead-branch`: an arm of an `if`, or a part of a condition, that the declared intervals leave without a purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from optdsl.checks import _trial
from optdsl.diagnostics import Problem, Severity
from optdsl.ir import bounds
from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind, Op, Role, Rule
from optdsl.ir.ranges import Ranges


@dataclass(frozen=True, kw_only=True)
class DeadBranch(Problem):
    """An arm that is never taken, or a part of a condition that decides nothing."""

    slug: ClassVar[str] = "dead-branch"
    severity: ClassVar[Severity] = "warning"
    holds: bool | None
    reason: str

    @property
    def message(self) -> str:
        if self.holds is None:
            return "this arm is never taken"
        return f"this part of the condition {'always' if self.holds else 'never'} holds"

    @property
    def label(self) -> str:
        return self.reason

    @property
    def help(self) -> str:
        if self.holds is None:
            return "correct the condition, or keep the other arm alone"
        return "correct this comparison, or remove it"


@dataclass(frozen=True)
class _Place:
    """Where something is dead: the whole `if` or condition and the number of its part."""

    span: ir.Span | None
    part: int


@dataclass
class _Walk:
    """A walk over the equations. A place is dead if it is in every expansion of the function it may stand in."""

    rule: Rule
    everywhere: Ranges
    dead: dict[_Place, DeadBranch] = field(default_factory=dict)
    alive: set[_Place] = field(default_factory=set)
    path: list[tuple[ir.Expr, bool]] = field(default_factory=list)

    def visit(self, expr: ir.Expr, where: Ranges) -> None:
        """Look at an expression where some conditions hold."""
        if isinstance(expr, ir.Select) and not _compares_truths(expr):
            self._select(expr, where)
        elif isinstance(expr, ir.Apply) and expr.op in (Op.AND, Op.OR):
            self._logic(expr, where)
        elif isinstance(expr, ir.Reduce | ir.ReduceRows):
            path, self.path = self.path, []  # what is known of one element isn't known of the others
            for part in expr.args:
                self.visit(part, self.everywhere)
            self.path = path
        else:
            for part in ir.operands(expr):
                self.visit(part, where)

    def _select(self, expr: ir.Select, where: Ranges) -> None:
        decided = where.decide(expr.condition)
        if decided is None:
            self.visit(expr.condition, where)
        for number, (arm, holds) in enumerate(((expr.chosen, True), (expr.other, False))):
            place = _Place(expr.span, number)
            if decided is (not holds):
                reason = self._reason(expr.condition, not holds, where)
                self.dead.setdefault(place, DeadBranch(span=arm.span or expr.span or (0, 0), holds=None, reason=reason))
                continue
            self.alive.add(place)
            self.path.append((expr.condition, holds))
            self.visit(arm, where.where(expr.condition, holds))
            self.path.pop()

    def _logic(self, expr: ir.Apply, where: Ranges) -> None:
        """Look at both sides; the right one matters only where the left one leaves the question open."""
        left, right = expr.args
        self._side(expr, 0, left, where)
        self.path.append((left, expr.op is Op.AND))
        self._side(expr, 1, right, where.where(left, expr.op is Op.AND))
        self.path.pop()

    def _side(self, expr: ir.Apply, number: int, side: ir.Expr, where: Ranges) -> None:
        holds = where.decide(side)
        place = _Place(expr.span, number)
        if holds is None:
            self.alive.add(place)
            self.visit(side, where)
            return
        reason = self._reason(side, holds, where)
        self.dead.setdefault(place, DeadBranch(span=side.span or expr.span or (0, 0), holds=holds, reason=reason))

    def _reason(self, condition: ir.Expr, holds: bool, where: Ranges) -> str:
        """Return in words why a condition always or never holds here."""
        match condition:
            case ir.Apply(Op.NOT, (inner,)):
                return self._reason(inner, not holds, where)
            case ir.Apply(Op.AND | Op.OR as op, (left, right)) if holds is (op is Op.OR):
                if where.decide(left) is holds:
                    return self._reason(left, holds, where)
                if where.decide(right) is holds:
                    return self._reason(right, holds, where)
                self.path.append((left, not holds))
                reason = self._reason(right, holds, where.where(left, not holds))
                self.path.pop()
                return reason
        shown = _trial.quoted(self.rule, condition.span) or "the condition"
        words = f"{shown} {'always' if holds else 'never'} holds{self._given(condition, holds)}"
        sides = condition.args if isinstance(condition, ir.Apply) and condition.op in ir.COMPARISONS else ()
        known = [(side, where.of(side)) for side in sides if not isinstance(side, ir.Number)]
        facts = [
            f"{_trial.quoted(self.rule, side.span)} is {_described(values)}"
            for side, values in known
            if values != bounds.ANY and side.span is not None
        ]
        return f"{words}: {' and '.join(facts)}" if facts else words

    def _given(self, condition: ir.Expr, holds: bool) -> str:
        """Return in words what earlier condition decides another; "" where it is decided without."""
        if self.everywhere.decide(condition) is holds or not self.path:
            return ""
        enough = [part for part in self.path if self.everywhere.where(*part).decide(condition) is holds]
        earlier, held = (enough or self.path)[-1]
        return f" where {_trial.quoted(self.rule, earlier.span)} {'holds' if held else 'fails'}"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield the arms that no values in the declared intervals lead to, and the parts of conditions that are settled.

    Earlier conditions on the way, `t >= 1` and what the equations say of the states count; NaN is left aside.
    """
    everywhere = Ranges(rule)
    walk = _Walk(rule, everywhere)
    for equation in rule.equations:
        where = everywhere
        if equation.target.role is Role.NEW and equation.target.name != rule.parameter.name:
            when = rule.state(equation.target.name).when
            walk.path = [] if when is None else [(when, True)]
            where = everywhere if when is None else everywhere.where(when, True)
        walk.visit(equation.value, where)
        walk.path = []
    yield from (problem for place, problem in walk.dead.items() if place not in walk.alive)


def _compares_truths(expr: ir.Select) -> bool:
    """Return whether a choice is what `a == b` of truth values means."""
    return ir.kind(expr) is Kind.BOOLEAN and expr.other == ir.Apply(Op.NOT, (expr.chosen,))


def _described(values: Interval) -> str:
    """Return a range in words."""
    if bounds.is_point(values):
        return f"{values.low:g}"
    opening, closing = "[" if values.low_closed else "(", "]" if values.high_closed else ")"
    return f"in {opening}{values.low:g}, {values.high:g}{closing}"
