"""Where a rule is stable on a quadratic: exactly for a linear step, else as its eigenvalues or a simulation show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optdsl.algebra.limits import Unknown
from optdsl.algebra.linear import LinearStep, NotLinear, linear_step, same_poles
from optdsl.algebra.systems import literal
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Op, Rate, Role, Rule, Symbol
from optdsl.settings import check_settings
from optdsl.stability.cases import Case, cases, held, learning_rate, values
from optdsl.stability.grid import Floats, Grid, grid

CURVATURES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Curvatures of the table of largest learning rates."""
LOWEST, HIGHEST = 1e-6, 1e4
"""Ends of the learning rates, or curvatures, that are tried."""
FACTOR = 10.0
"""A simulated run is stable where it stays within this many times its first distance from the minimum."""
_POINTS = 121


@dataclass(frozen=True)
class Form:
    """A form of the rule, and its step where that is linear; `reason` says of the value `target` why it isn't."""

    case: Case
    step: LinearStep | None
    target: Symbol | None = None
    reason: str = ""


@dataclass(frozen=True)
class Region:
    """What is known of where a rule is stable.

    `forms` has the usual form first. `usual` is the step of that with every hyperparameter but the learning rate at the
    value given or its default; None where it isn't linear. `values` are these. `rate` is the learning rate where it is
    free: where the rule has one, and it isn't given.
    """

    rule: Rule
    given: Mapping[str, float | bool]
    values: Mapping[str, Any]
    rate: Symbol | None
    curvature: Symbol
    forms: tuple[Form, ...]
    usual: LinearStep | None

    def grid(self, rate: Symbol | None) -> Grid:
        """Return the usual form of the rule over many curvatures and values of the learning rate."""
        return grid(self.forms[0].case.rule, self.values, None if rate is None else rate.name)

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of what the usual step multiplies by a matrix, the parameter first."""
        return () if self.usual is None else tuple(symbol.name for symbol in self.usual.variables)


def region(rule: Rule, given: Mapping[str, float | bool]) -> Region:
    """Return where a rule is stable; ValueError for values that it doesn't take."""
    check_settings(rule, given)
    hyper = learning_rate(rule)
    rate = hyper.symbol if hyper is not None and hyper.symbol.name not in given else None
    curvature = _curvature(rule)
    everything = values(rule, given)
    fixed = _as_literals(rule, held(rule, given))
    forms = [_form(case, curvature, fixed, rate) for case in cases(rule, given)]
    forms = _merged(forms, rule)
    usual = None
    if forms[0].step is not None:
        numbers = {name: value for name, value in everything.items() if rate is None or name != rate.name}
        usual = _form(forms[0].case, curvature, _as_literals(rule, numbers), rate).step
    return Region(rule, given, everything, rate, curvature, tuple(forms), usual)


def _curvature(rule: Rule) -> Symbol:
    """Return a symbol for the curvature, under a name that the rule leaves free."""
    taken = {rule.parameter.name, rule.gradient.name, *(h.symbol.name for h in rule.hypers)}
    taken |= {equation.target.name for equation in rule.equations}
    name = next(name for name in ("h", "curvature", "h_", "curvature_", "h__") if name not in taken)
    return Symbol(Role.HYPER, name, Rate.CONST)


def _as_literals(rule: Rule, numbers: Mapping[str, float | bool]) -> dict[Symbol, ir.Expr]:
    return {h.symbol: literal(numbers[h.symbol.name]) for h in rule.hypers if h.symbol.name in numbers}


def _form(case: Case, curvature: Symbol, fixed: Mapping[Symbol, ir.Expr], rate: Symbol | None) -> Form:
    try:
        return Form(case, linear_step(case.rule, curvature, fixed, rate))
    except NotLinear as error:
        return Form(case, None, error.target, str(error))
    except Unknown as error:
        return Form(case, None, None, f"algebra found no answer: {error}")


def _merged(forms: Sequence[Form], rule: Rule) -> list[Form]:
    """Return forms without those that are another's limit: `d = g + weight_decay*x` is `d = g` at weight_decay = 0."""
    left = list(forms)
    for special in forms:
        for general in left:
            point = _point_between(general, special)
            if point is None or general.step is None or special.step is None:
                continue
            symbol, value, condition = point
            if same_poles(general.step, special.step, {symbol: value}, rule):
                assumed = tuple(pair for pair in general.case.assumed if pair[0] != condition)
                usual = general.case.usual or special.case.usual
                kept = replace(general, case=replace(general.case, assumed=assumed, usual=usual))
                left[left.index(general)] = kept
                left = [form for form in left if form is not special]
                return _merged(left, rule)
    return sorted(left, key=lambda form: not form.case.usual)


def _point_between(general: Form, special: Form) -> tuple[Symbol, ir.Expr, ir.Expr] | None:
    """Return the value at which `general` would have to be `special`, and the condition in which alone they differ."""
    ours, theirs = dict(general.case.assumed), dict(special.case.assumed)
    different = [condition for condition in ours if ours[condition] is not theirs.get(condition)]
    if set(ours) != set(theirs) or len(different) != 1:
        return None
    (condition,) = different
    match condition:
        case ir.Apply(Op.NE | Op.EQ as op, (ir.Ref(symbol), value)) if symbol.role is Role.HYPER:
            unequal = ours[condition] is (op is Op.NE)
            return (symbol, value, condition) if unequal and not isinstance(value, ir.Ref) else None
    return None


@dataclass(frozen=True)
class Limit:
    """The largest stable value of the learning rate at a curvature (or of the curvature, which is None then).

    Every smaller one that was tried is stable, too. `value` is None where none is, and infinity where all are.
    """

    curvature: float | None
    value: float | None


def limits(region: Region, tick: Callable[[int], None] | None = None) -> list[Limit]:
    """Return the largest stable learning rates, to half a percent: by eigenvalues where there are any, else by runs."""
    stable = _stability(region, tick)
    curvatures: tuple[float | None, ...] = CURVATURES if region.rate is not None else (None,)
    coarse = np.geomspace(LOWEST, HIGHEST, _POINTS)
    found = stable(*_points(curvatures, [coarse] * len(curvatures)))
    ranges = []
    for row in found:
        bad = int(np.argmin(row)) if not row.all() else len(row)
        ranges.append(coarse[[max(bad - 1, 0), min(bad, len(row) - 1)]])
    fine = stable(*_points(curvatures, [np.geomspace(low, high, 41) for low, high in ranges]))
    result = []
    for curvature, row, closer, (low, high) in zip(curvatures, found, fine, ranges, strict=True):
        inside = np.geomspace(low, high, 41)
        last = len(closer) if closer.all() else int(np.argmin(closer))
        value = None if not row[0] else np.inf if row.all() else float(inside[max(last - 1, 0)])
        result.append(Limit(curvature, value))
    return result


def _points(curvatures: Sequence[float | None], tried: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Return learning rates and curvatures, a row for each curvature; the latter vary where it is None."""
    rows = np.array(tried)
    if curvatures[0] is None:
        return np.ones_like(rows), rows
    return rows, np.repeat(np.array(curvatures, float)[:, None], rows.shape[1], axis=1)


def _stability(region: Region, tick: Callable[[int], None] | None) -> Callable[[Floats, Floats], Any]:
    runs = region.grid(region.rate)
    if region.usual is not None:
        return lambda rates, h: runs.radius(rates, h, region.variables) < 1
    return lambda rates, h: runs.runs(rates, h, tick)[0] <= FACTOR
