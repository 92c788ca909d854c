"""Reductions over rows: the interpreter's numbers on every target, for any shape, layout and number of threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optdsl.ir import evaluate
from optdsl.ir.arithmetic import Arrays
from optdsl.loading import load, loads
from optdsl.runtime import crew, numpy_kernel
from optdsl.runtime.blocks import BLOCK_BYTES

from .support import Float, Snapshot, assert_near_path, interpret, rule_from, same, tame, walk

HEAD = "rule R(x, g)\n\nhyper\n  lr = 0.1 in [0, inf)\n  flag = false\n\n"
RULES = {
    "centralised": "update\n  c = if ndim(x) > 1 then g - mean(g, axes=rest) else g\n  x' = x - lr*c\n",
    "every": (
        "update\n"
        "  a = sum(g, axes=rest) + mean(x, axes=rest) + norm(g, axes=rest) + norm1(x, axes=rest)\n"
        "  b = amax(g, axes=rest) + rms(x, axes=rest) + dot(g, x, axes=rest)\n"
        "  x' = x - lr*(a + b)/size(x)\n"
    ),
    "of-rows": (
        "update\n  c = g - mean(g, axes=rest)\n  u = c/(rms(c, axes=rest) + 0.1)\n"
        "  w = u - mean(u*x, axes=rest)*x\n  x' = x - lr*w\n"
    ),
    "of-all": (
        "state\n  s: scalar = 0\n  m = norm(x, axes=rest)\n\nupdate\n  c = g - mean(g, axes=rest)\n"
        "  m' = ema(m, rms(c, axes=rest), 0.9)\n  s' = s + norm(c/(m' + 0.1))\n"
        "  r = norm(x)/(norm(c) + 0.1)\n  x' = x - lr*r*c/(1 + mean(m' + s')) + 0*sum(norm(x, axes=rest))\n"
    ),
    "conditional": (
        "state\n  v = 0 when flag\n\nupdate\n  v' = max(v, amax(abs(g), axes=rest))\n"
        "  x' = x - lr*(if flag then g/(v' + 1) else g*norm(g, axes=rest))\n"
    ),
    "counted": (
        "state\n  s: scalar = 0\n\nupdate\n  s' = s + t\n  c = g - mean(g, axes=rest)\n"
        "  x' = x - lr*s'*c/(norm(c, axes=rest) + 1)\n"
    ),
    "constant": (
        "update\n  a = sum(if ndim(x) > 9 then g else 1, axes=rest)\n"
        "  x' = x - lr*g*(a + sum(if t > 9 then g else 1))\n"
    ),
    "axes-alone": "update\n  x' = x - lr*ndim(x)*(if ndim(x) == 4 then sign(g) else g)\n",
}
SHAPES: dict[str, tuple[int, ...]] = {
    "number": (), "empty": (0,), "one": (1,), "vector": (37,), "column": (11, 1), "row": (1, 19), "matrix": (3, 341),
    "kernel": (4, 3, 3, 2), "narrow": (50, 9), "hollow": (3, 0), "headless": (0, 3),
}  # fmt: skip
C_BLOCK = 65536
NUMPY_BLOCK = BLOCK_BYTES // 4
LARGE: dict[str, tuple[int, ...]] = {
    "many": (33_334, 9), "wide": (1, 2*NUMPY_BLOCK + 17), "wider": (3, C_BLOCK + 1), "exact": (3, C_BLOCK),
    "under": (5, C_BLOCK - 1), "vector": (2*C_BLOCK + 3,),
}  # fmt: skip
"""Rows that are far shorter than a block, far longer, and as long as one, or nearly."""
SHARED: dict[str, dict[str, tuple[int, ...]]] = {
    "short": {
        "vector": (1_100_003,), "column": (70_001, 1), "narrow": (350_001, 3), "matrix": (1_501, 701), "empty": (0,),
        "hollow": (3, 0), "one": (1,),
    },
    "long": {"row": (1, 70_001), "few": (44, 50_003), "longer": (9, 131_101), "column": (140_001, 1)},
}  # fmt: skip
"""Enough elements for several threads: rows that are shorter than their work arrays, and longer ones."""
OPTIONS: dict[str, list[dict[str, Any]]] = {"conditional": [{}, {"flag": True}]}


@pytest.mark.parametrize("name", RULES)
def test_targets_do_what_the_interpreter_does(name: str, target: str, dtype: Float) -> None:
    start, gradients = tame(SHAPES, dtype, 1), [tame(SHAPES, dtype, seed) for seed in (2, 3, 4)]
    rule = rule_from(HEAD + RULES[name])
    for exact in (False, True):
        made = loads(HEAD + RULES[name], target, exact=exact)
        for options in OPTIONS.get(name, [{}]):
            assert_near_path(walk(made, start, gradients, options), interpret(rule, start, gradients, options), 50)


@pytest.mark.parametrize("name", ["of-rows", "of-all"])
def test_large_tensors_are_no_different_and_threads_change_nothing(
    name: str, target: str, dtype: Float, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, gradients = tame(LARGE, dtype, 1), [tame(LARGE, dtype, seed) for seed in (2, 3)]
    made = loads(HEAD + RULES[name], target)
    paths = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("OPTDSL_NUM_THREADS", threads)
        paths.append(walk(made, start, gradients, {}))
    assert_near_path(paths[0], interpret(rule_from(HEAD + RULES[name]), start, gradients, {}))
    for other in paths[1:]:
        assert all(same(a[key], b[key]) for a, b in zip(paths[0], other, strict=True) for key in a)


@pytest.mark.parametrize("name", ["of-rows", "every", "conditional", "counted"])
@pytest.mark.parametrize("rows", SHARED)
def test_tensors_that_threads_share_row_by_row(
    rows: str, name: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever steps a row, and with however many others, finds the interpreter's numbers and the same bits."""
    # Sums of long rows differ by the parts they are added up in, which rounding to float32 would hide.
    dtype: Float = np.dtype(np.float64) if rows == "long" else np.dtype(np.float32)
    shapes = SHARED[rows]
    start, gradients = tame(shapes, dtype, 1), [tame(shapes, dtype, seed) for seed in (2, 3)]
    made = loads(HEAD + RULES[name], target)
    paths = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OPTDSL_NUM_THREADS", threads)
        paths.append(walk(made, start, gradients, {}))
    assert_near_path(paths[0], interpret(rule_from(HEAD + RULES[name]), start, gradients, {}))
    for other in paths[1:]:
        assert all(same(a[key], b[key]) for a, b in zip(paths[0], other, strict=True) for key in a)


@pytest.mark.parametrize(("name", "shape", "workers"), [("of-rows", (1 << 20, 2), 2), ("of-all", (1 << 20, 2), 1)])
def test_threads_share_a_tensor_where_rows_are_apart(
    name: str, shape: tuple[int, ...], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def share(work: Callable[[int], None], count: int) -> None:
        taken.append(count)
        crew.share(work, count)

    monkeypatch.setattr(numpy_kernel, "share", share)
    monkeypatch.setenv("OPTDSL_NUM_THREADS", "2")
    loads(HEAD + RULES[name], "numpy")([np.ones(shape, np.float32)]).step([np.ones(shape, np.float32)])
    assert taken == [workers]


def test_the_layout_in_memory_means_nothing(target: str, dtype: Float) -> None:
    """A parameter or a gradient in Fortran order, transposed or with gaps has the rows of its shape."""
    made = loads(HEAD + RULES["of-rows"], target)
    value, given = tame({"a": (4, 3, 5), "b": (4, 3, 5)}, dtype, 1).values()
    expected = value.copy()
    made([expected]).step([given])
    gaps = np.zeros((8, 3, 10), dtype)
    wide = gaps[::2, :, ::2]
    turned = np.ascontiguousarray(value.transpose(2, 0, 1)).transpose(1, 2, 0)
    wide[...] = value
    for array in (np.asfortranarray(value), turned, wide, value[::-1].copy()[::-1]):
        for gradient in (given, np.asfortranarray(given), given.T.copy().T):
            own = array.copy(order="K") if array is not wide else wide
            own[...] = value
            made([own]).step([gradient])
            assert same(np.ascontiguousarray(own), expected)
    assert not gaps[1::2].any()


def test_what_isnt_a_number_stays_in_its_row(target: str, dtype: Float) -> None:
    made = loads(HEAD + "update\n  x' = x - mean(g, axes=rest) - amax(g, axes=rest)\n", target)
    x, g = np.zeros((3, 40), dtype), np.ones((3, 40), dtype)
    g[1, 17] = np.nan
    made([x]).step([g])
    assert (x[[0, 2]] == -2).all()
    assert np.isnan(x[1]).all()


def test_a_row_is_rounded_once_when_it_is_whole(target: str) -> None:
    """Squares that float32 can't hold are no hindrance, and neither is a sum that it can't."""
    made = loads(HEAD + "update\n  x' = norm(g, axes=rest) + mean(g, axes=rest)\n", target)
    x = np.zeros((2, 4), np.float32)
    made([x]).step([np.full((2, 4), 1e38, np.float32)])
    assert (x == np.float32(2e38) + np.float32(1e38)).all()


def test_zeros_are_positive(target: str, dtype: Float) -> None:
    made = loads(HEAD + "update\n  x' = amax(g, axes=rest)*1 + 0*x\n", target)
    for shape in ((2, 3), (4,), (2, 40)):
        x = np.full(shape, -1.0, dtype)
        made([x], lr=0.0).step([np.full(shape, -0.0, dtype)])
        assert not np.signbit(x).any()


def test_clipping_and_scaling_come_before(target: str) -> None:
    x = np.zeros((2, 3))
    g = np.array([[4.0, 1.0, 0.0], [0.5, 0.5, 0.5]])
    loads(HEAD + RULES["centralised"], target)([x], lr=1.0, clip_value=1.0, maximize=True).step([g])
    clipped = np.minimum(g, 1.0)
    assert np.allclose(x, clipped - clipped.mean(axis=1, keepdims=True), rtol=1e-15)


@pytest.mark.parametrize(("centralised", "plain"), [("adamgc", "adam"), ("sgdgc", "sgd")])
def test_bundled_rules_are_the_plain_ones_on_centralised_gradients(
    centralised: str, plain: str, target: str, dtype: Float
) -> None:
    shapes = {"matrix": (5, 7), "kernel": (3, 2, 3, 3), "vector": (6,), "number": ()}
    start, gradients = tame(shapes, dtype, 1), [tame(shapes, dtype, seed) for seed in range(2, 12)]
    options: dict[str, Any] = {"lr": 0.05, **({"momentum": 0.9} if plain == "sgd" else {})}

    def without_mean(g: Any) -> Any:
        rest = tuple(range(1, g.ndim))
        return (g - g.mean(axis=rest, keepdims=True, dtype=np.float64).astype(dtype)) if rest else g

    by_hand: list[Snapshot] = [{name: without_mean(g) for name, g in given.items()} for given in gradients]
    ours = walk(load(centralised, target), start, gradients, options)
    assert_near_path(ours, walk(load(plain, target), start, by_hand, options), 500)


def test_a_state_can_begin_as_a_reduction_over_rows(target: str, dtype: Float) -> None:
    text = (
        HEAD + "state\n  m = norm(x, axes=rest) + ndim(x)\n  n = dot(x, x, axes=rest)\n\nupdate\n  m' = m\n  n' = n\n"
    )
    x = tame({"a": (4, 3)}, dtype, 1)["a"]
    rule = rule_from(text + "  x' = x - lr*g*m*n\n")
    optimizer = loads(text + "  x' = x - lr*g*m*n\n", target)([x])
    optimizer.init_state()
    meant = evaluate.initial_states(rule, Arrays(dtype), evaluate.defaults(rule), x.reshape(-1), (4, 3))
    for name in ("m", "n"):
        assert np.allclose(optimizer.state["0"][name].reshape(-1), meant[name], rtol=4 * np.finfo(dtype).eps)
    assert np.allclose(optimizer.state["0"]["m"][:, 0], np.linalg.norm(x, axis=1) + 2, rtol=1e-6)


def test_numbers_of_rows_are_made_once(tmp_path: Path) -> None:
    """A step in a steady state makes no array of as many numbers as there are rows."""
    import tracemalloc

    x = np.zeros((200_000, 2))
    optimizer = loads(HEAD + RULES["centralised"], "numpy")([x])
    optimizer.step([x.copy()])
    gradient = x.copy()
    optimizer.step([gradient])
    tracemalloc.start()
    optimizer.step([gradient])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000
