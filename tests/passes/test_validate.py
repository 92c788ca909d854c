"""A wrong rewrite doesn't get through: the author's form stands, and the reason is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optdsl import pipeline
from optdsl.ir.nodes import Apply, Expr, Number, Op, Rate, Reduce, Rule, Select, number, operands, rate, rebuild
from optdsl.passes.simplify import Positive, simplify
from optdsl.passes.validate import Domain
from optdsl.pipeline import as_written, kernels, rule_of
from optdsl.source import SourceFile

from .support import rule_called

Rewrite = Callable[[Expr, Positive], Expr]


def everywhere(change: Callable[[Expr], Expr]) -> Rewrite:
    """Return a simplifier that simplifies as it should and then changes each element operation it is right to spoil."""

    def walk(expr: Expr) -> Expr:
        expr = rebuild(expr, tuple(walk(part) for part in operands(expr)))
        return change(expr) if rate(expr) is Rate.ELEMENT else expr

    done: set[Expr] = set()

    def rewrite(expr: Expr, positive: Positive) -> Expr:
        if expr in done:  # the scheduler asks again until nothing changes
            return expr
        changed = walk(simplify(expr, positive))
        done.add(changed)
        return changed

    return rewrite


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
        tiny = Number(1 + number(1).value / 10**20)
        return Apply(Op.MUL, (tiny, expr))
    return expr


def digits_lost(expr: Expr) -> Expr:
    """Add a large number and take it off again: right in algebra, wrong in floating point."""
    if isinstance(expr, Apply) and expr.op is Op.SUB:
        large = number(10**6)
        return Apply(Op.SUB, (Apply(Op.ADD, (expr, large)), large))
    return expr


SPOILT = {
    "term-dropped": (term_dropped, ""),
    "sign-turned": (sign_turned, "is another function"),
    "root-lost": (root_lost, "is another function"),
    "sides-swapped": (sides_swapped, ""),
    "factor-near-one": (factor_near_one, "is another function"),
    "digits-lost": (digits_lost, "is less exact"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
@pytest.mark.parametrize("name", ["adam", "sample/adam", "rmsprop", "flux/adagrad"])
def test_spoilt_rewrites_are_refused(name: str, spoilt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a rewrite gets wrong, the kernels are those that the author wrote, and the reason names the place."""
    change, reason = SPOILT[spoilt]
    rule = rule_called(name)
    assert kernels(rule).simplified
    monkeypatch.setattr(pipeline, "simplify", everywhere(change))
    program = kernels(rule)
    assert not program.simplified
    assert program.kernels == as_written(rule)
    assert reason in program.reason
    assert " at t = " in program.reason
    assert "'" in program.reason.split()[0]


ROOT = """rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
  k  = 1   in [0, inf)
state
  v = 0
update
  v' = v + g*g
  x' = x - lr*g/(sqrt(k*v') + 1)
"""


def test_root_moved_over_zero_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A factor that may be zero isn't pulled out of a denominator; were it, the result would stop being finite."""
    rule = rule_of(SourceFile("rule.opt", ROOT))
    assert kernels(rule).simplified
    monkeypatch.setattr(Domain, "positive", lambda self, expr: True)
    program = kernels(rule)
    assert not program.simplified
    assert program.reason.startswith("x' is no longer finite")
    assert program.kernels == as_written(rule)


def test_one_spoilt_variant_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a variant that the defaults don't ask for is found too."""
    rule = rule_called("adam")

    def largest_lost(expr: Expr) -> Expr:
        return expr.args[1] if isinstance(expr, Apply) and expr.op is Op.MAX else expr

    monkeypatch.setattr(pipeline, "simplify", everywhere(largest_lost))
    program = kernels(rule)
    assert not program.simplified
    assert "amsgrad = 1" in program.reason


def test_arm_of_a_condition_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in one arm of an element's condition is found."""
    rule = rule_called("rprop")

    def arm_lost(expr: Expr) -> Expr:
        return expr.other if isinstance(expr, Select) else expr

    monkeypatch.setattr(pipeline, "simplify", everywhere(arm_lost))
    assert not kernels(rule).simplified


def test_reductions_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is one in what a reduction adds up."""
    rule = rule_called("sample/lamb")
    monkeypatch.setattr(pipeline, "simplify", everywhere(root_lost))
    assert not kernels(rule).simplified


LARGEST = """rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
update
  x' = x - lr*amax(abs(g))*g
"""


def test_what_a_largest_element_scales_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is done with the result of a reduction that starts at minus infinity."""
    rule = rule_of(SourceFile("rule.opt", LARGEST))
    assert kernels(rule).simplified
    monkeypatch.setattr(pipeline, "simplify", everywhere(sign_turned))
    assert not kernels(rule).simplified


def test_exact_kernels_are_not_simplified(rule: str) -> None:
    """Who asks for exact arithmetic gets the author's form, and is told so."""
    written: Rule = rule_called(rule)
    program = kernels(written, exact=True)
    assert not program.simplified
    assert "exact" in program.reason
    assert all(not isinstance(let.value, Reduce) for kernel in program.kernels for let in kernel.prologue)
