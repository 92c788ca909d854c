"""`unused-hyper`, `unused-state` and `unused-name`."""

from __future__ import annotations

import pytest

from optdsl.source import SourceFile

from .conftest import Find


def rule(hyper: str = "", state: str = "", update: str = "  x' = x - lr*g\n") -> str:
    states = f"state\n{state}" if state else ""
    return f"rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n{hyper}{states}update\n{update}"


def marked(text: str, span: tuple[int, int]) -> str:
    return SourceFile("r.opt", text).snippet(span)


def test_a_hyperparameter_read_nowhere(find: Find) -> None:
    text = rule("  beta = 0.9\n")
    (problem,) = find(text, "unused-hyper")
    assert marked(text, problem.span) == "beta"
    assert problem.message == "the hyperparameter `beta` is never read"


def test_an_alias_reads_nothing(find: Find) -> None:
    text = rule("  b1 = 0.9\n  b2 = 0.9\n  alias betas = (b1, b2)\n")
    assert [marked(text, problem.span) for problem in find(text, "unused-hyper")] == ["b1", "b2"]


@pytest.mark.parametrize(
    "text",
    [
        rule("  beta = 0.9\n", update="  x' = x - lr*beta*g\n"),
        rule("  beta = 0.9\n", update="  y = beta*g\n  x' = x - lr*y\n"),
        rule("  start = 0.9\n", "  m = start\n", "  m' = m + g\n  x' = x - lr*m'\n"),
        rule("  on = true\n", "  m = 0 when on\n", "  m' = m + g\n  x' = x - lr*(if on then m' else g)\n"),
        rule("  a = 0.9\n  b = a/2\n", update="  x' = x - lr*b*g\n"),
    ],
    ids=["equation", "intermediate", "init", "when", "default"],
)
def test_hyperparameters_that_are_read(text: str, find: Find) -> None:
    assert find(text, "unused-hyper") == []


def test_a_state_that_nothing_needs(find: Find) -> None:
    text = rule(state="  m = 0\n", update="  m' = m + g\n  x' = x - lr*g\n")
    (problem,) = find(text, "unused-state")
    assert marked(text, problem.span) == "m"
    assert problem.message == "`x'` never depends on the state `m`"
    assert find(text.replace("lr*g", "lr*m'"), "unused-state") == []
    assert find(text.replace("lr*g", "lr*m"), "unused-state") == []


def test_a_state_needed_by_idle_states_only(find: Find) -> None:
    text = rule(state="  a = 0\n  b = 0\n", update="  a' = a + g\n  b' = b + a'\n  x' = x - lr*g\n")
    assert [marked(text, p.span) for p in find(text, "unused-state")] == ["a", "b"]


def test_a_state_needed_at_a_later_step(find: Find) -> None:
    update = "  a' = a + g\n  b' = a\n  x' = x - lr*b\n"
    assert find(rule(state="  a = 0\n  b = 0\n", update=update), "unused-state") == []


def test_a_second_moment_of_the_decayed_gradient_is_no_output(find: Find) -> None:
    text = rule(state="  v = 0\n", update="  d = g + 0.1*x\n  v' = ema(v, d^2, 0.9)\n  x' = x - lr*d\n")
    assert len(find(text, "unused-state")) == 1


AVERAGED = rule(
    state="  ax = 0\n  mu: scalar = 1\n",
    update="  mu' = 1/max(1, t - 5)\n  ax' = if mu == 1 then x' else lerp(ax, x', mu)\n  x' = x - lr*g\n",
)


def test_an_average_that_no_view_shows(find: Find) -> None:
    found = find(AVERAGED, "unused-state")
    assert [marked(AVERAGED, problem.span) for problem in found] == ["ax", "mu"]
    assert "`view NAME = ax`" in found[0].help


def test_what_a_view_needs_is_used(find: Find) -> None:
    assert find(f"{AVERAGED}\nview average = ax\n", "unused-state") == []
    assert len(find(f"{AVERAGED}\nview weight = x*mu\n", "unused-state")) == 1
    assert len(find(f"{AVERAGED}\nview itself = x\n", "unused-state")) == 2


def test_a_hyperparameter_that_a_view_reads(find: Find) -> None:
    text = rule(hyper="  far = 2 in [0, inf)\n", update="  x' = x - lr*g\n")
    assert len(find(text, "unused-hyper")) == 1
    assert find(f"{text}\nview ahead = far*x\n", "unused-hyper") == []


def test_an_intermediate_that_nothing_needs(find: Find) -> None:
    text = rule(update="  a = g^2\n  b = a + 1\n  x' = x - lr*g\n")
    assert [marked(text, p.span) for p in find(text, "unused-name")] == ["a", "b"]
    assert find(text.replace("lr*g", "lr*b"), "unused-name") == []


def test_an_intermediate_in_another_spelling(find: Find) -> None:
    text = rule(update="  θ₁ = g^2\n  x' = x - lr*g\n")
    (problem,) = find(text, "unused-name")
    assert marked(text, problem.span) == "θ₁"


def test_an_intermediate_of_a_state_is_used(find: Find) -> None:
    text = rule(state="  m = 0\n", update="  d = 2*g\n  m' = m + d\n  x' = x - lr*g\n")
    assert find(text, "unused-name") == []
