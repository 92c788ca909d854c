"""`moves-at-zero-lr`: a rule that changes the parameter though its learning rate is 0."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from optdsl.checks import _trial
from optdsl.checks._needs import needed, new_parameter
from optdsl.diagnostics import Problem, Severity
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import evaluate
from optdsl.ir.nodes import COMPARISONS, Hyper, Kind, Role, Rule, Symbol

NAMES = ("lr", "learning_rate", "eta", "step_size")
"""Names of the learning rate; the first that a rule has is meant."""
_X, _GRADIENTS = 1.0, (1.0, -0.5, 2.0)
_ROUNDING = 1e-12
"""A move so much smaller than the parameter is rounding unless algebra says otherwise."""


@dataclass(frozen=True, kw_only=True)
class MovesAtZeroLr(Problem):
    """A part of the step that the learning rate doesn't scale."""

    slug: ClassVar[str] = "moves-at-zero-lr"
    severity: ClassVar[Severity] = "warning"
    rate: str
    parameter: str
    gradient: str
    t: int
    g: float
    before: float
    after: float
    cause: str
    value: str

    @property
    def message(self) -> str:
        return f"`{self.parameter}` moves even where `{self.rate}` is 0"

    @property
    def label(self) -> str:
        cause = f", {self.cause} = {self.value}" if self.cause else ""
        where = f"at t = {self.t}, {self.gradient} = {self.g:g}, {self.rate} = 0{cause}"
        return f"{where}: {self.parameter} goes from {self.before:g} to {self.after:.6g}"

    @property
    def help(self) -> str:
        if self.cause:
            return f"multiply the part with `{self.cause}` by `{self.rate}`"
        return f"multiply every part of the step by `{self.rate}`"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield a finding where the parameter moves in the first steps at learning rate 0 and defaults otherwise.

    A transform makes no step.
    """
    rate = _rate(rule)
    if rate is None or rule.transform:
        return
    name = rate.symbol.name
    moved = _moved(rule, {name: 0.0})
    if moved is None or _stands_still(rule, name, moved.t) is True:
        return
    before, after = moved.x[0], moved.outcome.parameter[0]
    if abs(after - before) <= _ROUNDING * abs(before) and _stands_still(rule, name, moved.t) is None:
        return
    cause = _cause(rule, name)
    yield MovesAtZeroLr(
        span=rule.equation(new_parameter(rule)).span or (0, 0), rate=name, parameter=rule.parameter.name,
        gradient=rule.gradient.name, t=moved.t, g=moved.g[0], before=before, after=after, cause=cause,
        value=f"{_trial.values(rule, {name: 0.0})[cause]:g}" if cause else "",
    )  # fmt: skip


def _rate(rule: Rule) -> Hyper | None:
    """Return the learning rate: by its name, able to be 0, and read by the parameter's equation after the first step.

    One that only sets where a state starts (Rprop's) doesn't scale the steps, and isn't meant.
    """
    hypers = {hyper.symbol.name: hyper for hyper in rule.hypers}
    rate = next((hypers[name] for name in NAMES if name in hypers), None)
    if rate is None or rate.symbol.kind is Kind.BOOLEAN or (rate.interval is not None and 0.0 not in rate.interval):
        return None
    used = needed(rule, [new_parameter(rule)], across_steps=True)
    read = {s for e in rule.equations if e.target in used for s in _read_later(e.value)}
    return rate if rate.symbol in read else None


def _read_later(expr: ir.Expr) -> Iterator[Symbol]:
    """Yield the symbols an expression reads at a later step, its branches for the first step left aside."""
    if isinstance(expr, ir.Ref):
        yield expr.symbol
    parts = ir.operands(expr)
    if isinstance(expr, ir.Select) and _is_about_t(expr.condition):
        later = evaluate(expr.condition, lambda symbol: 2.0, Floats(), 1)
        parts = (expr.chosen if later else expr.other,)
    for part in parts:
        yield from _read_later(part)


def _is_about_t(condition: ir.Expr) -> bool:
    """Return whether a condition compares the step number with a literal."""
    if not isinstance(condition, ir.Apply) or condition.op not in COMPARISONS:
        return False
    return all(
        isinstance(a, ir.Number) or (isinstance(a, ir.Ref) and a.symbol.role is Role.STEP) for a in condition.args
    )


def _moved(rule: Rule, given: Mapping[str, Any]) -> _trial.Step | None:
    """Return the first step that moves the parameter, None where none does or one is not finite."""
    for step in _trial.steps(rule, _trial.values(rule, given), [_X], _GRADIENTS):
        delta = step.outcome.parameter[0] - step.x[0]
        if delta != 0:
            return step if math.isfinite(delta) else None
    return None


def _cause(rule: Rule, rate: str) -> str:
    """Return another hyperparameter without which the parameter stands still, or ""."""
    usual = _trial.values(rule, {rate: 0.0})
    for hyper in rule.hypers:
        name = hyper.symbol.name
        allowed = hyper.symbol.kind is Kind.NUMBER and (hyper.interval is None or 0.0 in hyper.interval)
        if name != rate and allowed and usual[name] != 0 and _moved(rule, {rate: 0.0, name: 0.0}) is None:
            return name
    return ""


def _stands_still(rule: Rule, rate: str, steps: int) -> bool | None:
    """Return whether the parameter is exactly where it was after some steps under any gradients; None for unknown."""
    from optdsl.algebra.proofs import equal
    from optdsl.algebra.unroll import default_values, parameter_after

    x = ir.Ref(rule.parameter)
    gradients = [
        ir.Ref(ir.Symbol(Role.GRADIENT, f"{rule.gradient.name} {t}", rule.gradient.rate)) for t in range(steps)
    ]
    hypers = default_values(rule, {rate: ir.number(0)})
    return equal(parameter_after(rule, x, gradients, hypers), x, rule)
