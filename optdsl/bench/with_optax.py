"""Optimizers of optax as contestants: one jitted function, which takes parameters and states over in place."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optdsl.bench.data import Array, Data


class Optax:
    """One of optax's, on JAX's own arrays."""

    def __init__(self, kind: str, options: Mapping[str, Any], data: Data) -> None:
        self._jax: Any = importlib.import_module("jax")
        optax: Any = importlib.import_module("optax")
        transform = getattr(optax, kind)(**options)

        def update(parameters: Any, state: Any, gradients: Any) -> Any:
            updates, state = transform.update(gradients, state, parameters)
            return optax.apply_updates(parameters, updates), state

        self._update = self._jax.jit(update, donate_argnums=(0, 1))
        self._cpu = self._jax.devices("cpu")[0]
        self._gradients = data.gradients()
        self._parameters = [self._own(array) for array in data.parameters()]
        self._state = self._jax.jit(transform.init)(self._parameters)
        self.renew()

    def _own(self, array: Array) -> Any:
        """Return an array in JAX's memory: a copy, since what it shares it can't take over."""
        return self._jax.device_put(array, self._cpu, may_alias=False)

    def step(self) -> object:
        """Make one step, and wait for it."""
        self._parameters, self._state = self._update(self._parameters, self._state, self._given)
        return self._jax.block_until_ready((self._parameters, self._state))

    def renew(self) -> None:
        """Take other gradient arrays."""
        self._gradients.renew()
        self._given = self._jax.block_until_ready([self._own(array) for array in self._gradients.now])

    def parameters(self) -> Sequence[Array]:
        """Return copies of the parameters: JAX couldn't take over what is looked at."""
        return [np.array(array) for array in self._parameters]
