"""Rules compiled by hand, in the form that generated modules have: what the runtime is tested with."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.runtime.numpy_kernel import NumpyKernel
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.rule import Hyper, Interval, RuleInfo, State

Array = npt.NDArray[Any]
States = tuple[Any, ...]

NOT_NEGATIVE = Interval(0.0, inf, True, False)
DECAY = Interval(0.0, 1.0, True, False)


def step_of(body: Callable[..., None]) -> Callable[..., None]:
    """Make a kernel's step function of one that takes a limited gradient and named hyperparameters."""

    def step(
        x: Array, g: Array, states: States, scalars: Array, hypers: list[float], t: float, numbers: Any, masks: Any
    ) -> None:
        *values, clip_value, factor = hypers
        body(x, np.clip(g, -clip_value, clip_value) * g.dtype.type(factor), states, scalars, values, t)

    return step


@step_of
def _adam(x: Array, g: Array, states: States, scalars: Array, hypers: list[float], t: float) -> None:
    m, v, vmax = states
    lr, beta1, beta2, eps, amsgrad = hypers
    m[:] = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * g * g
    if amsgrad:
        vmax[:] = np.maximum(vmax, v)
    denominator = np.sqrt((vmax if amsgrad else v) / (1 - beta2**t)) + eps
    x -= lr * (m / (1 - beta1**t)) / denominator


class Adam(Optimizer):
    rule = RuleInfo(
        name="Adam",
        doc="Adam: steps scaled by bias-corrected running moments of the gradient.",
        citations=(("Kingma & Ba 2015", "arXiv:1412.6980"),),
        hypers=(
            Hyper("lr", 1e-3, NOT_NEGATIVE, doc="learning rate"),
            Hyper("beta1", 0.9, DECAY, doc="decay of the first moment"),
            Hyper("beta2", 0.999, DECAY, doc="decay of the second moment"),
            Hyper("eps", 1e-8, NOT_NEGATIVE, doc="added to the denominator"),
            Hyper("amsgrad", False, boolean=True),
        ),
        aliases={"betas": ("beta1", "beta2")},
        states=(
            State("m", init=lambda h, x: 0.0),
            State("v", init=lambda h, x: 0.0),
            State("vmax", init=lambda h, x: 0.0, when=lambda h: bool(h["amsgrad"])),
        ),
        equations=("m' = ema(m, g, beta1)", "v' = ema(v, g^2, beta2)", "x' = x - lr*m'/(sqrt(v') + eps)"),
        source="adam.opt",
        digest="a" * 64,
    )
    kernel = NumpyKernel(
        select=lambda h: int(bool(h["amsgrad"])),
        steps={0: _adam, 1: _adam},
        tensor_states=("m", "v", "vmax"),
        numbers=2,
        masks=0,
    )


@step_of
def _sgd(x: Array, g: Array, states: States, scalars: Array, hypers: list[float], t: float) -> None:
    (b,) = states
    lr, momentum, maximize = hypers
    d = -g if maximize else g
    if b is not None:
        b[:] = d if t == 1 else momentum * b + d
        d = b
    x -= (lr * d).astype(x.dtype)


class SGD(Optimizer):
    """Momentum, with a rule's own `maximize`."""

    rule = RuleInfo(
        name="SGD",
        hypers=(
            Hyper("lr", 1e-3, NOT_NEGATIVE),
            Hyper("momentum", 0, NOT_NEGATIVE),
            Hyper("maximize", False, boolean=True),
        ),
        states=(State("b", init=lambda h, x: 0.0, when=lambda h: h["momentum"] != 0),),
        equations=("b' = momentum*b + g", "x' = x - lr*b'"),
        digest="b" * 64,
    )
    kernel = NumpyKernel(
        select=lambda h: int(h["momentum"] != 0), steps={0: _sgd, 1: _sgd}, tensor_states=("b",), numbers=1, masks=0
    )


@step_of
def _mixed(x: Array, g: Array, states: States, scalars: Array, hypers: list[float], t: float) -> None:
    z, step, _ = states
    scalars[0] *= 0.5
    z += g
    x -= step * g


class Mixed(Optimizer):
    """A scalar state, states that start from the parameter and from lr, a keyword and a derived default as names."""

    rule = RuleInfo(
        name="Mixed",
        hypers=(
            Hyper("lr", 0.5, NOT_NEGATIVE),
            Hyper("lambda", 0.25, NOT_NEGATIVE),
            Hyper("double", lambda h: 2 * h["lr"], NOT_NEGATIVE),
        ),
        states=(
            State("z", init=lambda h, x: x),
            State("prod", init=lambda h, x: 1.0, scalar=True),
            State("step", init=lambda h, x: h["lr"]),
            State("extra", init=lambda h, x: 0.0, when=lambda h: h["lambda"] > 1),
        ),
        equations=(),
        digest="c" * 64,
    )
    kernel = NumpyKernel(
        select=lambda h: 0, steps={0: _mixed}, tensor_states=("z", "step", "extra"), numbers=0, masks=0
    )


class Breaking(SGD):
    """Fails where a kernel may fail: before anything has changed."""

    rule = SGD.rule
    kernel = NumpyKernel(select=lambda h: int(h["momentum"] != 0), steps={}, tensor_states=("b",), numbers=0, masks=0)


def adam_reference(x: Array, gradients: list[Array], lr: float = 1e-3) -> Array:
    """Return where Adam with default options takes x, computed on copies in the plainest way."""
    x, m, v = x.copy(), np.zeros_like(x), np.zeros_like(x)
    for t, g in enumerate(gradients, 1):
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g * g
        x = x - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return x
