"""Proofs that two rules take the same course: for every step, or for the first few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from optdsl.algebra.known import Atoms
from optdsl.algebra.limits import Unknown, clock, limited
from optdsl.algebra.normal import Normal, in_every_case
from optdsl.algebra.relations import Relation, conjectured
from optdsl.algebra.systems import Case, Domain, System, advanced, cases, cut, in_case, initial, numbered
from optdsl.algebra.unroll import symbols_read
from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Expr, Op, Rate, Role, Symbol

BEFORE = (0, 1, 2)
"""Steps written out before an induction begins."""
_AGE = ir.Ref(Symbol(Role.STEP, "age", Rate.STEP))
"""The number of steps that states have seen."""
_NEXT = ir.Apply(Op.ADD, (_AGE, ir.number(1)))


class States(IntEnum):
    """From which states one step was proved to keep what it found."""

    ANY = 0
    EQUAL = 1
    RELATED = 2


@dataclass(frozen=True)
class Proof:
    """What was proved in so many cases: for every step (None), or for the first `steps`.

    `written_out` are the steps before an induction over the steps, and `states` those from which it takes a step.
    """

    steps: int | None
    written_out: int = 0
    states: States = States.ANY
    cases: int = 1


def proved(first: System, second: System, domain: Domain, steps: int, deadline: float) -> Proof | None:
    """Return a proof that the parameters of two rules agree after each step, None where none was found in time.

    A proof for every step is looked for in each case of the hyperparameters, else one for `steps` steps.
    """
    try:
        every = cases((first, second), domain)
        found = [_in_a_case(_Pair(first, second, case), steps, deadline) for case in every]
    except Unknown:
        return None
    if not all(found):
        return None
    known = [proof for proof in found if proof is not None]
    limits = [proof.steps for proof in known if proof.steps is not None]
    before, states = max(proof.written_out for proof in known), max(proof.states for proof in known)
    return Proof(min(limits, default=None), before, states, len(known))


def descending(rule: System, resting: System, domain: Domain, deadline: float) -> Proof | None:
    """Return a proof that the first step is nowhere along the gradient, None where none was found in time."""
    try:
        every = cases((rule, resting), domain)
        found = [limited(_Pair(rule, resting, case).descends, max(deadline - clock(), 0.01)) for case in every]
    except Unknown:
        return None
    return Proof(1, cases=len(every)) if all(found) else None


def _in_a_case(pair: _Pair, steps: int, deadline: float) -> Proof | None:
    for attempt in (pair.induction, lambda: pair.unrolled(steps)):
        left = deadline - clock()
        if left <= 0:
            return None
        try:
            proof: Proof | None = limited(attempt, left)
        except Unknown:
            continue
        if proof is not None:
            return proof
    return None


def _kind(relations: Sequence[Relation]) -> States:
    if all(relation.base is not None and relation.multiple == ir.number(1) for relation in relations):
        return States.EQUAL if relations else States.ANY
    return States.RELATED


@dataclass
class _Pair:
    """Two rules in one case of their hyperparameters."""

    first: System
    second: System
    case: Case
    atoms: Atoms = field(default_factory=Atoms)

    def __post_init__(self) -> None:
        one, other = (replace(system, gradient=cut(system.gradient, self.case)) for system in (self.first, self.second))
        self.systems = (one, other)
        self.rules = (in_case(self.first, self.case), in_case(self.second, self.case))
        self.reduces = self.first.reduces or self.second.reduces
        self.x = ir.Ref(self.first.rule.parameter)

    def induction(self) -> Proof | None:
        """Prove that the parameters agree after every step."""
        names = [[state.name for state in rule.states] for rule in self.rules]
        relations = conjectured(self.first, self.second, self.case, (names[0], names[1]))
        for before in BEFORE:
            kept = self._inductive(relations, before)
            if kept is not None:
                return Proof(None, before, _kind(kept))
        return None

    def _inductive(self, relations: Sequence[Relation], before: int) -> list[Relation] | None:
        """Return the relations with which one step keeps the parameters equal, None where it isn't seen to.

        The relations must hold after the steps written out, and one step from any states that satisfy them must keep
        them; those that fail are given up.
        """
        xs: tuple[Expr, Expr] = (self.x, self.x)
        states = (initial(self.rules[0], self.x), initial(self.rules[1], self.x))
        for t in range(1, before + 1):
            xs, states = self._advance(xs, states, t, ir.number(t))
            if not self._equal([xs]):
                return None
        kept = [r for r in relations if self._holds(r, states, ir.number(before))]
        while True:
            old = self._related(kept)
            xs, new = self._advance((self.x, self.x), old, 0, _NEXT)
            held = [r for r in kept if self._holds(r, new, _NEXT, before)]
            if len(held) == len(kept):
                return kept if self._equal([xs], before) else None
            kept = held

    def _holds(
        self, relation: Relation, states: tuple[Mapping[str, Expr], Mapping[str, Expr]], age: Expr, before: int = 0
    ) -> bool:
        """Return whether states of both rules satisfy a relation, as far as can be seen."""
        value = relation.value(states[1 - relation.side], age)
        return self._equal([(states[relation.side][relation.state], value)], before)

    def _related(self, relations: Sequence[Relation]) -> tuple[dict[str, Expr], dict[str, Expr]]:
        """Return any states of both rules that satisfy some relations, after any number of steps."""
        given = {(relation.side, relation.state): relation for relation in relations}
        states: tuple[dict[str, Expr], dict[str, Expr]] = ({}, {})
        for side in (0, 1):
            for state in self.rules[side].states:
                if (side, state.name) not in given:
                    own = Symbol(Role.OLD, f"{state.name} of {side}", state.symbol.rate)
                    states[side][state.name] = ir.Ref(own)
        while given:  # a base may be given by a relation itself, whose base isn't
            for (side, name), relation in list(given.items()):
                if relation.base is None or relation.base in states[1 - side]:
                    states[side][name] = relation.value(states[1 - side], _AGE)
                    del given[side, name]
        return states

    def unrolled(self, steps: int) -> Proof | None:
        """Prove that the parameters agree after each of the first steps.

        Where no state depends on the parameter, the parameter before each step may be any number that both share.
        """
        xs: tuple[Expr, Expr] = (self.x, self.x)
        states = (initial(self.rules[0], self.x), initial(self.rules[1], self.x))
        shared = not self._states_read_the_parameter()
        for t in range(1, steps + 1):
            xs, states = self._advance(xs, states, t, ir.number(t))
            if not self._equal([xs]):
                return None
            xs = (self.x, self.x) if shared else xs
        return Proof(steps)

    def _states_read_the_parameter(self) -> bool:
        start = [initial(rule, self.x) for rule in self.rules]
        _, new = self._advance((self.x, self.x), self._related(()), 0, _NEXT)
        read = [symbol for side in (*start, *new) for value in side.values() for symbol in symbols_read(value)]
        return self.x.symbol in read

    def descends(self) -> bool:
        """Prove that the first step of the first rule is nowhere along the gradient, whatever its sign."""
        gradient = numbered(self.first.rule.gradient, 1)
        states = initial(self.rules[0], self.x)
        after, _ = advanced(self.first, self.rules[0], self.x, gradient, states, ir.number(1))
        along = ir.Apply(Op.MUL, (ir.Apply(Op.SUB, (after, self.x)), ir.Ref(gradient)))

        def question(normal: Normal) -> bool:
            normal.decided(normal.number(ir.Ref(gradient)))
            return normal.descending(normal.number(along))

        return in_every_case(question, self.atoms, self.case.intervals, self.reduces)

    def _advance(
        self, xs: tuple[Expr, Expr], states: tuple[Mapping[str, Expr], Mapping[str, Expr]], step: int, t: Expr
    ) -> tuple[tuple[Expr, Expr], tuple[dict[str, Expr], dict[str, Expr]]]:
        """Return the parameters and the states of both rules after a step with the same gradient."""
        gradient = numbered(self.first.rule.gradient, step)
        one, two = (
            advanced(self.systems[side], self.rules[side], xs[side], gradient, states[side], t) for side in (0, 1)
        )
        return (one[0], two[0]), (one[1], two[1])

    def _equal(self, pairs: Sequence[tuple[Expr, Expr]], before: int = 0) -> bool:
        """Return whether pairs of numbers are equal whatever their symbols stand for, as far as can be seen.

        `before` is the least number of steps that states have seen.
        """
        intervals = {**self.case.intervals, _AGE.symbol: Interval(low=float(before), low_closed=True)}

        def question(normal: Normal) -> bool:
            return all(normal.vanishes(normal.number(a) - normal.number(b)) for a, b in pairs)

        try:
            return in_every_case(question, self.atoms, intervals, self.reduces)
        except Unknown:
            return False
