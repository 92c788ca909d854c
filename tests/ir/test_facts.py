"""What follows about a condition from what is assumed of the hyperparameters."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optdsl.ir import nodes as ir
from optdsl.ir.evaluate import constant
from optdsl.ir.facts import Facts, Range, prune
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind, Op, Rate, Role, Symbol

NUMBERS = ["a", "b"]
TRUTHS = ["p", "q"]
VALUES = [-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, inf, -inf]
COMPARISONS = sorted(ir.COMPARISONS)


def hyper(name: str) -> ir.Ref:
    """Return a hyperparameter; `p` and `q` are truth values."""
    return ir.Ref(Symbol(Role.HYPER, name, Rate.CONST, Kind.BOOLEAN if name in TRUTHS else Kind.NUMBER))


def literal(value: float) -> ir.Expr:
    """Return a number as the parser makes it: infinity is a float, and a negative number has a sign before it."""
    size = ir.Number(inf if abs(value) == inf else Fraction(abs(value)))
    return ir.Apply(Op.NEG, (size,)) if value < 0 else size


def compare(op: Op, left: ir.Expr, right: ir.Expr) -> ir.Expr:
    """Return a comparison."""
    return ir.Apply(op, (left, right))


LITERALS = st.sampled_from(VALUES).map(literal)
REFS = st.sampled_from(NUMBERS).map(hyper)
SUMS = st.builds(lambda a, b: ir.Apply(Op.ADD, (a, b)), REFS, LITERALS)
LEAVES = st.one_of(
    st.sampled_from(TRUTHS).map(hyper),
    st.booleans().map(ir.Truth),
    st.builds(compare, st.sampled_from(COMPARISONS), REFS, LITERALS),
    st.builds(compare, st.sampled_from(COMPARISONS), LITERALS, REFS),
    st.builds(compare, st.sampled_from(COMPARISONS), REFS, REFS),
    st.builds(compare, st.sampled_from(COMPARISONS), SUMS, LITERALS),
)


def _joined(inner: st.SearchStrategy[ir.Expr]) -> st.SearchStrategy[ir.Expr]:
    return st.one_of(
        inner.map(lambda a: ir.Apply(Op.NOT, (a,))),
        st.builds(lambda op, a, b: ir.Apply(op, (a, b)), st.sampled_from([Op.AND, Op.OR]), inner, inner),
        st.builds(ir.Select, inner, inner, inner),
    )


CONDITIONS = st.recursive(LEAVES, _joined, max_leaves=6)
POINTS = st.fixed_dictionaries(
    {name: st.sampled_from(VALUES) for name in NUMBERS} | {name: st.booleans() for name in TRUTHS}
)
INTERVALS = st.builds(Interval, st.sampled_from(VALUES), st.sampled_from(VALUES), st.booleans(), st.booleans())


@given(CONDITIONS, POINTS, st.lists(CONDITIONS, max_size=4), st.dictionaries(st.sampled_from(NUMBERS), INTERVALS))
@settings(deadline=None, max_examples=1_000)
def test_a_decision_never_contradicts_the_values(
    condition: ir.Expr, point: dict[str, float], assumed: list[ir.Expr], declared: dict[str, Interval]
) -> None:
    """At any values that satisfy what was assumed, what was decided holds."""
    hypers = [ir.Hyper(hyper(name).symbol, ir.number(0), interval) for name, interval in declared.items()]
    if any(point[name] not in interval for name, interval in declared.items()):
        return
    facts = Facts.declared(hypers)
    for each in assumed:
        facts = facts.assume(each, bool(constant(each, point)))
    assert not facts.contradictory
    decided = facts.decide(condition)
    assert decided is None or decided == constant(condition, point)
    assert constant(prune(condition, facts), point) == constant(condition, point)


@given(CONDITIONS, st.booleans())
@settings(deadline=None, max_examples=300)
def test_what_is_assumed_is_never_denied(condition: ir.Expr, holds: bool) -> None:
    """Unless nothing satisfies it, an assumed condition is not decided the other way."""
    facts = Facts().assume(condition, holds)
    points = [
        {"a": a, "b": b, "p": p, "q": q} for a in VALUES for b in VALUES for p in (True, False) for q in (True, False)
    ]
    if any(constant(condition, point) == holds for point in points):
        assert facts.decide(condition) in (holds, None)


A, P = hyper("a"), hyper("p")
ZERO, ONE = ir.number(0), ir.number(1)
SUM_POSITIVE = compare(Op.GT, ir.Apply(Op.ADD, (A, hyper("b"))), ZERO)

DECIDED = [
    (compare(Op.GT, A, ZERO), True, compare(Op.NE, A, ZERO), True),
    (compare(Op.GE, A, ZERO), True, compare(Op.NE, A, ZERO), None),
    (compare(Op.EQ, A, ZERO), True, compare(Op.NE, A, ZERO), False),
    (compare(Op.EQ, A, ZERO), False, compare(Op.NE, A, ZERO), True),
    (compare(Op.LT, ZERO, A), True, compare(Op.GT, A, ZERO), True),
    (compare(Op.GT, A, ONE), False, compare(Op.LE, A, ONE), True),
    (compare(Op.GT, A, ONE), True, compare(Op.GT, A, ZERO), True),
    (P, True, P, True),
    (P, False, ir.Apply(Op.NOT, (P,)), True),
    (ir.Apply(Op.AND, (P, compare(Op.GT, A, ONE))), True, compare(Op.NE, A, ZERO), True),
    (ir.Apply(Op.OR, (P, compare(Op.GT, A, ONE))), False, compare(Op.GT, A, ONE), False),
    (SUM_POSITIVE, True, SUM_POSITIVE, True),
    (SUM_POSITIVE, False, SUM_POSITIVE, False),
    (SUM_POSITIVE, True, compare(Op.GE, ir.Apply(Op.ADD, (A, hyper("b"))), ZERO), None),
    (ir.Select(ir.Truth(True), P, ir.Apply(Op.NOT, (P,))), True, P, True),
]


@pytest.mark.parametrize(("assumed", "holds", "asked", "answer"), DECIDED)
def test_what_follows(assumed: ir.Expr, holds: bool, asked: ir.Expr, answer: bool | None) -> None:
    assert Facts().decide(asked) is None
    assert Facts().assume(assumed, holds).decide(asked) is answer


def test_declared_intervals_count() -> None:
    facts = Facts.declared([ir.Hyper(A.symbol, ONE, Interval(0.0, inf, low_closed=True))])
    assert facts.decide(compare(Op.GE, A, ZERO)) is True
    assert facts.decide(compare(Op.LT, A, ZERO)) is False
    assert facts.decide(compare(Op.GT, A, ZERO)) is None
    assert facts.assume(compare(Op.NE, A, ZERO), True).decide(compare(Op.GT, A, ZERO)) is True


def test_without_an_interval_a_number_may_be_infinite() -> None:
    assert Facts().decide(compare(Op.LT, A, ir.Number(inf))) is None


def test_contradictions_are_seen() -> None:
    facts = Facts().assume(compare(Op.GT, A, ONE), True).assume(compare(Op.LT, A, ZERO), True)
    assert facts.contradictory
    assert Facts().assume(P, True).assume(P, False).contradictory
    assert not Facts().assume(P, True).contradictory


def test_an_excluded_end_opens_the_range() -> None:
    assert Range(Interval(0.0, 1.0, True, True)).narrowed(Op.NE, 0.0).interval == Interval(0.0, 1.0, False, True)
    assert Range(Interval(0.0, 0.0, True, True)).narrowed(Op.NE, 0.0).empty
