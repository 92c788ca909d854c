"""Correct rules of the literature, as an author would write them: no check has anything to say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optdsl.diagnostics import Problem

CORRECT = sorted((Path(__file__).parent / "correct").glob("*.opt"))


def test_there_are_many() -> None:
    assert len(CORRECT) >= 20


@pytest.mark.parametrize("path", CORRECT, ids=lambda path: path.stem)
def test_correct_rules_have_no_findings(path: Path, findings: Callable[[str], list[Problem]]) -> None:
    assert findings(path.read_text("utf-8")) == []


BROKEN = {
    "adabelief": (
        "(sqrt(debias(s', beta2)) + eps)",
        "(debias(s', beta2) - debias(s', beta2))",
        "vanishing-denominator",
    ),
    "centered_clamped": ("max(v' - m'^2, 0) + eps", "v' - m'^2", "negative-radicand"),
    "clipped_sgd": ("n > most", "n < 0", "dead-branch"),
    "lars": ("momentum     = 0.9    in [0, 1)", "momentum     = 0.9", "no-interval"),
    "madgrad": ("  v = 0", "  v: f16 = 1e-9", "eps-lost-in-half"),
    "sm3": ("if acc' > 0 then g/sqrt(acc') else 0", "g/sqrt(acc')", "nonfinite-at-zero-gradient"),
    "yogi": ("v - (1 - beta2)*sign(v - g^2)*g^2", "v - sign(v - g^2)*g^2*2", "negative-radicand"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_same_rules_with_a_mistake_have(name: str, findings: Callable[[str], list[Problem]]) -> None:
    before, after, slug = BROKEN[name]
    text = (Path(__file__).parent / "correct" / f"{name}.opt").read_text("utf-8")
    assert before in text
    assert slug in {problem.slug for problem in findings(text.replace(before, after))}
