"""`unused-hyper`: a hyperparameter that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from optdsl.diagnostics import Problem, Severity
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Rule


@dataclass(frozen=True, kw_only=True)
class UnusedHyper(Problem):
    """A hyperparameter that changes nothing."""

    slug: ClassVar[str] = "unused-hyper"
    severity: ClassVar[Severity] = "warning"
    name: str

    @property
    def message(self) -> str:
        return f"the hyperparameter `{self.name}` is never read"

    @property
    def label(self) -> str:
        return "setting it changes nothing"

    @property
    def help(self) -> str:
        return f"use `{self.name}` in an equation, or remove this line"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield the hyperparameters that no equation, initial value, condition, view or other default reads."""
    exprs = [equation.value for equation in rule.equations]
    exprs += [hyper.default for hyper in rule.hypers]
    exprs += [state.init for state in rule.states]
    exprs += [state.when for state in rule.states if state.when is not None]
    exprs += [view.value for view in rule.views]
    read = {symbol for expr in exprs for symbol in symbols(expr)}
    for hyper in rule.hypers:
        if hyper.symbol not in read:
            yield UnusedHyper(span=hyper.span or (0, 0), name=hyper.symbol.name)
