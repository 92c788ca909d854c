"""Adam and momentum as people write them without a library: in NumPy, and as a loop for numba."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from optdsl.bench.data import Array, Data
from optdsl.runtime.kernel import threads

LR, BETA1, BETA2, EPS, MOMENTUM = 1e-3, 0.9, 0.999, 1e-8, 0.9
"""The defaults of the bundled rules."""


class _ByHand:
    """Parameters, gradients and states of zeros, for a loop over the tensors."""

    states = 2

    def __init__(self, data: Data) -> None:
        self._parameters = data.parameters()
        self._gradients = data.gradients()
        self._states = [[np.full_like(x, 0) for _ in range(self.states)] for x in self._parameters]
        self._steps = 0

    def step(self) -> object:
        """Make one step."""
        self._steps += 1
        for x, g, states in zip(self._parameters, self._gradients.now, self._states, strict=True):
            self.update(x, g, self._steps, *states)
        return None

    def update(self, x: Array, g: Array, t: int, *states: Array) -> None:
        """Step one tensor."""
        raise NotImplementedError

    def renew(self) -> None:
        """Take other gradient arrays."""
        self._gradients.renew()

    def parameters(self) -> Sequence[Array]:
        """Return the parameters."""
        return self._parameters


class Adam(_ByHand):
    """Adam as it is usually written: states in place, temporaries for the rest."""

    def update(self, x: Array, g: Array, t: int, *states: Array) -> None:
        """Step one tensor."""
        m, v = states
        m *= BETA1
        m += (1 - BETA1) * g
        v *= BETA2
        v += (1 - BETA2) * g**2
        x -= LR * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPS)


class AdamOut(_ByHand):
    """Adam with `out=` everywhere and two scratch arrays: the best of NumPy one operation at a time."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        most = max(x.size for x in self._parameters)
        self._scratch = np.zeros(most, np.float32), np.zeros(most, np.float32)

    def update(self, x: Array, g: Array, t: int, *states: Array) -> None:
        """Step one tensor."""
        m, v = states
        a, b = (scratch[: x.size].reshape(x.shape) for scratch in self._scratch)
        np.multiply(m, BETA1, out=m)
        np.multiply(g, 1 - BETA1, out=a)
        np.add(m, a, out=m)
        np.multiply(v, BETA2, out=v)
        np.multiply(g, g, out=a)
        np.multiply(a, 1 - BETA2, out=a)
        np.add(v, a, out=v)
        np.divide(m, 1 - BETA1**t, out=a)
        np.divide(v, 1 - BETA2**t, out=b)
        np.sqrt(b, out=b)
        np.add(b, EPS, out=b)
        np.divide(a, b, out=a)
        np.multiply(a, LR, out=a)
        np.subtract(x, a, out=x)


class Momentum(_ByHand):
    """SGD with momentum as it is usually written."""

    states = 1

    def update(self, x: Array, g: Array, t: int, *states: Array) -> None:
        """Step one tensor."""
        (b,) = states
        b *= MOMENTUM
        b += g
        x -= LR * b


class MomentumOut(_ByHand):
    """SGD with momentum, with `out=` and one scratch array."""

    states = 1

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._scratch = np.zeros(max(x.size for x in self._parameters), np.float32)

    def update(self, x: Array, g: Array, t: int, *states: Array) -> None:
        """Step one tensor."""
        (b,) = states
        scratch = self._scratch[: x.size].reshape(x.shape)
        np.multiply(b, MOMENTUM, out=b)
        np.add(b, g, out=b)
        np.multiply(b, LR, out=scratch)
        np.subtract(x, scratch, out=x)


class NumbaAdam(_ByHand):
    """Adam as an explicit loop, compiled by numba for all threads."""

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._loop = _compiled("adam")

    def update(self, x: Array, g: Array, t: int, *states: Array) -> None:
        """Step one tensor."""
        m, v = (state.reshape(-1) for state in states)
        self._loop(x.reshape(-1), g.reshape(-1), m, v, np.float32(1 - BETA1**t), np.float32(1 - BETA2**t))


class NumbaMomentum(_ByHand):
    """SGD with momentum as an explicit loop, compiled by numba for all threads."""

    states = 1

    def __init__(self, data: Data) -> None:
        super().__init__(data)
        self._loop = _compiled("momentum")

    def update(self, x: Array, g: Array, t: int, *states: Array) -> None:
        """Step one tensor."""
        self._loop(x.reshape(-1), g.reshape(-1), states[0].reshape(-1))


@cache
def _compiled(name: str) -> Callable[..., None]:
    """Return a loop compiled by numba."""
    numba: Any = importlib.import_module("numba")
    numba.set_num_threads(min(threads(), numba.config.NUMBA_NUM_THREADS))
    each = numba.prange
    lr, beta1, beta2, eps, momentum, one = map(np.float32, (LR, BETA1, BETA2, EPS, MOMENTUM, 1))

    def adam(x: Any, g: Any, m: Any, v: Any, correction1: Any, correction2: Any) -> None:
        for i in each(x.size):
            m[i] = beta1 * m[i] + (one - beta1) * g[i]
            v[i] = beta2 * v[i] + (one - beta2) * g[i] * g[i]
            x[i] -= lr * (m[i] / correction1) / (np.sqrt(v[i] / correction2) + eps)

    def with_momentum(x: Any, g: Any, b: Any) -> None:
        for i in each(x.size):
            b[i] = momentum * b[i] + g[i]
            x[i] -= lr * b[i]

    loop: Callable[..., None] = numba.njit(parallel=True, error_model="numpy")(
        {"adam": adam, "momentum": with_momentum}[name]
    )
    return loop
