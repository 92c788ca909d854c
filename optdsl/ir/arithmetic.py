"""Kinds of number: what each primitive does to scalars and to the elements of a tensor.

`Floats` computes in Python floats over lists, `Arrays` in NumPy arrays of one element type, `Digits` in mpmath numbers
of any precision.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from optdsl.ir import ieee
from optdsl.ir.nodes import Fold, Op, RowFold
from optdsl.ir.storage import rounded, storage_type

Scalar = Any  # float, mpf or bool
Elements = Any  # list of numbers, or ndarray


class Arithmetic(Protocol):
    """A kind of number: what each primitive does to scalars and to the elements of a tensor."""

    def literal(self, value: Fraction | float) -> Scalar:
        """Return the scalar nearest to an exact value."""

    def scalar(self, op: Op, args: tuple[Scalar, ...]) -> Scalar:
        """Apply a primitive to scalars."""

    def elements(self, op: Op, args: tuple[Elements | Scalar, ...], size: int) -> Elements:
        """Apply a primitive element by element; scalars among the arguments are rounded and repeated."""

    def select(self, condition: Elements, chosen: Any, other: Any, size: int) -> Elements:
        """Choose element by element."""

    def fold(self, fold: Fold, args: tuple[Elements, ...]) -> Scalar:
        """Reduce elements to one scalar."""

    def fold_rows(self, fold: RowFold, args: tuple[Elements, ...], width: int) -> Elements:
        """Reduce each run of `width` elements, and give each of them the result, rounded."""

    def spread(self, value: Scalar, size: int) -> Elements:
        """Return a tensor whose every element is a scalar, rounded."""

    def load(self, value: Any) -> Any:
        """Return a stored state in the type of element arithmetic."""

    def store(self, value: Any, storage: str | None) -> Any:
        """Return a new state in the element type its declaration asks for."""


_FLOAT_OPS: dict[Op, Callable[..., Any]] = {
    Op.NEG: lambda a: -a,
    Op.ADD: lambda a, b: a + b,
    Op.SUB: lambda a, b: a - b,
    Op.MUL: lambda a, b: a * b,
    Op.DIV: ieee.divide,
    Op.MOD: ieee.modulo,
    Op.POW: ieee.power,
    Op.LT: lambda a, b: a < b,
    Op.LE: lambda a, b: a <= b,
    Op.GT: lambda a, b: a > b,
    Op.GE: lambda a, b: a >= b,
    Op.EQ: lambda a, b: a == b,
    Op.NE: lambda a, b: a != b,
    Op.AND: lambda a, b: a and b,
    Op.OR: lambda a, b: a or b,
    Op.NOT: lambda a: not a,
    Op.ABS: ieee.absolute,
    Op.SIGN: ieee.sign,
    Op.SQRT: ieee.sqrt,
    Op.CBRT: ieee.cbrt,
    Op.EXP: ieee.exp,
    Op.EXPM1: ieee.expm1,
    Op.LOG: ieee.log,
    Op.LOG1P: ieee.log1p,
    Op.SIN: ieee.sin,
    Op.COS: ieee.cos,
    Op.TANH: ieee.tanh,
    Op.FLOOR: ieee.floor,
    Op.MIN: ieee.minimum,
    Op.MAX: ieee.maximum,
}


_WHOLE = {
    RowFold.SUM: Fold.SUM, RowFold.MEAN: Fold.SUM, RowFold.DOT: Fold.DOT, RowFold.NORM: Fold.DOT,
    RowFold.RMS: Fold.DOT, RowFold.AMAX: Fold.AMAX,
}  # fmt: skip
"""What the elements of a row are joined by."""


class Lists(ABC):
    """Element operations over lists of numbers, one number at a time: what subclasses do to scalars."""

    @abstractmethod
    def scalar(self, op: Op, args: tuple[Scalar, ...]) -> Scalar: ...

    def elements(self, op: Op, args: tuple[Any, ...], size: int) -> list[Any]:
        columns = [arg if isinstance(arg, list) else [arg] * size for arg in args]
        return [self.scalar(op, row) for row in zip(*columns, strict=True)]

    def select(self, condition: list[bool], chosen: Any, other: Any, size: int) -> list[Any]:
        chosen, other = self.spread(chosen, size), self.spread(other, size)
        return [a if c else b for c, a, b in zip(condition, chosen, other, strict=True)]

    def spread(self, value: Any, size: int) -> list[Any]:
        return value if isinstance(value, list) else [value] * size

    def load(self, value: Any) -> Any:
        return value

    def store(self, value: Any, storage: str | None) -> Any:
        return value

    def fold(self, fold: Fold, args: tuple[list[Any], ...]) -> Scalar:
        first, join = self.literal(Fraction(0)), Op.ADD
        terms = list(args[0])
        if fold is Fold.DOT:
            terms = [self.scalar(Op.MUL, row) for row in zip(*args, strict=True)]
        elif fold is Fold.AMAX:
            join = Op.MAX
            first = terms.pop(0) if terms else self.literal(-ieee.INF)
        for term in terms:
            first = self.scalar(join, (first, term))
        if fold is Fold.AMAX:  # of zeros it is +0, whatever order they are looked at
            first = self.scalar(Op.ADD, (first, self.literal(Fraction(0))))
        return first

    def fold_rows(self, fold: RowFold, args: tuple[list[Any], ...], width: int) -> list[Any]:
        if width == 0:
            return []
        rows = (tuple(arg[start : start + width] for arg in args) for start in range(0, len(args[0]), width))
        return [value for row in rows for value in [self._folded_row(fold, row)] * width]

    def _folded_row(self, fold: RowFold, args: tuple[list[Any], ...]) -> Scalar:
        square = fold in (RowFold.NORM, RowFold.RMS)
        value = self.fold(_WHOLE[fold], args * 2 if square else args)
        if fold in (RowFold.MEAN, RowFold.RMS):
            value = self.scalar(Op.DIV, (value, self.literal(Fraction(len(args[0])))))
        return self.scalar(Op.SQRT, (value,)) if square else value

    @abstractmethod
    def literal(self, value: Fraction | float) -> Scalar: ...


class Floats(Lists):
    """Python floats: IEEE float64 for scalars and elements."""

    def literal(self, value: Fraction | float) -> float:
        return float(value)

    def scalar(self, op: Op, args: tuple[Scalar, ...]) -> Scalar:
        return _FLOAT_OPS[op](*args)


class Digits(Lists):
    """mpmath numbers of a stated number of decimal digits.

    A value that isn't real is NaN, and so is one beyond 2^2000, far outside any float: the `exp` of it would need as
    many digits as it counts.
    """

    LARGEST = 2000

    def __init__(self, digits: int = 50) -> None:
        import mpmath

        self.context = mpmath.MPContext()
        self.context.dps = digits
        mp = self.context
        self._functions: dict[Op, Callable[..., Any]] = {
            Op.DIV: self._divide,
            Op.MOD: self._modulo,
            Op.POW: self._power,
            Op.ABS: abs,
            Op.SQRT: mp.sqrt,
            Op.CBRT: lambda a: mp.sign(a) * mp.cbrt(abs(a)),
            Op.EXP: mp.exp,
            Op.EXPM1: mp.expm1,
            Op.LOG: lambda a: -mp.inf if a == 0 else mp.log(a),
            Op.LOG1P: lambda a: -mp.inf if a == -1 else mp.log(1 + a),
            Op.SIN: mp.sin,
            Op.COS: mp.cos,
            Op.TANH: mp.tanh,
            Op.FLOOR: mp.floor,
            Op.SIGN: lambda a: a if a != a else mp.sign(a),
        }

    def literal(self, value: Fraction | float) -> Scalar:
        if isinstance(value, Fraction):
            return self.context.mpf(value.numerator) / value.denominator
        return self.context.mpf(value)

    def scalar(self, op: Op, args: tuple[Scalar, ...]) -> Scalar:
        result = self._functions.get(op, _FLOAT_OPS[op])(*args)
        if isinstance(result, bool):
            return result
        if not isinstance(result, self.context.mpf):
            return self.context.nan
        huge = self.context.isfinite(result) and self.context.mag(result) > self.LARGEST
        return self.context.nan if huge else result

    def _divide(self, a: Scalar, b: Scalar) -> Scalar:
        if b != 0:
            return a / b
        return self.context.nan if a != a or a == 0 else self.context.sign(a) * self.context.inf

    def _modulo(self, a: Scalar, b: Scalar) -> Scalar:
        if b == 0 or b != b or not self.context.isfinite(a):
            return self.context.nan
        if self.context.isinf(b):
            return a if a == 0 or (a > 0) == (b > 0) else b
        return a % b

    def _power(self, a: Scalar, b: Scalar) -> Scalar:
        if a == 0 and b < 0:
            return self.context.inf
        return self.context.power(a, b)


_ARRAY_OPS: dict[Op, np.ufunc] = {
    Op.NEG: np.negative,
    Op.ADD: np.add,
    Op.SUB: np.subtract,
    Op.MUL: np.multiply,
    Op.DIV: np.divide,
    Op.MOD: np.remainder,
    Op.POW: np.power,
    Op.LT: np.less,
    Op.LE: np.less_equal,
    Op.GT: np.greater,
    Op.GE: np.greater_equal,
    Op.EQ: np.equal,
    Op.NE: np.not_equal,
    Op.AND: np.logical_and,
    Op.OR: np.logical_or,
    Op.NOT: np.logical_not,
    Op.ABS: np.absolute,
    Op.SIGN: np.sign,
    Op.SQRT: np.sqrt,
    Op.CBRT: np.cbrt,
    Op.EXP: np.exp,
    Op.EXPM1: np.expm1,
    Op.LOG: np.log,
    Op.LOG1P: np.log1p,
    Op.SIN: np.sin,
    Op.COS: np.cos,
    Op.TANH: np.tanh,
    Op.FLOOR: np.floor,
}


class Arrays:
    """NumPy arrays of one element type; scalars stay Python floats until they enter element arithmetic."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)

    def literal(self, value: Fraction | float) -> float:
        return float(value)

    def scalar(self, op: Op, args: tuple[Scalar, ...]) -> Scalar:
        return _FLOAT_OPS[op](*args)

    def _round(self, value: Any) -> Any:
        return value if isinstance(value, np.ndarray | bool) else self.dtype.type(value)

    def elements(self, op: Op, args: tuple[Any, ...], size: int) -> Any:
        with np.errstate(all="ignore"):
            values = [self._round(arg) for arg in args]
            if op in (Op.MIN, Op.MAX):
                a, b = np.broadcast_arrays(*values)
                wins = a < b if op is Op.MIN else a > b
                result = np.where(wins | np.isnan(a), a, b)
            else:
                result = np.asarray(_ARRAY_OPS[op](*values))
        # Where a scalar condition chose a scalar for every argument, the value is one number all the same.
        return result if result.ndim else np.full(size, result)

    def select(self, condition: Any, chosen: Any, other: Any, size: int) -> Any:
        return np.where(condition, self.spread(chosen, size), self.spread(other, size))

    def spread(self, value: Any, size: int) -> Any:
        if isinstance(value, np.ndarray):
            return value
        with np.errstate(all="ignore"):
            return np.full(size, value, bool if isinstance(value, bool) else self.dtype)

    def load(self, value: Any) -> Any:
        with np.errstate(all="ignore"):
            return value.astype(self.dtype) if isinstance(value, np.ndarray) else value

    def store(self, value: Any, storage: str | None) -> Any:
        with np.errstate(all="ignore"):
            return value if storage is None else rounded(value, storage_type(storage))

    def fold(self, fold: Fold, args: tuple[Any, ...]) -> float:
        wide = [arg.astype(np.float64) for arg in args]
        with np.errstate(all="ignore"):
            match fold:
                case Fold.SUM:
                    return float(np.sum(wide[0]))
                case Fold.DOT:
                    return float(np.sum(wide[0] * wide[1]))
                case Fold.AMAX:
                    return float(np.max(wide[0], initial=-np.inf)) + 0.0

    def fold_rows(self, fold: RowFold, args: tuple[Any, ...], width: int) -> Any:
        wide = [arg.astype(np.float64).reshape(-1, width) if width else arg for arg in args]
        if width == 0:
            return wide[0]
        with np.errstate(all="ignore"):
            if fold is RowFold.AMAX:
                values = np.max(wide[0], axis=1) + 0.0
            else:
                terms = wide[0] if _WHOLE[fold] is Fold.SUM else wide[0] * wide[-1]
                values = np.sum(terms, axis=1)
            if fold in (RowFold.MEAN, RowFold.RMS):
                values = values / width
            if fold in (RowFold.NORM, RowFold.RMS):
                values = np.sqrt(values)
            return np.repeat(values.astype(self.dtype), width)
