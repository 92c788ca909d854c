"""Parameters and gradients of a measurement."""

from __future__ import annotations

import math

import numpy as np

from optdsl.bench import data
from optdsl.bench.data import Data, distance, largest, ordinary

SHAPES = ((7,), (3, 5), (data.PATTERN - 1,), (100,), (2 * data.PATTERN + 5,))


def test_everyone_gets_the_same_numbers_in_arrays_of_its_own() -> None:
    source = Data(SHAPES, fresh=False)
    first, second = source.parameters(), source.parameters()
    assert [array.shape for array in first] == list(SHAPES)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
        assert not np.shares_memory(one, other)
    whole = np.concatenate([array.reshape(-1) for array in first])
    np.testing.assert_array_equal(whole[data.PATTERN :], whole[: -data.PATTERN])
    assert len(np.unique(whole[:1000])) > 990


def test_gradients_keep_clear_of_zero() -> None:
    now = Data(((10_000,),), fresh=False).gradients().now[0]
    assert 0.01 <= np.abs(now).min() < 0.02
    assert now.min() < 0 < now.max()


def test_fresh_gradients_are_other_arrays_elsewhere() -> None:
    gradients = Data(SHAPES[:2], fresh=True).gradients()
    before = gradients.now
    seen = {id(array) for array in before}
    gradients.renew()
    for one, other in zip(before, gradients.now, strict=True):
        np.testing.assert_array_equal(one, other)
        assert not np.shares_memory(one, other)
        assert id(other) not in seen


def test_distance_and_size() -> None:
    one, other = Data(SHAPES, fresh=False).parameters(), Data(SHAPES, fresh=False).parameters()
    assert distance(one, other) == 0
    other[-1][-1] += 0.5
    assert math.isclose(distance(one, other), 0.5, rel_tol=1e-5)
    other[-1][-1] = -99
    assert largest(other) == 99
    one[2][data.CHUNK // 2] = np.nan
    assert math.isnan(distance(one, other))


def test_ordinary_numbers() -> None:
    one = Data(SHAPES, fresh=False).parameters()
    assert ordinary(one)
    for value in (np.nan, np.inf, 1e-40):
        one[0][3] = value
        assert not ordinary(one)
    one[0][3] = 0
    assert ordinary(one)
