"""`nonfinite-at-zero-gradient`: a rule that makes NaN or infinity where the gradient is 0."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optdsl.checks import _trial
from optdsl.checks._blame import Culprit, blame
from optdsl.diagnostics import Problem, Severity
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arithmetic, Arrays, Floats
from optdsl.ir.nodes import Op, Role, Rule, Symbol

_TENSORS = ((0.0,), (1.0, -1.0))
_GRADIENTS = ((0.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
"""Zero from the start, and zero after a step that has filled the states."""


@dataclass(frozen=True, kw_only=True)
class NonfiniteAtZeroGradient(Problem):
    """An operation without a finite result where the gradient is 0."""

    slug: ClassVar[str] = "nonfinite-at-zero-gradient"
    severity: ClassVar[Severity] = "warning"
    target: str
    becomes: str
    operation: str
    op: Op | None
    gradient: str
    t: int
    setting: str
    number: str
    always: bool

    @property
    def message(self) -> str:
        return f"`{self.target}` becomes {self.becomes} where the gradient is 0"

    @property
    def label(self) -> str:
        number = f", in {self.number}" if self.number else ""
        scope = ", whatever the hyperparameters" if self.always else ""
        return f"{self.operation} at t = {self.t}, {self.gradient} = 0{self.setting}{number}{scope}"

    @property
    def help(self) -> str:
        match self.op:
            case Op.DIV:
                larger = " large enough for 32 bits" if self.number else ""
                return f"add a positive `eps`{larger} to the denominator"
            case Op.POW:
                return "add a positive `eps` to the base"
            case Op.LOG | Op.LOG1P:
                return "add a positive `eps` to the argument"
            case Op.SQRT:
                return "keep the radicand from falling below 0: `sqrt(max(..., 0))`"
        return "keep this part finite, or leave the zero gradient out: `if g == 0 then ... else ...`"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield each operation that makes the parameter or a state NaN or infinite where the gradient is 0."""
    found: set[tuple[int, int]] = set()
    for setting in _trial.settings(rule):
        hypers = _trial.values(rule, setting)
        for arithmetic, number in ((Floats(), ""), (Arrays(np.float32), "float32")):
            for x in _TENSORS:
                for gradients in _GRADIENTS:
                    for problem in _trouble(rule, hypers, arithmetic, number, x, gradients, setting):
                        if problem.span not in found:
                            found.add(problem.span)
                            yield problem


def _trouble(
    rule: Rule, hypers: Mapping[str, Any], arithmetic: Arithmetic, number: str, x: tuple[float, ...],
    gradients: tuple[float, ...], setting: Mapping[str, bool],
) -> Iterator[NonfiniteAtZeroGradient]:  # fmt: skip
    """Yield what goes wrong in the first bad step of one trial."""
    for step in _trial.steps(rule, hypers, x, gradients, arithmetic):
        bad = list(_turned_bad(rule, step))
        if bad and step.g[0] != 0:
            return  # not for want of a gradient
        for target, index, value in bad:
            culprit = blame(rule, target, index, step, hypers, arithmetic)
            yield NonfiniteAtZeroGradient(
                span=culprit.span, target=f"{target.name}'", becomes="NaN" if math.isnan(value) else "infinite",
                operation=culprit.operation, op=culprit.op, gradient=rule.gradient.name, t=step.t,
                setting=_trial.shown(rule, setting), number=number, always=_always(rule, culprit, setting, step),
            )  # fmt: skip
        if bad:
            return


def _turned_bad(rule: Rule, step: _trial.Step) -> Iterator[tuple[Symbol, int, float]]:
    """Yield each new value that isn't finite, with its first such element, unless it was infinite on purpose."""
    new = {e.target.name: e.target for e in rule.equations if e.target.role is Role.NEW}
    pairs = [(new[rule.parameter.name], step.x, step.outcome.parameter)]
    pairs += [(new[name], step.states[name], value) for name, value in step.outcome.states.items()]
    for symbol, before, after in pairs:
        for index, (old, value) in enumerate(zip(np.ravel(before), np.ravel(after), strict=True)):
            if not math.isfinite(value) and (math.isnan(value) or old != value):
                yield symbol, index, float(value)
                break


def _always(rule: Rule, culprit: Culprit, setting: Mapping[str, bool], step: _trial.Step) -> bool:
    """Return whether algebra shows a denominator to be 0 at the first step whatever the numeric hyperparameters are."""
    if step.t != 1 or culprit.denominator is None:
        return False
    from optdsl.algebra.proofs import is_zero
    from optdsl.algebra.unroll import substitute, symbols_read, written_out

    values: dict[Symbol, ir.Expr] = {rule.gradient: ir.number(0), rule.parameter: ir.number(int(step.x[0]))}
    values |= {h.symbol: ir.Truth(setting[h.symbol.name]) for h in rule.hypers if h.symbol.name in setting}
    values |= {state.symbol: substitute(state.init, values) for state in rule.states}
    values |= {s: ir.number(1) for e in rule.equations for s in symbols_read(e.value) if s.role is Role.STEP}
    (denominator,) = written_out(rule, [culprit.denominator], values)
    return is_zero(denominator, rule) is True
