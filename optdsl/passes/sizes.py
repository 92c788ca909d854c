"""The Σ|terms| of expressions: what a rounding error is measured by.

The size of a value bounds its error by units of rounding, however it came about: a sum's is the sum of those of its
terms, and a function's follows from its slope. A product or quotient that comes near underflow has the size of the
least number that is clear of it: what a form loses below that depends on the order of its factors and isn't judged.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Kind, Op
from optdsl.passes.columns import Array, Column, Columns, FloatColumns, Part

CLEAR = 2.0**20
"""How many times the smallest normal number is clear of underflow."""


class Sizes(Columns):
    """Sizes of the parts of expressions, for elements of one type. Their values are taken in float64."""

    name = "sizes"

    def __init__(self, values: FloatColumns, dtype: Any) -> None:
        super().__init__(values.points)
        self.values = values
        self.limits = {False: np.finfo(np.float64), True: np.finfo(dtype)}

    def literal(self, value: Fraction | float) -> Column:
        return np.full(self.settings.count, abs(float(value)))

    def given(self, column: Array) -> Column:
        return np.abs(column.astype(np.float64))

    def elements(self, column: Array) -> Column:
        return self.given(column)

    def enter(self, column: Column) -> Column:
        return column[self.points.rows]

    def select(self, parts: tuple[Column, ...]) -> Column:
        return np.where(*parts)

    def apply(self, op: Op, parts: tuple[Column, ...], element: bool) -> Column:
        raise TypeError("the size of an operation follows from the values too")

    def _computed(self, part: Part) -> Column:
        if not isinstance(part.expr, ir.Apply | ir.Select):
            return super()._computed(part)
        if part.kind is Kind.BOOLEAN:
            raise TypeError("a truth value has no size")
        values = self.values.parts(part)
        if isinstance(part.expr, ir.Select):
            arms = part.parts[1:]
            return np.where(values[0], *((self.row if part.element else self.value)(arm) for arm in arms))
        result = self.values.value(self.settings.number(part.expr))
        with np.errstate(all="ignore"):
            grown = self._grown(part, np.asarray(result, np.float64), *(np.asarray(v, np.float64) for v in values))
            return np.nan_to_num(grown, nan=np.inf, posinf=np.inf)

    def _grown(self, part: Part, result: Array, a: Array, b: Any = None) -> Column:
        """Return the size of an operation on `a` and `b` whose value is `result`."""
        assert isinstance(part.expr, ir.Apply)
        limits = self.limits[part.element]
        size, other = (*self.parts(part), None)[:2]
        unit = float(limits.eps) / 2
        match part.expr.op:
            case Op.NEG | Op.ABS:
                return size
            case Op.ADD | Op.SUB:
                return size + other
            case Op.MIN | Op.MAX:
                return np.maximum(size, other)
            case Op.MUL:
                return _above_underflow(size * other, limits, a, b)
            case Op.DIV:
                return _above_underflow(size / np.abs(b) + np.abs(result) * (other / np.abs(b)), limits, a)
            case Op.MOD:
                return size + np.abs(a / b) * other
            case Op.POW:
                slopes = np.abs(b * result) * _share(size, a)
                slopes += np.where(a == 0, 0, np.abs(result * np.log(np.abs(a))) * other)
                return _above_underflow(np.abs(result) + slopes, limits, a)
            case Op.SQRT:
                return np.abs(result) + np.minimum(_share(size, 2 * result), np.sqrt(size / unit))
            case Op.CBRT:
                return np.abs(result) + np.minimum(_share(size, 3 * result**2), np.cbrt(size) / unit ** (2 / 3))
            case Op.EXP | Op.EXPM1:
                return np.abs(result) + np.exp(a) * size
            case Op.LOG:
                return np.abs(result) + _share(size, a)
            case Op.LOG1P:
                return np.abs(result) + _share(size, 1 + a)
            case Op.SIN | Op.COS | Op.TANH:
                return np.abs(result) + size
        return np.abs(result)  # sign and floor: a step too far is no matter of rounding


def _above_underflow(size: Column, limits: np.finfo[Any], *factors: Any) -> Column:
    nonzero = np.logical_and.reduce([factor != 0 for factor in factors])
    return np.where(nonzero, np.maximum(size, CLEAR * float(limits.tiny)), size)


def _share(size: Column, value: npt.NDArray[Any]) -> Column:
    """Return a size as a multiple of a value; nothing of nothing."""
    return np.where(size == 0, 0.0, size / np.abs(value))
