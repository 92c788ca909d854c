"""Whether a state that exists only under a condition is read only where it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from optdsl import problems as bad
from optdsl.diagnostics import Problem
from optdsl.ir import nodes as ir
from optdsl.ir.facts import Facts, with_conditions_written_out
from optdsl.ir.nodes import Role, Symbol
from optdsl.source import Span

MOST_CASES = 2_000
"""Combinations of a value and what is known of the hyperparameters where it is read."""


def absent_reads(rule: ir.Rule, shown: Mapping[str, str]) -> list[Problem]:
    """Return a finding for every place where a conditional state is read though it may not exist.

    `shown` has the author's text of the condition of each conditional state.
    """
    rule = with_conditions_written_out(rule)
    values = {equation.target: equation.value for equation in rule.equations}
    conditions = {state.name: state.when for state in rule.states if state.when is not None}
    found: list[Problem] = []
    visited: set[tuple[Symbol, Facts]] = set()
    if not conditions:
        return found
    relevant = {symbol.name for when in conditions.values() for symbol in _hypers(when)}

    def assumed(facts: Facts, condition: ir.Expr, holds: bool) -> Facts:
        """Keep only what can matter to a condition, so that there are few different cases."""
        matters = any(symbol.name in relevant for symbol in _hypers(condition))
        return facts.assume(condition, holds) if matters else facts

    def walk(expr: ir.Expr, facts: Facts) -> None:
        if isinstance(expr, ir.Ref):
            read(expr, facts)
        elif isinstance(expr, ir.Select):
            decided = facts.decide(expr.condition)
            walk(expr.condition, facts)
            if decided is not False:
                walk(expr.chosen, assumed(facts, expr.condition, True))
            if decided is not True:
                walk(expr.other, assumed(facts, expr.condition, False))
        else:
            for part in ir.operands(expr):
                walk(part, facts)

    def read(ref: ir.Ref, facts: Facts) -> None:
        symbol = ref.symbol
        when = conditions.get(symbol.name) if symbol.role in (Role.OLD, Role.NEW) else None
        if when is not None and facts.decide(when) is not True:
            problem = bad.AbsentState(
                span=_as_span(ref.span), name=symbol.name, primed=symbol.role is Role.NEW,
                condition=shown[symbol.name], declared=_as_span(rule.state(symbol.name).span),
            )  # fmt: skip
            if problem not in found:
                found.append(problem)
            return
        key = (symbol, facts)
        if symbol in values and key not in visited and len(visited) <= MOST_CASES:
            visited.add(key)
            walk(values[symbol], facts)

    declared = Facts.declared(rule.hypers)
    for equation in rule.equations:
        if equation.target.role is Role.NEW:
            when = conditions.get(equation.target.name)
            walk(equation.value, declared if when is None else declared.assume(when, True))
    for view in rule.views:
        walk(view.value, declared)
    if len(visited) > MOST_CASES:
        span = next(state.span for state in rule.states if state.when is not None)
        what = "whether this state exists where it is read depends on too many choices"
        return [bad.TooComplex(span=_as_span(span), what=what, limit=f"{MOST_CASES:,} cases")]
    return found


def _hypers(expr: ir.Expr) -> Iterator[Symbol]:
    if isinstance(expr, ir.Ref) and expr.symbol.role is Role.HYPER:
        yield expr.symbol
    for part in ir.operands(expr):
        yield from _hypers(part)


def _as_span(span: ir.Span | None) -> Span:
    return Span(*span) if span is not None else Span(0, 0)
