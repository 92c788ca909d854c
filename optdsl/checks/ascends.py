"""`ascends`: a rule whose first step goes up the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from optdsl.checks import _trial
from optdsl.checks._needs import new_parameter
from optdsl.diagnostics import Problem, Severity
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Kind, Op, Rule

_MEANT = {"maxim": False, "ascen": False, "climb": False, "minim": True, "descen": True}
"""Parts of names of truth values that turn a rule around on purpose, with the value that descends."""
_TURNS = ("negat", "flip", "revers", "invert")
"""Others, of which the default is taken to descend."""
_STARTS = (0.0, 1.0)
"""Where the parameter starts: at 0 no decay disturbs the sign, but a rule may scale its step by the parameter."""
_SIZES = (1.0, 1e-3)
"""Sizes of the gradient."""
_STEPS = 3
"""Steps within which the parameter must have moved."""


@dataclass(frozen=True, kw_only=True)
class Ascends(Problem):
    """A step along the gradient instead of against it."""

    slug: ClassVar[str] = "ascends"
    severity: ClassVar[Severity] = "warning"
    parameter: str
    gradient: str
    t: int
    g: float
    before: float
    after: float
    setting: str
    always: bool
    one_sided: bool

    @property
    def message(self) -> str:
        other = " other" if self.setting else ""
        scope = f", whatever the{other} hyperparameters" if self.always else ""
        if self.one_sided:
            scope = f" where it is {'above' if self.g > 0 else 'below'} 0"
        return f"the rule climbs: `{self.parameter}` moves along the gradient{scope}"

    @property
    def label(self) -> str:
        where = f"at t = {self.t}, {self.gradient} = {self.g:g}{self.setting}"
        return f"{where}: {self.parameter} goes from {self.before:g} to {self.after:.3g}"

    @property
    def help(self) -> str:
        if self.one_sided:
            return f"let the step follow the sign of `{self.gradient}`, so that `{self.parameter}` moves against it"
        return f"turn the sign of the step, so that `{self.parameter}` moves against `{self.gradient}`"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield a finding where the first move goes up the gradient, at the defaults or with truth values set otherwise.

    One that makes the same step under g and -g has lost the sign on the way, and climbs for one of them. A transform
    may turn the gradient round.
    """
    if rule.transform:
        return
    for setting in _trial.settings(rule, _held(rule)):
        for start in _STARTS:
            moved = [_moved(rule, setting, start, size * side) for size in _SIZES for side in (1, -1)]
            if any(step is None for step in moved) and not all(step is None for step in moved):
                break  # moves by one gradient and not by another: no direction to speak of
            climbing = [step is not None and (_delta(step) > 0) is (step.g[0] > 0) for step in moved]
            first = moved[0]
            if first is None:
                continue
            if all(climbing) and _algebra_agrees(rule, setting, start, first.t) is not False:
                yield _finding(rule, setting, start, first)
                return
            steps = [step for step in moved if step is not None]
            if start == 0 and all(_delta(up) == _delta(down) for up, down in zip(steps[::2], steps[1::2], strict=True)):
                wrong = next(step for step in steps if (_delta(step) > 0) is (step.g[0] > 0))
                yield replace(_finding(rule, setting, start, wrong), always=False, one_sided=True)
                return
            break


def _held(rule: Rule) -> dict[str, bool]:
    """Return the truth values that turn a rule around on purpose, each as it descends."""
    usual = _trial.values(rule, {})
    held: dict[str, bool] = {}
    for hyper in rule.hypers:
        name = hyper.symbol.name
        if hyper.symbol.kind is not Kind.BOOLEAN:
            continue
        if any(part in name for part in _TURNS):
            held[name] = bool(usual[name])
        for part, value in _MEANT.items():
            if part in name:
                held[name] = value
    return held


def _moved(rule: Rule, setting: Mapping[str, bool], start: float, gradient: float) -> _trial.Step | None:
    """Return the first step that moves the parameter, None where none does or one is not finite."""
    hypers = _trial.values(rule, setting)
    for step in _trial.steps(rule, hypers, [start], [gradient] * _STEPS):
        if _delta(step) != 0:
            return step if math.isfinite(_delta(step)) else None
    return None


def _delta(step: _trial.Step) -> float:
    return float(step.outcome.parameter[0] - step.x[0])


def _finding(rule: Rule, setting: Mapping[str, bool], start: float, step: _trial.Step) -> Ascends:
    from optdsl.algebra.proofs import is_nonnegative

    move = _move(rule, _truths(rule, setting), start, step.t)
    return Ascends(
        span=rule.equation(new_parameter(rule)).span or (0, 0), parameter=rule.parameter.name,
        gradient=rule.gradient.name, t=step.t, g=step.g[0], before=step.x[0], after=step.outcome.parameter[0],
        setting=_trial.shown(rule, setting), always=is_nonnegative(move, rule, [rule.gradient]) is True,
        one_sided=False,
    )  # fmt: skip


def _algebra_agrees(rule: Rule, setting: Mapping[str, bool], start: float, t: int) -> bool | None:
    """Return whether the move at the defaults is up in exact arithmetic too, for a positive gradient of any size."""
    from optdsl.algebra.proofs import sign
    from optdsl.algebra.unroll import default_values

    hypers = default_values(rule, {name: ir.Truth(value) for name, value in setting.items()})
    direction = sign(_move(rule, hypers, start, t), rule, [rule.gradient])
    return None if direction is None else direction == 1


def _move(rule: Rule, hypers: Mapping[ir.Symbol, ir.Expr], start: float, t: int) -> ir.Expr:
    """Return how far the parameter is from its start after t steps under the same gradient."""
    from optdsl.algebra.unroll import parameter_after

    x = ir.number(int(start))
    return ir.Apply(Op.SUB, (parameter_after(rule, x, [ir.Ref(rule.gradient)] * t, hypers), x))


def _truths(rule: Rule, setting: Mapping[str, bool]) -> dict[ir.Symbol, ir.Expr]:
    """Return the truth values among the hyperparameters, leaving the numbers open."""
    values = _trial.values(rule, setting)
    return {h.symbol: ir.Truth(values[h.symbol.name]) for h in rule.hypers if h.symbol.kind is Kind.BOOLEAN}
