"""What SymPy proposes, in what time, and what it is not asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from optdsl.algebra import propose
from optdsl.algebra.propose import Proposer
from optdsl.ir.nodes import Apply, Expr, Number, Op, Rate, Ref, Role, Symbol, number, operands
from optdsl.ir.show import show
from optdsl.pipeline import kernels, rule_of
from optdsl.source import SourceFile


def element(name: str) -> Expr:
    """Return an element."""
    return Ref(Symbol(Role.LOCAL, name, Rate.ELEMENT))


def scalar(name: str) -> Ref:
    """Return a scalar."""
    return Ref(Symbol(Role.LOCAL, name, Rate.CONST))


X, G, M = element("x"), element("g"), element("m")
LR, W = scalar("lr"), scalar("w")


def times(a: Expr, b: Expr) -> Expr:
    """Return a product."""
    return Apply(Op.MUL, (a, b))


def plus(a: Expr, b: Expr) -> Expr:
    """Return a sum."""
    return Apply(Op.ADD, (a, b))


def minus(a: Expr, b: Expr) -> Expr:
    """Return a difference."""
    return Apply(Op.SUB, (a, b))


PROPOSED = {
    "elements collected": (minus(X, times(LR, plus(M, times(W, X)))), "(1 - lr*w)*x - lr*m"),
    "scalars collected": (plus(plus(times(LR, X), times(LR, M)), G), "g + lr*(x + m)"),
    "powers": (times(X, times(X, times(X, X))), "x*x*(x*x)"),
    "exponentials": (times(Apply(Op.EXP, (X,)), Apply(Op.EXP, (G,))), "exp(x + g)"),
    "fraction": (Apply(Op.DIV, (times(X, G), X)), "g"),
}


@pytest.mark.parametrize("name", PROPOSED)
def test_proposed(name: str) -> None:
    """Each form that is looked for; scalars stand before elements, and powers are products."""
    expr, form = PROPOSED[name]
    assert form in [show(found) for found in Proposer()(expr, [])]


def test_positive_symbols_leave_functions() -> None:
    expr = Apply(Op.ABS, (times(LR, X),))
    assert "lr*abs(x)" in [show(found) for found in Proposer()(expr, [LR.symbol])]
    assert "lr*abs(x)" not in [show(found) for found in Proposer()(expr, [])]


def test_answers_are_kept() -> None:
    """The same question isn't put twice, and counts once."""
    proposer = Proposer()
    expr = plus(times(LR, X), times(LR, M))
    assert proposer(expr, []) is proposer(expr, [])
    assert proposer.nodes == propose.NODES_TOGETHER - 7


def test_large_expressions_are_not_asked_about() -> None:
    expr = X
    for _ in range(propose.MOST_NODES):
        expr = plus(expr, X)
    assert Proposer()(expr, []) == []


def test_questions_run_out() -> None:
    proposer = Proposer()
    proposer.nodes = 3
    assert proposer(times(X, X), [])
    assert proposer(times(G, G), []) == []


def test_literals_without_a_float_are_left() -> None:
    """SymPy multiplies exactly; what no float is near isn't proposed."""
    tiny = Number(number(1).value / 10**200)
    found = Proposer()(times(tiny, times(tiny, plus(X, times(X, X)))), [])
    literals = [part for form in found for part in walk(form) if isinstance(part, Number)]
    assert all(part.value == 0 or abs(float(part.value)) > 0 for part in literals)


def walk(expr: Expr) -> list[Expr]:
    """Return an expression and all its parts."""
    return [expr, *(inner for part in operands(expr) for inner in walk(part))]


RULE = """rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
  w  = 0.1 in [0, inf)
update
  x' = x - lr*(g + w*x)
"""


def forever(value: Any, elements: Any, scalars: Any) -> Any:
    """Never return."""
    while True:
        value = value + 0


def raising(value: Any, elements: Any, scalars: Any) -> Any:
    """Fail as SymPy does."""
    raise AttributeError("no attribute of that name")


def with_transforms(monkeypatch: pytest.MonkeyPatch, *transforms: Callable[..., Any]) -> None:
    """Replace what SymPy is asked for."""
    monkeypatch.setattr(propose, "_TRANSFORMS", transforms)


def test_past_its_time_the_author_s_form_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transformation that hangs is cut off; neither it nor another is asked for again."""
    rule = rule_of(SourceFile("rule.opt", RULE))
    by_elements = propose._TRANSFORMS
    with_transforms(monkeypatch, forever, *by_elements)
    proposer = Proposer(seconds=0.05)
    assert kernels(rule, propose=proposer).kernels == kernels(rule, exact=True).kernels
    assert proposer.nodes == 0
    monkeypatch.undo()
    assert kernels(rule).kernels != kernels(rule, exact=True).kernels
    assert kernels(rule, propose=proposer).kernels == kernels(rule, exact=True).kernels


def test_one_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = rule_of(SourceFile("rule.opt", RULE))
    expected = kernels(rule).kernels
    with_transforms(monkeypatch, raising, *propose._TRANSFORMS)
    assert kernels(rule).kernels == expected
