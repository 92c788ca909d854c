"""Cheaper forms of element expressions, equal over the reals.

What is proposed here is only ever taken where it lowers the cost and passes validation (`improve.py`). Rewrites:

- what a literal 0 or 1 makes idle is left out;
- scalar factors of a product are gathered into one, so that `lr*(m/(1 - beta1^t))` costs one multiplication; where the
  product is of a sum whose terms have factors already, theirs take it up;
- a division by a scalar becomes a multiplication by its reciprocal;
- a scalar factor under a root, or common to a sum in a denominator, moves out to the other factors:
  `m/(sqrt(v/c) + eps)` is `sqrt(c)*m/(sqrt(v) + sqrt(c)*eps)`;
- quotients with the same denominator are added before they are divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Apply, Expr, Op, Rate, number
from optdsl.passes.cost import cheaper, cost

ZERO, ONE = number(0), number(1)
MINUS_ONE = Apply(Op.NEG, (ONE,))

ALGEBRAIC = frozenset({Op.NEG, Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.SQRT, Op.POW, Op.ABS, Op.SIGN, Op.EXP, Op.LOG})
"""Operations that rewrites look into; the arguments of any other are expressions of their own."""

Positive = Callable[[Expr], bool]
"""Says whether a scalar is positive and finite all over the declared domain."""


def algebraic(expr: Expr) -> bool:
    """Return whether an expression is an element operation that rewrites look into."""
    return isinstance(expr, Apply) and expr.op in ALGEBRAIC and ir.rate(expr) is Rate.ELEMENT


def simplify(expr: Expr, positive: Positive) -> Expr:
    """Return an expression no dearer than `expr` and equal to it over the reals.

    A scalar is only moved across a root or out of a denominator where `positive` says that it may be.
    """
    while (simpler := _simpler(expr, positive)) != expr:
        expr = simpler
    return expr


def _simpler(expr: Expr, positive: Positive) -> Expr:
    if not algebraic(expr):
        return expr
    expr = without_idle(ir.rebuild(expr, tuple(_simpler(part, positive) for part in ir.operands(expr))))
    own = cost([expr])
    for rewrite in (_gather, _normalise, _join_quotients):
        for candidate in rewrite(expr, positive) if algebraic(expr) else ():
            if candidate != expr and cheaper(found := cost([candidate]), own):
                expr, own = candidate, found
    return expr


def without_idle(expr: Expr) -> Expr:
    """Leave out what a literal 0 or 1 makes idle, in scalars too."""
    if not isinstance(expr, Apply):
        return expr
    if ir.rate(expr) is not Rate.ELEMENT:
        values = tuple(without_idle(part) for part in expr.args)
        expr = ir.rebuild(expr, values)
    else:
        values = tuple(part if ir.rate(part) is Rate.ELEMENT else without_idle(part) for part in expr.args)
    # `values` are the operands without what is idle in them. Each is found once: deep scalars would take for ever.
    match expr, values:
        case Apply(Op.ADD, (left, right)), (first, second):
            return right if first == ZERO else left if second == ZERO else expr
        case Apply(Op.SUB, (left, right)), (first, second):
            negated = Apply(Op.NEG, (right,)) if first == ZERO else expr
            return left if second == ZERO else negated
        case Apply(Op.MUL, (left, right)), _ if ZERO in values:
            return ZERO
        case Apply(Op.MUL, (left, right)), _:
            return right if left == ONE else left if right == ONE else expr
        case Apply(Op.DIV, (left, right)), (first, _):
            return ZERO if first == ZERO else left if right == ONE else expr
    return expr


@dataclass(frozen=True)
class _Product:
    """A product as scalar factors and divisors, and element factors and divisors, each in the order written."""

    scalars: tuple[Expr, ...] = ()
    scalar_divisors: tuple[Expr, ...] = ()
    elements: tuple[Expr, ...] = ()
    divisors: tuple[Expr, ...] = ()

    def times(self, other: _Product) -> _Product:
        return _Product(
            self.scalars + other.scalars, self.scalar_divisors + other.scalar_divisors,
            self.elements + other.elements, self.divisors + other.divisors,
        )  # fmt: skip

    def inverse(self) -> _Product:
        return _Product(self.scalar_divisors, self.scalars, self.divisors, self.elements)

    def packed(self) -> _Product:
        """Return the product with its element part as one factor, divided before anything is multiplied with it."""
        if not self.divisors:
            return self
        return replace(self, elements=(replace(self, scalars=(), scalar_divisors=()).build(),), divisors=())

    def coefficient(self) -> Expr:
        """Return the scalar part as one expression."""
        parts = self.scalars + self.scalar_divisors
        over, under = (tuple(p for p in side if p != MINUS_ONE) for side in (self.scalars, self.scalar_divisors))
        result = _quotient(_multiply(over), _multiply(under))
        return Apply(Op.NEG, (result,)) if parts.count(MINUS_ONE) % 2 else result

    def build(self) -> Expr:
        """Return the product as an expression: the coefficient first, then element factors, then divisions."""
        coefficient = self.coefficient()
        factors = self.elements if coefficient == ONE and self.elements else (coefficient, *self.elements)
        if factors[0] == MINUS_ONE and len(factors) > 1:
            factors = (Apply(Op.NEG, (factors[1],)), *factors[2:])
        result = _multiply(factors)
        for divisor in self.divisors:
            result = Apply(Op.DIV, (result, divisor))
        return result


def _multiply(factors: tuple[Expr, ...]) -> Expr:
    result: Expr | None = None
    for factor in factors:
        if factor != ONE:
            result = factor if result is None else Apply(Op.MUL, (result, factor))
    return ONE if result is None else result


def _quotient(numerator: Expr, denominator: Expr) -> Expr:
    return numerator if denominator == ONE else Apply(Op.DIV, (numerator, denominator))


def _product(expr: Expr) -> _Product:
    """Take a product apart. A square of an element factor stays whole, so that it is still shared."""
    match expr:
        case Apply(Op.MUL, (left, right)) if left != right or ir.rate(expr) is not Rate.ELEMENT:
            return _apart(_product(left), _product(right))
        case Apply(Op.DIV, (left, right)):
            over, under = _product(left), _product(right)
            return over.times((under.packed() if over.elements else under).inverse())
        case Apply(Op.NEG, (inner,)) if ir.rate(expr) is Rate.ELEMENT:
            return _Product(scalars=(MINUS_ONE,)).times(_product(inner))
    return _Product(elements=(expr,)) if ir.rate(expr) is Rate.ELEMENT else _Product(scalars=(expr,))


def _apart(left: _Product, right: _Product) -> _Product:
    """Return a product of products. Elements of one side aren't multiplied by those of the other before a division.

    Their product may overflow where the quotient doesn't.
    """
    if (right.divisors and left.elements + left.divisors) or (left.divisors and right.elements):
        left, right = left.packed(), right.packed()
    return left.times(right)


def _gather(expr: Expr, positive: Positive) -> Iterator[Expr]:
    """Gather the scalar factors of a product into one, or into those of the terms of a sum."""
    product = _product(expr)
    yield product.build()
    yield _distributed(product).build()


def _distributed(product: _Product) -> _Product:
    """Return a product with its scalars moved into the terms of the first factor, where that is a sum."""
    if not product.elements or product.coefficient() == ONE:
        return product
    terms = _terms(product.elements[0])
    scalars = replace(product, elements=(), divisors=())
    total: Expr | None = None
    for sign, term in terms:
        total = _plus(total, sign, scalars.times(_product(term)).build())
    assert total is not None
    return replace(product, scalars=(), scalar_divisors=(), elements=(total, *product.elements[1:]))


def _normalise(expr: Expr, positive: Positive) -> Iterator[Expr]:
    """Make the leading coefficient of each divisor 1, moving it into the coefficient of the whole product."""
    product = _product(expr)
    moved, divisors = _Product(), []
    for divisor in product.divisors:
        factor, rest = _leading(divisor, positive)
        moved = moved.times(factor)
        divisors.append(rest)
    normal = replace(product, divisors=tuple(divisors)).times(moved.inverse())
    yield normal.build()
    yield _distributed(normal).build()


def _leading(expr: Expr, positive: Positive) -> tuple[_Product, Expr]:
    """Return a scalar c and an expression e with `expr = c*e`, where e is cheaper; c is 1 where there is none."""
    match expr:
        case Apply(Op.SQRT, (inner,)):
            product = _product(inner)
            if product.coefficient() != ONE and product.elements and positive(product.coefficient()):
                inside = replace(product, scalars=(), scalar_divisors=()).build()
                return _root(product), Apply(Op.SQRT, (inside,))
        case Apply(Op.ADD, (left, right)):
            for element, scalar, swapped in ((left, right, False), (right, left, True)):
                if ir.rate(element) is Rate.ELEMENT and ir.rate(scalar) is not Rate.ELEMENT:
                    factor, rest = _leading(element, positive)
                    if factor != _Product():
                        shrunk = _product(scalar).times(factor.inverse()).coefficient()
                        return factor, Apply(Op.ADD, (shrunk, rest) if swapped else (rest, shrunk))
        case Apply(Op.MUL | Op.DIV):
            product = _product(expr)
            if product.coefficient() != ONE and product.elements and positive(product.coefficient()):
                scalars = replace(product, elements=(), divisors=())
                return scalars, replace(product, scalars=(), scalar_divisors=()).build()
    return _Product(), expr


def _root(product: _Product) -> _Product:
    """Return the square root of the scalar part of a product."""
    over, under = _multiply(product.scalars), _multiply(product.scalar_divisors)
    return _Product(
        () if over == ONE else (Apply(Op.SQRT, (over,)),), () if under == ONE else (Apply(Op.SQRT, (under,)),)
    )


def _terms(expr: Expr, sign: int = 1) -> list[tuple[int, Expr]]:
    """Return the terms of a sum with their signs."""
    match expr:
        case Apply(Op.ADD, (left, right)):
            return _terms(left, sign) + _terms(right, sign)
        case Apply(Op.SUB, (left, right)):
            return _terms(left, sign) + _terms(right, -sign)
        case _:
            return [(sign, expr)]


def _join_quotients(expr: Expr, positive: Positive) -> Iterator[Expr]:
    """Add quotients of one denominator before dividing."""
    groups: dict[tuple[Expr, ...], list[tuple[int, _Product]]] = {}
    order: list[tuple[int, Expr, tuple[Expr, ...]]] = []
    for sign, term in _terms(expr):
        product = _product(term)
        divisors = product.divisors
        if not divisors or divisors not in groups:
            order.append((sign, term, divisors))
        groups.setdefault(divisors, []).append((sign, replace(product, divisors=())))
    result: Expr | None = None
    for sign, term, divisors in order:
        if divisors:
            sign, term = _joined(groups[divisors], divisors)
        result = _plus(result, sign, term)
    assert result is not None
    yield result


def _joined(group: list[tuple[int, _Product]], divisors: tuple[Expr, ...]) -> tuple[int, Expr]:
    lead = group[0][0]
    total: Expr | None = None
    for sign, product in group:
        total = _plus(total, sign * lead, product.build())
    assert total is not None
    for divisor in divisors:
        total = Apply(Op.DIV, (total, divisor))
    return lead, total


def _plus(total: Expr | None, sign: int, term: Expr) -> Expr:
    if total is None:
        return term if sign > 0 else Apply(Op.NEG, (term,))
    return Apply(Op.ADD if sign > 0 else Op.SUB, (total, term))
