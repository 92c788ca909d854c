"""Arrays of any layout are stepped to the bits of contiguous copies, and what lies between their elements stays."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer

from .support import LAYOUTS, Array, after, placed, strided

RULES: dict[str, dict[str, Any]] = {
    "adam": {"clip_norm": 0.5, "clip_value": 1.5, "nonfinite": "skip"},
    "lamb": {"clip_norm": 2.0},
    "adammini": {},
}
"""Rules over elements, whole parameters and rows, with what looks through gradients."""

SHAPES: dict[str, tuple[int, ...]] = {
    "matrix": (4, 6), "cube": (3, 1, 5), "vector": (7,), "number": (), "empty": (3, 0), "long": (2, 40_000),
}  # fmt: skip

made = cache(load)


def drawn(shape: tuple[int, ...], dtype: Any, seed: int) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def compared(
    optimizer_class: type[Optimizer], options: dict[str, Any], dtype: Any, shape: tuple[int, ...], layout: str,
    gradient_layout: str,
) -> None:  # fmt: skip
    """Step an array in one layout with gradients in another, beside other parameters, and contiguous copies of all."""
    values, slopes = drawn(shape, dtype, 1), [drawn(shape, dtype, seed) for seed in (2, 3)]
    base, x = placed(layout, values)
    before = base.copy()
    ours: dict[str, Array] = {"first": np.ones((2, 2), dtype), "x": x, "hollow": np.ones((0, 2), dtype)}
    ours["last"] = np.ones(3, dtype)
    theirs = {name: np.array(value, order="C", subok=False) for name, value in ours.items()}
    one, other = optimizer_class(ours, **options), optimizer_class(theirs, **options)
    for slope in slopes:
        room, gradient = placed(gradient_layout, slope)
        kept = room.tobytes()
        rest = {name: np.full(value.shape, 0.25, dtype) for name, value in ours.items()}
        one.step({**rest, "x": gradient})
        other.step({**rest, "x": slope})
        assert room.tobytes() == kept, "the gradient was written to"
    assert after(one, ours) == after(other, theirs)
    if shape != (3, 0):
        assert values.tobytes() != np.asarray(x).tobytes()
    x[...] = values
    assert base.tobytes() == before.tobytes(), "bytes between the elements were written to"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_do_not_show(layout: str, target: str, dtype: np.dtype[np.floating]) -> None:
    """Any layout of a parameter with any of its gradient."""
    for gradient_layout in LAYOUTS if dtype == np.float32 else [layout, "contiguous"]:
        compared(made("adam", target), RULES["adam"], dtype, (4, 6), layout, gradient_layout)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["lamb", "adammini"])
def test_layouts_do_not_show_in_reductions(name: str, shape: str, target: str) -> None:
    """Sums over rows, over parameters and over all gradients are added up in the same order, whatever the layout."""
    dtype = np.float64 if shape in ("cube", "number") else np.float32
    for layout in LAYOUTS:
        gradient_layout = {"contiguous": "fortran", "unaligned": "contiguous"}.get(layout, layout)
        compared(made(name, target), RULES[name], dtype, SHAPES[shape], layout, gradient_layout)


def offsets(shape: tuple[int, ...], strides: tuple[int, ...]) -> list[int]:
    """Return where each element begins."""
    return [sum(i * s for i, s in zip(index, strides, strict=True)) for index in np.ndindex(shape)]


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])  # a target is only a name
def test_any_strides(target: str, data: st.DataObject) -> None:
    """Strides in bytes that make no element meet another don't show; all others are refused."""
    dtype = data.draw(st.sampled_from(["f4", "f8"]))
    axes = st.lists(st.tuples(st.integers(0, 4), st.integers(-40, 40)), max_size=3)
    chosen = data.draw(axes)
    shape, strides = tuple(count for count, _ in chosen), tuple(stride for _, stride in chosen)
    base, x = strided(shape, strides, dtype, data.draw(st.integers(0, 9)))
    begin = sorted(offsets(shape, strides))
    if any(high - low < x.itemsize for low, high in pairwise(begin)):
        with pytest.raises(ValueError, match="'x' has elements that share memory"):
            made("adam", target)({"y": np.ones(1, dtype), "x": x})
        return
    values, slope = drawn(shape, dtype, 1), drawn(shape, dtype, 2)
    before = base.copy()
    x[...] = values
    one, other = made("adam", target)([x]), made("adam", target)([copied := values.copy()])
    one.step([slope])
    other.step([slope])
    assert after(one, {"0": x}) == after(other, {"0": copied})
    there = np.zeros(base.size, bool)
    first = x.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    for at in begin:
        there[first + at : first + at + x.itemsize] = True
    assert (base[~there] == before[~there]).all()


def test_a_matrix_is_stepped_as_an_array(target: str) -> None:
    with pytest.warns(PendingDeprecationWarning):
        x = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    copied = np.array(x)
    one, other = made("lamb", target)([x]), made("lamb", target)([copied])
    one.step([np.array([[1.0, -1.0], [0.5, 2.0]])])
    other.step([np.array([[1.0, -1.0], [0.5, 2.0]])])
    assert after(one, {"0": np.asarray(x)}) == after(other, {"0": copied})


def test_a_file_in_memory_is_stepped(target: str, tmp_path: Any) -> None:
    x: Array = np.memmap(tmp_path / "x", np.float32, "w+", shape=(3, 5))
    x[...] = 1
    made("sgd", target)([x], lr=0.5).step([np.ones((3, 5), np.float32)])
    assert (np.fromfile(tmp_path / "x", np.float32) == 0.5).all()
    read = np.memmap(tmp_path / "x", np.float32, "r", shape=(3, 5))
    with pytest.raises(ValueError, match="'0' is read-only"):
        made("sgd", target)([read])
    own: Array = np.memmap(tmp_path / "x", np.float32, "c", shape=(3, 5))
    made("sgd", target)([own], lr=0.5).step([read])
    assert (own == 0.25).all()
    assert (read == 0.5).all()
