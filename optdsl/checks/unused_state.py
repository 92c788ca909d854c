"""`unused-state`: a state that the parameter never depends on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from optdsl.checks._needs import needed, new_parameter
from optdsl.diagnostics import Problem, Severity
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Role, Rule


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
        use = f"use `{self.name}` in the equation it was meant for, or remove it and its equation"
        return f"{use}; if it is for readers, say so below `update`: `view NAME = {self.name}`"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield the states that neither the parameter nor a view needs, at this step or a later one."""
    new = {e.target.name: e.target for e in rule.equations if e.target.role is Role.NEW}
    read = dict.fromkeys(symbol for view in rule.views for symbol in symbols(view.value) if symbol.role is Role.OLD)
    used = needed(rule, [new_parameter(rule), *read], across_steps=True)
    for state in rule.states:
        if new[state.name] not in used:
            yield UnusedState(span=state.span or (0, 0), name=state.name, parameter=rule.parameter.name)
