"""Are two rules the same, and does a rule do what is claimed of it?

Every question is about the real numbers: hyperparameters anywhere in their declared intervals, the parameter and the
gradients of every step any numbers, distinct from each other. A statement holds over the points where both sides are
defined, which is where everything they compute on the way is a real number: at `eps = 0` Adam divides 0 by 0 for a
gradient of 0, and nothing is said of that point. Only where two rules are compared and one of them is a number at a
point that is tried and the other is not, do they differ.

Each question is tried at points first (in float64, and in 50-digit arithmetic where it matters). Only where they all
agree is a proof looked for, so that no proof contradicts the numbers: by induction over the steps, which holds for
every step, else by writing the first steps out. Tensors are taken element by element; a reduction is a number of which
only its argument is known.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from optdsl.algebra.induction import Proof, States, descending, proved
from optdsl.algebra.limits import clock
from optdsl.algebra.parting import counterexample
from optdsl.algebra.points import random_number
from optdsl.algebra.sampling import Sampler, Trial
from optdsl.algebra.systems import Domain, System
from optdsl.algebra.unroll import substitute, symbols_read
from optdsl.algebra.verdicts import Answer, Counterexample, Free, Parting, Setting, Verdict
from optdsl.ir import nodes as ir
from optdsl.ir.bounds import meet
from optdsl.ir.evaluate import defaults
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Equation, Expr, Role, Rule, Symbol

__all__ = [
    "Answer", "Counterexample", "Free", "Parting", "Setting", "Verdict", "compare", "descends", "invariant", "still",
]  # fmt: skip

SECONDS = 3.0
"""Time for one question."""
CONFIRMING = 0.1
"""Time in which a proof for every step is held against more steps than were asked for."""
STEPS = 4
"""Steps that are tried, and written out where there is no induction."""


def compare(
    first: Rule, second: Rule, first_hypers: Mapping[str, Expr] | None = None,
    second_hypers: Mapping[str, Expr] | None = None, steps: int = STEPS, seconds: float = SECONDS,
) -> Verdict:  # fmt: skip
    """Say whether the parameters of two rules agree after each of `steps` steps from their initial states.

    `first_hypers` holds values of hyperparameters of the first rule: constant expressions, over its other
    hyperparameters if need be. `second_hypers` holds those of the second, over hyperparameters of the first. What it
    doesn't give is taken to be equal to the first rule's hyperparameter of the same name and kind, else its default.
    What remains open may be anything in the intervals that both rules declare for it.

    Raises ValueError for the name of a hyperparameter that a rule doesn't have.
    """
    start = clock()
    one = _system(first, first_hypers or {})
    other = _second_system(second, one, second_hypers or {})
    return _Question(one, other, _domain(one, other), steps).answer(start + seconds, two=True)


def invariant(
    rule: Rule, substitution: Mapping[Symbol, Expr], free: Sequence[Free] = (),
    hypers: Mapping[str, Expr] | None = None, steps: int = STEPS, seconds: float = SECONDS,
) -> Verdict:  # fmt: skip
    """Say whether the parameter takes the same course when symbols are replaced, as in `g -> c*g for c > 0`.

    `substitution` gives expressions for the gradient (of every step) and for hyperparameters, over the same symbols and
    those of `free`. The statement is over the points where both courses are defined: at `eps = 0` nothing is said of a
    gradient that is 0 from the first step on, where Adam divides 0 by 0 with and without the substitution.

    Raises ValueError for the name of a hyperparameter that the rule doesn't have, and for a substitution of another
    symbol.
    """
    start = clock()
    one = _system(rule, hypers or {})
    wrong = [symbol.name for symbol in substitution if symbol != rule.gradient and symbol not in one.hypers]
    if wrong:
        raise ValueError(f"only the gradient and hyperparameters can be replaced, not {', '.join(wrong)}")
    replaced = {symbol: substitute(expr, one.hypers) for symbol, expr in substitution.items()}
    values = {symbol: substitute(expr, replaced) for symbol, expr in one.hypers.items()}
    values |= {symbol: expr for symbol, expr in replaced.items() if symbol in values}
    other = System(rule, values, replaced.get(rule.gradient, ir.Ref(rule.gradient)))
    domain = _domain(one, other, free)
    names = [part.symbol.name for part in free]
    return _Question(one, other, domain, steps).answer(start + seconds, names)


def descends(rule: Rule, hypers: Mapping[str, Expr] | None = None, seconds: float = SECONDS) -> Verdict:
    """Say whether the first step never points along the gradient.

    Precisely: for every x and g, with d = x' - x at t = 1 from the initial state, d*g <= 0.

    Raises ValueError for the name of a hyperparameter that the rule doesn't have.
    """
    start = clock()
    one = _system(rule, hypers or {})
    other = _resting(rule)
    return _Question(one, other, _domain(one, other), 1, descending=True).answer(start + seconds)


def still(
    rule: Rule, hypers: Mapping[str, Expr] | None = None, steps: int = STEPS, seconds: float = SECONDS
) -> Verdict:
    """Say whether the parameter stays where it is: x' = x at each of `steps` steps, for every x and g.

    Raises ValueError for the name of a hyperparameter that the rule doesn't have.
    """
    start = clock()
    one = _system(rule, hypers or {})
    other = _resting(rule)
    return _Question(one, other, _domain(one, other), steps).answer(start + seconds)


@dataclass(frozen=True)
class _Question:
    """Whether the parameters of two systems agree or, where `descending`, the first goes down the gradient."""

    first: System
    second: System
    domain: Domain
    steps: int
    descending: bool = False

    def answer(self, deadline: float, free: Collection[str] = (), *, two: bool = False) -> Verdict:
        """Try at points, and then to prove.

        The points take less than half the time, all of them where the rules aren't large. Time is that of the
        processor, so that the answer doesn't depend on what else the machine does.
        """
        late = (clock() + deadline) / 2
        sampler = Sampler(self.first, self.second, self.domain, self.steps, self.descending, one_sided=two)
        trial = sampler.run(lambda: clock() > late)
        if trial.found is not None:
            shown = counterexample(self.first, self.second, self.domain, trial.found, free, two=two)
            return Verdict(Answer.REFUTED, self._refuted(shown, two), points=trial.points, counterexample=shown)
        if trial.points == 0:
            words = "could not be tried: nowhere in the declared intervals is the parameter a number"
            return Verdict(Answer.UNKNOWN, words)
        proof = None if trial.slight else self._proof(deadline)
        if proof is not None:
            against = self._against(proof)
            if against is not None:
                words = f"not proved for every step: numbers part at step {against}"
                return Verdict(Answer.UNPROVED, words, points=trial.points)
            return Verdict(Answer.PROVED, _proved_words(proof, self.descending), proof.steps, trial.points)
        return Verdict(Answer.UNPROVED, self._unproved(trial), points=trial.points)

    def _against(self, proof: Proof) -> int | None:
        """Return a step at which a proof for every step doesn't hold, of twice those that were tried; None mostly.

        There is one where something on the way isn't a number at that step alone, and a condition hides it.
        """
        if proof.steps is not None:
            return None
        until = clock() + CONFIRMING
        longer = Sampler(self.first, self.second, self.domain, 2 * self.steps)
        found = longer.run(lambda: clock() > until).found
        return None if found is None else len(found.course.gradients)

    def _proof(self, deadline: float) -> Proof | None:
        if self.descending:
            return descending(self.first, self.second, self.domain, deadline)
        return proved(self.first, self.second, self.domain, self.steps, deadline)

    def _refuted(self, shown: Counterexample, two: bool) -> str:
        if self.descending:
            return "refuted: the first step goes along the gradient"
        if not math.isfinite(shown.first) or not math.isfinite(shown.second):
            return f"refuted: at step {shown.step} one of them isn't a number"
        return f"refuted: they part at step {shown.step}" if two else f"refuted at step {shown.step}"

    def _unproved(self, trial: Trial) -> str:
        if trial.slight:
            return "not proved: a difference shows in 50 digits that float64 hides"
        return f"not proved; holds at {trial.points:,} points over {_steps(self.steps)}"


def _proved_words(proof: Proof, first_step: bool) -> str:
    if first_step:
        return "proved for the first step"
    cases = f", in each of {proof.cases} cases of the hyperparameters" if proof.cases > 1 else ""
    if proof.steps is not None:
        return f"proved for {_steps(proof.steps)}, written out{cases}"
    before = f"{_steps(proof.written_out)} written out, then " if proof.written_out else ""
    return f"proved for every step: {before}{_INDUCTION[proof.states]}{cases}"


_INDUCTION = {
    States.ANY: "one step is right from any states",
    States.EQUAL: "one step from any equal states gives equal states",
    States.RELATED: "one step from any states in a fixed relation keeps the relation",
}


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


# What a question is about


def _system(rule: Rule, given: Mapping[str, Expr]) -> System:
    _check_names(rule, given)
    hypers: dict[Symbol, Expr] = {h.symbol: given.get(h.symbol.name, ir.Ref(h.symbol)) for h in rule.hypers}
    fixed = {symbol: expr for symbol, expr in hypers.items() if symbol.name in given}
    for _ in fixed:  # an expression may read another hyperparameter that is given
        hypers = {symbol: substitute(expr, fixed) for symbol, expr in hypers.items()}
    return System(rule, hypers, ir.Ref(rule.gradient))


def _second_system(rule: Rule, first: System, given: Mapping[str, Expr]) -> System:
    _check_names(rule, given)
    hypers: dict[Symbol, Expr] = {}
    for hyper in rule.hypers:
        same = first.hypers.get(hyper.symbol)
        if hyper.symbol.name in given:
            hypers[hyper.symbol] = substitute(given[hyper.symbol.name], first.hypers)
        else:
            hypers[hyper.symbol] = substitute(hyper.default, hypers) if same is None else same
    return System(rule, hypers, ir.Ref(rule.gradient))


def _check_names(rule: Rule, given: Mapping[str, Expr]) -> None:
    known = [hyper.symbol.name for hyper in rule.hypers]
    wrong = [name for name in given if name not in known]
    if wrong:
        raise ValueError(f"{rule.name} has no hyperparameter {', '.join(wrong)}; it has {', '.join(known) or 'none'}")


def _resting(rule: Rule) -> System:
    """Return a rule that leaves the parameter where it is."""
    new = Symbol(Role.NEW, rule.parameter.name, rule.parameter.rate)
    equation = Equation(new, ir.Ref(rule.parameter))
    resting = Rule(rule.name, rule.parameter, rule.gradient, (), (), (equation,))
    return System(resting, {}, ir.Ref(rule.gradient))


def _domain(first: System, second: System, free: Sequence[Free] = ()) -> Domain:
    """Return what is open, each number in the interval of every hyperparameter that it is the value of."""
    intervals = {part.symbol: part.interval for part in free}
    read = [s for system in (first, second) for e in system.hypers.values() for s in symbols_read(e)]
    open_ones = [*dict.fromkeys(read), *(part.symbol for part in free if part.symbol not in read)]
    for system in (first, second):
        for hyper in system.rule.hypers:
            value = system.hypers[hyper.symbol]
            if isinstance(value, ir.Ref) and hyper.interval is not None:
                known = intervals.get(value.symbol)
                intervals[value.symbol] = hyper.interval if known is None else meet(known, hyper.interval)
    usual = defaults(first.rule)
    for symbol in open_ones:
        if symbol not in intervals and math.isinf(usual.get(symbol.name, 0.0)):
            intervals[symbol] = Interval(low_closed=usual[symbol.name] < 0, high_closed=usual[symbol.name] > 0)
    for symbol in open_ones:
        interval = intervals.get(symbol)
        if interval is not None and usual.get(symbol.name, math.nan) not in interval:
            usual[symbol.name] = _first(interval)
    return Domain(tuple(open_ones), intervals, usual)


def _first(interval: Interval) -> float:
    """Return the simplest number of an interval that a substitution may bring in: not 1, which changes nothing."""
    simple = [value for value in (2.0, 0.5, 3.0, -1.0, 0.0, 1.0) if value in interval]
    return simple[0] if simple else random_number(interval, random.Random(0))
