"""The normal form: equal numbers are seen to be equal, others never."""

from __future__ import annotations

import random
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from optdsl.algebra.known import Atoms
from optdsl.algebra.limits import Unknown
from optdsl.algebra.normal import Normal, in_every_case
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Digits
from optdsl.ir.evaluate import evaluate
from optdsl.ir.nodes import Apply, Kind, Op, Rate, Role, Rule

from .support import rule

HEAD = """rule R(x, g)
hyper
  lr   = 1e-3 in [0, inf)
  beta = 0.9  in [0, 1)
  c    = 2    in (0, inf)
  k    = 0.5
  h    = 0.5  in [0, 1]
state
  m = 0
  v = 1
  s: scalar = 1
update
  m' = m + g
  v' = v + g
  s' = s
"""


def asked(text: str) -> tuple[Rule, ir.Expr]:
    """Return the step of a rule that takes `x' = x - (text)`."""
    made = rule(HEAD + f"  x' = x - ({text})\n")
    value = made.equations[-1].value
    assert isinstance(value, Apply)
    return made, value.args[1]


def is_zero(text: str) -> bool:
    made, expr = asked(text)
    intervals = {hyper.symbol: hyper.interval for hyper in made.hypers if hyper.interval is not None}
    reduces = "norm" in text or "sum" in text
    return in_every_case(lambda normal: normal.vanishes(normal.number(expr)), Atoms(), intervals, reduces)


ZEROS = [
    "x - x",
    "(x + g)^2 - x^2 - 2*x*g - g^2",
    "g/(1 - beta)*(1 - beta) - g",
    "sqrt(c^2*v) - c*sqrt(v)",
    "sqrt(c^2*v + c^2*g^2) - c*sqrt(v + g^2)",
    "sqrt(v/(1 - beta^t)) - sqrt(v)/sqrt(1 - beta^t)",
    "sqrt(c)*sqrt(c) - c",
    "sqrt(12) - 2*sqrt(3)",
    "sqrt(0.001) - sqrt(10)/100",
    "sqrt(g^2) - abs(g)",
    "sqrt(g^6) - abs(g)^3",
    "sqrt(1/g^2)*abs(g) - 1",
    "abs(c*g) - c*abs(g)",
    "abs(-g) - abs(g)",
    "sign(c*g) - sign(g)",
    "sign(-g) + sign(g)",
    "sign(g)*g - abs(g)",
    "sign(g)*sign(x) - sign(g*x)",
    "sign(g)^3 - sign(g)",
    "sign(g*(1 - beta)) - sign(g)",
    "max(c*x, c*g) - c*max(x, g)",
    "max(x, g) + min(x, g) - x - g",
    "max(x, g) + min(-x, -g)",
    "max(x, -x) - abs(x)",
    "max(g^2, 0) - g^2",
    "max(0, (1 - beta)*g^2) - (1 - beta)*g^2",
    "min(beta, 1) - beta",
    "min(h, 1) - h",
    "abs(1 - h) - (1 - h)",
    "max(x, g)*(max(x, g) - x) - g*(max(x, g) - x)",
    "clip(x, -inf, inf) - x",
    "(if c*g > 0 then x else g) - (if g > 0 then x else g)",
    "(if g*x > 0 then 1 else 2) - (if x*g*c^2 > 0 then 1 else 2)",
    "(if x > 0 then x elif x < 0 then -x else 0) - abs(x)",
    "(if x == 1 then x else 1) - 1",
    "(if beta < 1 then x else g) - x",
    "(if t >= 1 then x else g) - x",
    "(if g > 0 and x > 0 or g > 0 and x <= 0 then x else g) - (if g > 0 then x else g)",
    "beta^(t + 1) - beta*beta^t",
    "0.96^((t + 1)*c) - 0.96^(t*c)*0.96^c",
    "0.96^(2*c) - (0.96^c)^2",
    "lr*0^t",
    "1^k - 1",
    "c^0.5 - sqrt(c)",
    "c^-1*c - 1",
    "cbrt(x^3) - x",
    "cbrt(x)^3 - x",
    "cbrt(-x) + cbrt(x)",
    "exp(x)*exp(-x) - 1",
    "exp(2*x) - exp(x)^2",
    "expm1(x) + 1 - exp(x)",
    "log1p(x) - log(1 + x)",
    "log(1)",
    "tanh(-x) + tanh(x)",
    "cos(-x) - cos(x)",
    "floor(2.5) - 2",
    "norm(c*x) - c*norm(x)",
    "norm(-x) - norm(x)",
    "norm(s*x)^2 - s^2*norm(x)^2",
    "sum(lr*x) - lr*sum(x)",
    "dot(c*x, g) - c*dot(g, x)",
    "amax(c*x) - c*amax(x)",
    "mean(x) - sum(x)/size(x)",
    "0*(if g > 0 then 1/x else sqrt(-1))",
]
OTHERS = [
    "x",
    "lr",
    "1e-18*x",
    "sqrt(k^2) - k",
    "sqrt(k^2*v) - k*sqrt(v)",
    "sqrt(c*v) - c*sqrt(v)",
    "abs(k*g) - k*abs(g)",
    "sign(k*g) - sign(g)",
    "sign(g)^2 - 1",
    "sign(lr*g) - sign(g)",
    "max(k*x, k*g) - k*max(x, g)",
    "max(x, g) - x",
    "min(lr, 1) - lr",
    "(if g >= 0 then x else g) - (if g > 0 then x else g)",
    "(if t == 1 then x else g) - g",
    "beta^(t + 1) - beta^t",
    "k^(2*c) - (k^c)^2",
    "cbrt(x)^2 - x",
    "exp(x*g) - exp(x)*exp(g)",
    "norm(k*x) - k*norm(x)",
    "sum(x*g) - sum(x)*sum(g)",
    "amax(k*x) - k*amax(x)",
    "amax(-x) + amax(x)",
    "norm(x) - norm(g)",
    "if h == 1 then x else 0",
    "if 1 - h > 0 then 0 else x",
    "s - x",
]


@pytest.mark.parametrize("text", ZEROS)
def test_zeros_are_seen(text: str) -> None:
    assert is_zero(text)


@pytest.mark.parametrize("text", OTHERS)
def test_others_are_not_taken_for_zero(text: str) -> None:
    assert not is_zero(text)


@pytest.mark.parametrize("text", ["sqrt(-1)", "1/0", "x/(g - g)", "log(0)*0^-1", "inf", "max(x, inf)", "0^k"])
def test_what_is_no_number_is_unknown(text: str) -> None:
    with pytest.raises(Unknown):
        is_zero(text)


def test_elements_arent_told_apart_beside_a_reduction() -> None:
    """What one element is says nothing of the others: with x > 0 for one of them, norm1(x) is not sum(x)."""
    with pytest.raises(Unknown):
        is_zero("(if x > 0 then sum(abs(x)) - sum(x) else 0)")
    assert is_zero("(if s > 0 then sum(x*s) else s*sum(x)) - s*sum(x)")


def test_too_many_cases_are_unknown() -> None:
    terms = " + ".join(f"(if x + {n}*g > 0 then m else v)" for n in range(1, 7))
    with pytest.raises(Unknown):
        is_zero(f"{terms} - ({terms})")


# Against numbers: an expression made at random and its normal form have the same value.

OPERATIONS = [Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MIN, Op.MAX, Op.SQRT, Op.ABS, Op.SIGN, Op.NEG, Op.CBRT, Op.EXP]
UNARY = {Op.SQRT, Op.ABS, Op.SIGN, Op.NEG, Op.CBRT, Op.EXP}


def made(chance: random.Random, symbols: list[ir.Symbol], depth: int) -> ir.Expr:
    """Return a random expression."""
    if depth == 0 or chance.random() < 0.15:
        return ir.Ref(chance.choice(symbols)) if chance.random() < 0.8 else ir.number(chance.randint(1, 3))
    if chance.random() < 0.15:
        sides = (made(chance, symbols, depth - 1), made(chance, symbols, depth - 1))
        arms = (made(chance, symbols, depth - 1), made(chance, symbols, depth - 1))
        return ir.Select(Apply(chance.choice([Op.LT, Op.GE]), sides), *arms)
    op = chance.choice(OPERATIONS)
    return Apply(op, tuple(made(chance, symbols, depth - 1) for _ in range(1 if op in UNARY else 2)))


def value_of(symbol: Any, normal: Normal, numbers: dict[ir.Symbol, Any], context: Any) -> Any:
    """Return the value of an atom, from its key."""
    key = normal.atoms.keys[symbol]
    if isinstance(key, ir.Symbol):
        return numbers[key]
    inner = value(key[1], normal, numbers, context)
    match key[0]:
        case "root":
            return context.sqrt(inner) if inner >= 0 else context.nan
        case "cube root":
            return context.sign(inner) * context.cbrt(abs(inner))
        case "sign":
            return context.sign(inner)
        case "positive part":
            return max(inner, 0)
        case "exp":
            return context.exp(inner)
    raise AssertionError(key)


def value(expr: Any, normal: Normal, numbers: dict[ir.Symbol, Any], context: Any) -> Any:
    """Return the value of a normal form."""
    if expr.is_Rational:
        return context.mpf(int(expr.p)) / int(expr.q)
    if expr.is_Symbol:
        return value_of(expr, normal, numbers, context)
    parts = [value(part, normal, numbers, context) for part in expr.args]
    if expr.is_Add:
        return sum(parts)
    if expr.is_Mul:
        return context.fprod(parts)
    assert expr.is_Pow
    return parts[0] ** int(expr.args[1])


@pytest.mark.parametrize("group", range(8))
def test_a_normal_form_has_the_value_of_the_expression(group: int) -> None:
    chance, digits = random.Random(group), Digits(50)
    symbols = [ir.Symbol(Role.OLD, name, Rate.STEP, Kind.NUMBER) for name in "abc"]
    checked = 0

    def question(normal: Normal, expr: ir.Expr) -> bool:
        nonlocal checked
        form = normal.number(expr)
        for _ in range(8):
            numbers = {symbol: digits.literal(chance.uniform(-2, 2)) for symbol in symbols}
            expected = evaluate(expr, numbers.__getitem__, digits, 1)
            signs = {factor: value(factor, normal, numbers, digits.context) for factor in normal.taken}
            fits = all(digits.context.sign(signs[factor]) == sign for factor, sign in normal.taken.items())
            if fits and digits.context.isfinite(expected):
                checked += 1
                assert abs(value(form, normal, numbers, digits.context) - expected) <= 1e-30 * (1 + abs(expected))
        return True

    for _ in range(8):
        with suppress(Unknown):
            in_every_case(partial(question, expr=made(chance, symbols, 4)), Atoms(), {}, reduces=False)
    assert checked > 20
