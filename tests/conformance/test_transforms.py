"""Gradient transforms make of a gradient what their restatements in plain NumPy do, and optax where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import optdsl
from optdsl import bundled

Array = npt.NDArray[np.float64]
Walk = Iterator[Array]
"""The changed gradients, one a step; what makes them is given the parameter before each step and its gradient."""

SHAPES = {"matrix": (4, 3), "vector": (5,), "kernel": (3, 2, 2, 2), "number": ()}
STEPS = 20


def steps() -> dict[str, list[tuple[Array, Array]]]:
    """Return parameters and gradients of several steps, with zeros, by the name of a shape."""
    chance = np.random.default_rng(11)
    found = {}
    for name, shape in SHAPES.items():
        xs = [np.asarray(chance.standard_normal(shape)) for _ in range(STEPS)]
        gs = [np.asarray(chance.standard_normal(shape) * 4.0 ** chance.integers(-4, 3)) for _ in range(STEPS)]
        gs[3] = np.zeros(shape)
        xs[5] = np.zeros(shape)
        found[name] = list(zip(xs, gs, strict=True))
    return found


def each(change: Callable[[Array, Array], Any]) -> Callable[[list[tuple[Array, Array]]], Walk]:
    """Return the walk of a transform without state."""
    return lambda steps: (np.asarray(change(x, g)) for x, g in steps)


def rows(a: Array) -> Array:
    """Return the norm of each row, or of a vector, in the shape of the tensor but for axes of one."""
    return np.asarray(np.sqrt((a * a).sum(axis=tuple(range(1, a.ndim)) if a.ndim > 1 else None, keepdims=True)))


def traced(momentum: float, nesterov: bool) -> Callable[[list[tuple[Array, Array]]], Walk]:
    def walk(steps: list[tuple[Array, Array]]) -> Walk:
        sum_: Array = np.zeros_like(steps[0][1])
        for _, g in steps:
            sum_ = momentum * sum_ + g
            yield g + momentum * sum_ if nesterov else sum_

    return walk


def unit_clipped(clipping: float, eps: float) -> Callable[[Array, Array], Array]:
    def change(x: Array, g: Array) -> Array:
        most = clipping * np.maximum(rows(x), eps)
        return np.asarray(np.where(rows(g) < most, g, g * (most / np.maximum(rows(g), 1e-6))))

    return change


def trusted(coefficient: float, eps: float) -> Callable[[Array, Array], Array]:
    def change(x: Array, g: Array) -> Array:
        nx, ng = np.linalg.norm(x.ravel()), np.linalg.norm(g.ravel())
        return g * (coefficient * nx / (ng + eps)) if nx > 0 and ng > 0 else g

    return change


def norm(a: Array) -> float:
    return float(np.linalg.norm(a.ravel()))


def rms(a: Array) -> float:
    return float(np.sqrt(np.mean(a * a)))


Case = tuple[str, dict[str, Any], Callable[[list[tuple[Array, Array]]], Walk], Callable[[Any], Any] | None]
CASES: list[Case] = [
    ("clip_value", {"limit": 0.3}, each(lambda x, g: np.clip(g, -0.3, 0.3)), lambda o: o.clip(0.3)),
    ("clip_norm", {"limit": 0.7}, each(lambda x, g: g * min(0.7 / (norm(g) or 1e-300), 1)),
     lambda o: o.clip_by_global_norm(0.7)),
    ("clip_rms", {"limit": 0.4}, each(lambda x, g: g / max(1, rms(g) / 0.4)), lambda o: o.clip_by_block_rms(0.4)),
    ("normalize", {}, each(lambda x, g: g / (norm(g) or 1)), None),
    ("centralize", {}, each(lambda x, g: g - (g.mean(tuple(range(1, g.ndim)), keepdims=True) if g.ndim > 1 else 0)),
     lambda o: o.centralize()),
    ("sign", {}, each(lambda x, g: np.sign(g)), lambda o: o.scale_by_sign()),
    ("trace", {"momentum": 0.8}, traced(0.8, False), lambda o: o.trace(0.8)),
    ("trace", {"momentum": 0.8, "nesterov": True}, traced(0.8, True), lambda o: o.trace(0.8, nesterov=True)),
    ("weight_decay", {"weight_decay": 0.2}, each(lambda x, g: g + 0.2 * x), lambda o: o.add_decayed_weights(0.2)),
    ("sign_decay", {"decay": 0.2}, each(lambda x, g: g + 0.2 * np.sign(x)), None),
    ("trust_ratio", {}, each(trusted(1, 0)), lambda o: o.scale_by_trust_ratio()),
    ("trust_ratio", {"trust_coefficient": 0.1, "eps": 1e-2}, each(trusted(0.1, 1e-2)),
     lambda o: o.scale_by_trust_ratio(trust_coefficient=0.1, eps=1e-2)),
    ("scale", {"factor": 0.3}, each(lambda x, g: 0.3 * g), lambda o: o.scale(0.3)),
    ("adaptive_clip", {"clipping": 0.1}, each(unit_clipped(0.1, 1e-3)), lambda o: o.adaptive_grad_clip(0.1)),
    ("ema", {}, each(lambda x, g: g), lambda o: o.identity()),
]  # fmt: skip
NAMES = ["-".join([name, *(f"{key}={value:g}" for key, value in options.items())]) for name, options, _, _ in CASES]


@pytest.mark.parametrize(("name", "options", "restated", "_"), CASES, ids=NAMES)
def test_a_transform_is_its_restatement(name: str, options: dict[str, Any], restated: Any, _: Any, target: str) -> None:
    for shape, given in steps().items():
        x = np.zeros(SHAPES[shape])
        opt = optdsl.chain(name, "flux/descent", target=target, name="Changed")(x, eta=1, **options)
        for (start, g), expected in zip(given, restated(given), strict=True):
            x[...] = start
            opt.step(g)
            np.testing.assert_allclose(start - x, expected, rtol=1e-12, atol=1e-14, err_msg=shape)


IN_OPTAX = [pytest.param(*case, id=name) for case, name in zip(CASES, NAMES, strict=True) if case[3] is not None]


@pytest.mark.parametrize(("name", "_", "restated", "theirs"), IN_OPTAX)
def test_a_restatement_is_what_optax_does(name: str, _: Any, restated: Any, theirs: Any) -> None:
    jax = pytest.importorskip("jax", reason="optax runs on jax")
    optax = pytest.importorskip("optax", reason="optax is compared with where it is installed")
    columns = name == "adaptive_clip"  # optax takes the last axis for that of the units
    with jax.enable_x64(True):
        transform = theirs(optax)
        for given in steps().values():
            state = transform.init(turned(given[0][0], columns))
            for (x, g), expected in zip(given, restated(given), strict=True):
                new, state = transform.update(turned(g, columns), state, turned(x, columns))
                new = np.asarray(new)
                assert new.dtype == np.float64
                np.testing.assert_allclose(
                    np.moveaxis(new, -1, 0) if columns and new.ndim else new, expected, rtol=1e-12
                )


def turned(a: Array, columns: bool) -> Array:
    return np.moveaxis(a, 0, -1) if columns and a.ndim else a


def test_every_transform_is_compared() -> None:
    assert {*(name for name, _, _, _ in CASES), "lookahead", "zero_nans"} == set(bundled.transforms())


def test_nans_are_zeros(target: str) -> None:
    x = np.ones(4)
    optdsl.chain("zero_nans", "flux/descent", target=target)(x, eta=1).step(np.array([np.nan, np.inf, -2.0, 0.0]))
    np.testing.assert_array_equal(x, [1, -np.inf, 3, 1])


def test_the_average_is_that_of_the_parameters(target: str) -> None:
    x, average = np.array([1.0, -2.0]), np.array([1.0, -2.0])
    opt = optdsl.chain("adam", "ema", target=target)(x, lr=0.1, decay=0.75)
    for g in np.random.default_rng(2).standard_normal((9, 2)):
        opt.step(g)
        average = 0.75 * average + 0.25 * x
        np.testing.assert_allclose(opt.view("average"), average, rtol=1e-14)


def test_lookahead_draws_the_parameters_to_slow_weights(target: str) -> None:
    chance = np.random.default_rng(4)
    x, fast, slow = np.ones(3), np.ones(3), np.ones(3)
    m = np.zeros(3)
    opt = optdsl.chain("flux/momentum", "lookahead", target=target)(
        x, eta=0.1, rho=0.5, sync_period=4, slow_step_size=0.3
    )
    for t in range(1, 14):
        g = chance.standard_normal(3)
        opt.step(g)
        m = 0.5 * m + 0.1 * g
        fast = fast - m
        if t % 4 == 0:
            slow = slow + 0.3 * (fast - slow)
            fast = slow
        np.testing.assert_allclose(x, fast, rtol=1e-12)
