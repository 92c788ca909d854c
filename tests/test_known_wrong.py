"""Rules that libraries have shipped wrong, each written as its library has it: a check or a false claim catches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from optdsl import pipeline
from optdsl.diagnostics import Problem, render
from optdsl.source import SourceFile

FOLDER = Path(__file__).parent / "wrong"


def found_in(name: str) -> tuple[SourceFile, tuple[Problem, ...]]:
    checked = pipeline.check(SourceFile(f"{name}.opt", (FOLDER / f"{name}.opt").read_text(encoding="utf-8")))
    return checked.source, checked.problems


def test_every_wrong_rule_is_tried_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.opt")} == {"optax_adadelta", *(name for name, *_ in FALSE)}


def test_optax_adadelta_climbs() -> None:
    source, problems = found_in("optax_adadelta")
    assert [problem.slug for problem in problems] == ["ascends"]
    assert source.snippet(problems[0].span) == "x' = x + u"
    assert "t = 1, g = 1: x goes from 0 to 0.00316" in problems[0].label


FALSE = [
    ("optax_rprop", "Rprop", 1, "x' = x - step'*sign(d)"),
    ("optax_adan", "Adan", 2, "n'    = ema(n, (g + beta2*diff)^2, beta3)"),
    ("optimisers_lion", "Lion", 1, "m' = ema(m, g, beta2)"),
    ("optax_amsgrad", "AMSGrad", 2, "vmax' = max(vmax, v')"),
]
"""A wrong rule, the right one, the step at which they part, and the right rule's equation in which they do."""


@pytest.mark.parametrize(("name", "right", "step", "equation"), FALSE, ids=[name for name, *_ in FALSE])
def test_a_claim_to_be_the_right_rule_is_false(name: str, right: str, step: int, equation: str) -> None:
    source, problems = found_in(name)
    assert [problem.slug for problem in problems] == ["false-claim"]
    (problem,) = problems
    assert f"`equals {right}` is false: at step {step} x' is " in problem.message
    assert "x = " in problem.label
    assert f"g{'' if step == 1 else 1} = " in problem.label
    shown = render(source, problems)
    assert equation.split("=", 1)[1].strip() in shown
    file = "adam" if right == "AMSGrad" else right.lower()  # what AMSGrad takes over stands in Adam's file
    assert f"::: {Path(__file__).parent.parent / 'rules' / file}.opt:" in shown
