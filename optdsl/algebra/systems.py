"""A rule with its hyperparameters settled as far as a question settles them, and the cases the rest falls into."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from optdsl.algebra.limits import TooLarge, Unknown
from optdsl.algebra.twofold import Doubtful, Twofold
from optdsl.algebra.unroll import substitute, symbols_read, written_out
from optdsl.ir import nodes as ir
from optdsl.ir.evaluate import constant
from optdsl.ir.facts import Facts, Range, prune, with_conditions_written_out
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Expr, Kind, Rate, Role, Rule, State, Symbol

MOST_CASES = 16
"""Cases of the open hyperparameters that are told apart."""


@dataclass(frozen=True)
class System:
    """A rule, each of its hyperparameters as an expression over open ones, and what stands for its gradient."""

    rule: Rule
    hypers: Mapping[Symbol, Expr]
    gradient: Expr

    @cached_property
    def settled(self) -> Rule:
        """The rule over the open hyperparameters."""
        rule = with_conditions_written_out(self.rule)
        equations = tuple(replace(e, value=substitute(e.value, self.hypers)) for e in rule.equations)
        states = tuple(
            replace(
                state, init=substitute(state.init, self.hypers),
                when=None if state.when is None else substitute(state.when, self.hypers),
            )
            for state in rule.states
        )  # fmt: skip
        return replace(rule, equations=equations, states=states)

    @cached_property
    def unrounded(self) -> Rule:
        """The rule with every state in the element type that the arithmetic has."""
        return replace(self.rule, states=tuple(replace(state, storage=None) for state in self.rule.states))

    @property
    def reduces(self) -> bool:
        """Whether an element depends on others."""
        parts = [*(e.value for e in self.rule.equations), *(state.init for state in self.rule.states), self.gradient]
        return any(ir.has_reduction(part) for part in parts)


@dataclass(frozen=True)
class Domain:
    """The open numbers and truth values of a question, with the intervals of some, and what to try first."""

    symbols: tuple[Symbol, ...]
    intervals: Mapping[Symbol, Interval]
    usual: Mapping[str, float | bool]

    def interval(self, symbol: Symbol) -> Interval:
        """Return what a number may be."""
        return self.intervals.get(symbol, Interval())


@dataclass(frozen=True)
class Case:
    """What is settled in one of the cases the open hyperparameters fall into."""

    facts: Facts
    values: Mapping[Symbol, Expr]
    intervals: Mapping[Symbol, Interval]

    def holds_at(self, point: Mapping[str, float | bool]) -> bool:
        """Return whether a point belongs to this case."""
        truths = all(point.get(name) == value for name, value in self.facts.truths.items())
        return truths and all(
            point[name] in values.interval and point[name] not in values.without
            for name, values in self.facts.ranges.items()
            if name in point
        )


def cases(systems: Sequence[System], domain: Domain) -> list[Case]:
    """Return the cases that the conditions of some rules tell apart; raise `TooLarge` where there are too many.

    An infinite hyperparameter, where an interval has one, is a case of its own: in the others all are real numbers.
    """
    numbers = {s.name: Range(domain.interval(s)) for s in domain.symbols if s.kind is Kind.NUMBER}
    found = [Facts({}, numbers)]
    conditions = dict.fromkeys(c for system in systems for c in (*_infinite(domain), *_conditions(system)))
    for condition in conditions:
        split = []
        for facts in found:
            if facts.decide(condition) is None:
                sides = (facts.assume(condition, False), facts.assume(condition, True))
                split += [side for side in sides if not side.contradictory]
            else:
                split.append(facts)
        found = split
        if len(found) > MOST_CASES:
            raise TooLarge(f"the open hyperparameters fall into more than {MOST_CASES} cases")
    return [_case(facts, domain) for facts in found]


def infinities(interval: Interval) -> list[float]:
    """Return the infinite numbers of an interval."""
    return [end for end in (interval.low, interval.high) if math.isinf(end) and end in interval]


def _infinite(domain: Domain) -> Iterator[Expr]:
    """Yield the conditions that open hyperparameters are infinite."""
    for symbol in domain.symbols:
        if symbol.kind is Kind.NUMBER:
            for end in infinities(domain.interval(symbol)):
                yield ir.Apply(ir.Op.EQ, (ir.Ref(symbol), literal(end)))


def _case(facts: Facts, domain: Domain) -> Case:
    values: dict[Symbol, Expr] = {}
    intervals: dict[Symbol, Interval] = {}
    for symbol in domain.symbols:
        if symbol.kind is Kind.BOOLEAN:
            values[symbol] = ir.Truth(facts.truths.get(symbol.name, False))  # where it isn't known nothing asks
            continue
        known = facts.ranges.get(symbol.name)
        interval = known.interval if known is not None else Interval()
        intervals[symbol] = interval
        if interval.low == interval.high:
            values[symbol] = literal(interval.low)
    return Case(facts, values, intervals)


def literal(value: float | bool) -> Expr:
    """Return the number that a float shows as, or a truth value."""
    if isinstance(value, bool):
        return ir.Truth(value)
    exact = Fraction(repr(abs(value))) if math.isfinite(value) else abs(value)
    number = ir.Number(exact, repr(abs(value)).removesuffix(".0"))
    return ir.Apply(ir.Op.NEG, (number,)) if value < 0 else number


def _conditions(system: System) -> Iterator[Expr]:
    """Yield conditions on one open hyperparameter: a truth value, or a comparison with a number."""

    def walk(expr: Expr) -> Iterator[Expr]:
        if ir.kind(expr) is Kind.BOOLEAN and ir.rate(expr) is Rate.CONST and not isinstance(expr, ir.Truth):
            inner = isinstance(expr, ir.Ref) or (isinstance(expr, ir.Apply) and expr.op in ir.COMPARISONS)
            if inner and len(symbols_read(expr)) == 1 and all(_simple(part) for part in ir.operands(expr)):
                yield expr
        for part in ir.operands(expr):
            yield from walk(part)

    rule = system.settled
    for state in rule.states:
        if state.when is not None:
            yield from walk(state.when)
        yield from walk(state.init)
    for equation in rule.equations:
        yield from walk(equation.value)
    yield from walk(system.gradient)


def _simple(expr: Expr) -> bool:
    """Return whether an expression is an open hyperparameter or a number."""
    if isinstance(expr, ir.Ref):
        return expr.symbol.role is Role.HYPER
    return not symbols_read(expr)


def cut(expr: Expr, case: Case) -> Expr:
    """Return an expression in a case: branches that aren't taken cut off, and what is settled in its place."""
    return substitute(prune(_folded(expr), case.facts), case.values)


def in_case(system: System, case: Case) -> Rule:
    """Return the rule in a case: absent states gone, branches that aren't taken cut off.

    Raises `Unknown` where it isn't decided whether a state exists.
    """
    rule = system.settled
    states = []
    for state in rule.states:
        exists = True if state.when is None else _decided(state, case.facts)
        if exists:
            states.append(replace(state, when=None, init=cut(state.init, case)))
    kept = {rule.parameter.name, *(state.name for state in states)}
    equations = [e for e in rule.equations if e.target.role is not Role.NEW or e.target.name in kept]
    return replace(
        rule, states=tuple(states), equations=tuple(replace(e, value=cut(e.value, case)) for e in equations), hypers=()
    )


def _decided(state: State, facts: Facts) -> bool:
    assert state.when is not None
    when = _folded(state.when)
    answer = facts.decide(when)
    if answer is None:
        raise Unknown(f"whether the state `{state.name}` exists is open")
    return answer


def _folded(expr: Expr) -> Expr:
    """Return an expression with conditions that read nothing decided, where that isn't a matter of rounding."""
    parts = tuple(_folded(part) for part in ir.operands(expr))
    expr = ir.rebuild(expr, parts)
    if isinstance(expr, ir.Apply) and ir.kind(expr) is Kind.BOOLEAN and not symbols_read(expr):
        with suppress(Doubtful):
            return ir.Truth(bool(constant(expr, {}, Twofold())))
    return expr


def initial(rule: Rule, x: Expr) -> dict[str, Expr]:
    """Return the first value of each state, for a parameter that starts at `x`."""
    return {state.name: substitute(state.init, {rule.parameter: x}) for state in rule.states}


def advanced(
    system: System, rule: Rule, x: Expr, gradient: Symbol, states: Mapping[str, Expr], t: Expr
) -> tuple[Expr, dict[str, Expr]]:
    """Return the parameter and the states after a step. `gradient` is the step's gradient, before any substitution."""
    given = substitute(system.gradient, {system.rule.gradient: ir.Ref(gradient)})
    values: dict[Symbol, Expr] = {rule.parameter: x, rule.gradient: given}
    values |= {state.symbol: states[state.name] for state in rule.states}
    values |= {s: t for e in rule.equations for s in symbols_read(e.value) if s.role is Role.STEP}
    new = {e.target.name: e.target for e in rule.equations if e.target.role is Role.NEW}
    names = [state.name for state in rule.states]
    after, *rest = written_out(rule, [ir.Ref(new[name]) for name in (rule.parameter.name, *names)], values)
    return after, dict(zip(names, rest, strict=True))


def numbered(gradient: Symbol, step: int) -> Symbol:
    """Return the symbol of the gradient at a step."""
    return Symbol(Role.GRADIENT, f"{gradient.name}{step}", gradient.rate)
