"""A wrong form doesn't get through, whatever is wrong with it, and the reason says where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Apply, Expr, Number, Op, Rate, Role, Rule, Select, number, operands, rate, rebuild
from optdsl.passes.domain import Domain, Knowledge
from optdsl.passes.order import ordered
from optdsl.passes.points import USUAL, points_for, settings_for
from optdsl.passes.simplify import simplify
from optdsl.passes.validate import Trial
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

from .support import rule_called

Change = Callable[[Expr], Expr]


def trial_of(rule: Rule, target: str = "x") -> tuple[Trial, Expr]:
    """Return the trial of a new value's equation, and its simplified form."""
    knowledge = Knowledge.of(rule, Domain(rule), {})
    lets = ordered(rule, rule)
    (value,) = (let.value for let in lets if let.symbol.name == target and let.symbol.role is Role.NEW)
    settings = settings_for([value], knowledge)
    return Trial(value, settings), simplify(value, knowledge.positive)


def changed(expr: Expr, change: Change) -> Expr:
    """Return an expression with a change made to every element operation in it."""
    expr = rebuild(expr, tuple(changed(part, change) for part in operands(expr)))
    return change(expr) if rate(expr) is Rate.ELEMENT else expr


def written(text: str) -> Rule:
    """Return a rule whose parameter has some new value."""
    head = "rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n  k = 1 in [0, inf)\nstate\n  v = 0\nupdate\n  v' = v + g*g\n"
    return rule_of(SourceFile("rule.opt", f"{head}  x' = {text}\n"))


def value_of(text: str) -> Expr:
    """Return the same value as an expression."""
    return written(text).equations[-1].value


def term_dropped(expr: Expr) -> Expr:
    """Take the first of two terms for their sum."""
    return expr.args[0] if isinstance(expr, Apply) and expr.op is Op.ADD else expr


def sign_turned(expr: Expr) -> Expr:
    """Add what should be taken off."""
    return Apply(Op.ADD, expr.args) if isinstance(expr, Apply) and expr.op is Op.SUB else expr


def root_lost(expr: Expr) -> Expr:
    """Leave a root out."""
    return expr.args[0] if isinstance(expr, Apply) and expr.op is Op.SQRT else expr


def sides_swapped(expr: Expr) -> Expr:
    """Divide the wrong way round."""
    return Apply(Op.DIV, expr.args[::-1]) if isinstance(expr, Apply) and expr.op is Op.DIV else expr


def factor_near_one(expr: Expr) -> Expr:
    """Be wrong by one part in 10^20, which no float64 shows."""
    if isinstance(expr, Apply) and expr.op is Op.SUB:
        return Apply(Op.MUL, (Number(1 + number(1).value / 10**20), expr))
    return expr


def digits_lost(expr: Expr) -> Expr:
    """Add a large number and take it off again: right in algebra, wrong in floating point."""
    if isinstance(expr, Apply) and expr.op is Op.SUB:
        large = number(10**6)
        return Apply(Op.SUB, (Apply(Op.ADD, (expr, large)), large))
    return expr


SPOILT = {
    "term-dropped": (term_dropped, "is "),
    "sign-turned": (sign_turned, "is another function"),
    "root-lost": (root_lost, "is "),
    "sides-swapped": (sides_swapped, "is "),
    "factor-near-one": (factor_near_one, "is another function"),
    "digits-lost": (digits_lost, "is "),
}


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("name", ["adam", "sample/adam", "flux/rmsprop", "flux/adagrad"])
def test_spoilt_forms_differ(name: str, spoilt: str) -> None:
    """Whatever a form gets wrong is noticed, and the point is told in the author's names."""
    change, reason = SPOILT[spoilt]
    trial, form = trial_of(rule_called(name))
    assert trial.differs(form) == ""
    found = trial.differs(changed(form, change))
    assert found.startswith(reason)
    assert " at " in found
    assert "x = " in found.split(" at ")[1]


WRONG = {
    # As written, as rewritten, and what is wrong with it.
    "overflow": ("sqrt(v)*sqrt(g)", "sqrt(v*g)", "is no longer finite"),
    "zero-over-zero": ("g/(sqrt(k*v') + 1)", "g/(sqrt(k)*(sqrt(v') + 1/sqrt(k)))", "is no longer finite"),
    "reciprocal": ("g*g/(lr*g + 1e300)", "g*(1/(lr*g + 1e300)*g)", ""),
    "underflow": ("abs(x)", "sqrt(x*x)", "is "),
    "cancelled": ("(x - g)*(x + g)", "x*x - g*g", "is "),
    "arm": ("if x > 0 then g else -g", "g", "is another function"),
    "scalar-arm": ("if t > 900 then g else x", "x", "is another function"),
    "only-at-zero": ("if x == 0 then g else x", "x", "is another function"),
    "only-at-its-end": ("if lr == 0 then g else x", "x", "is another function"),
    "float32": ("1e30*(1e20*x)", "1e50*x", "is no longer finite"),
    "float64": ("1e200*(1e200*(1e-300*x))", "1e100*x", ""),
    "exponential": ("exp(x)*exp(-x)", "1 + 0*x", ""),
    "logarithm": ("log(1 + x)", "log1p(x)", ""),
    "large-added": ("x - g", "x - g + 1000 - 1000", "is "),
    "zero-of-a-sign": ("g/(x + 0)", "g/x", "is the other infinity"),
    "near-zero": ("expm1(x)", "exp(x) - 1", "is "),
}


@pytest.mark.parametrize("name", WRONG)
def test_judged(name: str) -> None:
    """Forms that are right or wrong in one corner each."""
    before, after, reason = WRONG[name]
    trial, _ = trial_of(written(before))
    found = trial.differs(value_of(after))
    assert found.startswith(reason) if reason else found == ""


FAINT = "1e20*(1e-12*(1e-30*x))", "1e20*(1e-42*x)"
"""A coefficient that float32 holds with a few digits only."""


@pytest.mark.parametrize("stage", ["points", "extremes"])
def test_lost_digits_are_seen_at_all_points(stage: str) -> None:
    """Where algebra is right, the error counts: at the points with 50 digits, and at those that are for floats."""
    trial, _ = trial_of(written(FAINT[0]))
    if stage == "points":
        trial.extremes = []
    else:
        trial.arithmetics = trial.arithmetics[:1]  # float64 sees nothing wrong
    assert trial.differs(value_of(FAINT[1])).startswith("is less exact")


def test_never_negative_is_known() -> None:
    """An element that the equations keep from being negative isn't tried there."""
    trial, _ = trial_of(written("abs(v')"))
    assert trial.differs(value_of("v'")) == ""
    free, _ = trial_of(written("abs(x)"))
    assert free.differs(value_of("x")).startswith("is another function")


def test_points_are_special() -> None:
    """Zeros of both signs, subnormal and huge numbers of both types, ends of intervals, and early and late steps."""
    rule = written("lr*x*g/(1 + t*k)")
    trial, _ = trial_of(rule)
    columns = list(trial.points.given.values())
    assert all(value in column for column in columns for value in (0.0, 2.0**-149, 2.0**-1074))
    for column in trial.extremes[0].points.given.values():
        usual = column[trial.extremes[0].points.rows < USUAL]
        assert {float(np.finfo(np.float32).max), float(np.finfo(np.float64).max)} <= set(usual.tolist())
    assert any(np.signbit(column[column == 0]).any() for column in columns)
    given = {symbol.name: set(column.tolist()) for symbol, column in trial.points.settings.given.items()}
    assert {0.0, 0.1, 1e4} <= given["lr"]
    assert given["t"] == {1.0, 2.0, 1000.0}


def test_points_are_fewer_for_longer_expressions() -> None:
    """By a budget of operations: no clock is looked at."""
    trial, _ = trial_of(written("x"))
    counts = [points_for(trial.written, trial.points.settings, operations).rows.size for operations in (1, 100, 10**6)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] >= 50


def test_arm_of_a_condition_is_looked_into() -> None:
    """A mistake in one arm of an element's condition is found."""

    def arm_lost(expr: Expr) -> Expr:
        return expr.other if isinstance(expr, Select) else expr

    trial, form = trial_of(rule_called("rprop"), "step")
    assert trial.differs(form) == ""
    assert trial.differs(changed(form, arm_lost))


def test_truth_values_are_compared() -> None:
    """A condition is another function where it says otherwise anywhere."""
    rule = written("where(x > g, x, g)")
    settings = settings_for([rule.equations[-1].value], Knowledge.of(rule, Domain(rule), {}))
    x, g = ir.Ref(rule.parameter), ir.Ref(rule.gradient)
    trial = Trial(Apply(Op.GT, (x, g)), settings)
    assert trial.differs(Apply(Op.LT, (g, x))) == ""
    assert trial.differs(Apply(Op.GE, (x, g))).startswith("is another function")
