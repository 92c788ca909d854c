"""The rules by which the language was drawn up compile as they were written, and the bundled ones are no longer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optdsl import bundled
from optdsl.ir.nodes import Rule
from optdsl.loading import load
from optdsl.pipeline import check, rule_of
from optdsl.source import SourceFile

SAMPLES = Path(__file__).with_name("samples")
NAMES = ["adam", "lamb", "lion", "nadam", "rprop", "sgd"]


def rule_in(path: Path) -> Rule:
    """Return the rule in a file."""
    return rule_of(SourceFile(str(path), path.read_text(encoding="utf-8")))


def entries(rule: Rule) -> int:
    """Return how many hyperparameters, states and equations a rule has."""
    return len(rule.hypers) + len(rule.states) + len(rule.equations)


def test_all_samples_are_here() -> None:
    """No sample gets lost."""
    assert sorted(path.stem for path in SAMPLES.glob("*.opt")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_samples_compile(name: str, target: str) -> None:
    """A sample compiles, and steps against the gradient."""
    made = load(SAMPLES / f"{name}.opt", target)
    assert made.__name__ == made.rule.name
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    before = x.copy()
    optimizer = made([x])
    for _ in range(3):
        optimizer.step([np.sign(before)])
    assert (np.abs(x) < np.abs(before)).all()
    assert np.isfinite(x).all()


@pytest.mark.parametrize("name", NAMES)
def test_samples_have_no_errors(name: str) -> None:
    """Nor is a sample found wanting."""
    path = SAMPLES / f"{name}.opt"
    assert check(SourceFile(str(path), path.read_text(encoding="utf-8"))).errors == []


@pytest.mark.parametrize("name", ["lion", "rprop"])
def test_bundled_are_no_longer_than_the_samples(name: str) -> None:
    """What ships has no more entries than what the language was drawn up with."""
    path = bundled.path(name)
    assert path is not None
    assert entries(rule_in(path)) <= entries(rule_in(SAMPLES / f"{name}.opt"))


def test_adam_is_five_equations() -> None:
    """Adam reads like the box in its paper."""
    path = bundled.path("adam")
    assert path is not None
    assert len(rule_in(path).equations) <= 5
    assert len(rule_in(SAMPLES / "adam.opt").equations) == 5
