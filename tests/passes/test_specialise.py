"""Each choice of optional states gets a rule of its own, with nothing in it that can't happen."""

from __future__ import annotations

import pytest

from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import constant, step
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Role
from optdsl.passes.specialise import conditions, specialise
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

from .support import EVERY, identical, point, rule_called, setting_points


@pytest.mark.parametrize("name", EVERY)
def test_variants_mean_the_same(name: str) -> None:
    """A variant leaves the floats that the whole rule leaves, wherever its conditions hold."""
    rule = rule_called(name)
    for key, variant in specialise(rule).items():
        for seed, hypers in enumerate(setting_points(rule, key)):
            for t in (1, 5):
                x, g, states = point(rule, hypers, seed)
                whole, part = (step(each, Floats(), hypers, x, g, states, t) for each in (rule, variant))
                assert identical(whole.parameter, part.parameter)
                assert whole.states.keys() == part.states.keys()
                assert all(identical(whole.states[state], part.states[state]) for state in states)


@pytest.mark.parametrize("name", EVERY)
def test_every_setting_has_a_variant(name: str) -> None:
    """No setting is without a variant, and a variant without a setting isn't made."""
    rule = rule_called(name)
    asked, variants = conditions(rule), specialise(rule)
    for key in range(1 << len(asked)):
        points = list(setting_points(rule, key))
        assert bool(points) == (key in variants)
        for hypers in points:
            assert key == sum(bool(constant(c, hypers)) << bit for bit, c in enumerate(asked))


@pytest.mark.parametrize("name", EVERY)
def test_absent_states_are_gone(name: str) -> None:
    """A variant reads and writes only states that exist in it, and keeps no equation that nothing needs."""
    for variant in specialise(rule_called(name)).values():
        there = {state.name for state in variant.states} | {variant.parameter.name}
        read = {symbol for equation in variant.equations for symbol in symbols(equation.value)}
        assert {symbol.name for symbol in read if symbol.role in (Role.OLD, Role.NEW)} <= there
        for equation in variant.equations:
            assert equation.target.name in there if equation.target.role is Role.NEW else equation.target in read


def test_sgd_without_momentum_is_plain() -> None:
    """Without momentum there is neither buffer nor question of it."""
    variants = specialise(rule_called("sgd"))
    assert sorted(variants) == [0, 1]
    assert variants[0].states == ()
    assert {equation.target.name for equation in variants[0].equations} == {"s", "d", "u", "x"}
    assert {state.name for state in variants[1].states} == {"b"}


def test_impossible_variants_are_not_made() -> None:
    """An interval can decide a condition, and one condition another."""
    text = """rule R(x, g)
hyper
  mu   = 0.9 in (0, 1)
  flag = false
state
  b = 0 when mu != 0
  c = 0 when flag
  d = 0 when not flag
update
  b' = b + g
  c' = c + g
  d' = d + g
  x' = x - b' - (if flag then c' else d')
"""
    variants = specialise(rule_of(SourceFile("rule.opt", text)))
    assert [[state.name for state in variant.states] for variant in variants.values()] == [["b", "c"], ["b", "d"]]
