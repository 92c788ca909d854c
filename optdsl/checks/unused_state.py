"""`unused-state`: a state that the parameter never depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, assert_never

from optdsl.checks import _trial
from optdsl.checks._needs import needed, new_parameter
from optdsl.diagnostics import Problem, Severity
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import evaluate
from optdsl.ir.nodes import Rate, Role, Rule, State, Symbol


@dataclass(frozen=True, kw_only=True)
class UnusedState(Problem):
    """A state that is kept up to date and changes no parameter."""

    slug: ClassVar[str] = "unused-state"
    severity: ClassVar[Severity] = "warning"
    name: str
    parameter: str

    @property
    def message(self) -> str:
        return f"`{self.parameter}'` never depends on the state `{self.name}`"

    @property
    def label(self) -> str:
        return "costs memory and changes nothing"

    @property
    def help(self) -> str:
        return f"use `{self.name}` in the equation it was meant for, or remove it and its equation"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield the states that neither the parameter nor an average of its values needs, at this step or a later one."""
    new = {e.target.name: e.target for e in rule.equations if e.target.role is Role.NEW}
    used = needed(rule, [new_parameter(rule)], across_steps=True)
    idle = [state for state in rule.states if new[state.name] not in used]
    outputs = [new[state.name] for state in idle if _averages(rule, state)]
    used = needed(rule, [new_parameter(rule), *outputs], across_steps=True)
    for state in idle:
        if new[state.name] not in used:
            yield UnusedState(span=state.span or (0, 0), name=state.name, parameter=rule.parameter.name)


def _averages(rule: Rule, state: State) -> bool:
    """Return whether a state is an average of the parameter's values, kept for the user to read.

    It is taken for one if it reads the parameter and would stay where it is once the parameter had stood still there,
    whatever the gradient and the other states. (A state that reads the finished `x'` but isn't an average, such as a
    count of large steps, is not.)
    """
    after = new_parameter(rule)
    target = next(e.target for e in rule.equations if e.target.role is Role.NEW and e.target.name == state.name)
    if state.scalar or not needed(rule, [target], across_steps=False) & {rule.parameter, after}:
        return False
    for still, other, t in ((1.5, 0.25, 1), (-0.75, 1.0, 2), (3.0, 0.5, 7)):
        known: dict[Symbol, Any] = {symbol: [still] for symbol in (rule.parameter, after, state.symbol)}
        value = _value(rule, target, known, other, t)
        if not math.isclose(value[0], still, rel_tol=1e-9):
            return False
    return True


def _value(rule: Rule, wanted: Symbol, known: dict[Symbol, Any], other: float, t: int) -> Any:
    """Return the value of a symbol at step t where some are known and every other state and the gradient is `other`."""
    equations = {equation.target: equation.value for equation in rule.equations}
    hypers, floats = _trial.values(rule, {}), Floats()

    def value_of(symbol: Symbol) -> Any:
        if symbol not in known:
            known[symbol] = compute(symbol)
        return known[symbol]

    def compute(symbol: Symbol) -> Any:
        match symbol.role:
            case Role.HYPER:
                return hypers[symbol.name]
            case Role.STEP:
                return float(t)
            case Role.SIZE:
                return 1.0
            case Role.OLD | Role.GRADIENT:
                return [other] if symbol.rate is Rate.ELEMENT else other
            case Role.NEW | Role.LOCAL:
                value = evaluate(equations[symbol], value_of, floats, 1)
                return floats.spread(value, 1) if symbol.rate is Rate.ELEMENT else value
        assert_never(symbol.role)

    return value_of(wanted)
