"""`unused-name`: an intermediate that nothing needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from optdsl.checks._needs import needed
from optdsl.diagnostics import Problem, Severity
from optdsl.ir.nodes import Equation, Role, Rule


@dataclass(frozen=True, kw_only=True)
class UnusedName(Problem):
    """An intermediate that neither the parameter nor a state depends on."""

    slug: ClassVar[str] = "unused-name"
    severity: ClassVar[Severity] = "warning"
    name: str

    @property
    def message(self) -> str:
        return f"nothing needs `{self.name}`"

    @property
    def label(self) -> str:
        return "neither the parameter nor a state depends on it"

    @property
    def help(self) -> str:
        return f"use `{self.name}` in the equation it was meant for, or remove this line"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield the intermediates that the parameter and the states don't need, directly or through others."""
    used = needed(rule, [e.target for e in rule.equations if e.target.role is Role.NEW], across_steps=False)
    for equation in rule.equations:
        if equation.target.role is Role.LOCAL and equation.target not in used:
            yield UnusedName(span=_left_side(rule, equation), name=equation.target.name)


def _left_side(rule: Rule, equation: Equation) -> tuple[int, int]:
    """Return the place of the name as it is spelled in the source, which may be another spelling of it."""
    start, end = equation.span or (0, 0)
    written = re.match(r"[^\s=]+", rule.text[start:end])
    return start, start + written.end() if written else end
