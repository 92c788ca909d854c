"""Simplified kernels are the same functions, no less exact than their conditions allow, and never dearer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from optdsl.ir.arithmetic import Digits, Floats
from optdsl.ir.evaluate import step
from optdsl.ir.kernel import Kernel, run
from optdsl.ir.nodes import Expr, operands
from optdsl.passes.cost import cheaper, cost, counts, kernel_cost, kernel_counts
from optdsl.passes.domain import Domain
from optdsl.passes.options import with_weight_decay
from optdsl.passes.simplify import Positive, simplify
from optdsl.passes.terms import Terms
from optdsl.pipeline import as_written, kernels, rule_of
from optdsl.source import SourceFile

from .support import EVERY, point, rule_called, setting_points

UNIT = 2.0**-53


@pytest.mark.parametrize("name", EVERY)
def test_never_dearer(name: str) -> None:
    """A simplified kernel costs no more than the written one, on any target."""
    rule = rule_called(name)
    for whole in (rule, with_weight_decay(rule)):
        written = {kernel.variant: kernel for kernel in as_written(whole)}
        simplified = {kernel.variant: kernel for kernel in kernels(whole).kernels}
        assert written.keys() == simplified.keys()
        for variant, kernel in simplified.items():
            pairs = zip(kernel_cost(kernel), kernel_cost(written[variant]), strict=True)
            assert all(after <= before for after, before in pairs)


GAINS = {
    # Element operations and slow ones as written, and as run, of the first variant.
    "adam": ((14, 4), (12, 2)),
    "flux/adam": ((14, 4), (12, 2)),
    "adamw": ((16, 4), (13, 2)),
    "lion": ((11, 0), (10, 0)),
    "nadam": ((20, 4), (17, 2)),
    "flux/nadam": ((18, 5), (15, 2)),
    "radam": ((18, 3), (17, 2)),
    "adan": ((24, 6), (21, 2)),
    "sample/lamb": ((23, 8), (21, 4)),
}


@pytest.mark.parametrize("name", GAINS)
def test_gains(name: str) -> None:
    """What simplifying saves: the figures that are shown."""
    rule = rule_called(name)
    assert (kernel_counts(as_written(rule)[0]), kernel_counts(kernels(rule).kernels[0])) == GAINS[name]


@pytest.mark.parametrize("name", EVERY)
def test_same_function(name: str) -> None:
    """In 50 digits nothing changes; in float64 the error stays within 4·ops·u·Σ|terms|, and finite stays finite."""
    rule = rule_called(name)
    exact, terms = Digits(50), Terms()
    for kernel in kernels(rule).kernels:
        bound = 4 * operations(kernel) * UNIT
        for seed, hypers in enumerate(list(setting_points(rule, kernel.variant))[:3], start=11):
            for t in (1, 7):
                x, g, states = point(rule, hypers, seed if t > 1 else 0)
                plain = step(rule, Floats(), hypers, x, g, states, t)
                settings, *given = (wide(value, terms) for value in (hypers, x, g, states))
                meant = step(rule, terms, settings, given[0], given[1], given[2], t)
                settings, *given = (wide(value, exact) for value in (hypers, x, g, states))
                digits = run(kernel, exact, settings, given[0], given[1], given[2], t)
                floats = run(kernel, Floats(), hypers, x, g, states, t)
                compare(plain.parameter, meant.parameter, digits[0], floats[0], bound)
                for state in states:
                    compare(plain.states[state], meant.states[state], digits[1][state], floats[1][state], bound)


def operations(kernel: Kernel) -> int:
    """Return how many operations a kernel has."""

    def count(expr: Expr) -> int:
        return 1 + sum(count(part) for part in operands(expr))

    return 1 + sum(count(let.value) for let in kernel.lets())


def wide(value: Any, arithmetic: Any) -> Any:
    """Return a value in another arithmetic."""
    if isinstance(value, dict):
        return {key: wide(item, arithmetic) for key, item in value.items()}
    if isinstance(value, list):
        return [wide(item, arithmetic) for item in value]
    return value if isinstance(value, bool) else arithmetic.literal(float(value))


def compare(plain: Any, meant: Any, digits: Any, floats: Any, bound: float) -> None:
    """Compare the elements of a tensor, or a scalar."""
    columns = [value if isinstance(value, list) else [value] for value in (plain, meant, digits, floats)]
    for before, term, exactly, value in zip(*columns, strict=True):
        if math.isfinite(before):
            assert math.isfinite(value)
            assert abs(exactly - term.value) <= 1e-40 * (term.size + 1e-300)
            assert abs(value - term.value) <= bound * term.size + 1e-300


HEAD = """rule R(x, g)
hyper
  lr    = 0.1  in [0, inf)
  beta  = 0.9  in [0, 1)
  half  = 0.5  in (0, 1]
  zero  = 0    in [0, inf)
  any   = 2
state
  m = 0
  v = 1
update
  m' = m + g
  v' = v + g*g
"""

FORMS = [
    # The parameter's new value; its element operations and slow ones as written, and as run.
    ("lr*(m/(1 - beta^t))", (2, 1), (1, 0)),
    ("g/any", (1, 1), (1, 0)),
    ("-(lr*g)", (2, 0), (1, 0)),
    ("lr*(any*(g*beta))", (3, 0), (1, 0)),
    ("g/(lr*m*any)", (3, 1), (2, 1)),
    ("lr*g/sqrt(v*half)", (4, 2), (3, 2)),
    ("m/(sqrt(v/(1 - beta^t)) + 0.001)", (4, 3), (4, 2)),
    ("g/v + m/v", (3, 2), (2, 1)),
    ("x - lr*g/v - m*beta/v", (6, 2), (5, 1)),
    # A factor of a sum goes into its terms, where those have factors.
    ("lr*(any*m + beta*g)", (4, 0), (3, 0)),
    ("(any*m + beta*g)/(sqrt(half*v) + 0.001)", (7, 2), (6, 2)),
    ("lr*(m + g)", (2, 0), (2, 0)),
    # What a literal makes idle.
    ("0*g + m*1 - 0", (4, 0), (0, 0)),
    ("x - 0*lr*g", (2, 0), (0, 0)),
    ("0 - g", (1, 0), (1, 0)),
    # Not moved: a factor that may be zero or negative doesn't cross a root.
    ("lr*g/sqrt(v*zero)", (4, 2), (4, 2)),
    ("lr*g/sqrt(v*any)", (4, 2), (4, 2)),
    # Not looked into: what another function is given.
    ("floor(lr*(any*g))", (3, 0), (3, 0)),
    # Nothing to gain.
    ("x - g", (1, 0), (1, 0)),
    ("g/sqrt(v*half)", (3, 2), (3, 2)),
    ("sqrt(v) + abs(g)", (3, 1), (3, 1)),
]


def positive_in(domain: Domain) -> Positive:
    """Return what says of a scalar of a rule that it is positive."""
    return lambda expr: domain.positive(expr, {})


@pytest.mark.parametrize(("form", "before", "after"), FORMS, ids=[form for form, _, _ in FORMS])
def test_forms(form: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Each rewrite, by what it saves."""
    rule = rule_of(SourceFile("rule.opt", f"{HEAD}  x' = {form}\n"))
    written = rule.equations[-1].value
    assert counts([written]) == before
    simplified = simplify(written, positive_in(Domain(rule)))
    assert counts([simplified]) == after
    assert simplified == written or cheaper(cost([simplified]), cost([written]))


def test_simplify_is_settled() -> None:
    """Simplifying a simplified expression changes nothing."""
    for form, _, _ in FORMS:
        rule = rule_of(SourceFile("rule.opt", f"{HEAD}  x' = {form}\n"))
        positive = positive_in(Domain(rule))
        once = simplify(rule.equations[-1].value, positive)
        assert simplify(once, positive) == once
