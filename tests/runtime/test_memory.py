"""Arrays of any layout, and arrays that share memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided

from optdsl.runtime.memory import check_parameter, flat_of
from optdsl.runtime.ranges import Ranges

from .handmade import SGD, Adam, Mixed, adam_reference

Array = npt.NDArray[Any]


def misaligned(shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    array: Array = np.zeros(size + 1, np.uint8)[1:].view(dtype).reshape(shape)
    return array


LAYOUTS: dict[str, Any] = {
    "contiguous": lambda: np.zeros((4, 6)),
    "fortran": lambda: np.zeros((6, 4)).T,
    "reversed": lambda: np.zeros((4, 6))[::-1],
    "every other": lambda: np.zeros((8, 12))[::2, ::2],
    "misaligned": lambda: misaligned((4, 6)),
    "one axis of many": lambda: np.zeros((4, 6, 3))[:, :, 1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gradient_layout", [*LAYOUTS, "broadcast"])
def test_every_layout_gives_the_same_numbers(layout: str, gradient_layout: str) -> None:
    values, slope = np.random.default_rng(0).standard_normal((2, 4, 6))
    x = LAYOUTS[layout]()
    x[...] = values
    if gradient_layout == "broadcast":
        slope[...] = slope[0]
        g = np.broadcast_to(slope[0], (4, 6))
    else:
        g = LAYOUTS[gradient_layout]()
        g[...] = slope
    opt = Adam([x])
    for _ in range(3):
        opt.step([g])
    np.testing.assert_array_equal(x, adam_reference(values, [slope] * 3))
    np.testing.assert_array_equal(g, slope)
    assert opt.state["0"]["m"].flags.c_contiguous


def test_a_private_copy_follows_what_the_caller_writes() -> None:
    x = np.zeros((3, 2)).T
    opt = SGD([x], lr=1.0)
    opt.step([np.ones((2, 3))])
    x[...] = 10.0
    opt.step([np.ones((2, 3))])
    assert x.tolist() == [[9.0] * 3] * 2


def test_scalars_and_empty_arrays_are_parameters_too() -> None:
    zero_d, empty, last = np.ones(()), np.ones((0, 3)), np.ones(2)
    opt = SGD([empty, zero_d, last], lr=1.0, momentum=0.5)
    for _ in range(2):
        opt.step([np.ones((0, 3)), np.ones(()), np.ones(2)])
    assert zero_d == -1.5
    assert last.tolist() == [-1.5, -1.5]
    assert opt.state["0"]["b"].shape == (0, 3)


def test_axes_of_length_one_may_have_any_stride() -> None:
    x = as_strided(np.zeros(4), (1, 4), (8 * 999, 8))
    g = as_strided(np.ones(4), (1, 4), (0, 8))
    SGD([x], lr=1.0).step([g])
    assert x.tolist() == [[-1.0] * 4]


def test_read_only_arrays_are_refused_by_name() -> None:
    x = np.zeros(2)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="'b' is read-only"):
        SGD({"W": np.zeros(2), "b": x})


@pytest.mark.parametrize(
    "view",
    [
        as_strided(np.zeros(4), (3, 3), (0, 8)),
        as_strided(np.zeros(8), (3, 3), (8, 8)),
        as_strided(np.zeros(8), (3,), (4,)),
    ],
)
def test_elements_that_share_memory_are_refused(view: Array) -> None:
    with pytest.raises(ValueError, match="'0' has elements that share memory"):
        SGD([view])


def test_crossing_strides_without_overlap_are_accepted() -> None:
    # Offsets 0, 3, 6 and 2, 5, 8: interleaved, never equal.
    view = as_strided(np.zeros(16), (3, 2), (24, 16))
    assert check_parameter("x", view).shape == (3, 2)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(-5, 5)), min_size=1, max_size=3))
def test_self_overlap_is_exact(axes: list[tuple[int, int]]) -> None:
    shape = tuple(count for count, _ in axes)
    base = np.zeros(64)
    view = as_strided(base[32:], shape, tuple(8 * stride for _, stride in axes))
    offsets = [sum(i * s for i, (_, s) in zip(index, axes, strict=True)) for index in np.ndindex(shape)]
    if len(set(offsets)) == len(offsets):
        assert check_parameter("x", view) is not None
    else:
        with pytest.raises(ValueError, match="share memory"):
            check_parameter("x", view)


def test_the_same_array_twice_is_refused_by_both_names() -> None:
    x = np.zeros(2)
    with pytest.raises(ValueError, match="'a' and 'b' are the same array"):
        SGD({"a": x, "b": x})
    with pytest.raises(ValueError, match="'0' and '1' are the same array"):
        SGD([{"params": [x]}, {"params": [x]}])


def test_overlapping_arrays_are_refused_by_both_names() -> None:
    base = np.zeros(10)
    with pytest.raises(ValueError, match="'0' and '2' share memory"):
        SGD([base[:5], np.zeros(3), base[4:]])
    with pytest.raises(ValueError, match="share memory"):
        SGD([base[::2], base[::3]])


def test_overlap_is_found_past_a_neighbour() -> None:
    base = np.zeros(10)
    with pytest.raises(ValueError, match="'0' and '2' share memory"):
        SGD([base[::2], base[1:2], base[4:5]])


def test_kernels_get_aligned_contiguous_arrays() -> None:
    for name, make in LAYOUTS.items():
        flat, private = flat_of(make())
        assert flat.flags.c_contiguous
        assert flat.flags.aligned
        assert private is (name != "contiguous")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_made_read_only_later_is_noticed_before_anything_changes(layout: str) -> None:
    first, x = np.zeros(2), LAYOUTS[layout]()
    opt = SGD([first, x])
    x.flags.writeable = False
    with pytest.raises(ValueError, match="'1' has become read-only"):
        opt.step([np.ones(2), np.ones((4, 6))])
    assert first.tolist() == [0.0, 0.0]
    opt.step([np.ones(2), None])


def test_interleaved_arrays_are_accepted() -> None:
    base = np.zeros((4, 6))
    opt = SGD([base[:, :3], base[:, 3:]], lr=1.0)
    opt.step([np.ones((4, 3)), np.full((4, 3), 2.0)])
    assert base[0].tolist() == [-1.0] * 3 + [-2.0] * 3


@pytest.mark.parametrize("part", ["itself", "another", "state", "reversed"])
def test_a_gradient_that_shares_memory_is_taken_as_it_was_before_the_step(part: str) -> None:
    def run(copied: bool) -> tuple[Array, Array]:
        x, y = np.arange(1.0, 5.0), np.arange(2.0, 6.0)
        opt = Adam([x, y], lr=0.5)
        opt.step([np.ones(4), np.ones(4)])
        shared = {"itself": x, "another": x, "state": opt.state["0"]["v"], "reversed": x[::-1]}[part]
        other = np.ones(4)
        given = shared.copy() if copied else shared
        opt.step([other, given] if part == "another" else [given, other])
        return x, y

    for plain, reference in zip(run(copied=False), run(copied=True), strict=True):
        np.testing.assert_array_equal(plain, reference)


def test_a_gradient_is_never_written_to() -> None:
    x, g = np.ones(3), np.ones(3)
    g.flags.writeable = False
    Adam([x], clip_value=0.5, clip_norm=0.1, maximize=True).step([g])
    assert g.tolist() == [1.0] * 3


def test_one_gradient_may_serve_two_parameters() -> None:
    x, y, g = np.ones(3), np.ones(3), np.ones(3)
    SGD([x, y], lr=1.0).step([g, g])
    assert x.tolist() == y.tolist() == [0.0] * 3


class Tagged(np.ndarray[Any, Any]):
    pass


def test_subclasses_of_arrays_are_stepped_as_arrays() -> None:
    x = np.ones((2, 2)).view(Tagged)
    opt = Mixed([x])
    opt.step([np.ones((2, 2)).view(Tagged)])
    assert x.tolist() == [[0.5, 0.5]] * 2
    assert type(opt.state["0"]["z"]) is np.ndarray


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=6), st.integers(0, 40), st.integers(1, 10))
def test_ranges_meet_exactly_where_bytes_do(spans: list[tuple[int, int]], start: int, length: int) -> None:
    base = np.zeros(64)
    asked = range(start, start + length)
    expected = any(set(asked) & set(range(low, low + count)) for low, count in spans)
    ranges = Ranges(base[low : low + count] for low, count in spans)
    part = base[start : start + length]
    assert ranges.meet(*byte_bounds(part)) is expected
