"""`eps-lost-in-half`: a constant that is stored as 0 in a state kept in float16.

Arithmetic is never done in float16: the elements of a float16 parameter are computed in float32, which holds 1e-8 as
well as any. A constant is lost only where a value is stored, in a state declared `f16`: there a number of at most
2^-25 (3e-8) becomes 0, and with it the `eps` that was to keep the state from 0. bfloat16 has the range of float32 and
loses none. So the check stores what is left of a rule where the parameter and the gradient are 0, when all that isn't 0
comes from constants: the initial values, and the values after the first step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optdsl.checks import _trial
from optdsl.diagnostics import Problem, Severity
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import constant, evaluate
from optdsl.ir.nodes import Role, Rule, State

LARGEST_LOST = 2.0**-25
"""The largest number that float16 rounds to 0."""


@dataclass(frozen=True, kw_only=True)
class EpsLostInHalf(Problem):
    """A constant below what float16 can hold, stored in a float16 state."""

    slug: ClassVar[str] = "eps-lost-in-half"
    severity: ClassVar[Severity] = "warning"
    state: str
    constant: str
    value: float
    after: str

    @property
    def message(self) -> str:
        return f"{self.constant} is lost: `{self.state}` is stored in float16, where it becomes 0"

    @property
    def label(self) -> str:
        return f"{self.after}: {self.state} is {_shown(self.value)}, stored as 0; the smallest of float16 is 6e-8"

    @property
    def help(self) -> str:
        return (
            f"add it where `{self.state}` is read, which is float32 arithmetic; or declare `{self.state}` as `bf16` or "
            "without a type; or use at least 1e-7"
        )


def check(rule: Rule) -> Iterator[Problem]:
    """Yield each constant that a float16 state loses, at the defaults with truth values either way."""
    halves = [state for state in rule.states if state.storage == "f16" and not state.scalar]
    if not halves:
        return
    found: set[tuple[int, int]] = set()
    for setting in _trial.settings(rule):
        for problem in _lost(rule, halves, _trial.values(rule, setting), _trial.shown(rule, setting)):
            if problem.span not in found:
                found.add(problem.span)
                yield problem


def _lost(rule: Rule, halves: list[State], hypers: Mapping[str, Any], setting: str) -> Iterator[EpsLostInHalf]:
    arithmetic = Arrays(np.float32)
    (step,) = _trial.steps(rule, hypers, [0.0], [0.0], arithmetic)
    new = {e.target.name: e for e in rule.equations if e.target.role is Role.NEW}
    zeros = f"{rule.parameter.name} = {rule.gradient.name} = 0{setting}"
    for state in halves:
        if state.name not in step.states:
            continue
        first = float(arithmetic.spread(_initial(state, hypers), 1)[0])
        if first != 0 and step.states[state.name][0] == 0:
            yield _finding(rule, state.name, hypers, state.init, state.span, first, f"at the start{setting}")
        equation = new[state.name]
        value = float(step.outcome.values[equation.target][0])
        if value != 0 and step.outcome.states[state.name][0] == 0:
            yield _finding(rule, state.name, hypers, equation.value, equation.span, value, f"at t = 1, {zeros}")


def _initial(state: State, hypers: Mapping[str, Any]) -> Any:
    """Return the initial value of a state where the parameter is 0, before it is stored."""
    zero = np.zeros(1, np.float32)
    read = lambda symbol: hypers[symbol.name] if symbol.role is Role.HYPER else zero  # noqa: E731
    return evaluate(state.init, read, Arrays(np.float32), 1)


def _finding(
    rule: Rule, state: str, hypers: Mapping[str, Any], expr: ir.Expr, span: ir.Span | None, value: float, after: str
) -> EpsLostInHalf:
    """Return the finding at the constant to blame, or at the whole equation where none is seen."""
    culprit = next(_small(rule, expr, hypers), None)
    place = (culprit.span if culprit is not None else None) or span or (0, 0)
    named = _trial.quoted(rule, culprit.span if culprit is not None else None) or _shown(value)
    return EpsLostInHalf(span=place, state=state, constant=named, value=value, after=after)


def _shown(value: float) -> str:
    """Return a small number as an author would write it: 1e-8, not 1e-08."""
    return f"{value:g}".replace("e-0", "e-")


def _small(rule: Rule, expr: ir.Expr, hypers: Mapping[str, Any]) -> Iterator[ir.Expr]:
    """Yield the literals and hyperparameters that float16 can't hold, in an expression and the names it reads."""
    equations = {equation.target: equation.value for equation in rule.equations}
    match expr:
        case ir.Number(number) if 0 < abs(float(number)) <= LARGEST_LOST:
            yield expr
        case ir.Ref(symbol) if symbol.role is Role.HYPER and symbol.kind is ir.Kind.NUMBER:
            if 0 < abs(hypers[symbol.name]) <= LARGEST_LOST:
                yield expr
        case ir.Ref(symbol) if symbol.role is Role.LOCAL:
            yield from _small(rule, equations[symbol], hypers)
        case ir.Select(condition, chosen, other) if ir.rate(condition) is ir.Rate.CONST and _plain(condition):
            yield from _small(rule, chosen if constant(condition, hypers) else other, hypers)
        case _:
            for part in ir.operands(expr):
                yield from _small(rule, part, hypers)


def _plain(condition: ir.Expr) -> bool:
    """Return whether a condition reads no intermediate."""
    if isinstance(condition, ir.Ref):
        return condition.symbol.role is Role.HYPER
    return all(_plain(part) for part in ir.operands(condition))
