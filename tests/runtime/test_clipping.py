"""Limits on gradients: exact ratios, norms past the range of float64, infinities and NaN."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optdsl.runtime.clipping import norm_factor

from .handmade import SGD, Adam, Mixed


def moved(gradients: list[Any], **options: Any) -> list[list[float]]:
    """Return how far one plain step of rate 1 moves parameters that start at 0."""
    params = [np.zeros(len(g), np.asarray(g).dtype) for g in gradients]
    SGD(params, lr=1.0, **options).step([np.asarray(g) for g in gradients])
    return [(-x).tolist() for x in params]


def test_the_norm_is_taken_over_all_parameters() -> None:
    assert moved([np.array([3.0]), np.array([0.0, 4.0])], clip_norm=1.0) == [[3.0 * 0.2], [0.0, 4.0 * 0.2]]


def test_the_norm_spans_element_types_and_groups() -> None:
    x, y = np.zeros(1, np.float32), np.zeros(1)
    SGD([{"params": [x]}, {"params": [y]}], lr=1.0, clip_norm=2.5).step([np.ones(1, np.float32) * 3, np.ones(1) * 4])
    assert (x[0], y[0]) == (-1.5, -2.0)


def test_a_norm_at_or_below_the_bound_leaves_gradients_alone() -> None:
    assert moved([np.array([3.0, 4.0])], clip_norm=5.0) == [[3.0, 4.0]]
    assert moved([np.array([3.0, 4.0])], clip_norm=inf) == [[3.0, 4.0]]


def test_a_norm_of_zero_is_no_nan() -> None:
    for bound in (0.0, 1.0, 1e-300):
        assert moved([np.zeros(3)], clip_norm=bound) == [[0.0] * 3]
    assert moved([np.ones(2)], clip_norm=0.0) == [[0.0, 0.0]]


def test_values_are_clipped_before_the_norm() -> None:
    assert moved([np.array([30.0, -4.0])], clip_value=3.0, clip_norm=3.0 * 2**0.5 / 2) == [
        pytest.approx([1.5, -1.5], rel=1e-15)
    ]


def test_a_bound_can_be_changed_while_training() -> None:
    x = np.zeros(1)
    opt = SGD([x], lr=1.0)
    opt.clip_value = 0.5
    opt.step([np.ones(1)])
    opt.clip_value = None
    opt.clip_norm = 0.25
    opt.step([np.ones(1)])
    opt.clip_norm = None
    opt.step([np.ones(1)])
    assert x[0] == -1.75


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1e170, 1e300, 1.7e308])
def test_norms_past_the_range_of_float64(size: float) -> None:
    gradient = np.array([3.0, 4.0, 0.0]) / 5 * size
    clipped = moved([gradient], clip_norm=size / 4)[0]
    np.testing.assert_allclose(clipped, gradient / 4, rtol=1e-14)


def test_a_norm_that_is_itself_past_the_range() -> None:
    clipped = moved([np.full(16, 1.7e308)], clip_norm=1.0)[0]
    np.testing.assert_allclose(clipped, 0.25, rtol=1e-14)


def test_the_reduced_norm_keeps_to_the_clip_value() -> None:
    clipped = moved([np.array([inf, -1e200, 1.0])], clip_value=1e180, clip_norm=1.0)[0]
    np.testing.assert_allclose(clipped, [2**-0.5, -(2**-0.5), 2**-0.5 * 1e-180], rtol=1e-14)


@given(st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=8), st.floats(1e-3, 1e3))
def test_the_clipped_norm_is_the_bound_or_less(values: list[float], bound: float) -> None:
    gradient = np.array(values)
    factor = norm_factor(SGD.kernel.squares([gradient], inf), lambda: [gradient], bound, inf)
    assert 0.0 < factor <= 1.0
    assert np.hypot.reduce(gradient) * factor <= bound * (1 + 1e-14)


def test_nonfinite_gradients_propagate_by_default() -> None:
    x = np.zeros(2)
    SGD([x], lr=1.0).step([np.array([inf, nan])])
    assert x[0] == -inf
    assert np.isnan(x[1])


def test_a_nonfinite_norm_shows_in_the_parameters() -> None:
    assert np.isnan(moved([np.array([nan, 1.0])], clip_norm=1.0)).all()
    infinite = moved([np.array([inf, 1.0])], clip_norm=1.0)[0]
    assert np.isnan(infinite[0])
    assert infinite[1] == 0.0


@pytest.mark.parametrize("bad", [inf, -inf, nan])
def test_skip_leaves_the_whole_step_out(bad: float) -> None:
    x, y = np.ones(2), np.ones(2)
    opt = Adam([x, y], nonfinite="skip", clip_norm=1.0, clip_value=1.0)
    opt.step([np.ones(2), np.array([1.0, bad])])
    assert (opt.skipped, len(opt.state), opt.step_count("0")) == (1, 0, 0)
    assert x.tolist() == y.tolist() == [1.0, 1.0]
    opt.step([np.ones(2), np.ones(2)])
    assert (opt.skipped, opt.step_count("0")) == (1, 1)


def test_raise_names_the_parameters_and_changes_nothing() -> None:
    params = {"W": np.ones(2), "b": np.ones(2), "c": np.ones(2)}
    opt = Adam(params, nonfinite="raise")
    with pytest.raises(FloatingPointError, match="gradient of 'b', 'c' has an infinity or NaN"):
        opt.step({"W": np.ones(2), "b": np.array([nan, 1.0]), "c": np.array([inf, 1.0])})
    assert all(array.tolist() == [1.0, 1.0] for array in params.values())
    assert len(opt.state) == 0


def test_large_gradients_are_finite() -> None:
    x = np.zeros(2)
    opt = SGD([x], nonfinite="raise", clip_norm=1.0)
    opt.step([np.full(2, 1e308)])
    assert opt.step_count("0") == 1


def test_limits_reach_every_rule() -> None:
    x = np.zeros(1)
    Mixed([x], lr=1.0, clip_value=0.5).step([np.full(1, 8.0)])
    assert x[0] == -0.5
