"""Answers of the algebra are right, or withheld."""

from __future__ import annotations

import time
from typing import Any

import pytest

from optdsl.algebra import proofs
from optdsl.algebra.proofs import equal, is_nonnegative, is_zero, sign
from optdsl.algebra.unroll import default_values, parameter_after, substitute, symbols_read, written_out
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Apply, Op, Ref, Role, Rule, Symbol, number
from optdsl.resolve import resolve
from optdsl.source import SourceFile
from optdsl.syntax.parser import parse

HEAD = """rule R(x, g)
hyper
  lr   = 1e-3 in [0, inf)
  beta = 0.9  in [0, 1)
  eps  = 1e-8 in (0, inf)
  half = 0.5  in (0, 1]
  flag = false
state
  m = 0
  z = x
update
  m' = ema(m, g, beta)
  z' = z
"""


def rule_of(text: str) -> Rule:
    source = SourceFile("r.opt", text)
    tree, problems = parse(source)
    rule, more = resolve(source, tree)
    assert rule is not None
    assert not [*problems, *more]
    return rule


def expression(text: str) -> tuple[ir.Expr, Rule]:
    """Return the step that an equation `x' = x - (text)` takes, in the rule above."""
    rule = rule_of(HEAD + f"  x' = x - ({text})\n")
    value = rule.equations[-1].value
    assert isinstance(value, Apply)
    return value.args[1], rule


ZEROS = {
    "0": True,
    "x - x": True,
    "(x + g)^2 - x^2 - 2*x*g - g^2": True,
    "lr*g/(1 - beta)*(1 - beta) - lr*g": True,
    "sqrt(eps)^2 - eps": True,
    "abs(x)^2 - x^2": True,
    "(if x > 0 then x else -x)*0": True,
    "if flag then x - x else (g + 1)*g - g^2 - g": True,
    "exp(x)*exp(-x) - 1": True,
    "x": False,
    "lr": False,
    "1e-9*x": False,
    "if x > 0 then 0 else x": False,
    "beta^t - beta": False,
    "eps": False,
    "norm(x) - norm(g)": None,
}


@pytest.mark.parametrize("text", ZEROS)
def test_zeros(text: str) -> None:
    assert is_zero(*expression(text)) is ZEROS[text]


SIGNS = {
    "0": 0,
    "eps": 1,
    "-eps*half": -1,
    "1 - beta": 1,
    "beta - 1": -1,
    "(beta - 1)*eps/(1 - beta)": -1,
    "1 + x^2": 1,
    "if x > 0 then eps else eps^2": 1,
    "sqrt(x^2 + eps)": 1,
    "lr": None,
    "1 - half": None,
    "x": None,
    "if x > 0 then eps else -eps": None,
}


@pytest.mark.parametrize("text", SIGNS)
def test_signs(text: str) -> None:
    assert sign(*expression(text)) == SIGNS[text]


def test_signs_of_symbols_taken_to_be_positive() -> None:
    expr, rule = expression("g*(1 - beta)")
    assert sign(expr, rule) is None
    assert sign(expr, rule, [rule.gradient]) == 1
    assert is_zero(expr, rule, [rule.gradient]) is False


@pytest.mark.parametrize(
    ("text", "expected"), [("lr", True), ("x^2*lr", True), ("-eps", False), ("x", None), ("lr - 1", None)]
)
def test_nonnegative(text: str, expected: bool | None) -> None:
    assert is_nonnegative(*expression(text)) is expected


def test_equal() -> None:
    expr, rule = expression("g*(x + 1)")
    other, _ = expression("g + x*g")
    assert equal(expr, other, rule) is True
    assert equal(expr, Ref(rule.gradient), rule) is False


ENDLESS = {
    "many variables": "(x + g + lr + beta + eps + m + z + half)^60*(x - g + lr)^60 - x",
    "a tower": "exp(exp(exp(exp(exp(x)))))-exp(x)*exp(exp(exp(exp(3))))",
    "a tower of constants": "min(exp(-exp(exp(exp(3)))), x)",
    "choices": " + ".join(f"(if x > {n} then g^{n} else lr*max(x, {n}))" for n in range(1, 13)),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("question", [is_zero, sign, is_nonnegative])
def test_hard_questions_are_answered_in_time(name: str, question: Any) -> None:
    started = time.monotonic()
    assert question(*expression(ENDLESS[name]), seconds=0.3) in (None, False)
    assert time.monotonic() - started < 30


def test_an_expired_question_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def forever(value: object) -> None:
        while True:
            pass

    monkeypatch.setattr(proofs, "_forms", forever)
    expr, rule = expression("lr")
    assert sign(expr, rule, seconds=0.05) is None
    zero, rule = expression("x - x")
    assert is_zero(zero, rule, seconds=0.05) is None


def test_a_bug_is_not_taken_for_an_unknown_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(value: object) -> None:
        raise AssertionError("bug")

    monkeypatch.setattr(proofs, "_forms", broken)
    with pytest.raises(AssertionError, match="bug"):
        sign(*expression("lr"))


def test_substitution_is_simultaneous_and_keeps_sharing() -> None:
    _, rule = expression("g")
    x, g = rule.parameter, rule.gradient
    swapped = substitute(Apply(Op.SUB, (Ref(x), Ref(g))), {x: Ref(g), g: Ref(x)})
    assert swapped == Apply(Op.SUB, (Ref(g), Ref(x)))
    expr: ir.Expr = Ref(x)
    for _ in range(200):
        expr = Apply(Op.MUL, (expr, expr))
    changed = substitute(expr, {x: Ref(g)})
    assert symbols_read(changed) == [g]
    assert isinstance(changed, Apply)
    assert changed.args[0] is changed.args[1]


def test_intermediates_are_written_out() -> None:
    rule = rule_of(HEAD + "  a = g + 1\n  b = a*m'\n  x' = x - b\n")
    (after,) = written_out(rule, [rule.equations[-1].value], {})
    assert {s.role for s in symbols_read(after)} == {Role.OLD, Role.GRADIENT, Role.HYPER}


def test_steps_are_unrolled_from_the_initial_state() -> None:
    rule = rule_of(HEAD + "  x' = x - lr*t*m' + z - z\n")
    x = Ref(rule.parameter)
    first, second = (Symbol(Role.GRADIENT, name, rule.gradient.rate) for name in ("g1", "g2"))
    hypers = default_values(rule, {"lr": number(1), "beta": number(0)})
    after = parameter_after(rule, x, [Ref(first), Ref(second)], hypers)
    two = Apply(Op.MUL, (number(2), Ref(second)))
    assert equal(after, Apply(Op.SUB, (Apply(Op.SUB, (x, Ref(first))), two)), rule) is True


def test_defaults_follow_those_before_them() -> None:
    rule = rule_of("rule R(x, g)\nhyper\n  lr = 0.5\n  wd = lr*4\nupdate\n  x' = x - lr*g - wd*x\n")
    values = default_values(rule, {"lr": number(3)})
    assert is_zero(Apply(Op.SUB, (values[rule.hypers[1].symbol], number(12))), rule) is True
