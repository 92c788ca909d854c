"""A few random rules in every run of the tests; `python -m tests.fuzz` runs as many as one likes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optdsl.functions import FUNCTIONS
from optdsl.ir.kernel import Kernel, Let, Program
from optdsl.ir.nodes import Apply, Expr, Op, Rate, number, operands, rebuild
from optdsl.pipeline import analyse, as_written, kernels, rule_of
from optdsl.source import SourceFile

from .generate import COMPARISONS, rule_text
from .judge import drawn, findings

COUNT = 30
SEED = 20


def texts(seed: int, count: int) -> list[str]:
    """Return the texts of some random rules."""
    return [rule_text(seed, number) for number in range(count)]


@pytest.mark.parametrize("number", range(COUNT))
def test_simplified_rules_are_as_good(number: int) -> None:
    """Within the error bound of the written rule, finite where it is finite, and no dearer."""
    text = rule_text(SEED, number)
    program = kernels(rule_of(SourceFile("rule.opt", text)))
    assert [str(finding) for finding in findings(program, drawn(program.rule, number, 6))] == []


def test_random_rules_are_right() -> None:
    """The generator makes no mistake, and everything there is."""
    made = texts(1, 300)
    for text in made:
        assert not analyse(SourceFile("rule.opt", text)).errors, text
    together = "\n".join(made)
    for name in FUNCTIONS:
        assert f"{name}(" in together
    for word in (*COMPARISONS, ": scalar", " when ", "if ", "not ", "1.7e308", "4.9e-324", "^"):
        assert word in together
    for word in ("size(x)", "ndim(x)", "axes=rest", "def d1(a, b)", "view v0", ": f32", ": f64"):
        assert word in together
    states = [sum(line.startswith("  s") and "'" not in line.split("=")[0] for line in t.split("\n")) for t in made]
    assert {1, 8} <= set(states) <= set(range(1, 9))


def test_a_seed_makes_the_same_rules() -> None:
    assert texts(3, 20) == texts(3, 20)
    assert texts(3, 20) != texts(4, 20)


def spoilt(program: Program, change: Op, into: Op) -> Program:
    """Return a program whose element operations of one kind are another kind."""

    def walk(expr: Expr) -> Expr:
        expr = rebuild(expr, tuple(walk(part) for part in operands(expr)))
        return replace(expr, op=into) if isinstance(expr, Apply) and expr.op is change else expr

    def let(one: Let) -> Let:
        return replace(one, value=walk(one.value)) if one.symbol.rate is Rate.ELEMENT else one

    def kernel(one: Kernel) -> Kernel:
        phases = tuple(replace(phase, lets=tuple(let(inner) for inner in phase.lets)) for phase in one.phases)
        return replace(one, phases=phases)

    return replace(program, kernels=tuple(kernel(one) for one in program.kernels))


RULE = """rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
state
  v = 1
update
  v' = 0.9*v + 0.1*g^2
  x' = x - lr*g/(sqrt(v') + 1e-8)
"""


def test_the_judge_sees_what_is_wrong() -> None:
    """A sum for a difference, a lost digit, an overflow."""
    rule = rule_of(SourceFile("rule.opt", RULE))
    assert list(findings(kernels(rule), drawn(rule, 0, 6))) == []
    wrong = list(findings(spoilt(kernels(rule), Op.SUB, Op.ADD), drawn(rule, 0, 6)))
    assert {finding.what for finding in wrong} == {"is outside the bound"}
    assert {finding.value for finding in wrong} == {"x' in float64", "x' in float32"}
    (written,) = as_written(rule)
    program = Program(rule, (), (written,))
    assert list(findings(program, drawn(rule, 0, 6))) == []
    for factor, what in ((10**6, "is outside the bound"), (10**300, "is no longer finite")):
        found = findings(Program(rule, (), (scaled_and_back(written, factor),)), drawn(rule, 0, 12))
        assert what in {finding.what for finding in found}


def scaled_and_back(kernel: Kernel, factor: int) -> Kernel:
    """Return a kernel that adds a number to each new value and takes it off, or multiplies by one and divides."""
    there, back = (Op.ADD, Op.SUB) if factor < 10**100 else (Op.MUL, Op.DIV)

    def let(one: Let) -> Let:
        return replace(one, value=Apply(back, (Apply(there, (one.value, number(factor))), number(factor))))

    phases = tuple(replace(phase, lets=tuple(let(one) for one in phase.lets)) for phase in kernel.phases)
    return replace(kernel, phases=phases)
