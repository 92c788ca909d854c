"""The forms a rule has at given hyperparameters: one for each outcome of the conditions these leave open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from optdsl.algebra.systems import literal
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import constant, evaluate
from optdsl.ir.facts import Facts, prune, with_conditions_written_out
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Hyper, Kind, Op, Role, Rule

RATES = ("lr", "learning_rate", "eta", "step_size")
"""Names of the learning rate; the first that a rule has is meant."""
MOST_CASES = 16
_LATE = 1e18
"""A step number past anything a condition compares it with."""


@dataclass(frozen=True)
class Case:
    """A rule without conditions on hyperparameters; `assumed` has those that make it this one, with their outcome.

    `usual` says that it is the form at the values given and the defaults of the others. `late` says that a condition on
    the step number was decided as for late steps.
    """

    rule: Rule
    assumed: tuple[tuple[ir.Expr, bool], ...]
    usual: bool
    late: bool = False


def learning_rate(rule: Rule) -> Hyper | None:
    """Return the learning rate of a rule, by its name."""
    numbers = {h.symbol.name: h for h in rule.hypers if h.symbol.kind is Kind.NUMBER}
    return next((numbers[name] for name in RATES if name in numbers), None)


def values(rule: Rule, given: Mapping[str, float | bool]) -> dict[str, Any]:
    """Return every hyperparameter as given, else its default, which may follow from those before it."""
    result: dict[str, Any] = {}
    for hyper in rule.hypers:
        name = hyper.symbol.name
        result[name] = given[name] if name in given else constant(hyper.default, result)
    return result


def held(rule: Rule, given: Mapping[str, float | bool]) -> dict[str, float | bool]:
    """Return the hyperparameters that are no symbols of the analysis: those given, and all truth values."""
    everything = values(rule, given)
    return {
        h.symbol.name: everything[h.symbol.name]
        for h in rule.hypers
        if h.symbol.name in given or h.symbol.kind is Kind.BOOLEAN
    }


def cases(rule: Rule, given: Mapping[str, float | bool]) -> list[Case]:
    """Return the forms of a rule at given hyperparameters, the usual one first.

    Truth values that aren't given are at their defaults, as are the numbers in conditions where there would be more
    than MOST_CASES forms.
    """
    usual = values(rule, given)
    rule = with_conditions_written_out(rule)
    facts = Facts.declared(rule.hypers)
    for hyper in rule.hypers:
        name = hyper.symbol.name
        if hyper.symbol.kind is Kind.BOOLEAN:
            facts = facts.assume(ir.Ref(hyper.symbol), usual[name])
        elif name in given:
            facts = facts.assume(ir.Apply(Op.EQ, (ir.Ref(hyper.symbol), literal(given[name]))), True)
    changes = {equation.target: _for_late_steps(equation.value, usual) for equation in rule.equations}
    rule = replace(rule, equations=tuple(replace(e, value=changes[e.target][0]) for e in rule.equations))
    found = []
    for assumed, known in _outcomes(rule, facts, usual):
        holds = all(bool(constant(condition, usual)) is outcome for condition, outcome in assumed)
        pruned = _pruned(rule, known)
        found.append(Case(pruned, assumed, holds, any(changes[e.target][1] for e in pruned.equations)))
    return sorted(found, key=lambda case: not case.usual)


def _outcomes(
    rule: Rule, facts: Facts, usual: Mapping[str, Any]
) -> list[tuple[tuple[tuple[ir.Expr, bool], ...], Facts]]:
    """Return the outcomes of the conditions on hyperparameters that are left open, with what is then known."""
    conditions = dict.fromkeys(state.when for state in rule.states if state.when is not None)
    for equation in rule.equations:
        conditions |= dict.fromkeys(_constant_conditions(equation.value))
    found: list[tuple[tuple[tuple[ir.Expr, bool], ...], Facts]] = [((), facts)]
    for condition in conditions:
        split = []
        for assumed, known in found:
            decided = known.decide(condition)
            open_ = decided is None and len(found) < MOST_CASES
            outcomes = (True, False) if open_ else (bool(constant(condition, usual)),) if decided is None else ()
            for outcome in outcomes:
                after = known.assume(condition, outcome)
                if not after.contradictory:
                    split.append(((*assumed, (condition, outcome)), after))
            if decided is not None:
                split.append((assumed, known))
        found = split
    return found


def _constant_conditions(expr: ir.Expr) -> Iterator[ir.Expr]:
    if isinstance(expr, ir.Select) and ir.rate(expr.condition) is ir.Rate.CONST:
        yield expr.condition
    for part in ir.operands(expr):
        yield from _constant_conditions(part)


def _pruned(rule: Rule, facts: Facts) -> Rule:
    """Return a rule without the branches that these facts exclude, and with what the parameter depends on only."""
    written = {equation.target: prune(equation.value, facts) for equation in rule.equations}
    new = {target.name: target for target in written if target.role is Role.NEW}
    queue, needed = [new[rule.parameter.name]], {new[rule.parameter.name]}
    while queue:
        for symbol in symbols(written[queue.pop()]):
            target = new[symbol.name] if symbol.role is Role.OLD else symbol
            if target in written and target not in needed:
                needed.add(target)
                queue.append(target)
    names = {target.name for target in needed if target.role is Role.NEW}
    states = tuple(state for state in rule.states if state.name in names)
    equations = tuple(replace(e, value=written[e.target]) for e in rule.equations if e.target in needed)
    return replace(rule, states=states, equations=equations)


def _for_late_steps(expr: ir.Expr, usual: Mapping[str, Any]) -> tuple[ir.Expr, bool]:
    """Return an expression with its conditions on the step number decided, and whether there were any."""
    parts = [_for_late_steps(part, usual) for part in ir.operands(expr)]
    changed = any(late for _, late in parts)
    if isinstance(expr, ir.Select) and _is_about_t(expr.condition):
        holds = evaluate(expr.condition, lambda s: _LATE if s.role is Role.STEP else usual[s.name], Floats(), 1)
        return parts[1 if holds else 2][0], True
    return (ir.rebuild(expr, tuple(part for part, _ in parts)) if changed else expr), changed


def _is_about_t(condition: ir.Expr) -> bool:
    """Return whether a condition reads the step number, and nothing but hyperparameters besides."""
    roles = {symbol.role for symbol in symbols(condition)}
    return Role.STEP in roles and roles <= {Role.STEP, Role.HYPER}
