"""Differences that no point shows are never proved away, and what rounding alone makes is no difference."""

from __future__ import annotations

import random

import pytest

from optdsl.algebra.equivalence import Answer, Free, Verdict, compare, descends, invariant, still
from optdsl.algebra.points import random_number
from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Apply, Op, Ref, Role, Rule, Symbol

from .support import SECONDS, rule

HEAD = """rule R(x, g)
hyper
  lr   = 1e-3 in [0, inf)
  beta = 0.9  in [0, 1)
  c    = 2    in (0, inf)
  h    = 0.5  in [0, 1]
  k    = 0.5
  n    = 0.5  in [-1, 1]
  flag = false
"""
PLAIN = "x - lr*g"


def made(value: str, state: str = "", update: str = "", hyper: str = "") -> Rule:
    """Return a rule with the given right-hand side for the parameter; lines are separated by `;`."""
    states = f"state\n  {state.replace(';', chr(10))}\n" if state else ""
    updates = f"  {update.replace(';', chr(10))}\n" if update else ""
    return rule(HEAD + (f"  {hyper}\n" if hyper else "") + states + f"update\n{updates}  x' = {value}\n")


def verdict(first: Rule, second: Rule, steps: int = 4) -> Verdict:
    return compare(first, second, steps=steps, seconds=SECONDS)


HIDING = ["g > 1000", "x > 100 and g < 1e9", "c > 50", "abs(g) < 1e-6 and g != 0", "x == 1725.5"]
"""Conditions that hold at none of the points that are tried."""
UNEQUAL = [
    ("sqrt(n^2)", "n"),
    ("sign(h)", "1"),
    ("max(n*x, n*g)", "n*max(x, g)"),
    ("g*(1 + 1e-30)", "g"),
    ("g + 1e-300", "g"),
    ("clip(g, -1e-12, 1e-12)", "clip(g, -1e-12, 1.0001e-12)"),
    ("if c > lr then g else x", "g"),
    ("0^lr", "0"),
    ("norm(g)", "abs(g)"),
    ("if 0.1 + 0.2 == 0.3 then g else x", "x"),
]
EQUAL = [
    ("max(g, x)", "g + max(x - g, 0)"),
    ("h^lr*h", "h^(lr + 1)"),
    ("g*(0.1 + 0.2)", "g*0.3"),
    ("if c > 0 then g else x", "g"),
    ("cbrt(n^3)", "n"),
    ("if 0.1 + 0.2 == 0.3 then g else x", "g"),
]


@pytest.mark.parametrize("hiding", HIDING)
def test_what_differs_out_of_sight_isnt_proved(hiding: str) -> None:
    for left, right in UNEQUAL:
        first, second = (made(f"if {hiding} then x - lr*({side}) else x") for side in (left, right))
        assert verdict(first, second).answer is Answer.UNPROVED, left


@pytest.mark.parametrize("hiding", HIDING[:2])
def test_what_is_equal_out_of_sight_is_proved(hiding: str) -> None:
    for left, right in EQUAL:
        first, second = (made(f"if {hiding} then x - lr*({side}) else x") for side in (left, right))
        assert verdict(first, second).proved, left


NEAR = [
    ("g - 1700 < 1e-30", "g < 1700"),
    ("g - 1700 > -1e-30", "g > 1700"),
    ("g - 1700 < 1e-300", "g < 1700"),
    ("3*g < 1e40", "g < 3.3333333333333333333e39"),
    ("3*g > 1e40", "g > 3.3333333333333333334e39"),
    ("7*x < 1", "x < 0.14285714285714285"),
]


@pytest.mark.parametrize(("known", "asked"), NEAR)
def test_a_bound_that_is_no_float_isnt_rounded(known: str, asked: str) -> None:
    nested = made(f"if {known} then (if {asked} then x - lr else x) else x")
    assert verdict(nested, made(f"if {known} then x - lr else x")).answer is Answer.UNPROVED


def test_an_open_truth_value_in_an_initial_value_is_open() -> None:
    step = "x - lr*(if abs(g) > 1000 then m else 1)"
    first, second = (made(step, f"m = if flag then {value} else 1", "m' = m") for value in (2, 3))
    assert verdict(first, second).answer is Answer.UNPROVED
    assert verdict(first, first).proved


def test_elements_mix_where_an_initial_value_reduces() -> None:
    first, second = (
        made("if x > 1000 then x - lr*m else x", f"m = {start}(x)", "m' = m") for start in ("norm1", "sum")
    )
    assert verdict(first, second).answer is Answer.UNPROVED


# Relations of states


def test_a_relation_leaves_no_hyperparameter_out() -> None:
    # m here is h times m there, so that at h = 0 it says nothing of it.
    first = made("x - lr*(if g > 100 then sign(m)*sign(h) else 0)", "m = 0", "m' = h*g")
    second = made("x - lr*(if g > 100 then sign(m) else 0)", "m = 0", "m' = g")
    assert verdict(first, second).answer is Answer.UNPROVED
    assert verdict(second, first).answer is Answer.UNPROVED


@pytest.mark.parametrize("factor", ["lr", "h", "(1 - beta)", "(1 - h)"])
def test_a_factor_inside_and_outside_of_a_state(factor: str) -> None:
    inside = made("x - m'", "m = 0", f"m' = n*m + {factor}*g")
    outside = made(f"x - {factor}*m'", "m = 0", "m' = n*m + g")
    for found in (verdict(inside, outside), verdict(outside, inside)):
        assert (found.answer, found.steps) == (Answer.PROVED, None)


@pytest.mark.parametrize(
    ("first", "second"), [("1e-200*g", "1e200*g"), ("1e-320*g", "g"), ("1e-30*g", "1e30*g")]
)  # fmt: skip
def test_states_of_very_different_sizes(first: str, second: str) -> None:
    one, other = (made("x - lr*sign(m')", "m = 0", f"m' = {step}") for step in (first, second))
    assert verdict(one, other).answer is not Answer.REFUTED


@pytest.mark.parametrize(
    "interval", ["[-1.7e308, 1.7e308]", "(-1e308, 1e308)", "[0, 1e-300]", "[0.9999999999999999, 1]"]
)
def test_intervals_at_the_ends_of_the_floats(interval: str) -> None:
    default = "1" if interval.endswith(", 1]") else "0"
    same = made("x - lr*m'", "m = 0", "m' = b*m + g", f"b = {default} in {interval}")
    assert verdict(same, same).proved


def test_random_numbers_of_the_largest_interval() -> None:
    interval = Interval(-1.7e308, 1.7e308)
    assert random_number(interval, random.Random(0)) in interval


# Infinite hyperparameters


@pytest.mark.parametrize("top", ["inf", "inf in (0, inf]", "1 in (0, inf]"])
def test_an_infinite_bound_clips_nothing(top: str) -> None:
    hyper = f"top = {top}"
    chosen = made("if top == inf then x - lr*g else x - lr*clip(g, -top, top)", hyper=hyper)
    clipped = made("x - lr*clip(g, -top, top)", hyper=hyper)
    assert verdict(chosen, clipped).proved
    assert verdict(made("if top < inf then x - lr*clip(g, -top, top) else x", hyper=hyper), clipped).answer is (
        Answer.REFUTED
    )


def test_infinity_where_an_interval_has_it_is_a_case_of_its_own() -> None:
    hidden = "if g > 1000 and top == inf then x else x - lr*g"
    assert verdict(made(hidden, hyper="top = 1 in (0, inf]"), made(PLAIN)).answer is Answer.UNPROVED
    assert verdict(made(hidden, hyper="top = 1 in (0, inf)"), made(PLAIN)).proved
    assert verdict(made(hidden, hyper="top = 1"), made(PLAIN)).proved
    twice = made("if g > 1000 and 2*top == inf then x else x - lr*g", hyper="top = 1 in (0, inf]")
    assert verdict(twice, made(PLAIN)).answer is Answer.UNPROVED


# What rounding makes


ROUNDING = [
    ("(x + 1e60*g) - 1e60*g", "x"),
    ("x - lr*((g + 1e-300) - g)/1e-300", "x - lr"),
    ("x - lr*sign(g*h*0.7/0.7 - g*h)", "x"),
    ("x - lr*0*sqrt(c/49*49 - c)", "x"),
    ("x - lr*(exp(200*g) + 1 - exp(200*g))", "x - lr"),
    ("if 0.1*3 == 0.3 then x - lr*g else x", PLAIN),
    ("if 0.1 + 0.2 == 0.3 then x - lr*g else x", PLAIN),
    ("if c/49*49 >= c then x - lr*g else x", PLAIN),
]


@pytest.mark.parametrize(("first", "second"), ROUNDING)
def test_what_is_true_of_the_numbers_isnt_refuted_by_rounding(first: str, second: str) -> None:
    assert verdict(made(first), made(second)).proved


@pytest.mark.parametrize("rounded", ["sqrt(2)^2 - 2", "sqrt(c)^2 - c"])
def test_the_square_of_a_root_isnt_refuted_by_rounding(rounded: str) -> None:
    assert verdict(made(f"x - lr*sign({rounded})"), made("x")).answer is not Answer.REFUTED


def test_what_is_too_large_for_any_float_isnt_a_difference() -> None:
    assert verdict(made("x - lr*g*9^(9^9)/9^(9^9)"), made(PLAIN)).answer is Answer.UNKNOWN


@pytest.mark.parametrize("tiny", ["1e-8", "1e-11", "1e-15", "1e-20", "1e-30", "1e-100", "1e-320"])
def test_a_small_difference_is_never_proved_away(tiny: str) -> None:
    assert not verdict(made(f"x - lr*(1 + {tiny})*g"), made(PLAIN)).proved
    first, second = (made("x - lr*m'", "m = 0", f"m' = beta*m + {factor}*g") for factor in (f"(1 + {tiny})", "1"))
    assert not verdict(first, second).proved
    first, second = (made(f"x - lr*g/(sqrt(v'){eps})", "v = 0", "v' = v + g^2") for eps in (f" + {tiny}", ""))
    assert not verdict(first, second).proved


# Steps


@pytest.mark.parametrize("step", [1, 3, 4, 5, 8, 9, 17])
@pytest.mark.parametrize("hidden", [False, True])
def test_rules_that_part_late(step: int, hidden: bool) -> None:
    late = made(f"if t == {step}{' and g > 1000' if hidden else ''} then x else x - lr*g")
    for steps in (4, 8):
        answer = verdict(late, made(PLAIN), steps)
        assert (answer.proved, answer.steps) == ((True, steps) if step > steps else (False, None))


def test_a_condition_on_what_isnt_a_number_at_a_later_step() -> None:
    assert not verdict(made("if (t - 6)/(t - 6) > 0 then x - lr*g else x"), made(PLAIN)).proved


# Other claims


def replaced(of: Rule, gradient: ir.Expr, free: tuple[Free, ...] = ()) -> Verdict:
    return invariant(of, {of.gradient: gradient}, free, seconds=SECONDS)


def test_a_replacement_with_a_reduction_mixes_elements() -> None:
    norm = made("x - s", "", "s = norm(g)").equations[0].value
    hidden = made("x - lr*(if g > 1000 then 1 else 0)")
    assert replaced(hidden, Apply(Op.MUL, (Ref(hidden.gradient), norm))).answer is Answer.UNPROVED
    assert replaced(hidden, Apply(Op.DIV, (Ref(hidden.gradient), norm))).answer is Answer.UNPROVED
    assert replaced(made(PLAIN), Apply(Op.DIV, (Ref(hidden.gradient), norm))).answer is Answer.REFUTED


def test_a_replacement_may_read_the_size() -> None:
    signs = made("x - lr*sign(g)")
    size = made("x - size(x)").equations[0].value
    assert isinstance(size, Apply)
    assert replaced(signs, Apply(Op.MUL, (Ref(signs.gradient), size.args[1]))).proved


def test_a_replacement_may_choose() -> None:
    signs = made("x - lr*sign(g)")
    flag = Ref(next(hyper.symbol for hyper in signs.hypers if hyper.symbol.name == "flag"))
    twice = Apply(Op.MUL, (ir.number(2), Ref(signs.gradient)))
    assert replaced(signs, ir.Select(flag, twice, Ref(signs.gradient))).proved


@pytest.mark.parametrize("value", ["sign(g)", "g/norm(g)", "g/amax(g)"])
def test_scaling_by_what_may_be_zero_or_negative(value: str) -> None:
    of, c = made(f"x - lr*{value}"), Symbol(Role.HYPER, "z", ir.Rate.CONST)
    scaled = Apply(Op.MUL, (Ref(c), Ref(of.gradient)))
    assert replaced(of, scaled, (Free(c, Interval(low=0.0)),)).proved
    assert replaced(of, scaled, (Free(c, Interval(low=-1.0)),)).answer is Answer.REFUTED


@pytest.mark.parametrize(
    "step",
    [
        "lr*(if g > 1000 then -g else g)", "lr*(g - 1e-9)", "lr*g*(n + 0.999)", "lr*g*(1 - c/1e6)",
        "lr*g*(h - 1.0001*h^2)", "lr*g*(x^2 - 400*x + 39999)", "lr*(g^3 - 1e-8*g)", "lr*(if x == 17 then -g else g)",
    ],
)  # fmt: skip
def test_an_ascent_out_of_sight(step: str) -> None:
    assert not descends(made(f"x - {step}"), seconds=SECONDS).proved


@pytest.mark.parametrize(
    "step",
    [
        "if g > 1000 then g else 0", "max(0, abs(g) - 1e9)", "max(0, 1e-9 - abs(g - 1700))", "1e-300*g",
        "if lr > 5 then g else 0",
    ],
)  # fmt: skip
def test_a_move_out_of_sight(step: str) -> None:
    assert not still(made(f"x - ({step})"), seconds=SECONDS).proved
