"""`eps-lost-in-half`: constants that a float16 state can't store, and no others."""

from __future__ import annotations

import pytest

from optdsl.source import SourceFile

from .conftest import Find

SLUG = "eps-lost-in-half"


def rule(state: str, equation: str, hyper: str = "") -> str:
    return (
        f"rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n  eps = 1e-8 in [0, inf)\n{hyper}state\n  {state}\nupdate\n"
        f"  {equation}\n  x' = x - lr*g/(sqrt(v') + eps)\n"
    )


@pytest.mark.parametrize(
    ("state", "equation", "place", "label"),
    [
        ("v: f16 = 1e-8", "v' = max(v, g^2)", "1e-8", "at the start: v is 1e-8, stored as 0; "),
        ("v: f16 = eps", "v' = max(v, g^2)", "eps", "at the start: v is 1e-8, stored as 0; "),
        ("v: f16 = 0", "v' = ema(v, g^2, 0.9) + 1e-9", "1e-9", "at t = 1, x = g = 0: v is 1e-9, stored as 0; "),
        ("v: f16 = 0", "v' = max(ema(v, g^2, 0.9), eps)", "eps", "at t = 1, x = g = 0: v is 1e-8, stored as 0; "),
        ("v: f16 = 0", "v' = v + (g^2 + eps)*0.5", "eps", "at t = 1, x = g = 0: v is 5e-9, stored as 0; "),
    ],
)
def test_constants_that_are_lost(state: str, equation: str, place: str, label: str, find: Find) -> None:
    text = rule(state, equation)
    (problem,) = find(text, SLUG)
    assert SourceFile("r.opt", text).snippet(problem.span) == place
    assert problem.label == f"{label}the smallest of float16 is 6e-8"
    assert problem.message == f"`{place}` is lost: `v` is stored in float16, where it becomes 0"
    assert "float32" in problem.help
    for storage in (": bf16", ": f32", ""):
        assert find(text.replace(": f16", storage), SLUG) == []


def test_a_truth_value_turns_it_on(find: Find) -> None:
    text = rule("v: f16 = 0", "v' = max(v, g^2 + (if safe then eps else 0))", hyper="  safe = false\n")
    (problem,) = find(text, SLUG)
    assert problem.label.startswith("at t = 1, x = g = 0, safe = true: v is 1e-8")


@pytest.mark.parametrize(
    ("state", "equation"),
    [
        ("v: f16 = 0", "v' = ema(v, g^2, 0.9)"),
        ("v: f16 = 1e-7", "v' = max(v, g^2)"),
        ("v: f16 = 1", "v' = ema(v, g^2, 0.9) + eps"),
        ("v = 1e-8", "v' = max(v, g^2)"),
        ("v: f16 = 0", "v' = max(v, g^2/(abs(g) + eps))"),
    ],
    ids=["none", "large enough", "beside a larger one", "float32", "not stored"],
)
def test_constants_that_are_kept(state: str, equation: str, find: Find) -> None:
    assert find(rule(state, equation), SLUG) == []
