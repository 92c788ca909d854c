"""50-digit numbers that carry the Σ|terms| their rounding errors are judged by: what one value at a time should be.

`sizes.py` computes the same for columns; tests hold the two, and everything compiled, against this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from optdsl.ir.arithmetic import Digits, Lists
from optdsl.ir.nodes import COMPARISONS, Op


@dataclass(frozen=True)
class Term:
    """A number with the sum of the magnitudes it was added up from; `exact` where floats hold it without rounding."""

    value: Any
    size: Any
    exact: bool = False


class Terms(Lists):
    """Arithmetic on terms. `least` is the size of a product or quotient that nearly underflows.

    `doubtful` becomes true where a decision hangs by no more than `doubt` times the sizes of what is compared.
    """

    def __init__(self, least: float = 0.0, doubt: float = 0.0) -> None:
        self.digits = Digits(50)
        self.least, self.doubt = self.digits.literal(least), self.digits.literal(doubt)
        self.doubtful = False
        mp = self.digits.context
        self._slopes: dict[Op, Callable[..., Any]] = {
            Op.SQRT: lambda result, a: self._over(1, 2 * result),
            Op.CBRT: lambda result, a: self._over(1, 3 * result**2),
            Op.EXP: lambda result, a: result,
            Op.EXPM1: lambda result, a: result + 1,
            Op.LOG: lambda result, a: self._over(1, a),
            Op.LOG1P: lambda result, a: self._over(1, 1 + a),
            Op.SIN: lambda result, a: mp.mpf(1),
            Op.COS: lambda result, a: mp.mpf(1),
            Op.TANH: lambda result, a: mp.mpf(1),
        }

    def literal(self, value: Fraction | float) -> Term:
        number = self.digits.literal(value)
        return Term(number, abs(number))

    def given(self, value: float) -> Term:
        """Return a number that is a float."""
        number = self.digits.literal(value)
        return Term(number, abs(number), exact=True)

    def scalar(self, op: Op, args: tuple[Any, ...]) -> Any:
        terms = [arg for arg in args if isinstance(arg, Term)]
        values = tuple(arg.value if isinstance(arg, Term) else arg for arg in args)
        result = self.digits.scalar(op, values)
        if op in COMPARISONS or op in (Op.SIGN, Op.FLOOR, Op.MOD):
            self._decide(op, terms)
        if isinstance(result, bool):
            return result
        return Term(result, self._size(op, result, values, [term.size for term in terms]))

    def _decide(self, op: Op, terms: list[Term]) -> None:
        """Notice where rounding could tip a decision."""
        if all(term.exact for term in terms):
            return
        values, sizes = [term.value for term in terms], sum(term.size for term in terms)
        gap = values[0] - (values[1] if len(values) > 1 else 0)
        if op is Op.MOD:  # jumps where the divisor goes into the number without a remainder
            gap, left = values[1], abs(self.digits.scalar(op, tuple(values)))
            gap = min(left, abs(gap) - left)
        elif op is Op.FLOOR:
            gap -= self.digits.context.nint(gap)
        self.doubtful = self.doubtful or bool(abs(gap) <= self.doubt * sizes and sizes > 0)

    def _over(self, a: Any, b: Any) -> Any:
        return self.digits.context.inf if b == 0 else abs(a / b)

    def _size(self, op: Op, result: Any, values: tuple[Any, ...], sizes: list[Any]) -> Any:
        match op:
            case Op.ADD | Op.SUB:
                return sizes[0] + sizes[1]
            case Op.MIN | Op.MAX:
                return max(sizes)
            case Op.NEG | Op.ABS:
                return sizes[0]
            case Op.MUL:
                grown = self._times(sizes[0], sizes[1])
                return max(grown, self.least if values[0] * values[1] != 0 else 0)
            case Op.DIV:
                grown = self._times(sizes[0], self._over(1, values[1]))
                grown += self._times(sizes[1], self._over(result, values[1]))
                return max(grown, self.least if values[0] != 0 else 0)
            case Op.MOD:
                return sizes[0] + self._times(sizes[1], self._over(values[0], values[1]))
            case Op.POW:
                slopes = self._over(result * values[1], values[0]), abs(result * self._log(values[0]))
                grown = sum(self._times(size, slope) for size, slope in zip(sizes, slopes, strict=True))
                return max(abs(result) + grown, self.least if values[0] != 0 else 0)
        if op in self._slopes:
            return abs(result) + self._times(sizes[0], abs(self._slopes[op](result, values[0])))
        return abs(result)

    def _times(self, size: Any, slope: Any) -> Any:
        """Return a product; what is exactly 0 stays so beside what may be anything."""
        return size * slope if size != 0 and slope != 0 else self.digits.context.mpf(0)

    def _log(self, value: Any) -> Any:
        return self.digits.context.log(abs(value)) if value != 0 else self.digits.context.mpf(0)
