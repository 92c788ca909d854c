"""Everything a generated module needs to step parameters: no compiler, no SymPy, no Lark."""

from importlib import import_module
from math import inf, nan
from typing import TYPE_CHECKING, Any

from optdsl.ir.interval import Interval
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.rule import Hyper, RuleInfo, State, View

if TYPE_CHECKING:
    from optdsl.ir import ieee as ieee
    from optdsl.runtime.c_kernel import CKernel as CKernel
    from optdsl.runtime.numpy_kernel import NumpyKernel as NumpyKernel

__all__ = [
    "CKernel",
    "Hyper",
    "Interval",
    "NumpyKernel",
    "Optimizer",
    "RuleInfo",
    "State",
    "View",
    "ieee",
    "inf",
    "nan",
]

_HOMES = {"CKernel": "optdsl.runtime.c_kernel", "NumpyKernel": "optdsl.runtime.numpy_kernel"}
"""What a module needs for its own target alone, and where it lives; imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name == "ieee":
        return import_module("optdsl.ir.ieee")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
