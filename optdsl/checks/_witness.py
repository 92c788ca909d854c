"""The values that bring a failure about, in words."""

from __future__ import annotations

from dataclasses import dataclass

from optdsl.checks import _trial
from optdsl.checks._needs import needed
from optdsl.checks._search import Failure
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Op, Rule


@dataclass(frozen=True)
class Witness:
    """A run in words, the operation that fails in it as the author wrote it, and the operand to blame."""

    words: str
    place: str
    part: str


def witness(rule: Rule, failure: Failure, number: str = "") -> Witness:
    """Return a failure in words: "at t = 2, g = 1 at every step: 0/0 in `g/(m - g)`"."""
    culprit = failure.culprit
    part = culprit.operands[1 if culprit.op in (Op.DIV, Op.MOD) else 0]
    place = _trial.quoted(rule, culprit.span)
    where = f"at t = {failure.t}{_start(rule, failure)}{_gradients(rule, failure)}"
    where += _trial.shown(rule, failure.setting) + (f", in {number}" if number else "")
    words = f"{where}: {culprit.operation}" + (f" in {place}" if place else "")
    return Witness(words, place, "" if part.span == culprit.span else _trial.quoted(rule, part.span))


def _start(rule: Rule, failure: Failure) -> str:
    """Return where the parameter started, if the operation depends on it."""
    read = needed(rule, symbols(failure.culprit.expr), across_steps=True)
    starts = [state for state in rule.states if state.symbol in read and rule.parameter in symbols(state.init)]
    if rule.parameter not in read and not starts:
        return ""
    values = [f"{value:g}" for value in failure.start]
    shown = values[0] if len(values) == 1 else f"({', '.join(values)})"
    return f", {rule.parameter.name} = {shown}" + (" at first" if failure.t > 1 else "")


def _gradients(rule: Rule, failure: Failure) -> str:
    """Return the gradients up to the failure."""
    read = needed(rule, symbols(failure.culprit.expr), across_steps=True)
    if rule.gradient not in read:
        return ""
    values = failure.gradients
    if len(set(values)) == 1:
        return f", {rule.gradient.name} = {values[0]:g}" + (" at every step" if failure.t > 1 else "")
    if len(values) > 2 and len(set(values[1:])) == 1:
        return f", {rule.gradient.name} = {values[0]:g} and then {values[1]:g} at every step"
    return f", {rule.gradient.name} = {', '.join(f'{value:g}' for value in values)} in turn"
