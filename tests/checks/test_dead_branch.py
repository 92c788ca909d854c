"""`dead-branch`: arms that intervals, earlier conditions and the equations rule out, with the reason."""

from __future__ import annotations

import pytest

from optdsl.source import SourceFile

from .conftest import Find

SLUG = "dead-branch"


def rule(step: str, definition: str = "", equations: str = "") -> str:
    return (
        "rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n  beta1 = 0.9 in [0, 1)\n  eps = 1e-8 in (0, inf)\n  on = false\n"
        f"state\n  m = 0\n  v = 0\n  p: scalar = 1\n  c = 0 when on\n{definition}update\n"
        "  m' = ema(m, g, beta1)\n  v' = ema(v, g^2, beta1)\n  p' = p*beta1\n"
        f"  c' = c + g\n{equations}  x' = x - lr*({step})\n"
    )


@pytest.mark.parametrize(
    ("step", "arm", "reason"),
    [
        ("if beta1 < 1 then m' else 2*g", "2*g", "`beta1 < 1` always holds: `beta1` is in [0, 1)"),
        ("if eps == 0 then g else m'", "g", "`eps == 0` never holds: `eps` is in (0, inf)"),
        ("if t < 1 then g else m'", "g", "`t < 1` never holds: `t` is in [1, inf)"),
        ("if abs(g) < 0 then g else m'", "g", "`abs(g) < 0` never holds: `abs(g)` is in [0, inf]"),
        ("if v' < 0 then g else m'", "g", "`v' < 0` never holds: `v'` is in [0, inf]"),
        ("if p > 1 then g else m'", "g", "`p > 1` never holds: `p` is in [0, 1]"),
        ("if g*g >= 0 then g else m'", "m'", "`g*g >= 0` always holds: `g*g` is in [0, inf]"),
        ("if abs(g) < 1 and abs(g) > 2 then g else m'", "g", "`abs(g) > 2` never holds where `abs(g) < 1` holds"),
        ("if t == 1 then g elif t >= 2 then m' else 2*g", "2*g", "`t >= 2` always holds where `t == 1` fails"),
        ("if g > 0 then m' elif g > 1 then 2*m' else g", "2*m'", "`g > 1` never holds where `g > 0` fails"),
        ("if sign(g) > 1 then g else m'", "g", "`sign(g) > 1` never holds: `sign(g)` is in [-1, 1]"),
        ("where(norm(g) < 0, g, m')", "g", "`norm(g) < 0` never holds: `norm(g)` is in [0, inf]"),
        ("if not (1 - beta1 > 0) then g else m'", "g", "`1 - beta1 > 0` always holds: `1 - beta1` is in (0, 1]"),
        ("if 1 - beta1^t <= 0 then g else m'", "g", "`1 - beta1^t <= 0` never holds: `1 - beta1^t` is in (0, 1]"),
    ],
)  # fmt: skip
def test_arms_never_taken(step: str, arm: str, reason: str, find: Find) -> None:
    text = rule(step)
    (problem,) = find(text, SLUG)
    assert problem.message == "this arm is never taken"
    assert SourceFile("r.opt", text).snippet(problem.span) == arm
    assert problem.label.startswith(reason)
    assert problem.help == "correct the condition, or keep the other arm alone"


@pytest.mark.parametrize(
    ("condition", "part", "message"),
    [
        ("g > 1 and eps > 0", "eps > 0", "this part of the condition always holds"),
        ("g > 1 or v' < 0", "v' < 0", "this part of the condition never holds"),
        ("t >= 1 and g > 1", "t >= 1", "this part of the condition always holds"),
        ("g > 1 and g > 0", "g > 0", "this part of the condition always holds"),
    ],
)
def test_parts_of_conditions(condition: str, part: str, message: str, find: Find) -> None:
    text = rule(f"if {condition} then g else m'")
    (problem,) = find(text, SLUG)
    assert problem.message == message
    assert SourceFile("r.opt", text).snippet(problem.span) == part
    assert problem.label.startswith(f"`{part}` {'always' if 'always' in message else 'never'} holds")


def test_named_conditions(find: Find) -> None:
    (problem,) = find(rule("if never then g else m'", equations="  never = beta1 >= 1\n"), SLUG)
    assert problem.label == "`never` never holds"


def test_a_function_is_dead_only_if_it_is_wherever_it_is_used(find: Find) -> None:
    pick = "def pick(a) = if a < 0 then g else m'\n"
    assert find(rule("pick(g) + pick(abs(g))", pick), SLUG) == []
    assert len(find(rule("pick(g^2) + pick(abs(g))", pick), SLUG)) == 1


def test_the_condition_of_a_state_counts_in_its_equation(find: Find) -> None:
    (problem,) = find(rule("m'").replace("c' = c + g", "c' = if on then c + g else c"), SLUG)
    assert problem.label == "`on` always holds where `on` holds"
    assert find(rule("if on then g else m'"), SLUG) == []


@pytest.mark.parametrize(
    "step",
    [
        "if t == 1 then g else m'",
        "if v' > 0 then m'/sqrt(v') else 0",
        "if lr > 0 then g else m'",
        "if g == g then g else 0",
        "if abs(g) < inf then g else 0",
        "if abs(g) <= inf then g else 0",
        "if p < 0.5 then g else m'",
        "if g > 0 then 1 elif g < 0 then -1 else 0",
        "if norm(x) > 0 and norm(g) > 0 then norm(x)/norm(g)*g else g",
        "if on == true then g else m'",
        "if abs(g) + eps > 0 then g else m'",
        "if m' - m' == 0 then g else 0",
        "if eps + 1 > 1 then g else m'",
        "if g > 0 then sum(if g > 0 then 1 else 0)*g else m'",
        "if g > 1e-30 then (if g*g > 0 then g else m') else 0",
    ],
)
def test_arms_that_may_be_taken(step: str, find: Find) -> None:
    assert find(rule(step), SLUG) == []
