"""Inequalities between hyperparameters, solved for one of them as a person would write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf
from typing import Literal, TypeAlias

from optdsl.algebra.construct import Sym, Value, number
from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Symbol

Relation: TypeAlias = Literal["<", ">"]
Inequality: TypeAlias = tuple[Value, Relation, Value]


@dataclass(frozen=True)
class Condition:
    """`left < right` or `left > right`, strictly."""

    left: ir.Expr
    relation: Relation
    right: ir.Expr


@dataclass(frozen=True)
class _Range:
    """The ends of an interval, exactly; None for none. The upper end never belongs to it where it is finite."""

    low: Value | None
    high: Value | None
    low_closed: bool

    def over_free_symbol(self, symbol: Value) -> Value | None:
        """Return a symbol of this range written over one that is free from 0 upwards, or None.

        SymPy's assumptions know of signs, not of ends elsewhere; this way 1 - beta, for beta in [0, 1), is seen to be
        positive.
        """
        above = {"nonnegative": True} if self.low_closed else {"positive": True}
        free = Sym.Symbol(f"u{symbol.name}", **above)
        if self.low is None:
            return None if self.high is None else self.high - Sym.Symbol(f"u{symbol.name}", positive=True)
        if self.high is None:
            return self.low + free if self.low != 0 else None
        return (self.low + self.high * free) / (1 + free)


class Domain:
    """What SymPy's symbols stand for, and the intervals of those."""

    def __init__(
        self, keys: Mapping[Value, Symbol | ir.Reduce | ir.ReduceRows], intervals: Mapping[Symbol, Interval | None]
    ) -> None:
        self.ranges: dict[Value, _Range] = {}
        for value, key in keys.items():
            interval = intervals.get(key) if isinstance(key, Symbol) else None
            if interval is not None:
                found = _range(interval)
                self.ranges[value] = replace(found, low_closed=found.low_closed and value.is_positive is not True)

    def narrow(self, symbol: Value, relation: Relation, end: Value) -> None:
        """Take a symbol to be below or above a number that is inside its range."""
        old = self.ranges.get(symbol, _Range(None, None, low_closed=False))
        new = replace(old, high=end) if relation == "<" else replace(old, low=end, low_closed=False)
        self.ranges[symbol] = new

    def sign(self, value: Value) -> Literal[-1, 0, 1] | None:
        """Return the sign of a value where it is the same everywhere in the domain and never 0, or always 0."""
        for form in (value, self._over_free_symbols(value)):
            if form.is_zero:
                return 0
            if form.is_positive:
                return 1
            if form.is_negative:
                return -1
        return None

    def _over_free_symbols(self, value: Value) -> Value:
        """Return a value of the same sign over symbols that are free to be any positive number."""
        free = {symbol: range_.over_free_symbol(symbol) for symbol, range_ in self.ranges.items()}
        written = value.xreplace({symbol: form for symbol, form in free.items() if form is not None})
        above, below = Sym.fraction(Sym.together(written))
        return Sym.expand(above) * Sym.expand(below)


def _range(interval: Interval) -> _Range:
    """Return an interval as a range; an upper end that belongs to it can't be told apart from none."""
    low = None if interval.low == -inf else number(Fraction(repr(interval.low)))
    high = None if interval.high == inf or interval.high_closed else number(Fraction(repr(interval.high)))
    return _Range(low, high, interval.low_closed)


def solved(values: Iterable[Value], domain: Domain, order: Sequence[Value]) -> list[Inequality] | None:
    """Return where rational values are all above 0, as few inequalities as are needed; None for nowhere.

    Each is solved for the first symbol of `order` that it is linear in, other symbols coming after these.
    """
    bounds: list[Inequality] = []
    rest = []
    for value in values:
        found = _solved(value, domain, order)
        if found is False:
            return None
        if found is True:
            continue
        if found[0].is_Symbol and found[2].is_Rational:
            domain.narrow(*found)
            bounds.append(found)
        else:
            rest.append(value)
    again = [_solved(value, domain, order) for value in rest]
    if any(found is False for found in again):
        return None
    return _tightest([*(found for found in again if not isinstance(found, bool)), *bounds])


def _tightest(inequalities: Sequence[Inequality]) -> list[Inequality]:
    """Return inequalities without those that another of the same left side and a number on the right implies."""

    def implied(weak: Inequality, strong: Inequality) -> bool:
        numbers = weak[2].is_Rational and strong[2].is_Rational
        return weak[:2] == strong[:2] and numbers and (strong[2] < weak[2]) == (weak[1] == "<")

    distinct = list(dict.fromkeys(inequalities))
    return [weak for weak in distinct if not any(implied(weak, strong) for strong in distinct if strong != weak)]


def _solved(value: Value, domain: Domain, order: Sequence[Value]) -> Inequality | bool:
    """Return where a rational value is above 0: True for everywhere, False for nowhere."""
    above, below = Sym.fraction(Sym.together(value))
    constant, factors = Sym.factor_list(above * below)
    if constant == 0:
        return False
    sign = 1 if constant > 0 else -1
    unsettled = []
    for factor, multiplicity in factors:
        known = domain.sign(factor)
        if known is None:
            unsettled.append(factor ** (2 - multiplicity % 2))
        elif known == -1 and multiplicity % 2:
            sign = -sign
    if not unsettled:
        return sign > 0
    product = sign * Sym.Mul(*unsettled)
    symbols = [symbol for symbol in order if product.has(symbol)]
    symbols += sorted(product.free_symbols - set(order), key=lambda symbol: int(symbol.name[1:]))
    return _isolated(product, symbols, set(order), domain)


def _isolated(value: Value, symbols: Sequence[Value], kept: set[Value], domain: Domain) -> Inequality:
    """Return `value > 0` with the first symbol that it is linear in on the left, free of factors without those kept."""
    for symbol in symbols:
        polynomial = Sym.Poly(Sym.expand(value), symbol)
        if polynomial.degree() != 1:
            continue
        slope, rest = polynomial.all_coeffs()
        # Of two ways to write it where the sign of the slope is open, the one with a positive number on the right.
        negative = (domain.sign(slope) or -(domain.sign(rest) or -1)) == -1
        left, right = (-slope, rest) if negative else (slope, -rest)
        left, right = Sym.factor(left * symbol), Sym.factor(right)
        for factor in Sym.Mul.make_args(left):
            sign = None if factor.free_symbols & kept or factor == symbol else domain.sign(factor)
            if sign is not None:
                left, right, negative = left / factor, right / factor, negative is (sign == 1)
        left, scale = scaled(left, [s for s in symbols if s in kept])
        right = right / scale
        return tidied(left, kept), "<" if negative else ">", tidied(Sym.factor(right), kept)
    return tidied(Sym.factor(value), kept), ">", Sym.Integer(0)


def scaled(value: Value, symbols: Sequence[Value]) -> tuple[Value, Value]:
    """Return a product in whose sums the first symbol stands alone, h + 1/100 for 1 + 100*h, and what it lost."""
    scale = Sym.Integer(1)
    factors = []
    for factor in Sym.Mul.make_args(value):
        symbol = next((s for s in symbols if factor.is_Add and factor.has(s)), None)
        slope = Sym.Integer(1) if symbol is None else factor.coeff(symbol)
        slope = slope if slope.is_Rational and slope > 0 else Sym.Integer(1)
        factors.append(Sym.expand(factor / slope) if slope != 1 else factor)
        scale *= slope
    return Sym.Mul(*factors), scale


def tidied(value: Value, kept: Iterable[Value] = ()) -> Value:
    """Return a product whose differences are written the usual way round: a*(1 - b), not -a*(b - 1)."""
    if value.is_number:
        return value
    coefficient, rest = value.as_coeff_Mul()
    pairs = [factor.as_base_exp() for factor in Sym.Mul.make_args(rest)]
    sums = [i for i, (base, exponent) in enumerate(pairs) if exponent in (1, -1) and base.is_Add]
    turned = [i for i in sums if _negative_share(pairs[i][0]) > Sym.Rational(1, 2)]
    if coefficient < 0 and not turned:
        turned = [i for i in sums if _negative_share(pairs[i][0]) == Sym.Rational(1, 2)][:1]
    if len(turned) % 2 and coefficient > 0:
        turned.pop()  # a minus sign in front would be worse than a difference the other way round
    elif len(turned) % 2:
        coefficient = -coefficient
    factors = []
    for index, (base, exponent) in enumerate(pairs):
        usual = Sym.expand(-base) if index in turned else base
        factors.append((_collected(usual, kept) if usual.is_Add else usual) ** exponent)
    if coefficient != 1:
        factors.insert(0, coefficient)
    return factors[0] if len(factors) == 1 else Sym.Mul(*factors, evaluate=False)  # else 2*(1 + a) becomes 2 + 2*a


def _negative_share(total: Value) -> Value:
    """Return the share of terms of a sum that are subtracted; its number decides by itself where it has one."""
    constant, rest = total.as_coeff_Add()
    if constant != 0:
        return Sym.Integer(1 if constant.is_negative else 0)
    terms = Sym.Add.make_args(rest)
    return Sym.Rational(sum(bool(term.as_coeff_Mul()[0].is_negative) for term in terms), len(terms))


def turned_sums(value: Value) -> int:
    """Return how many sums in a value are written with most of their terms subtracted."""
    return sum(bool(_negative_share(total) > Sym.Rational(1, 2)) for total in value.atoms(Sym.Add))


def _collected(total: Value, kept: Iterable[Value]) -> Value:
    """Return a sum with the factors of one symbol taken together where that is shorter."""
    forms = []
    for symbol in sorted(kept, key=lambda symbol: int(symbol.name[1:])):
        if total.has(symbol) and total.is_polynomial(symbol):
            parts = Sym.Poly(total, symbol).terms()
            forms.append(Sym.Add(*(tidied(Sym.factor(c)) * symbol**power for (power,), c in parts)))
    return min([*forms, total], key=Sym.count_ops)
