"""`unused-state`: a state that the parameter never depends on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from optdsl.checks import _trial
from optdsl.checks._needs import needed, new_parameter
from optdsl.diagnostics import Problem, Severity
from optdsl.ir.evaluate import Floats, evaluate
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
    equations = {equation.target: equation.value for equation in rule.equations}
    target = next(symbol for symbol in equations if symbol.role is Role.NEW and symbol.name == state.name)
    after = new_parameter(rule)
    if state.scalar or not needed(rule, [target], across_steps=False) & {rule.parameter, after}:
        return False
    hypers, floats = _trial.values(rule, {}), Floats()
    for still, other, t in ((1.5, 0.25, 1), (-0.75, 1.0, 2), (3.0, 0.5, 7)):
        known: dict[Symbol, Any] = {rule.parameter: [still], after: [still], state.symbol: [still], rule.gradient: [other]}

        def value_of(symbol: Symbol, known: dict[Symbol, Any] = known, other: float = other, t: int = t) -> Any:
            if symbol not in known:
                match symbol.role:
                    case Role.HYPER:
                        known[symbol] = hypers[symbol.name]
                    case Role.STEP:
                        known[symbol] = float(t)
                    case Role.SIZE:
                        known[symbol] = 1.0
                    case Role.OLD | Role.GRADIENT:
                        known[symbol] = [other] if symbol.rate is Rate.ELEMENT else other
                    case Role.NEW | Role.LOCAL:
                        value = evaluate(equations[symbol], value_of, floats, 1)
                        known[symbol] = floats.spread(value, 1) if symbol.rate is Rate.ELEMENT else value
            return known[symbol]

        if not math.isclose(value_of(target)[0], still, rel_tol=1e-9):
            return False
    return True
