"""What generated NumPy code is written in: blocks, work arrays, and selection by bits."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optdsl.runtime.blocks import BLOCK_BYTES, PRODUCTS, blocks, inner, pick
from optdsl.runtime.scratch import LINE, MOST_BYTES, Scratch, Share, block_length

Array = npt.NDArray[Any]


def bits(dtype: str) -> tuple[Array, Array]:
    """Return two arrays of every kind of bits: NaN of several payloads and signs, zeros, subnormals, infinities."""
    chance = np.random.default_rng(1)
    unsigned = np.dtype(f"u{np.dtype(dtype).itemsize}")
    most = 1 if dtype == "bool" else 2 ** (8 * unsigned.itemsize) - 1
    left, right = (chance.integers(0, most, 999, np.uint64, endpoint=True).astype(unsigned) for _ in range(2))
    if dtype != "bool":
        limits = [np.inf, -np.inf, np.nan, -np.nan, 0.0, -0.0, np.finfo(dtype).smallest_subnormal]
        special = np.array(limits, dtype).view(unsigned)
        left[:98], right[:98] = np.repeat(special, 14), np.tile(special, 14)
    return left.view(dtype), right.view(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool"])
@pytest.mark.parametrize("chosen", ["array", 0.0, -0.0, 0.1, float("nan"), float("-inf")])
@pytest.mark.parametrize("other", ["array", 0.0, -0.0, 1.0, float("nan"), 1e-45])
def test_pick_is_where(dtype: str, chosen: str | float, other: str | float) -> None:
    """Each element is one or the other, bit for bit; a number is rounded to the element type."""
    left, right = bits(dtype)
    one: Any = left if isinstance(chosen, str) else (chosen > 0 if dtype == "bool" else chosen)
    two: Any = right if isinstance(other, str) else (other > 0 if dtype == "bool" else other)
    mask = np.random.default_rng(2).random(left.size) < 0.5
    out = np.empty_like(left)
    pick(mask, one, two, out)
    expected = np.where(mask, np.asarray(one, dtype), np.asarray(two, dtype))
    assert out.tobytes() == expected.tobytes()


def test_blocks_are_no_longer_than_work_arrays() -> None:
    """Blocks are those of the arrays, all of one length but the last, however short the work arrays."""
    x, y = np.arange(1000.0), None
    for length, lengths in ((64, [64] * 15 + [40]), (999, [999, 1]), (1000, [1000]), (5000, [1000])):
        seen = list(blocks((x, y), (np.empty(length), np.empty(length, bool))))
        assert [w.size for _, _, w, _ in seen] == [k.size for _, _, _, k in seen] == lengths
        assert np.array_equal(np.concatenate([part for part, *_ in seen]), x)
        assert all(np.shares_memory(part, x) and absent is None for part, absent, *_ in seen)


def test_no_elements_are_no_blocks() -> None:
    """An empty parameter is stepped without a block, whatever work arrays there are."""
    assert list(blocks((np.empty(0),), ())) == []
    assert list(blocks((np.empty(0),), (np.empty(0),))) == []


@pytest.mark.parametrize("size", [0, 5, PRODUCTS, PRODUCTS + 1, 5 * PRODUCTS + 3])
def test_inner_products(size: int) -> None:
    """Products of single numbers are exact in float64, and so are sums of few bits."""
    left, right = np.arange(size, dtype=np.float32) % 1000, np.arange(size, dtype=np.float32) % 777
    assert inner(left, right) == float((left.astype(np.int64) * right.astype(np.int64)).sum())


@pytest.mark.parametrize("shortened", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize(("numbers", "masks", "longest"), [(3, 0, 1 << 24), (5, 2, 1 << 24), (2, 1, 7), (0, 0, 9)])
def test_work_arrays_lie_apart(numbers: int, masks: int, longest: int, workers: int, shortened: bool) -> None:
    """Each thread has its own arrays of each element type, as long as a block where they fit, on cache lines."""
    lay = Share(numbers, masks, longest, workers, shortened)
    if shortened:
        assert lay.size <= MOST_BYTES
    with Scratch().lent(lay.size) as buffer:
        for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
            work = lay.arrays(buffer, dtype)
            assert len(work) == workers
            arrays = [array for own in work for kind in own for array in kind]
            assert [(len(of_numbers), len(of_masks)) for of_numbers, of_masks in work] == [(numbers, masks)] * workers
            assert len({array.size for array in arrays}) <= 1
            assert all(array.ctypes.data % LINE == 0 for array in arrays)
            assert not any(np.shares_memory(left, right) for left, right in combinations(arrays, 2))
            if arrays and (not shortened or (workers == 1 and numbers <= 3)):
                assert arrays[0].size >= min(longest, block_length(dtype))
            assert not arrays or arrays[0].nbytes <= BLOCK_BYTES


def test_buffers_are_lent_again() -> None:
    """A buffer that is large enough is used again, by one borrower at a time."""
    scratch = Scratch()
    with scratch.lent(1000) as first, scratch.lent(1000) as second:
        assert not np.shares_memory(first, second)
        held = {first.ctypes.data, second.ctypes.data}
    with scratch.lent(900) as again:
        assert again.ctypes.data in held
    with pytest.raises(ValueError, match="inside"), scratch.lent(10):
        raise ValueError("inside")
    assert len(scratch.free) == 2
