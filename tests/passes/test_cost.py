"""Costs are counted once for what is written twice, and a form is cheaper only where no target pays more."""

from __future__ import annotations

import pytest

from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Apply, Expr, Op, Rate, Ref, Role, Symbol, number
from optdsl.passes.cost import cheaper, cost, counts, weight
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

X = Ref(Symbol(Role.OLD, "x", Rate.ELEMENT))
LR = Ref(Symbol(Role.HYPER, "lr", Rate.CONST))


def value(text: str) -> Expr:
    """Return the expression that text stands for, over x, g, the scalar k and the truth value flag."""
    text = f"rule R(x, g)\nhyper\n  k = 2\n  flag = true\nupdate\n  x' = {text}\n"
    return rule_of(SourceFile("rule.opt", text)).equations[-1].value


def test_every_operation_has_a_weight() -> None:
    for op in Op:
        args = (X,) if op in (Op.NEG, Op.ABS, Op.SQRT) else (X, LR)
        c, numpy = weight(Apply(op, args))
        assert c >= 1
        assert numpy >= 3


@pytest.mark.parametrize(
    ("text", "count", "slow"),
    [
        ("x + g", 1, 0),
        ("(x + g)*(x + g)", 2, 0),
        ("x/g + sqrt(x)", 3, 2),
        ("k*k*x", 1, 0),
        ("if flag then x else g", 0, 0),
        ("if x > 0 then x else g", 2, 0),
        ("x*norm(x*g)", 2, 0),
    ],
)
def test_counts(text: str, count: int, slow: int) -> None:
    """Element operations, in reductions too; nothing for what is computed once per tensor."""
    assert counts([value(text)]) == (count, slow)


def test_cost_is_by_target() -> None:
    """A scalar condition blends in the loop of C and chooses between calls in NumPy."""
    assert cost([value("if flag then x else g")]) == (1, 0)
    assert cost([value("if x > 0 then x else g")])[1] > 4 * cost([value("x + g")])[1]
    assert cost([value("x/g")])[0] > cost([value("x*g")])[0]
    assert cost([value("x/g")])[1] == cost([value("x*g")])[1]


def test_cheaper_is_nowhere_dearer() -> None:
    assert cheaper((1, 4), (2, 4))
    assert cheaper((2, 3), (2, 4))
    assert not cheaper((2, 4), (2, 4))
    assert not cheaper((1, 5), (2, 4))


def test_shared_reductions_count_once() -> None:
    both = Apply(Op.ADD, (ir.Reduce(ir.Fold.SUM, (Apply(Op.MUL, (X, X)),)), number(1)))
    assert counts([both, both]) == (1, 0)
