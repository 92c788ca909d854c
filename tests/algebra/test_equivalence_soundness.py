"""A rule that was changed is never proved to be the rule it was, where numbers tell them apart."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from optdsl.algebra import induction, normal
from optdsl.algebra.induction import proved
from optdsl.algebra.sampling import Sampler
from optdsl.algebra.systems import Domain, System
from optdsl.ir import nodes as ir
from optdsl.ir.evaluate import defaults
from optdsl.ir.nodes import Apply, Equation, Expr, Kind, Op, Ref, Role, Rule, Symbol

from .support import rule

SWAPPED = {
    Op.ADD: Op.SUB, Op.SUB: Op.ADD, Op.MUL: Op.DIV, Op.DIV: Op.MUL, Op.MIN: Op.MAX, Op.MAX: Op.MIN, Op.SQRT: Op.ABS,
    Op.SIGN: Op.TANH, Op.ABS: Op.SIGN, Op.LT: Op.LE, Op.GT: Op.GE, Op.EQ: Op.NE, Op.NE: Op.EQ, Op.NEG: Op.ABS,
}  # fmt: skip
CHANGED = ["ADAM", "AMSGRAD", "ADABELIEF", "RPROP", "ADAN", "LION", "NADAM", "FLUX_NESTEROV", "HEAVY_BALL", "LAMB"]
MUTANTS = 5
"""Changes tried of each rule."""


def parts(expr: Expr) -> Iterator[Expr]:
    yield expr
    for part in ir.operands(expr):
        yield from parts(part)


def changed(expr: Expr, hypers: list[Symbol], chance: random.Random) -> Expr | None:
    """Return another expression in the place of one, None where none is known."""
    match expr:
        case Apply(op, args) if op in SWAPPED:
            return Apply(SWAPPED[op], args)
        case ir.Number(value) if math.isfinite(value):
            return ir.number(int(value) + chance.choice((1, -1)))
        case Ref(symbol) if symbol.role is Role.HYPER and symbol.kind is Kind.NUMBER:
            return Ref(chance.choice([other for other in hypers if other != symbol]))
        case Ref(symbol) if symbol.role is Role.NEW:
            return Ref(Symbol(Role.OLD, symbol.name, symbol.rate))
    return None


def mutant(of: Rule, chance: random.Random) -> Rule:
    """Return a rule with one operation, number or symbol changed."""
    hypers = [hyper.symbol for hyper in of.hypers if hyper.symbol.kind is Kind.NUMBER]
    while True:
        place = chance.randrange(len(of.equations))
        equation = of.equations[place]
        old = chance.choice(list(parts(equation.value)))
        new = changed(old, hypers, chance)
        if new is not None:
            break

    def rebuilt(expr: Expr) -> Expr:
        return new if expr is old else ir.rebuild(expr, tuple(rebuilt(part) for part in ir.operands(expr)))

    equations: list[Equation] = list(of.equations)
    equations[place] = replace(equation, value=rebuilt(equation.value))
    return replace(of, equations=tuple(equations))


def system(of: Rule) -> System:
    return System(of, {hyper.symbol: Ref(hyper.symbol) for hyper in of.hypers}, Ref(of.gradient))


def told_apart_and_proved(first: Rule, second: Rule) -> tuple[bool, bool]:
    """Return whether numbers tell two rules apart, and whether they are proved to be the same."""
    intervals = {hyper.symbol: hyper.interval for hyper in first.hypers if hyper.interval is not None}
    domain = Domain(tuple(hyper.symbol for hyper in first.hypers), intervals, defaults(first))
    trial = Sampler(system(first), system(second), domain, 3).run(lambda: False)
    proof = proved(system(first), system(second), domain, 3, time.monotonic() + 5)
    return trial.found is not None or trial.slight > 0, proof is not None


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_rule_isnt_proved_to_be_the_same(name: str) -> None:
    chance = random.Random(sum(map(ord, name)))
    apart = 0
    for _ in range(MUTANTS):
        other = mutant(rule(name), chance)
        differ, same = told_apart_and_proved(rule(name), other)
        assert not (differ and same), [show for show in other.equations if show not in rule(name).equations]
        apart += differ
    assert apart > 0


def test_a_prover_that_believes_everything_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normal.Normal, "vanishes", lambda self, value: True)
    assert told_apart_and_proved(rule("ADAM"), rule("AMSGRAD")) == (True, True)


def test_a_proof_against_the_numbers_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from optdsl.algebra import equivalence

    monkeypatch.setattr(equivalence, "proved", lambda *asked: induction.Proof(None))
    late = "rule R(x, g)\nupdate\n  x' = if t < 7 then x - g else x\n"
    verdict = equivalence.compare(rule("rule R(x, g)\nupdate\n  x' = x - g\n"), rule(late))
    assert verdict.answer is equivalence.Answer.UNPROVED
    assert verdict.words == "not proved for every step: numbers part at step 7"
