"""Roots, powers and functions in normal form: equal ones as the same products of atoms."""

from __future__ import annotations

from optdsl.algebra.construct import NotReal, Sym, Value
from optdsl.algebra.known import ABOVE, FROM, Known
from optdsl.algebra.limits import TooLarge, Unknown
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Op, Role, Symbol

LARGEST_POWER = 64
"""Magnitude of a whole exponent that is multiplied out."""


class Powers(Known):
    """Roots, powers and functions in one case."""

    def root(self, value: Value) -> Value:
        """Return a square root: factors that can't be negative each under their own, squares before it."""
        coefficient, factors = self.factors(value)
        outside, inside = Sym.Integer(1), Sym.Integer(1)
        for factor, exponent in factors:
            signs = self.signs(factor)
            if exponent % 2 == 0:
                outside *= self.size(factor) ** (exponent // 2) if (exponent // 2) % 2 else factor ** (exponent // 2)
            elif -1 not in signs or 1 not in signs:
                positive = factor if -1 not in signs else -factor
                coefficient = coefficient if -1 not in signs else -coefficient
                above = ABOVE if 0 not in signs else FROM
                outside *= positive ** ((exponent - 1) // 2) * self.atom(("root", positive), above)
            else:
                half = (exponent - 1) // 2
                outside *= (self.size(factor) if half % 2 else factor) ** half
                inside *= factor
        if inside == 1:
            return outside * self._rational_root(coefficient)
        side = Sym.sign(coefficient)
        root = self.atom(("root", Sym.expand(side * inside)), FROM)
        return outside * self._rational_root(abs(coefficient)) * root

    def _rational_root(self, value: Value) -> Value:
        if value < 0:
            raise NotReal("the root of a negative number")
        if value == 0:
            return value
        result = Sym.Integer(1) / value.q
        if max(int(value.p), int(value.q)).bit_length() > 128:
            raise TooLarge("the root of a long number")
        for prime, exponent in sorted(Sym.factorint(int(value.p) * int(value.q)).items()):
            result *= Sym.Integer(prime) ** (exponent // 2)
            if exponent % 2:
                result *= self.atom(("root", Sym.Integer(prime)), ABOVE)
        return result

    def cube_root(self, value: Value) -> Value:
        coefficient, factors = self.factors(value)
        result = Sym.sign(coefficient)
        for factor, exponent in [*factors, (abs(coefficient), 1)]:
            result *= factor ** (exponent // 3)
            if exponent % 3 and factor != 1:
                result *= self.atom(("cube root", factor)) ** (exponent % 3)
        return result

    def power(self, base: Value, exponent: Value) -> Value:
        base, exponent = Sym.cancel(base), Sym.cancel(exponent)
        if exponent.is_Integer and abs(exponent) <= LARGEST_POWER:
            if base == 0 and exponent < 0:
                raise NotReal("a division by zero")
            return base**exponent
        if (2 * exponent).is_Integer and abs(exponent) <= LARGEST_POWER:
            return self.root(base) ** (2 * exponent)
        if base == 1:
            return base
        if base == 0:
            if self.possible(exponent) != {1}:
                raise Unknown("a power of zero")
            return base
        signs = self.possible(base)
        if -1 in signs and not self._whole(exponent):
            return self.atom(("power", base, exponent))
        return self._product_of_powers(base, exponent, signs)

    def _product_of_powers(self, base: Value, exponent: Value, signs: frozenset[int]) -> Value:
        """Return a power with a factor for each term of the exponent."""
        result = Sym.Integer(1)
        terms = Sym.Add.make_args(Sym.expand(exponent))
        if 0 in signs and any(term.as_coeff_Mul()[0] < 0 for term in terms):
            return self._bounded(base, exponent, signs)  # 0^0 is 1, not 0/0
        for term in terms:
            coefficient, rest = term.as_coeff_Mul()
            whole = int(Sym.floor(coefficient))
            if rest == 1:
                result *= base**whole if abs(whole) <= LARGEST_POWER else self._bounded(base, Sym.Integer(whole), signs)
                if coefficient != whole:
                    result *= self._bounded(base, coefficient - whole, signs)
            elif coefficient == whole and abs(whole) <= LARGEST_POWER:
                result *= self._bounded(base, rest, signs) ** whole
            else:
                result *= self._bounded(base, term, signs)
        return result

    def _bounded(self, base: Value, exponent: Value, signs: frozenset[int]) -> Value:
        """Return the atom of a power with what is known of its value."""
        if -1 in signs:
            return self.atom(("power", base, exponent))
        interval = ABOVE if 0 not in signs else FROM
        rising, left = self.possible(exponent), self.possible(1 - base)
        if -1 not in rising and -1 not in left:
            interval = Interval(0.0, 1.0, 0 in signs, 0 in rising or 0 in left)
        return self.atom(("power", base, exponent), interval)

    def _whole(self, exponent: Value) -> bool:
        """Return whether an exponent is a whole number: a polynomial of step numbers."""
        keys = [self.atoms.keys[symbol] for symbol in exponent.free_symbols]
        counts = all(isinstance(key, Symbol) and key.role in (Role.STEP, Role.SIZE, Role.NDIM) for key in keys)
        terms = Sym.Add.make_args(Sym.expand(exponent))
        return counts and exponent.is_polynomial() and all(term.as_coeff_Mul()[0].is_Integer for term in terms)

    def exponential(self, value: Value) -> Value:
        result = Sym.Integer(1)
        for term in Sym.Add.make_args(Sym.expand(Sym.cancel(value))):
            coefficient, rest = term.as_coeff_Mul()
            if coefficient == 0:
                continue
            whole = coefficient.is_Integer and abs(coefficient) <= LARGEST_POWER
            power = self.atom(("exp", rest if whole else term), ABOVE)
            result *= power**coefficient if whole else power
        return result

    def remainder(self, value: Value, divisor: Value) -> Value:
        value, divisor = Sym.cancel(value), Sym.cancel(divisor)
        if divisor == 0:
            raise NotReal("a remainder of a division by 0 isn't a number")
        if value == 0 or value == divisor:
            return Sym.Integer(0)
        if value.is_Rational and divisor.is_Rational:
            return Sym.Mod(value, divisor)
        return self.atom(("remainder", value, divisor))

    def function(self, op: Op, value: Value) -> Value:
        value = Sym.cancel(value)
        if value.is_Rational:
            if op is Op.FLOOR:
                return Sym.floor(value)
            if value == (1 if op is Op.LOG else 0):
                return Sym.Integer(1 if op is Op.COS else 0)
        if op in (Op.SIN, Op.COS, Op.TANH) and self.factors(value)[0] < 0:
            result = self.function(op, -value)
            return result if op is Op.COS else -result
        return self.atom((op.value, value))
