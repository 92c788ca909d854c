"""Everything a generated module needs to step parameters: no compiler, no SymPy, no Lark."""

from math import inf, nan

from optdsl.ir import ieee
from optdsl.ir.interval import Interval
from optdsl.runtime.c_kernel import CKernel
from optdsl.runtime.numpy_kernel import NumpyKernel
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.rule import Hyper, RuleInfo, State, View

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
