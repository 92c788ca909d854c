"""What the values of a rule need to be computed."""

from __future__ import annotations

from collections.abc import Iterable

from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Role, Rule, Symbol


def new_parameter(rule: Rule) -> Symbol:
    """Return the symbol of the parameter after the step."""
    return next(e.target for e in rule.equations if e.target.role is Role.NEW and e.target.name == rule.parameter.name)


def needed(rule: Rule, roots: Iterable[Symbol], across_steps: bool) -> set[Symbol]:
    """Return the symbols that the roots depend on, themselves included.

    With `across_steps`, the value of a state before the step needs its value after the previous one.
    """
    equations = {equation.target: equation.value for equation in rule.equations}
    after = {symbol.name: symbol for symbol in equations if symbol.role is Role.NEW}
    found: set[Symbol] = set()
    waiting = list(roots)
    while waiting:
        symbol = waiting.pop()
        if symbol in found:
            continue
        found.add(symbol)
        if symbol in equations:
            waiting += symbols(equations[symbol])
        elif across_steps and symbol.role is Role.OLD:
            waiting.append(after[symbol.name])
    return found
