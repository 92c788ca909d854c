"""A normal form in which numbers that are equal look equal: rational functions of atoms.

Everything that isn't `+ - * /` becomes an atom, one symbol for each different value: a root of an irreducible factor,
the sign of one, a power with an open exponent, a reduction. An absolute value is written with a sign, the larger and
the smaller of two numbers with the positive part of their difference. The symbols have no assumptions, so SymPy does
nothing to them but the arithmetic of polynomials; what is known of them (`known.py`) is kept beside them.

A condition that isn't decided by what is known raises `Undecided`; `in_every_case` then answers for each sign in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from optdsl.algebra.construct import NotReal, Sym, Value, admitted, number
from optdsl.algebra.known import FROM, REAL, Atoms, Undecided, root_of
from optdsl.algebra.limits import TooLarge, Unknown
from optdsl.algebra.powers import Powers
from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Fold, Op, RowFold, Symbol

MOST_CASES = 250
"""Cases into which one question is split."""


def in_every_case(
    question: Callable[[Normal], bool], atoms: Atoms, intervals: Mapping[Symbol, Interval], reduces: bool
) -> bool:
    """Return whether the answer is yes whatever the undecided signs are.

    `reduces` says that the question has a reduction in it: then the sign of an element can't be taken for granted,
    since other elements have other signs. Raises `Unknown` where there are too many cases, or where that is needed.
    """
    cases: list[dict[Value, int]] = [{}]
    tried = 0
    while cases:
        tried += 1
        if tried > MOST_CASES:
            raise TooLarge(f"there are more than {MOST_CASES} cases")
        signs = cases.pop()
        normal = Normal(atoms, intervals, signs)
        try:
            if not question(normal):
                return False
        except Undecided as split:
            if reduces and atoms.per_element(split.factor):
                raise Unknown("a condition on elements and a reduction in one rule") from None
            cases += [{**signs, split.factor: sign} for sign in sorted(normal.signs(split.factor))]
    return True


class Normal(Powers):
    """Expressions in normal form, in one case: `taken` are the signs taken for granted."""

    def __init__(self, atoms: Atoms, intervals: Mapping[Symbol, Interval], taken: Mapping[Value, int]) -> None:
        super().__init__(atoms, intervals, taken)
        self.values: dict[int, tuple[ir.Expr, Any]] = {}

    # Expressions of the language

    def number(self, node: ir.Expr) -> Value:
        """Return the normal form of a number; raise `Unknown` where it has none."""
        return self._known(node, self._number)

    def truth(self, node: ir.Expr) -> bool:
        """Return whether a condition holds in this case; raise `Undecided` where that isn't known."""
        return bool(self._known(node, self._truth))

    def _known(self, node: ir.Expr, make: Callable[[Any], Any]) -> Any:
        if id(node) not in self.values:
            self.values[id(node)] = (node, make(node))
        return self.values[id(node)][1]

    def _number(self, node: ir.Expr) -> Value:
        match node:
            case ir.Number(value):
                if isinstance(value, float):
                    raise NotReal("infinity isn't a number")
                return number(value)
            case ir.Ref(symbol):
                return self.symbol(symbol)
            case ir.Select(condition, chosen, other):
                return self.number(chosen if self.truth(condition) else other)
            case ir.Reduce(fold, args):
                return self._reduction(fold, [self.number(arg) for arg in args])
            case ir.ReduceRows(row_fold, args):
                return self._of_row(row_fold, [self.number(arg) for arg in args])
            case ir.Apply(Op.MIN | Op.MAX as op, (left, right)):
                return self._extreme(op, left, right)
            case ir.Apply(Op.MUL | Op.DIV, (left, _)) if self.number(left) == 0:
                return Sym.Integer(0)  # wherever the other is a number
            case ir.Apply(op, args):
                return admitted(self._operation(op, [self.number(arg) for arg in args]))
            case ir.Truth():
                raise NotReal("a truth value isn't a number")
        assert_never(node)

    def _truth(self, node: ir.Expr) -> bool:
        match node:
            case ir.Truth(value):
                return value
            case ir.Select(condition, chosen, other):
                return self.truth(chosen if self.truth(condition) else other)
            case ir.Apply(Op.NOT, (inner,)):
                return not self.truth(inner)
            case ir.Apply(Op.AND, (left, right)):
                return self.truth(left) and self.truth(right)
            case ir.Apply(Op.OR, (left, right)):
                return self.truth(left) or self.truth(right)
            case ir.Apply(op, (left, right)) if op in ir.COMPARISONS and ir.kind(left) is ir.Kind.NUMBER:
                return _COMPARE[op](self._compared(left, right))
        raise Unknown("a truth value is open")

    def _compared(self, left: ir.Expr, right: ir.Expr) -> int:
        """Return the sign of left - right."""
        ends = _infinite(left), _infinite(right)
        if any(ends):
            for node, end in zip((left, right), ends, strict=True):
                if not end:
                    self.number(node)  # refused where it isn't a number
            return (ends[0] > ends[1]) - (ends[0] < ends[1])
        return self.decided(self.number(left) - self.number(right))

    def _operation(self, op: Op, args: list[Value]) -> Value:
        match op:
            case Op.NEG:
                return -args[0]
            case Op.ADD:
                return args[0] + args[1]
            case Op.SUB:
                return args[0] - args[1]
            case Op.MUL:
                return args[0] * args[1]
            case Op.DIV:
                return args[0] / args[1]
            case Op.POW:
                return self.power(args[0], args[1])
            case Op.SQRT:
                return self.root(args[0])
            case Op.CBRT:
                return self.cube_root(args[0])
            case Op.ABS:
                return self.absolute(args[0])
            case Op.SIGN:
                return self.sign(args[0])
            case Op.EXP:
                return self.exponential(args[0])
            case Op.EXPM1:
                return self.exponential(args[0]) - 1
            case Op.LOG:
                return self.function(Op.LOG, args[0])
            case Op.LOG1P:
                return self.function(Op.LOG, 1 + args[0])
            case Op.MOD:
                return self.remainder(*args)
            case Op.SIN | Op.COS | Op.TANH | Op.FLOOR:
                return self.function(op, args[0])
        raise Unknown(f"`{op}` has no normal form")

    def _extreme(self, op: Op, left: ir.Expr, right: ir.Expr) -> Value:
        for one, other in ((left, right), (right, left)):
            if _infinite(one):
                if (_infinite(one) > 0) is (op is Op.MAX):
                    raise NotReal("infinity isn't a number")
                return self.number(other)
        a, b = self.number(left), self.number(right)
        signs = self.possible(a - b)
        if -1 not in signs or 1 not in signs:
            return a if (-1 not in signs) is (op is Op.MAX) else b
        return b + self.positive_part(a - b) if op is Op.MAX else a - self.positive_part(a - b)

    # Reductions

    def _reduction(self, fold: Fold, args: list[Value]) -> Value:
        """Return a reduction as an atom of what varies between elements, times what doesn't."""
        outside: Value = Sym.Integer(1)
        inside: dict[Value, int] = {}
        for arg in args:
            coefficient, factors = self.factors(arg)
            outside *= coefficient
            for factor, exponent in factors:
                scalar = not self.atoms.per_element(factor)
                if scalar and (fold is not Fold.AMAX or self.signs(factor) == {1}):
                    outside *= factor**exponent
                else:
                    inside[factor] = inside.get(factor, 0) + exponent
        product = math.prod((factor**exponent for factor, exponent in inside.items()), start=Sym.Integer(1))
        if outside == 0:
            return outside
        if fold is Fold.AMAX:
            sign = Sym.sign(self.factors(args[0])[0])
            return sign * outside * self.atom(("largest", sign * product), varies=False)
        even = all(exponent % 2 == 0 for exponent in inside.values())
        return outside * self.atom(("sum", product), FROM if even else REAL, varies=False)

    def _of_row(self, fold: RowFold, args: list[Value]) -> Value:
        """Return a reduction over rows as an atom of what varies between elements, times what doesn't."""
        outside: Value = Sym.Integer(1)
        inside: Value = Sym.Integer(1)
        for arg in args:
            coefficient, factors = self.factors(arg)
            outside *= coefficient if fold is not RowFold.AMAX else abs(coefficient)
            inside *= 1 if fold is not RowFold.AMAX else Sym.sign(coefficient)
            for factor, exponent in factors:
                scalar = not self.atoms.per_element(factor)
                if scalar and (fold is not RowFold.AMAX or self.signs(factor) == {1}):
                    outside *= factor**exponent
                else:
                    inside *= factor**exponent
        if outside == 0:
            return outside
        length = fold in (RowFold.NORM, RowFold.RMS)
        # Sums of products are the same whichever factor is which.
        name = "sum" if fold is RowFold.DOT else str(fold)
        inside = Sym.expand(Sym.cancel(inside))
        return (self.absolute(outside) if length else outside) * self.atom(
            (f"row {name}", inside), FROM if length else REAL, varies=True
        )

    # Zero

    def vanishes(self, value: Value) -> bool:
        """Return whether a number is 0 in this case; raise `Undecided` where that depends on a sign."""
        rest = Sym.expand(Sym.fraction(Sym.together(value))[0])
        for symbol, key in reversed(list(self.atoms.keys.items())):
            if rest == 0:
                return True
            if isinstance(key, tuple) and rest.has(symbol):
                rest = _reduced(rest, symbol, key)
        zeros = [factor for factor, sign in self.taken.items() if sign == 0 and not root_of(factor)]
        if rest != 0 and zeros:
            rest = Sym.reduced(rest, zeros)[1]
        if rest == 0:
            return True
        self._split_on_a_sign_in(rest)
        return False

    def descending(self, value: Value) -> bool:
        """Return whether a number is nowhere above 0; raise `Undecided` where that depends on a sign."""
        if 1 not in self.possible(value):
            return True
        for factor, _ in self.factors(value)[1]:
            self._split_on_a_sign_in(factor)
        return False

    def _split_on_a_sign_in(self, value: Value) -> None:
        """Raise `Undecided` where a value depends on the sign of something that isn't a sign itself."""
        for symbol in sorted(value.free_symbols, key=str):
            key = self.atoms.keys[symbol]
            if isinstance(key, tuple):
                for part in key[1:]:
                    self._split_on_a_sign_in(part)
                if key[0] in ("sign", "positive part"):
                    self.decided(key[1])


_COMPARE: Mapping[Op, Callable[[int], bool]] = {
    Op.LT: lambda sign: sign < 0,
    Op.LE: lambda sign: sign <= 0,
    Op.GT: lambda sign: sign > 0,
    Op.GE: lambda sign: sign >= 0,
    Op.EQ: lambda sign: sign == 0,
    Op.NE: lambda sign: sign != 0,
}
_ORDER = {"root": 2, "cube root": 3, "sign": 3, "positive part": 2}
"""The power at which an atom stands for something simpler."""


def _infinite(node: ir.Expr) -> int:
    """Return 1 or -1 for an infinite literal, else 0."""
    if isinstance(node, ir.Apply) and node.op is Op.NEG:
        return -_infinite(node.args[0])
    return 1 if isinstance(node, ir.Number) and isinstance(node.value, float) else 0


def _reduced(value: Value, symbol: Value, key: tuple[Any, ...]) -> Value:
    """Return a polynomial with high powers of an atom replaced by what they stand for."""
    order = _ORDER.get(key[0])
    if order is None:
        return value
    result = Sym.Integer(0)
    for (power,), coefficient in Sym.Poly(value, symbol).terms():
        if key[0] == "sign":
            result += coefficient * symbol ** (power if power < order else 2 - power % 2)
        elif key[0] == "positive part":
            result += coefficient * symbol ** min(power, 1) * key[1] ** max(power - 1, 0)
        else:
            result += coefficient * symbol ** (power % order) * key[1] ** (power // order)
    return Sym.expand(result)
