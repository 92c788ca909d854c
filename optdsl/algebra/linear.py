"""The step of a rule on a quadratic as a linear map, and the conditions under which its powers shrink.

On f(x) = h*x^2/2 the gradient is h*x. Where the parameter after the step is linear in the parameter and the states it
depends on, the rule multiplies the vector of these by a matrix at every step, and is stable where all eigenvalues are
below 1 in size. That is a set of polynomial inequalities in the coefficients of the characteristic polynomial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optdsl.algebra.bridge import Bridge
from optdsl.algebra.construct import Sym, Value
from optdsl.algebra.inequalities import Condition, Domain, scaled, solved, tidied, turned_sums
from optdsl.algebra.limits import Unknown, limited
from optdsl.algebra.restore import Unrepresentable
from optdsl.algebra.unroll import symbols_read, written_out
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Op, Role, Rule, Symbol

SECONDS = 5.0
"""Time for one analysis."""
MOST_VARIABLES = 8
"""Parameter and states of a matrix whose characteristic polynomial is asked for."""


class NotLinear(Exception):
    """The step isn't a linear map that stays the same from step to step; `target` is the value that isn't."""

    def __init__(self, target: Symbol, why: str) -> None:
        super().__init__(why)
        self.target = target


@dataclass(frozen=True)
class LinearStep:
    """The step as a matrix over `variables`: the parameter, then the states it depends on, at once or later.

    `late` says that entries change with the step number and are given as it grows. `polynomial` has the coefficients of
    the characteristic polynomial, the highest power first, roots at 0 left out. `conditions` together are exactly where
    all eigenvalues are below 1 in size; None where there is no closed form, and `never` where there is no such place.
    """

    variables: tuple[Symbol, ...]
    matrix: tuple[tuple[ir.Expr, ...], ...]
    polynomial: tuple[ir.Expr, ...]
    conditions: tuple[Condition, ...] | None
    never: bool = False
    late: bool = False


def linear_step(rule: Rule, curvature: Symbol, held: Mapping[Symbol, ir.Expr], rate: Symbol | None) -> LinearStep:
    """Return the step on a quadratic of a curvature as a matrix; `held` gives hyperparameters their values.

    `rate` is the learning rate, which the conditions are solved for. It and the curvature are taken to be above 0.

    Raises:
        NotLinear: The step isn't linear, or changes with the step number without an end.
        Unknown: No answer within the limits.
    """
    try:
        return limited(lambda: _LinearStep(rule, curvature, held, rate).result(), SECONDS)
    except Unrepresentable as error:
        raise Unknown(str(error)) from None


class _LinearStep:
    """The work of `linear_step`, in SymPy."""

    def __init__(self, rule: Rule, curvature: Symbol, held: Mapping[Symbol, ir.Expr], rate: Symbol | None) -> None:
        self.rule = rule
        positive = [curvature] if rate is None or rate in held else [curvature, rate]
        self.bridge = Bridge(rule, positive)
        # Terms are ordered as symbols are met: lr*h, not h*lr.
        self.rate = None if rate is None or rate in held else self.bridge.symbol(rate)
        self.h = self.bridge.symbol(curvature)
        x = ir.Ref(rule.parameter)
        self.given = {**held, rule.gradient: ir.Apply(Op.MUL, (ir.Ref(curvature), x))}
        self.new = {e.target.name: e.target for e in rule.equations if e.target.role is Role.NEW}
        self.late = False

    def result(self) -> LinearStep:
        written = self._reached()
        variables = tuple(written)
        values = {symbol: self.bridge.to_sympy(expr) for symbol, expr in written.items()}
        matrix = Sym.Matrix([self._row(symbol, values[symbol], variables) for symbol in variables])
        if len(variables) > MOST_VARIABLES:
            raise Unknown(f"the matrix has {len(variables)} rows")
        coefficients = _without_zero_roots([Sym.factor(c) for c in matrix.charpoly().all_coeffs()])
        return self._judged(variables, matrix, coefficients)

    def _judged(self, variables: tuple[Symbol, ...], matrix: Value, coefficients: list[Value]) -> LinearStep:
        if Sym.expand(sum(coefficients)) == 0:
            why = "keeps a part of the old values for ever: an eigenvalue is 1 whatever the hyperparameters"
            raise NotLinear(self.new[self.rule.parameter.name], why)
        domain = Domain({value: key for key, value in self.bridge.values.items()}, self.bridge.intervals)
        order = [self.h] if self.rate is None else [self.rate, self.h]
        closed = len(coefficients) <= len(_SCHUR)
        found = solved(_SCHUR[len(coefficients) - 1](*coefficients[1:]), domain, order) if closed else None
        restored = self.bridge.from_sympy
        rows = tuple(
            tuple(restored(_neat(matrix[i, j], self.h)) for j in range(matrix.cols)) for i in range(matrix.rows)
        )
        polynomial = tuple(restored(c) for c in coefficients)
        conditions = tuple(Condition(restored(left), way, restored(right)) for left, way, right in found or ())
        return LinearStep(
            variables, rows, polynomial, conditions if closed else None, closed and found is None, self.late
        )

    def _reached(self) -> dict[Symbol, ir.Expr]:
        """Return the new values of the parameter and of the states it depends on, by their old symbols."""
        found: dict[Symbol, ir.Expr] = {}
        queue = [self.rule.parameter]
        while queue:
            old = queue.pop(0)
            if old in found:
                continue
            (found[old],) = written_out(self.rule, [ir.Ref(self.new[old.name])], self.given)
            _refuse_reductions(found[old], self.new[old.name])
            queue += [s for s in symbols_read(found[old]) if s.role is Role.OLD and s not in found]
        for old, expr in found.items():
            for symbol in symbols_read(expr):
                if symbol.rate is not ir.Rate.ELEMENT and symbol.role is Role.OLD:
                    raise NotLinear(self.new[old.name], f"reads `{symbol.name}`, which changes from step to step")
        return found

    def _row(self, target: Symbol, value: Value, variables: Sequence[Symbol]) -> list[Value]:
        """Return the coefficients of a new value over the old ones."""
        unknowns = [self.bridge.symbol(variable) for variable in variables]
        row = [Sym.diff(value, unknown) for unknown in unknowns]
        if any(entry.has(*unknowns) for entry in row):
            row = [Sym.cancel(entry) for entry in row]
        if any(entry.has(*unknowns) for entry in row):
            raise NotLinear(self.new[target.name], "isn't linear in the parameter and the states")
        rest = value - sum(entry * unknown for entry, unknown in zip(row, unknowns, strict=True))
        if Sym.expand(rest) != 0 and Sym.cancel(rest) != 0:
            steps = [v for key, v in self.bridge.values.items() if isinstance(key, Symbol) and key.role is Role.STEP]
            changing = "isn't the same combination of the parameter and the states at every step"
            still = "isn't 0 where the parameter and the states are 0"
            raise NotLinear(self.new[target.name], changing if value.has(*steps) and steps else still)
        return [self._late(target, entry) for entry in row]

    def _late(self, target: Symbol, value: Value) -> Value:
        """Return a coefficient as the step number grows: the power of a number below 1 goes to 0."""
        steps = [v for key, v in self.bridge.values.items() if isinstance(key, Symbol) and key.role is Role.STEP]
        if not steps or not value.has(*steps):
            return value
        self.late = True
        (t,) = steps
        domain = Domain({v: key for key, v in self.bridge.values.items()}, self.bridge.intervals)
        powers = [p for p in value.atoms(Sym.Pow) if p.exp.has(t) and domain.sign(Sym.diff(p.exp, t)) == 1]
        fading = {p: Sym.Integer(0) for p in powers if not p.base.has(t) and _below_one(p.base, domain)}
        value = value.xreplace(fading)
        if value.has(t):
            value = Sym.limit(value, t, Sym.oo)
        if value.has(t, Sym.oo, -Sym.oo, Sym.zoo, Sym.nan, Sym.Limit):
            raise NotLinear(self.new[target.name], "changes with the step number without an end")
        return value


def _below_one(base: Value, domain: Domain) -> bool:
    return domain.sign(1 - base) == 1 and domain.sign(1 + base) == 1


def _refuse_reductions(expr: ir.Expr, target: Symbol) -> None:
    if isinstance(expr, ir.Reduce | ir.ReduceRows):
        raise NotLinear(target, "depends on all elements of the tensor together")
    for part in ir.operands(expr):
        _refuse_reductions(part, target)


def _without_zero_roots(coefficients: list[Value]) -> list[Value]:
    while len(coefficients) > 1 and coefficients[-1] == 0:
        coefficients = coefficients[:-1]
    return coefficients


def _neat(entry: Value, h: Value) -> Value:
    """Return an entry in the shortest of a few forms."""
    constant, rest = Sym.expand(entry).as_coeff_Add()
    product, scale = scaled(Sym.factor(rest), [h])
    forms = [constant - tidied(-product * scale), constant + tidied(product * scale), tidied(Sym.factor(entry)), entry]
    return min(forms, key=lambda form: (Sym.count_ops(form), turned_sums(form)))


_SCHUR = (
    lambda: (),
    lambda a: (1 + a, 1 - a),
    lambda a, b: (1 + a + b, 1 - a + b, 1 - b),
    lambda a, b, c: (1 + a + b + c, 1 - a + b - c, 1 - b + a * c - c**2, 3 - b),
)
"""By degree: what must be above 0 for all roots of z^n + a*z^(n-1) + b*z^(n-2) + … to be below 1 in size.

For the third degree in the form of Farebrother (1973), which needs one inequality less than Jury's table.
"""


def same_poles(general: LinearStep, special: LinearStep, at: Mapping[Symbol, ir.Expr], rule: Rule) -> bool:
    """Return whether the general step has the eigenvalues of the special one, zeros aside, at given values."""

    def compare() -> bool:
        bridge = Bridge(rule)
        values = {bridge.symbol(symbol): bridge.to_sympy(value) for symbol, value in at.items()}
        ours = [Sym.expand(bridge.to_sympy(c).subs(values)) for c in general.polynomial]
        theirs = [Sym.expand(bridge.to_sympy(c).subs(values)) for c in special.polynomial]
        ours, theirs = _without_zero_roots(ours), _without_zero_roots(theirs)
        return len(ours) == len(theirs) and all(Sym.cancel(a - b) == 0 for a, b in zip(ours, theirs, strict=True))

    try:
        return limited(compare, SECONDS)
    except Unknown:
        return False
