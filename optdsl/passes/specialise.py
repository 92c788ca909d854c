"""One form of a rule for each choice of optional states."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import isfinite

from optdsl.ir import nodes as ir
from optdsl.ir.facts import Facts, prune, with_conditions_written_out
from optdsl.ir.kernel import symbols


def followers(rule: ir.Rule) -> tuple[ir.State, ...]:
    """Return the conditional states that only follow the new parameter and that nothing else reads, such as an average.

    They need no variants: what they need is done after the pass that stores the parameter, block by block, wherever
    the state is there.
    """
    values = {equation.target: equation.value for equation in rule.equations}
    new = replace(rule.parameter, role=ir.Role.NEW)
    found = []
    for state in rule.states:
        target = replace(state.symbol, role=ir.Role.NEW)
        if state.when is None or state.scalar or state.storage is not None or target not in values:
            continue
        own = {state.symbol, new}
        elsewhere = {s for other, value in values.items() if other != target for s in symbols(value)}
        if elsewhere.isdisjoint({state.symbol, target}) and all(
            symbol in own or symbol.role in (ir.Role.HYPER, ir.Role.STEP) for symbol in symbols(values[target])
        ):
            found.append(state)
    shared = {state.when for state in rule.states if state not in found}
    return tuple(state for state in found if state.when not in shared)


def conditions(rule: ir.Rule) -> tuple[ir.Expr, ...]:
    """Return the distinct conditions under which states exist that need variants, in the rule's order."""
    late = followers(rule)
    return tuple(dict.fromkeys(s.when for s in rule.states if s.when is not None and s not in late))


def specialise(rule: ir.Rule) -> dict[int, ir.Rule]:
    """Return the rule for each combination of its conditions that can hold.

    Bit i of the key says that condition i holds. In each, absent states are gone, branches that can't be taken are cut
    off, and equations that nothing needs any more are left out. Those of followers are left out of all.
    """
    asked, late = conditions(rule), followers(rule)
    rule = with_conditions_written_out(rule)
    variants = {}
    for key in range(1 << len(asked)):
        facts = _facts(rule, asked, key)
        truths = [facts.decide(condition) for condition in asked]
        if facts.contradictory or any(
            truth is not None and truth != bool(key >> bit & 1) for bit, truth in enumerate(truths)
        ):
            continue
        states = tuple(s for s in rule.states if s not in late and (s.when is None or key >> asked.index(s.when) & 1))
        variants[key] = _reachable(replace(rule, states=states), facts)
    return variants


def _facts(rule: ir.Rule, asked: tuple[ir.Expr, ...], key: int) -> Facts:
    """Return what is known of the hyperparameters in a variant."""
    facts = Facts.declared(rule.hypers)
    for bit, condition in enumerate(asked):
        facts = facts.assume(condition, bool(key >> bit & 1))
    return facts


def fixed(rule: ir.Rule, key: int) -> dict[ir.Symbol, ir.Number]:
    """Return the hyperparameters that can have only one value in a variant of a rule, and their values."""
    ranges = _facts(rule, conditions(rule), key).ranges
    values = {}
    for hyper in rule.hypers:
        interval = ranges[hyper.symbol.name].interval if hyper.symbol.name in ranges else None
        if interval is not None and interval.low == interval.high and isfinite(interval.low):
            values[hyper.symbol] = ir.number(Fraction(interval.low))
    return values


def _reachable(rule: ir.Rule, facts: Facts) -> ir.Rule:
    """Return the rule with its equations pruned, and only those that the remaining states and the parameter need."""
    values = {equation.target: prune(equation.value, facts) for equation in rule.equations}
    kept = {rule.parameter.name, *(state.name for state in rule.states)}
    queue = [target for target in values if target.role is ir.Role.NEW and target.name in kept]
    needed = set(queue)
    while queue:
        for symbol in symbols(values[queue.pop()]):
            if symbol in values and symbol not in needed:
                needed.add(symbol)
                queue.append(symbol)
    equations = tuple(
        replace(equation, value=values[equation.target]) for equation in rule.equations if equation.target in needed
    )
    return replace(rule, equations=equations)
