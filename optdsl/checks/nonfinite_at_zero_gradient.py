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
from optdsl.ir.evaluate import Shape
from optdsl.ir.nodes import Op, Role, Rule, Symbol

_TENSORS = ((1.0, -1.0), (0.0,))
"""Where the parameter starts: 0 last, so that it is only told where it matters."""
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
    place: str
    gradient: str
    t: int
    start: str
    setting: str
    number: str
    always: bool

    @property
    def message(self) -> str:
        return f"`{self.target}` becomes {self.becomes} where the gradient is 0"

    @property
    def label(self) -> str:
        number = f", in {self.number}" if self.number else ""
        place = f" in {self.place}" if self.place else ""
        other = " other" if self.setting else ""
        scope = f", whatever the{other} hyperparameters" if self.always else ""
        where = f"at t = {self.t}, {self.gradient} = 0{self.start}{self.setting}{number}"
        return f"{where}: {self.operation}{place}{scope}"

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
                    for shape in _trial.shapes(rule, len(x)):
                        for problem in _trouble(rule, hypers, arithmetic, number, x, gradients, setting, shape):
                            if problem.span not in found:
                                found.add(problem.span)
                                yield problem


def _trouble(
    rule: Rule, hypers: Mapping[str, Any], arithmetic: Arithmetic, number: str, x: tuple[float, ...],
    gradients: tuple[float, ...], setting: Mapping[str, bool], shape: Shape,
) -> Iterator[NonfiniteAtZeroGradient]:  # fmt: skip
    """Yield what goes wrong in the first bad step of one trial."""
    for step in _trial.steps(rule, hypers, x, gradients, arithmetic, shape):
        bad = list(_trial.turned_bad(rule, step))
        if bad and step.g[0] != 0:
            return  # not for want of a gradient
        for target, index, value in bad:
            culprit = blame(rule, target, index, step, hypers, arithmetic)
            if _whatever_the_gradient(rule, hypers, x, gradients[: step.t - 1], culprit, shape):
                continue
            yield NonfiniteAtZeroGradient(
                span=culprit.span, target=f"{target.name}'", becomes="NaN" if math.isnan(value) else "infinite",
                operation=culprit.operation, op=culprit.op, place=_trial.quoted(rule, culprit.span),
                gradient=rule.gradient.name, t=step.t, start=f", {rule.parameter.name} = 0" if x == (0.0,) else "",
                setting=_trial.shown(rule, setting), number=number, always=_always(rule, culprit, setting, step),
            )  # fmt: skip
        if bad:
            return


def _whatever_the_gradient(
    rule: Rule, hypers: Mapping[str, Any], x: tuple[float, ...], earlier: tuple[float, ...], culprit: Culprit,
    shape: Shape,
) -> bool:  # fmt: skip
    """Return whether the same operation fails, too, under a gradient of 1 and of -1 in place of the last 0.

    Then the 0 isn't to blame; `vanishing-denominator` or `negative-radicand` tells what is.
    """
    if culprit.trouble is None:
        return False
    for gradient in (1.0, -1.0):
        *_, step = _trial.steps(rule, hypers, x, (*earlier, gradient), shape=shape)
        blamed = (
            blame(rule, target, index, step, hypers, Floats()) for target, index, _ in _trial.turned_bad(rule, step)
        )
        if not any(other.span == culprit.span and other.trouble is culprit.trouble for other in blamed):
            return False
    return True


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
