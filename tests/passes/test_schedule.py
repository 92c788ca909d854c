"""Kernels in the author's form compute what the equations say, operation by operation, in as few passes as can be."""

from __future__ import annotations

import pytest

from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import step
from optdsl.ir.kernel import Kernel, run, symbols
from optdsl.ir.nodes import Rate, Reduce, ReduceRows, Role, Symbol
from optdsl.pipeline import as_written, kernels

from .support import EVERY, identical, point, rule_called, setting_points


@pytest.mark.parametrize("name", EVERY)
def test_kernels_are_the_equations(name: str) -> None:
    """A kernel leaves the very floats that the interpreter leaves, for every variant of every rule."""
    rule = rule_called(name)
    for kernel in as_written(rule):
        met = 0
        for seed, hypers in enumerate(setting_points(rule, kernel.variant)):
            for t in (1, 2, 1000):
                x, g, states = point(rule, hypers, seed if t > 1 else 0)
                meant = step(rule, Floats(), hypers, x, g, states, t)
                parameter, after = run(kernel, Floats(), hypers, x, g, states, t)
                assert identical(parameter, meant.parameter), (kernel.variant, hypers, t)
                assert after.keys() == meant.states.keys() == states.keys()
                assert all(identical(after[s], meant.states[s]) for s in states), (kernel.variant, hypers, t)
                met += 1
        assert met >= 3


def every_kernel(name: str) -> list[Kernel]:
    """Return the kernels of a rule, as written and simplified."""
    return [*as_written(rule_called(name)), *kernels(rule_called(name)).kernels]


@pytest.mark.parametrize("name", EVERY)
def test_kernels_are_well_formed(name: str) -> None:
    """Every tensor is stored once, the parameter last; a value is read after it is computed, in its pass or a later."""
    for kernel in every_kernel(name):
        rule = kernel.rule
        stores = [symbol for phase in kernel.phases for symbol in phase.stores]
        tensors = {state.name for state in kernel.present if not state.scalar} | {rule.parameter.name}
        assert sorted(symbol.name for symbol in stores) == sorted(tensors)
        assert rule.parameter.name in {symbol.name for symbol in kernel.phases[-1].stores}
        assert {symbol.name for symbol in kernel.scalar_stores} == {s.name for s in kernel.present if s.scalar}
        given = {Role.HYPER, Role.GRADIENT, Role.OLD, Role.STEP, Role.SIZE, Role.NDIM}
        scalars = {let.symbol for let in kernel.prologue}
        written: set[Symbol] = set()
        assert all(let.symbol.rate in (Rate.CONST, Rate.STEP) for let in kernel.prologue)
        for phase in kernel.phases:
            scalars |= {let.symbol for let in phase.scalars}
            known = scalars | written
            overwritten = {symbol.name for symbol in written}
            for let in (*phase.lets, *phase.folds):
                for symbol in symbols(let.value):
                    assert symbol in known or symbol.role in given, (let.symbol, symbol)
                    assert symbol.role is not Role.OLD or symbol.name not in overwritten
                if not isinstance(let.value, Reduce | ReduceRows):
                    known = known | {let.symbol}
            assert set(phase.stores) <= known
            scalars |= {let.symbol for let in phase.folds}
            written |= set(phase.stores)


def test_lamb_takes_two_passes() -> None:
    """The moments are stored by the pass that computes them, and loaded by the one that moves the parameter."""
    for kernel in every_kernel("sample/lamb"):
        first, second = kernel.phases
        assert {symbol.name for symbol in first.stores} == {"m", "v"}
        assert [symbol.name for symbol in second.stores] == ["x"]
        assert len(first.reductions) == 2
        assert second.reductions == ()
        # The second pass computes neither moment again, and reads neither the gradient nor an old moment.
        computed = {let.symbol.name for let in second.lets}
        assert not {"m", "v"} & computed
        read = {symbol for let in second.lets for symbol in symbols(let.value)}
        assert {(s.role, s.name) for s in read if s.name in "gmv"} == {(Role.NEW, "m"), (Role.NEW, "v")}


def test_values_of_rows_are_computed_once() -> None:
    """The pass that reads the value of a row loads it; one written twice is one, and one nobody needs is none."""
    for kernel in every_kernel("written/rows"):
        first, second, third = kernel.phases
        assert [(len(phase.rows), len(phase.reductions)) for phase in kernel.phases] == [(1, 0), (1, 1), (0, 0)]
        assert len(kernel.row_values()) == 2
        assert not {let.symbol for phase in kernel.phases for let in phase.lets} & set(kernel.row_values())
        assert first.stores == ()
        assert {symbol.name for symbol in (*second.stores, *third.stores)} == {"m", "x"}


def test_store_waits_for_the_last_reader() -> None:
    """A state whose old value a later pass reads is stored by that pass."""
    for kernel in every_kernel("written/old-after-new"):
        assert len(kernel.phases) == 2
        assert kernel.phases[0].stores == ()
        assert {symbol.name for symbol in kernel.phases[1].stores} == {"v", "w", "x"}


def test_passes_are_few() -> None:
    """A rule takes one pass, and one more for each reduction that waits for another."""
    counts = {"written/twice": 4, "written/of-new": 2, "written/swap": 1, "written/after": 1, "written/rows": 3}
    counts |= {"adam": 1, "adamgc": 2}
    for name, count in counts.items():
        assert {len(kernel.phases) for kernel in every_kernel(name)} == {count}, name


def test_shared_parts_are_computed_once() -> None:
    """What is written twice is named once, and no further than conditions allow."""
    (kernel,) = as_written(rule_called("written/shared"))
    values = [let.value for phase in kernel.phases for let in phase.lets]
    assert len(values) == len(set(values))
    (phase,) = kernel.phases
    assert len(phase.lets) == 3
