"""Clipping by norm and by value, and what happens to gradients that aren't finite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import optdsl

from .elsewhere import elsewhere
from .support import everything, normal


def descended(target: str, gradient: np.ndarray[tuple[int, ...], np.dtype[np.floating]], **options: float) -> Any:
    """Return what plain descent at a rate of 1 takes from 0."""
    x = np.zeros_like(gradient)
    optdsl.load("sgd", target=target)([x], lr=1.0, **options).step([gradient])
    return x.tolist()


@elsewhere("google-deepmind/optax#1752")
def test_a_norm_of_zero_under_a_bound_of_zero_is_zero(target: str, dtype: np.dtype[np.floating]) -> None:
    """Clipping zeros to the norm 0 leaves zeros, and anything else becomes zeros.

    The gradient was divided by its norm wherever the norm wasn't below the bound; 0/0 made every parameter NaN.
    """
    assert descended(target, np.zeros(3, dtype), clip_norm=0.0) == [0.0] * 3
    assert descended(target, np.ones(3, dtype), clip_norm=0.0) == [0.0] * 3
    assert descended(target, np.zeros(3, dtype), clip_norm=1.0) == [0.0] * 3


@elsewhere("pytorch/pytorch#46849")
def test_a_gradient_that_is_not_finite_can_be_refused(target: str) -> None:
    """Under nonfinite="raise" the error names the parameter and nothing changes; "skip" leaves the step out and counts.

    Clipping by norm took infinities and NaN without a word, and turned all gradients into NaN or zeros.
    """
    W, b = np.ones(3), np.ones(2)
    opt = optdsl.load("adam", target=target)({"W": W, "b": b}, clip_norm=1.0, nonfinite="raise")
    opt.step({"W": np.ones(3), "b": np.ones(2)})
    before = everything(opt, W, b)
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(FloatingPointError, match="'b'"):
            opt.step({"W": np.ones(3), "b": np.array([1.0, wrong])})
        assert everything(opt, W, b) == before
    opt.nonfinite = "skip"
    opt.step({"W": np.ones(3), "b": np.array([1.0, np.nan])})
    assert (everything(opt, W, b), opt.skipped) == (before, 1)


@elsewhere("deepmodeling/deepmd-kit#5519")
def test_squares_past_the_range_do_not_zero_the_gradient(target: str, dtype: np.dtype[np.floating]) -> None:
    """The norm of finite gradients is finite: large ones are scaled to the bound, tiny ones left alone.

    The sum of squares overflowed in float32, the norm was infinite, and finite gradients became zeros.
    """
    largest = float(np.finfo(dtype).max) / 8
    np.testing.assert_allclose(descended(target, np.full(4, largest, dtype), clip_norm=1.0), [-0.5] * 4, rtol=1e-6)
    tiny = np.full(4, float(np.finfo(dtype).tiny), dtype)
    assert descended(target, tiny, clip_norm=1.0) == (-tiny).tolist()


@elsewhere("tensorflow/tensorflow#21363")
def test_an_infinite_norm_does_not_pass_for_zero(target: str, dtype: np.dtype[np.floating]) -> None:
    """Where infinities are let through, clipping doesn't hide them: the parameter shows that something went wrong.

    Clipping by an infinite norm gave zeros, as if there had been no gradient at all.
    """
    moved = descended(target, np.array([1.0, np.inf, -2.0], dtype), clip_norm=1.0)
    assert np.isnan(moved[1])


@elsewhere("tensorflow/tensorflow#33929", "tensorflow/tensorflow#45146")
def test_limits_are_applied(target: str) -> None:
    """Limits given at the start or set later bound what a step sees: with a limit of 0 plain descent stands still.

    A new release accepted limits on gradients and ignored them; once mended, it happened again a release later.
    """
    W = np.zeros(2)
    opt = optdsl.load("sgd", target=target)([W], lr=1.0, clip_value=0.5)
    opt.step([np.array([3.0, -0.25])])
    assert W.tolist() == [-0.5, 0.25]
    opt.clip_value = None
    opt.clip_norm = 0.5
    W[:] = 0.0
    opt.step([np.array([3.0, 4.0])])
    np.testing.assert_allclose(W, [-0.3, -0.4])
    opt.clip_norm = 0.0
    opt.step([np.array([3.0, 4.0])])
    np.testing.assert_allclose(W, [-0.3, -0.4])


@elsewhere("tensorflow/tensorflow#29108", "tensorflow/tensorflow#36001")
def test_the_norm_is_over_all_parameters(target: str) -> None:
    """clip_norm bounds the norm of all gradients together, over groups too, and leaves their direction as it is.

    Two libraries of one family meant the norm of each tensor and the norm of all by the same option.
    """
    W, b, c = np.zeros(3), np.zeros(2), np.zeros(4)
    opt = optdsl.load("sgd", target=target)([{"params": [W, b]}, {"params": [c]}], lr=1.0, clip_norm=1.0)
    gradients = [normal(3, seed=1), normal(2, seed=2), normal(4, seed=3)]
    opt.step(gradients)
    whole = np.concatenate(gradients)
    np.testing.assert_allclose(np.concatenate([W, b, c]), -whole / np.linalg.norm(whole), rtol=1e-12)
