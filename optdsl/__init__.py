"""Optimizer rules as equations, compiled to NumPy and C.

import optdsl
from optdsl.optimizers import Adam

optimizer = Adam(parameters, lr=1e-2)
optimizer.step(gradients)

MyRule = optdsl.load("my_rule.opt")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from optdsl.version import __version__ as __version__

if TYPE_CHECKING:
    from optdsl import schedules as schedules
    from optdsl.chaining import chain as chain
    from optdsl.diagnostics import CompileError as CompileError
    from optdsl.loading import load as load
    from optdsl.loading import loads as loads
    from optdsl.runtime.optimizer import Optimizer as Optimizer
    from optdsl.runtime.parameter import Parameter as Parameter
    from optdsl.runtime.toolchain import ToolchainError as ToolchainError
    from optdsl.runtime.train import train as train
    from optdsl.runtime.train import update as update

_HOMES = {
    "CompileError": "optdsl.diagnostics",
    "chain": "optdsl.chaining",
    "Optimizer": "optdsl.runtime.optimizer",
    "Parameter": "optdsl.runtime.parameter",
    "ToolchainError": "optdsl.runtime.toolchain",
    "load": "optdsl.loading",
    "loads": "optdsl.loading",
    "train": "optdsl.runtime.train",
    "update": "optdsl.runtime.train",
}
"""Public names and where they live; nothing is imported before it is asked for."""

_MODULES = ("optimizers", "schedules")

__all__ = [
    "CompileError", "Optimizer", "Parameter", "ToolchainError", "chain", "load", "loads", "optimizers", "schedules",
    "train", "update",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"optdsl.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
