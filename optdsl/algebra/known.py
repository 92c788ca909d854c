"""What is known of numbers in normal form: their factors and the signs these may have.

Numbers are rational functions of atoms (see `normal.py`). An atom's range is noted when it is met; in a case, the signs
of some factors are taken for granted besides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from optdsl.algebra.construct import NotReal, Sym, Value, number
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Rate, Role, Symbol

ANY = frozenset((-1, 0, 1))
REAL = Interval()
ABOVE = Interval(low=0.0)
FROM = Interval(low=0.0, low_closed=True)


class Undecided(Exception):
    """A condition depends on the sign of `factor`, which isn't known."""

    def __init__(self, factor: Value) -> None:
        super().__init__(str(factor))
        self.factor = factor


@dataclass
class Atoms:
    """The symbols of one question, by what they stand for; the same in all its cases."""

    symbols: dict[Any, Value] = field(default_factory=dict)
    keys: dict[Value, Any] = field(default_factory=dict)
    varies: dict[Value, bool] = field(default_factory=dict)
    factored: dict[Value, tuple[Value, list[tuple[Value, int]]]] = field(default_factory=dict)

    def symbol(self, key: Any, varies: bool) -> Value:
        """Return the symbol of an atom; `varies` says whether its value is one per element."""
        if key not in self.symbols:
            made = Sym.Symbol(f"v{len(self.symbols):03}")
            self.symbols[key], self.keys[made], self.varies[made] = made, key, varies
        return self.symbols[key]

    def per_element(self, value: Value) -> bool:
        """Return whether a value may differ between the elements of a tensor."""
        return any(self.varies[symbol] for symbol in value.free_symbols)


class Known:
    """What is known in one case: `taken` are the signs taken for granted."""

    def __init__(self, atoms: Atoms, intervals: Mapping[Symbol, Interval], taken: Mapping[Value, int]) -> None:
        self.atoms = atoms
        self.intervals = intervals
        self.taken = taken
        self.ranges: dict[Value, Interval] = {}
        roots = [root_of(factor) for factor, sign in taken.items() if sign == 0]
        self.replaced = dict(root for root in roots if root is not None)

    def symbol(self, symbol: Symbol) -> Value:
        made = self.atoms.symbol(symbol, symbol.rate is Rate.ELEMENT)
        interval = self.intervals.get(symbol, REAL)
        if symbol.role is Role.SIZE or (symbol.role is Role.STEP and symbol not in self.intervals):
            interval = Interval(low=1.0, low_closed=True)
        if symbol.role is Role.NDIM:
            interval = FROM
        return self._entered(made, interval)

    def atom(self, key: tuple[Any, ...], interval: Interval = REAL, varies: bool | None = None) -> Value:
        if varies is None:
            varies = any(self.atoms.per_element(part) for part in key[1:])
        return self._entered(self.atoms.symbol(key, varies), interval)

    def _entered(self, made: Value, interval: Interval) -> Value:
        if made in self.replaced:
            return self.replaced[made]
        if made not in self.ranges:
            for factor, sign in self.taken.items():
                found = root_of(factor)
                if found and found[0] == made:
                    interval = _narrowed(interval, found[1], sign)
            self.ranges[made] = interval
        return made

    def factors(self, value: Value) -> tuple[Value, list[tuple[Value, int]]]:
        """Return a number as a rational coefficient and irreducible polynomials with their exponents."""
        if value not in self.atoms.factored:
            above, below = Sym.fraction(Sym.cancel(value))
            coefficient, factors = Sym.factor_list(above)
            divisor, others = Sym.factor_list(below)
            if divisor == 0:
                raise NotReal("a division by zero")
            parts = [*factors, *((factor, -exponent) for factor, exponent in others)]
            self.atoms.factored[value] = (coefficient / divisor, parts)
        return self.atoms.factored[value]

    def signs(self, factor: Value) -> frozenset[int]:
        """Return the signs that a polynomial may have."""
        if factor.is_Rational:
            return frozenset((int(Sym.sign(factor)),))
        taken = self.taken.get(factor)
        if taken is None:
            return _signs(factor, {symbol: self.ranges.get(symbol, REAL) for symbol in factor.free_symbols})
        return frozenset((taken,))

    def possible(self, value: Value) -> frozenset[int]:
        """Return the signs that a number may have."""
        coefficient, factors = self.factors(value)
        found = frozenset((int(Sym.sign(coefficient)),))
        for factor, exponent in factors:
            signs = self.signs(factor)
            signs = frozenset(sign * sign for sign in signs) if exponent % 2 == 0 else signs
            found = frozenset(a * b for a in found for b in signs)
        return found

    def decided(self, value: Value) -> int:
        """Return the sign of a number; raise `Undecided` where it may have several."""
        found = self.possible(value)
        if len(found) == 1:
            return next(iter(found))
        for factor, _ in self.factors(value)[1]:
            if len(self.signs(factor)) > 1:
                raise Undecided(factor)
        raise AssertionError("a product of decided factors is decided")

    def absolute(self, value: Value) -> Value:
        coefficient, factors = self.factors(value)
        result = abs(coefficient)
        for factor, exponent in factors:
            result *= (factor if exponent % 2 == 0 else self.size(factor)) ** exponent
        return result

    def size(self, factor: Value) -> Value:
        """Return the absolute value of an irreducible factor."""
        signs = self.signs(factor)
        if -1 not in signs:
            return factor
        return factor * (-1 if 1 not in signs else self.side(factor))

    def side(self, factor: Value) -> Value:
        """Return the sign of an irreducible factor."""
        signs = self.signs(factor)
        if len(signs) == 1:
            return Sym.Integer(next(iter(signs)))
        return self.atom(("sign", factor), Interval(-1.0, 1.0, True, True))

    def sign(self, value: Value) -> Value:
        coefficient, factors = self.factors(value)
        result = Sym.sign(coefficient)
        for factor, exponent in factors:
            result *= self.side(factor) ** (1 if exponent % 2 else 2)
        return result

    def positive_part(self, value: Value) -> Value:
        """Return the larger of a number and 0, for one that may have either sign."""
        coefficient, factors = self.factors(value)
        outside, inside = abs(coefficient), Sym.sign(coefficient)
        for factor, exponent in factors:
            signs = self.signs(factor) if exponent % 2 else frozenset((0, 1))
            if -1 not in signs:
                outside *= factor**exponent
            elif 1 not in signs:
                outside, inside = outside * (-factor) ** exponent, -inside
            else:
                outside, inside = outside * factor ** (exponent - 1), inside * factor
        inside = Sym.expand(inside)
        if self.factors(inside)[0] < 0:
            return outside * (self.atom(("positive part", -inside), FROM) + inside)
        return outside * self.atom(("positive part", inside), FROM)


def root_of(factor: Value) -> tuple[Value, Value] | None:
    """Return the symbol and the number where a polynomial c*(symbol - number), with c > 0, is 0."""
    if factor.is_Symbol:
        return factor, Sym.Integer(0)
    if len(factor.free_symbols) == 1:
        (symbol,) = factor.free_symbols
        slope, start = factor.coeff(symbol, 1), factor.subs(symbol, 0)
        if slope.is_Rational and slope > 0 and Sym.expand(factor - slope * symbol - start) == 0:
            return symbol, -start / slope
    return None


def _narrowed(interval: Interval, bound: Value, sign: int) -> Interval:
    """Return the part of an interval above or below a number."""
    at = _outward(bound, sign)
    if sign > 0 and at >= interval.low:
        return Interval(at, interval.high, False, interval.high_closed)
    if sign < 0 and at <= interval.high:
        return Interval(interval.low, at, interval.low_closed, False)
    return interval


def _outward(bound: Value, sign: int) -> float:
    """Return the float nearest to a number on the other side of the numbers above (or below) it, or that number."""
    exact = Fraction(int(bound.p), int(bound.q))
    try:
        at = float(exact)
    except OverflowError:
        return -math.inf if sign > 0 else math.inf
    while sign * (Fraction(repr(at)) - exact) > 0:
        at = math.nextafter(at, -sign * math.inf)
    return at


def _exact(value: float) -> Value:
    return number(Fraction(repr(value)))


def _signs(polynomial: Value, ranges: Mapping[Value, Interval]) -> frozenset[int]:
    """Return the signs that a polynomial may have, from those of its coefficients.

    Each symbol with a finite end is first written with one, w, that is nowhere negative: low + w, or
    (low + high*w)/(1 + w).
    """
    strict: set[Value] = set()
    free: set[Value] = set()
    touched = False
    for symbol in sorted(polynomial.free_symbols, key=str):
        interval = ranges[symbol]
        low, high = math.isfinite(interval.low), math.isfinite(interval.high)
        if low and high:
            touched = touched or interval.high_closed
            ends = _exact(interval.low), _exact(interval.high)
            polynomial = polynomial.subs(symbol, (ends[0] + ends[1] * symbol) / (1 + symbol))
        elif low or high:
            end = _exact(interval.low if low else interval.high)
            polynomial = polynomial.subs(symbol, end + symbol if low else end - symbol)
        else:
            free.add(symbol)
            continue
        if not (interval.low_closed if low else interval.high_closed):
            strict.add(symbol)
    polynomial = Sym.fraction(Sym.together(polynomial))[0]
    return _signs_of_terms(polynomial, strict, free, touched)


def _signs_of_terms(polynomial: Value, strict: Iterable[Value], free: Iterable[Value], touched: bool) -> frozenset[int]:
    """Return the signs of a polynomial of symbols that aren't negative, those of `strict` being positive.

    Those of `free` are any number. `touched` says that the polynomial may be a limit of the values it has.
    """
    symbols = sorted(polynomial.free_symbols, key=str)
    if not symbols:
        sign = int(Sym.sign(polynomial))
        return frozenset((sign, 0)) if touched else frozenset((sign,))
    sides, definite = set(), False
    strict, free = set(strict), set(free)
    for powers, coefficient in Sym.Poly(polynomial, *symbols).terms():
        if any(power % 2 for symbol, power in zip(symbols, powers, strict=True) if symbol in free):
            return ANY
        sides.add(int(Sym.sign(coefficient)))
        definite |= all(symbol in strict for symbol, power in zip(symbols, powers, strict=True) if power)
    if len(sides) > 1:
        return ANY
    return frozenset(sides) if definite and not touched else frozenset(sides | {0})
