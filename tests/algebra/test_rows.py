"""What is proved of reductions over rows, and what isn't."""

from __future__ import annotations

import pytest

from optdsl.algebra.equivalence import Answer

from .support import compared, scaled

HEAD = "rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\nupdate\n  x' = x - ({})\n"
SAME = [
    ("lr*(g - mean(g, axes=rest))", "lr*g - mean(lr*g, axes=rest)"),
    ("g*mean(2*g*x, axes=rest)", "2*mean(x*g, axes=rest)*g"),
    ("dot(g, x, axes=rest)", "sum(x*g, axes=rest)"),
    ("norm(-lr*g, axes=rest)", "lr*norm(g, axes=rest)*1"),
    ("amax(2*g + 2*x, axes=rest)", "2*amax(x + g, axes=rest)"),
    ("rms(3*g, axes=rest)", "3*rms(g, axes=rest)"),
    ("if ndim(x) > 1 then g else x", "if ndim(x) <= 1 then x else g"),
]
DIFFERENT = [
    ("mean(g, axes=rest)", "mean(g)*1"),
    ("mean(g, axes=rest)", "sum(g, axes=rest)"),
    ("norm(g, axes=rest)", "abs(g)"),
    ("norm(g, axes=rest)", "rms(g, axes=rest)"),
    ("sum(abs(g), axes=rest)", "abs(sum(g, axes=rest))"),
    ("amax(-g, axes=rest)", "-amax(g, axes=rest)"),
    ("mean(x*g, axes=rest)", "x*mean(g, axes=rest)"),
    ("if ndim(x) > 1 then g - mean(g, axes=rest) else g", "g"),
    ("mean(if g > 0 then g else -g, axes=rest)", "if g > 0 then mean(g, axes=rest) else -mean(g, axes=rest)"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one: str, other: str) -> None:
    assert compared(HEAD.format(one), HEAD.format(other), steps=1).answer is Answer.PROVED


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_the_same(one: str, other: str) -> None:
    """Whole tensors and rows are one where there is a single row; nothing is proved of what that hides."""
    answer = compared(HEAD.format(one), HEAD.format(other), steps=1).answer
    assert answer is (Answer.UNPROVED if other == "mean(g)*1" else Answer.REFUTED)


def test_a_scale_comes_out_of_a_row() -> None:
    assert scaled(HEAD.format("lr*g/norm(g, axes=rest)")).answer is Answer.PROVED
    assert scaled(HEAD.format("lr*g*norm(g, axes=rest)")).answer is Answer.REFUTED
