"""Optimizers of Keras 3 on JAX in float64, one for each parameter: it counts steps for all of them together."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..scenario import Array, Paths, Scenario, pack
from ..table import Row


def versions() -> dict[str, str]:
    """Return the versions installed."""
    return {name: importlib.metadata.version(name) for name in ("keras", "jax")}


def _keras() -> Any:
    """Return Keras on JAX."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    importlib.import_module("jax").config.update("jax_enable_x64", True)
    return importlib.import_module("keras")


@contextmanager
def _float64(keras: Any) -> Iterator[None]:
    """Make Keras keep learning rates, and whatever else it makes, in float64."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before)


def run(row: Row, plan: Scenario) -> Paths:
    """Return Keras's paths of a row."""
    keras = _keras()
    with _float64(keras):
        return _run(keras, row, plan)


def _run(keras: Any, row: Row, plan: Scenario) -> Paths:
    rates = None if row.lr is None else plan.rates(row.lr, 1)
    variables = {name: keras.Variable(value, dtype="float64", name=name) for name, value in plan.start.items()}
    optimizers = {}
    for name, variable in variables.items():
        given = {} if rates is None else {"learning_rate": rates[name]}
        optimizers[name] = getattr(keras.optimizers, row.theirs)(**given, **row.options)
        optimizers[name].build([variable])
    paths: dict[str, list[Array]] = {"": [], **{name: [] for name in row.state}}
    for step, gradients in enumerate(plan.gradients, start=1):
        if row.lr is not None and step == plan.lr_change_step:
            for name, rate in plan.rates(row.lr, step).items():
                optimizers[name].learning_rate.assign(rate)
        for name, gradient in gradients.items():
            if gradient is not None:
                optimizers[name].apply([keras.ops.convert_to_tensor(gradient)])
        if step in plan.recorded_steps:
            paths[""].append(pack({name: np.asarray(variable) for name, variable in variables.items()}))
            for state, entry in row.state.items():
                paths[state].append(pack({n: np.asarray(getattr(o, entry)[0]) for n, o in optimizers.items()}))
    return {name: np.stack(rows) for name, rows in paths.items()}
