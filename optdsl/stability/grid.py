"""A rule on quadratics of many curvatures at many learning rates at once, in float64, by the interpreter.

Every element is a run of its own: a tensor of one element, with its own learning rate and curvature. So one call of the
interpreter makes a step of the whole grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import initial_states, step
from optdsl.ir.nodes import Fold, Kind, Op, Rate, Role, RowFold, Rule, Symbol

Floats = npt.NDArray[np.float64]
STEPS = 1000
"""Steps of a simulation."""
WATCHED = 100
"""Steps at its end, over which it is looked at how far from the minimum it ends."""
_LATE = 10**9


@dataclass(frozen=True)
class Grid:
    """A rule whose hyperparameter `rate`, if any, is an array, as are all values that aren't truth values."""

    rule: Rule
    hypers: Mapping[str, Any]
    rate: str | None

    def radius(self, rates: Floats, curvatures: Floats, variables: tuple[str, ...]) -> Floats:
        """Return the largest size of an eigenvalue of a linear step over `variables`, the parameter first.

        `rates` and `curvatures` are arrays of one shape, which the result has.
        """
        shape = np.broadcast_shapes(rates.shape, curvatures.shape)
        flat_rates, flat_h = (np.broadcast_to(a, shape).ravel().astype(float) for a in (rates, curvatures))
        matrix = np.empty((flat_h.size, len(variables), len(variables)))
        for column, name in enumerate(variables):
            unit = {other: np.full(flat_h.size, float(other == name)) for other in variables}
            x = unit.pop(variables[0])
            after, states = self._step(flat_rates, flat_h, x, unit, _LATE)
            for row, other in enumerate(variables):
                matrix[:, row, column] = after if row == 0 else states[other]
        finite = np.isfinite(matrix).all(axis=(1, 2))
        matrix[~finite] = 0.0
        sizes = np.abs(np.linalg.eigvals(matrix)).max(axis=1)
        return np.where(finite, sizes, np.inf).reshape(shape)

    def runs(
        self, rates: Floats, curvatures: Floats, tick: Callable[[int], None] | None = None, steps: int = STEPS
    ) -> tuple[Floats, Floats]:
        """Return the largest |x| of each run from x = 1, and the largest of its last steps.

        Both are infinite where a value wasn't a finite number.
        """
        shape = np.broadcast_shapes(rates.shape, curvatures.shape)
        flat_rates, flat_h = (np.broadcast_to(a, shape).ravel().astype(float) for a in (rates, curvatures))
        x = np.ones(flat_h.size)
        states = initial_states(self.rule, Arrays(np.float64), self._values(flat_rates), x)
        largest, last = np.zeros(flat_h.size), np.zeros(flat_h.size)
        for t in range(1, steps + 1):
            x, states = self._step(flat_rates, flat_h, x, states, t)
            distance = np.where(np.isfinite(x), np.abs(x), np.inf)
            largest = np.maximum(largest, distance)
            if t > steps - WATCHED:
                last = np.maximum(last, distance)
            if tick is not None:
                tick(t)
        last = np.where(np.isfinite(largest), last, np.inf)
        return largest.reshape(shape), last.reshape(shape)

    def _values(self, rates: Floats) -> dict[str, Any]:
        return {**self.hypers, **({self.rate: rates} if self.rate is not None else {})}

    def _step(
        self, rates: Floats, curvatures: Floats, x: Floats, states: Mapping[str, Any], t: int
    ) -> tuple[Floats, dict[str, Any]]:
        with np.errstate(all="ignore"):
            outcome = step(self.rule, Arrays(np.float64), self._values(rates), x, curvatures * x, states, t)
        return outcome.parameter, outcome.states


def grid(rule: Rule, hypers: Mapping[str, Any], rate: str | None) -> Grid:
    """Return a rule, without open conditions on hyperparameters, as one whose values are arrays.

    `hypers` gives every hyperparameter, `rate` names the one that the runs have each their own value of.
    """
    equations = tuple(
        replace(equation, target=_raised(equation.target, rate), value=_over_elements(equation.value, rate))
        for equation in rule.equations
    )
    states = tuple(
        replace(
            s, symbol=_raised(s.symbol, rate), init=_over_elements(s.init, rate), scalar=False, storage=None, when=None
        )
        for s in rule.states
    )
    return Grid(replace(rule, equations=equations, states=states), hypers, rate)


def _raised(symbol: Symbol, rate: str | None) -> Symbol:
    """Return a symbol with a value in every run where runs can differ in it."""
    own = symbol.role in (Role.OLD, Role.NEW, Role.LOCAL) or (symbol.role is Role.HYPER and symbol.name == rate)
    constant = symbol.role is Role.LOCAL and symbol.kind is Kind.BOOLEAN and symbol.rate is Rate.CONST
    return replace(symbol, rate=Rate.ELEMENT) if own and not constant else symbol


def _over_elements(expr: ir.Expr, rate: str | None) -> ir.Expr:
    """Return an expression over tensors of one element: reductions are of that element alone."""
    match expr:
        case ir.Ref(symbol) if symbol.role in (Role.SIZE, Role.NDIM):
            return ir.Number(Fraction(1), "1")
        case ir.Ref(symbol, span):
            return ir.Ref(_raised(symbol, rate), span)
        case ir.Reduce(fold, args):
            inner = tuple(_over_elements(arg, rate) for arg in args)
            return ir.Apply(Op.MUL, inner) if fold is Fold.DOT else inner[0]
        case ir.ReduceRows(row_fold, args):
            inner = tuple(_over_elements(arg, rate) for arg in args)
            if row_fold in (RowFold.NORM, RowFold.RMS):
                return ir.Apply(Op.ABS, inner)
            return ir.Apply(Op.MUL, inner) if row_fold is RowFold.DOT else inner[0]
    return ir.rebuild(expr, tuple(_over_elements(part, rate) for part in ir.operands(expr)))
