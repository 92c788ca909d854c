"""What the ranges of a rule say, and that runs of the rule stay in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.ir import bounds
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arrays, Floats
from optdsl.ir.evaluate import defaults, initial_states, step
from optdsl.ir.nodes import Kind, Rate, Role, Rule
from optdsl.ir.ranges import Ranges
from optdsl.pipeline import analyse
from optdsl.source import SourceFile

RULES = Path(optdsl.__file__).parent.parent / "rules"
CORRECT = Path(__file__).parent.parent / "checks" / "correct"
PATHS = [*sorted(RULES.rglob("*.opt")), *sorted(CORRECT.glob("*.opt"))]


def read(path: Path) -> Rule:
    rule = analyse(SourceFile(str(path), path.read_text("utf-8"))).rule
    assert rule is not None
    return rule


def rule_of(equations: str, state: str = "  v = 0\n", hyper: str = "") -> Rule:
    text = f"rule R(x, g)\nhyper\n  beta = 0.9 in [0, 1)\n{hyper}state\n{state}update\n{equations}  x' = x - g\n"
    rule = analyse(SourceFile("r.opt", text)).rule
    assert rule is not None
    return rule


def range_of(rule: Rule, name: str) -> str:
    """Return the range of a state before the step, or of an intermediate."""
    for equation in rule.equations:
        if equation.target.name == name and equation.target.role is Role.LOCAL:
            return str(Ranges(rule).of(ir.Ref(equation.target)))
    return str(Ranges(rule).of(ir.Ref(rule.state(name).symbol)))


@pytest.mark.parametrize(
    ("equation", "start", "expected"),
    [
        ("v' = ema(v, g^2, beta)", "0", "[0, inf]"),
        ("v' = lerp(v, g^2, 1 - beta)", "0", "[0, inf]"),
        ("v' = v - (1 - beta)*(v - g^2)", "0", "[0, inf]"),
        ("v' = (g*g - v)*0.1 + v", "0", "[0, inf]"),
        ("v' = max(beta*v, abs(g))", "0", "[0, inf]"),
        ("v' = v + norm(g)", "1", "[1, inf]"),
        ("v' = clip(v + g, -1, 2)", "0", "[-1, 2]"),
        ("v' = v*beta", "1", "[0, 1]"),
        ("v' = -v", "3", "[-1000, 1000]"),
        ("v' = sign(g)", "0", "[-1, 1]"),
        ("v' = if g > 0 then g else -g", "0", "[0, inf]"),
        ("v' = if g > 2 then 1/g else 1", "1", "[0, 1]"),
        ("v' = ema(v, g, beta)", "0", "[-inf, inf]"),
        ("v' = v + 1", "0", "[0, inf]"),
        ("v' = exp(-abs(g))", "1", "[0, 1]"),
        ("v' = sum(if g > 0 then 1 else 0)*g^2", "0", "[0, inf]"),
        ("v' = if t < 3 then 5/t else 1", "1", "[1, 5]"),
        ("v' = 1/(t + 1)", "1", "[0, 1]"),
    ],
)
def test_states(equation: str, start: str, expected: str) -> None:
    low, high = (float(end) for end in expected[1:-1].split(", "))
    rule = rule_of(f"  {equation}\n", f"  v = {start}\n")
    found = Ranges(rule).of(ir.Ref(rule.state("v").symbol))
    assert found.low == pytest.approx(low, rel=1e-4)
    assert found.high == pytest.approx(high, rel=1e-4)
    assert (found.low >= 0) is (low >= 0)


def test_states_that_hold_each_other() -> None:
    rule = rule_of("  v' = ema(v, w'^2, beta)\n  w' = max(w, v)\n", "  v = 0\n  w = 1\n")
    assert range_of(rule, "v") == "[0, inf]"
    assert Ranges(rule).of(ir.Ref(rule.state("w").symbol)).low == 1


@pytest.mark.parametrize(("storage", "expected"), [("f16", "[0, inf]"), ("bf16", "[0, inf]"), ("f32", "[1, 2]")])
def test_small_types_keep_the_sign_alone(storage: str, expected: str) -> None:
    assert range_of(rule_of("  v' = clip(g, 1, 2)\n", f"  v: {storage} = 1\n"), "v") == expected


def test_conditions_narrow_what_they_speak_of() -> None:
    rule = rule_of("  v' = v\n  k = g + 1\n  big = k > 3\n  u = if big and t != 1 then k*t else 2\n")
    ranges = Ranges(rule)
    big, k = (next(e.target for e in rule.equations if e.target.name == name) for name in ("big", "k"))
    assert str(ranges.of(ir.Ref(k))) == "[-inf, inf]"
    assert str(ranges.where(ir.Ref(big), True).of(ir.Ref(k))) == "(3, inf]"
    assert str(ranges.where(ir.Ref(big), False).of(ir.Ref(k))) == "[-inf, 3]"
    assert ranges.where(ir.Ref(big), True).decide(ir.Ref(big)) is True
    assert float(range_of(rule, "u")[1:].split(",")[0]) == pytest.approx(2, rel=1e-4)


def test_an_element_says_nothing_of_the_others() -> None:
    rule = rule_of("  v' = v\n  u = if g > 1 then sum(g) else 1\n")
    assert range_of(rule, "u") == "[-inf, inf]"


def test_hyperparameters_can_be_fixed() -> None:
    rule = rule_of("  v' = v\n  u = if on then k else 0\n", hyper="  k = 2 in [1, 3]\n  on = false\n")
    (u,) = (equation.target for equation in rule.equations if equation.target.name == "u")
    assert str(Ranges(rule).of(ir.Ref(u))) == "[0, 3]"
    assert str(Ranges(rule, {"k": bounds.point(2.0)}, {"on": True}).of(ir.Ref(u))) == "[2, 2]"


def test_cases_of_cases_end() -> None:
    lines = "".join(f"  a{n + 1} = if a{n} > {n} then a{n} + x else a{n} - x\n" for n in range(45))
    rule = rule_of(f"  v' = a45\n  a0 = g\n{lines}")
    assert range_of(rule, "v") == "[-inf, inf]"


@pytest.mark.parametrize("at_defaults", [False, True], ids=["declared", "defaults"])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_runs_stay_in_the_ranges(path: Path, at_defaults: bool) -> None:
    rule = read(path)
    hypers = defaults(rule)
    points = {h.symbol.name: bounds.point(hypers[h.symbol.name]) for h in rule.hypers if h.symbol.kind is Kind.NUMBER}
    ranges = Ranges(rule, points if at_defaults else None)
    x = np.array([1.0, 0.0, -0.5, 3.0], np.float32)
    gradients = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    gradients[3] = 0
    arithmetic = Arrays(np.float32)
    states = initial_states(rule, arithmetic, hypers, x)
    for t, g in enumerate(gradients, 1):
        outcome = step(rule, arithmetic, hypers, x, g, states, t)
        for symbol, value in outcome.values.items():
            if symbol.kind is Kind.NUMBER:
                found = ranges.of(ir.Ref(symbol))
                inside = [float(number) in found for number in np.ravel(value) if not np.isnan(number)]
                assert all(inside), (symbol, value, found)
        x, states = outcome.parameter, outcome.states


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_conditions_are_decided_as_they_turn_out(path: Path) -> None:
    rule = read(path)
    hypers, ranges = defaults(rule), Ranges(rule)
    states = initial_states(rule, Floats(), hypers, [1.0])
    outcome = step(rule, Floats(), hypers, [1.0], [0.5], states, 1)
    for symbol, value in outcome.values.items():
        if symbol.kind is Kind.BOOLEAN:
            decided = ranges.decide(ir.Ref(symbol))
            assert decided is None or decided == bool(np.ravel(value)[0])
        elif symbol.rate is Rate.ELEMENT:
            low = ranges.of(ir.Ref(symbol)).low
            below = ir.Apply(ir.Op.LT, (ir.Ref(symbol), ir.number(0)))
            assert ranges.decide(below) is (False if low >= 0 else None)
