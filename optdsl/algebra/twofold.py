"""Arithmetic that knows how far its rounding goes, so that no rounding error is taken for a difference.

Every number is carried twice, in 50 digits and in 800, which hold the sum of the largest and the smallest float. What
the two differ by says how much of the shorter one is rounding. Where rounding decides which way a rule goes (of a
comparison, a sign, what a root or a quotient is), or a number is too large to write out, `Doubtful` is raised.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from optdsl.ir.arithmetic import Digits, Lists, Scalar
from optdsl.ir.nodes import COMPARISONS, Op

MANY = 800
"""Digits of the longer number."""
MARGIN = 10
"""How many times as large as its rounding a number is that is known not to be 0."""


class Doubtful(Exception):
    """Rounding decides which way a rule goes."""


@cache
def digits() -> Digits:
    """Return 50-digit arithmetic."""
    return Digits(50)


@dataclass(frozen=True)
class Pair:
    """A number in few digits and in many."""

    few: Any
    many: Any

    def __float__(self) -> float:
        return float(self.many)


class Twofold(Lists):
    """Pairs of mpmath numbers."""

    def __init__(self) -> None:
        self.few, self.many = digits(), Digits(MANY)

    def literal(self, value: Fraction | float) -> Pair:
        return Pair(self.few.literal(value), self.many.literal(value))

    def scalar(self, op: Op, args: tuple[Scalar, ...]) -> Scalar:
        if not isinstance(args[0], Pair):
            return self.few.scalar(op, args)
        self._check(op, args)
        few = self.few.scalar(op, tuple(arg.few for arg in args))
        many = self.many.scalar(op, tuple(arg.many for arg in args))
        if isinstance(many, bool):
            return many
        if self._too_large(op, args, many):
            raise Doubtful
        return Pair(few, many)

    def _too_large(self, op: Op, args: tuple[Pair, ...], result: Any) -> bool:
        """Return whether a number is missing only for its size: it is beyond what is written out."""
        if result == result or not all(self.many.context.isfinite(arg.many) for arg in args):
            return False
        grows = op in (Op.ADD, Op.SUB, Op.MUL, Op.EXP, Op.EXPM1)
        return grows or (op is Op.DIV and args[1].many != 0) or (op is Op.POW and args[0].many > 0)

    def clear(self, value: Pair) -> bool:
        """Return whether the sign of a number is beyond doubt, or that it isn't a number."""
        short, long = self.many.context.convert(value.few), value.many
        if self.many.context.isfinite(short) and self.many.context.isfinite(long):
            return bool(short == long or abs(long) > MARGIN * abs(short - long))
        return bool(short == long or (short != short and long != long))

    def apart(self, a: Pair, b: Pair) -> int:
        """Return the sign of a - b: 0 where the two may be equal, and 1 where only one of them is a number."""
        numbers = [self.many.context.isfinite(pair.many) for pair in (a, b)]
        if not all(numbers):
            return int(any(numbers))
        difference = self.scalar(Op.SUB, (a, b))
        return int(self.many.context.sign(difference.many)) if self.clear(difference) else 0

    def _check(self, op: Op, args: tuple[Pair, ...]) -> None:
        """Raise `Doubtful` where an operation jumps, or leaves the numbers, within rounding."""
        turning: tuple[Pair, ...] = ()
        if op in COMPARISONS:
            turning = (self.scalar(Op.SUB, args),) if args[0] != args[1] else ()
        elif op in (Op.SIGN, Op.SQRT, Op.LOG):
            turning = args
        elif op is Op.LOG1P:
            turning = (self.scalar(Op.ADD, (args[0], self.literal(Fraction(1)))),)
        elif op is Op.DIV:
            turning = args[1:]
        elif op is Op.POW:
            turning = args
        elif op is Op.MOD:
            turning = (args[1], *self._beyond_whole(self.scalar(Op.DIV, args)))
        elif op is Op.FLOOR:
            turning = self._beyond_whole(args[0])
        if not all(self.clear(value) for value in turning):
            raise Doubtful

    def _beyond_whole(self, value: Pair) -> tuple[Pair, ...]:
        """Return by how much a number differs from the nearest whole one; nothing where it is infinite or NaN."""
        if not self.many.context.isfinite(value.many):
            return ()
        near = self.many.context.nint(value.many)
        return (self.scalar(Op.SUB, (value, Pair(self.few.context.convert(near), near))),)
