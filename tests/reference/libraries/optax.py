"""Optimizers of optax, one for each parameter: it knows neither groups nor missing gradients.

A learning rate changes through `optax.inject_hyperparams`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..scenario import Array, Paths, Scenario, pack
from ..table import Row

COMPILED = ("novograd",)
"""What makes new functions for JAX at every step, each of which would be compiled: compiled whole, once."""


def versions() -> dict[str, str]:
    """Return the versions installed."""
    return {name: importlib.metadata.version(name) for name in ("optax", "jax")}


def _factory(optax: Any, row: Row) -> Callable[..., Any]:
    """Return what makes the row's transformation of a learning rate."""
    kind = optax
    for name in row.theirs.split("."):
        kind = getattr(kind, name)
    if row.lr is None:
        return lambda: kind(**row.options)
    # Everything but the learning rate stays as given, a Python number.
    static = [name for name in inspect.signature(kind).parameters if name != "learning_rate"]
    injected = optax.inject_hyperparams(kind, static_args=static)
    return lambda learning_rate: injected(learning_rate=learning_rate, **row.options)


def _find(state: Any, name: str) -> Any:
    """Return the first entry of that name in a transformation's nested state, or None."""
    if name in getattr(state, "_fields", ()):
        return getattr(state, name)
    parts = state if isinstance(state, tuple) else ()
    return next((found for part in parts if (found := _find(part, name)) is not None), None)


class _Run:
    """One parameter with its transformation."""

    def __init__(self, row: Row, start: Array, rate: float | None) -> None:
        self.jax = importlib.import_module("jax")
        self.optax = importlib.import_module("optax")
        factory = _factory(self.optax, row)
        self.transform = factory() if rate is None else factory(learning_rate=rate)
        update = self.transform.update
        self.update: Callable[..., Any] = self.jax.jit(update) if row.theirs in COMPILED else update
        self.value = self.jax.numpy.asarray(start)
        self.state = self.transform.init(self.value)

    def set_rate(self, rate: float) -> None:
        """Change the learning rate."""
        self.state.hyperparams["learning_rate"] = self.jax.numpy.asarray(rate)

    def step(self, gradient: Array) -> None:
        """Make one step."""
        updates, self.state = self.update(self.jax.numpy.asarray(gradient), self.state, self.value)
        self.value = self.optax.apply_updates(self.value, updates)

    def shown(self, entry: str) -> Array:
        """Return an entry of the state; `f()` stands for optax's function `f` of state and parameter."""
        if not entry.endswith("()"):
            return np.asarray(_find(self.state, entry))
        function: Any = self.optax
        for part in entry[:-2].split("."):
            function = getattr(function, part)
        return np.asarray(function(getattr(self.state, "inner_state", self.state), self.value))


def run(row: Row, plan: Scenario) -> Paths:
    """Return optax's paths of a row."""
    importlib.import_module("jax").config.update("jax_enable_x64", True)
    rates: dict[str, Any] = dict.fromkeys(plan.start) if row.lr is None else plan.rates(row.lr, 1)
    runs = {name: _Run(row, value, rates[name]) for name, value in plan.start.items()}
    paths: dict[str, list[Array]] = {"": [], **{name: [] for name in row.state}}
    for step, gradients in enumerate(plan.gradients, start=1):
        if row.lr is not None and step == plan.lr_change_step:
            for name, rate in plan.rates(row.lr, step).items():
                runs[name].set_rate(rate)
        for name, gradient in gradients.items():
            if gradient is not None:
                runs[name].step(gradient)
        if step in plan.recorded_steps:
            paths[""].append(pack({name: np.asarray(one.value) for name, one in runs.items()}))
            for state, entry in row.state.items():
                paths[state].append(pack({name: one.shown(entry) for name, one in runs.items()}))
    return {name: np.stack(rows) for name, rows in paths.items()}
