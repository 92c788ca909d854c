"""Targets compute the same numbers as each other, and those that the interpreter says a rule means."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import mpmath  # type: ignore[import-untyped, unused-ignore]
import numpy as np
import pytest

from optdsl import functions, pipeline
from optdsl.ir import evaluate
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.kernel import Kernel, Program
from optdsl.ir.nodes import TRANSCENDENTAL, Expr, Kind, Rule, operands
from optdsl.loading import load, loads
from optdsl.passes.terms import Term, Terms
from optdsl.runtime.blocks import BLOCK
from optdsl.source import SourceFile

from . import rules
from .support import (
    SHAPES,
    STEPS,
    Array,
    Float,
    Options,
    Snapshot,
    assert_near_path,
    assert_same_path,
    gradients_of,
    interpret,
    option_sets,
    rounds_apart,
    rule_from,
    rule_named,
    same,
    start_of,
    tame,
    ulps,
    walk,
)

THREADED = 2 * (1 << 20) + 4097
"""Elements for which both targets start threads, and which no block divides."""

settings = rules.SETTINGS

ROOT = Path(__file__).resolve().parents[2]


# Bundled rules


def test_bundled_targets_agree(rule: str, dtype: Float, both_targets: None) -> None:
    """NumPy and C leave the same bits in parameters and states, whatever the options, the size and the gradients.

    Sums over many elements are the same but for rounding, so that rules with reductions are only near each other.
    """
    start, gradients, compare = course(rule, dtype)
    for options in option_sets(rule_named(rule)):
        paths = [walk(load(rule, target), start, gradients, options) for target in ("numpy", "c")]
        compare(*paths)


def course(rule: str, dtype: Float) -> tuple[Snapshot, list[Snapshot], Callable[..., None]]:
    """Return where to start, gradients, and how to compare: hard numbers bit for bit, unless the rule adds them up."""
    if rounds_apart(rule_named(rule)):
        return tame(SHAPES, dtype, 1), [tame(SHAPES, dtype, seed) for seed in range(2, 10)], assert_near_path
    return start_of(SHAPES, dtype), gradients_of(SHAPES, dtype), assert_same_path


def test_bundled_targets_agree_when_large(
    rule: str, dtype: Float, both_targets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So they do where a tensor has many blocks, and is worth several threads."""
    monkeypatch.setenv("OPTDSL_NUM_THREADS", "3")
    chance = np.random.default_rng(5)
    start = {"large": chance.standard_normal(THREADED).astype(dtype)}
    gradients = [{"large": np.roll(start["large"], shift)} for shift in (1, 12345)]
    options = list(option_sets(rule_named(rule)))[-1]
    paths = [walk(load(rule, target), start, gradients, options) for target in ("numpy", "c")]
    (assert_near_path if rounds_apart(rule_named(rule)) else assert_same_path)(*paths)


def test_bundled_mean_what_they_say(rule: str, target: str, dtype: Float) -> None:
    """As written, a rule leaves on every target the bits that the interpreter leaves."""
    start, gradients, compare = course(rule, dtype)
    made = load(rule, target, exact=True)
    for options in option_sets(rule_named(rule)):
        compare(walk(made, start, gradients, options), interpret(rule_named(rule), start, gradients, options))


def test_bundled_simplified_stay_near(rule: str, target: str, dtype: Float) -> None:
    """Simplified, a step errs by no more than the conditions of its equations explain."""
    check_near(
        rule_named(rule), load(rule, target), pipeline.kernels(rule_named(rule)), dtype, option_sets(rule_named(rule))
    )


def check_near(rule: Rule, made: Any, program: Program, dtype: Float, sets: Iterator[Options]) -> None:
    """Compare single steps with 50-digit arithmetic: error within 4·ops·u·Σ|terms|, and finite stays finite."""
    by_variant = {kernel.variant: kernel for kernel in program.kernels}
    for options in sets:
        hypers = evaluate.defaults(rule) | options
        chance = np.random.default_rng(3)
        start = {"x": moderate(chance, dtype)}
        optimizer = made(start, **options)
        optimizer.init_state()
        bound = 4 * operations(by_variant[optimizer.kernel.variant(hypers)]) * float(np.finfo(dtype).eps) / 2
        for t in (1, 2, 3):
            given = {"x": moderate(chance, dtype)}
            x, g = start["x"].copy(), given["x"]
            states = {name: value.copy() for name, value in optimizer.state["x"].items()}
            optimizer.step(given)
            plain = step_as_written(rule, hypers, x, g, states, t, dtype)
            terms = step_in_digits(rule, hypers, x, g, states, t)
            after = {rule.parameter.name: start["x"], **optimizer.state["x"]}
            for name, values in after.items():
                for i, value in enumerate(np.atleast_1d(values)):
                    expected, term = np.atleast_1d(plain[name])[i], terms[name][i]
                    if not np.isfinite(expected) or not mpmath.isfinite(term.size):
                        continue
                    slack = bound * term.size + 4 * float(np.finfo(dtype).smallest_subnormal)
                    assert np.isfinite(value), (options, t, name, i)
                    assert abs(float(value) - term.value) <= slack, (options, t, name, i, value, term.value)


def moderate(chance: np.random.Generator, dtype: Float) -> Array:
    """Return numbers whose products stay in the range of normal numbers, and zeros: the bound knows no underflow."""
    values = (chance.standard_normal(12) * 10.0 ** chance.integers(-4, 4, 12)).astype(dtype)
    values[chance.integers(0, 12, 2)] = 0.0, -0.0
    return values


def operations(kernel: Kernel) -> int:
    """Return how many operations a kernel has."""

    def count(expr: Expr) -> int:
        return 1 + sum(count(part) for part in operands(expr))

    return 1 + sum(count(let.value) for let in kernel.lets())


def step_as_written(
    rule: Rule, hypers: Options, x: Array, g: Array, states: Snapshot, t: int, dtype: Float
) -> dict[str, Any]:
    """Return what a step makes of some values, in the arithmetic of `dtype`."""
    given = {name: float(value) if rule.state(name).scalar else value for name, value in states.items()}
    after = evaluate.step(rule, Arrays(dtype), hypers, x, g, given, t)
    return {rule.parameter.name: after.parameter, **after.states}


def step_in_digits(rule: Rule, hypers: Options, x: Array, g: Array, states: Snapshot, t: int) -> dict[str, list[Term]]:
    """Return what a step makes of some values, to 50 digits, with the sizes of the terms."""
    terms = Terms()

    def exact(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return [terms.literal(float(item)) for item in value] if value.ndim else terms.literal(float(value))
        return value if isinstance(value, bool) else terms.literal(float(value))

    wide = {name: exact(value) for name, value in hypers.items()}
    after = evaluate.step(rule, terms, wide, exact(x), exact(g), {n: exact(v) for n, v in states.items()}, t)
    lists = {rule.parameter.name: after.parameter, **after.states}
    return {name: value if isinstance(value, list) else [value] for name, value in lists.items()}


# Rules written for this


@pytest.mark.parametrize("name", rules.EXACT)
def test_written_targets_agree(name: str, dtype: Float, both_targets: None) -> None:
    """NumPy and C agree bit for bit on hard rules, simplified."""
    start, gradients = start_of(SHAPES, dtype), gradients_of(SHAPES, dtype, 6)
    for options in settings.get(name, [{}]):
        paths = [walk(loads(rules.EXACT[name], target), start, gradients, options) for target in ("numpy", "c")]
        assert_same_path(*paths)


@pytest.mark.parametrize("name", rules.EXACT)
def test_written_mean_what_they_say(name: str, target: str, dtype: Float) -> None:
    """As written, they are what the interpreter says, bit for bit."""
    start, gradients = start_of(SHAPES, dtype), gradients_of(SHAPES, dtype, 6)
    made = loads(rules.EXACT[name], target, exact=True)
    for options in settings.get(name, [{}]):
        meant = interpret(rule_from(rules.EXACT[name]), start, gradients, options)
        assert_same_path(walk(made, start, gradients, options), meant)


@pytest.mark.parametrize("name", rules.EXACT)
def test_written_simplified_stay_near(name: str, target: str, dtype: Float) -> None:
    """Simplified, they err by no more than their conditions explain."""
    rule = rule_from(rules.EXACT[name])
    check_near(rule, loads(rules.EXACT[name], target), pipeline.kernels(rule), dtype, iter(settings.get(name, [{}])))


@pytest.mark.parametrize("name", rules.NAMED)
def test_names_are_only_names(name: str, target: str, dtype: Float) -> None:
    """No name of the author's collides with a name, keyword or macro of the target."""
    shapes = {"a": (5,), "b": (), "c": (0,)}
    start = whole_numbers(shapes, dtype, 1)
    gradients = [whole_numbers(shapes, dtype, seed) for seed in (2, 3)]
    text = rules.NAMED[name]
    made = loads(text, target, exact=True)
    assert_same_path(walk(made, start, gradients, {}), interpret(rule_from(text), start, gradients, {}))


def test_hyperparameters_named_like_keywords_can_be_given(target: str) -> None:
    """A hyperparameter called `lambda` or `None` is an option like any other."""
    made = loads(rules.NAMED["hypers"], target)
    x = np.zeros(3)
    made([x], lambda_=0.0, **{"None": 0.0, "class": 0.0}).step([np.ones(3)])
    left = [1 + i for i, n in enumerate(rules.HARD_NAMES) if n not in ("lambda", "None", "class")]
    assert (x == sum(left)).all()


# Reductions


def whole_numbers(shapes: Mapping[str, tuple[int, ...]], dtype: Float, seed: int) -> Snapshot:
    """Return small whole numbers, whose sums have no rounding, in whatever order they are added up."""
    chance = np.random.default_rng(seed)
    return {name: np.asarray(chance.integers(-3, 4, shape)).astype(dtype) for name, shape in shapes.items()}


FOLDED: dict[str, tuple[int, ...]] = {
    "empty": (0,), "number": (), "seven": (7,), "lanes": (16,), "over": (17,), "run": (256,), "run+1": (257,),
    "runs": (513,), "matrix": (5, 301),
}  # fmt: skip
LARGE: dict[str, tuple[int, ...]] = {
    "block": (BLOCK,),
    "block+1": (BLOCK + 1,),
    "blocks": (2 * BLOCK,),
    "blocks+1": (2 * BLOCK + 1,),
    "more": (5 * BLOCK - 1,),
}


@pytest.mark.parametrize("name", rules.FOLDS)
def test_folds_mean_what_they_say(name: str, target: str, dtype: Float) -> None:
    """Where sums are exact, reductions are what the interpreter says, bit for bit, at every size of block."""
    made, rule = loads(rules.FOLDS[name], target, exact=True), rule_from(rules.FOLDS[name])
    # Only in the first step are the values of `trust` whole numbers.
    for shapes, steps in ((FOLDED, 1 if name == "trust" else 3), (LARGE, 1)):
        start = whole_numbers(shapes, dtype, 1)
        gradients = [whole_numbers(shapes, dtype, 2 + step) for step in range(steps)]
        for options in ({"lr": 1.0}, {"lr": 1.0, "flag": True}):
            path = walk(made, start, gradients, options)
            assert_same_path(path, interpret(rule, start, gradients, options))


@pytest.mark.parametrize("name", rules.FOLDS)
def test_folds_simplified_agree(name: str, dtype: Float, both_targets: None) -> None:
    """Where sums are exact, simplified reductions agree bit for bit."""
    shapes = {**FOLDED, "blocks": (2 * BLOCK + 1,)}
    start, gradients = whole_numbers(shapes, dtype, 1), [whole_numbers(shapes, dtype, 2)]
    paths = [walk(loads(rules.FOLDS[name], target), start, gradients, {"lr": 1.0}) for target in ("numpy", "c")]
    assert_same_path(*paths)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 4096, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3, 5 * BLOCK + 77])
def test_sums_are_as_exact_as_float64(target: str, dtype: Float, size: int) -> None:
    """A reduction adds up in float64: its error is below n units of the last place of the sum of magnitudes."""
    chance = np.random.default_rng(size)
    x, g = (chance.standard_normal(size).astype(dtype) for _ in range(2))
    wide, other = g.astype(np.float64), x.astype(np.float64)
    sums = {
        "sum": (math.fsum(wide), math.fsum(abs(wide))),
        "mean": (math.fsum(wide) / size, math.fsum(abs(wide)) / size),
        "norm": (math.sqrt(math.fsum(wide * wide)),) * 2,
        "norm1": (math.fsum(abs(wide)),) * 2,
        "amax": (float(wide.max()), 0.0),
        "dot": (math.fsum(wide * other), math.fsum(abs(wide * other))),
        "rms": (math.sqrt(math.fsum(wide * wide) / size),) * 2,
    }
    for name, (exact, magnitude) in sums.items():
        optimizer = loads(rules.FOLDS[name], target)([x.copy()])
        optimizer.step([g])
        assert abs(float(optimizer.state["0"]["r"]) - exact) <= (size + 4) * 2.0**-53 * magnitude, name


@pytest.mark.parametrize("place", [0, 15, 255, 256, BLOCK - 1, BLOCK, 2 * BLOCK])
@pytest.mark.parametrize("name", ["sum", "mean", "norm", "norm1", "amax", "dot", "rms"])
def test_one_nan_is_seen(name: str, target: str, dtype: Float, place: int) -> None:
    """A NaN anywhere makes every reduction NaN."""
    g = np.full(2 * BLOCK + 1, -1.0, dtype)
    g[place] = np.nan
    optimizer = loads(rules.FOLDS[name], target)([np.ones(2 * BLOCK + 1, dtype)])
    optimizer.step([g])
    assert np.isnan(float(optimizer.state["0"]["r"]))


def test_infinities_in_folds(target: str, dtype: Float) -> None:
    """Infinities add up as IEEE 754 says; the largest of nothing is minus infinity, the mean of nothing is NaN."""
    results = {}
    for name in ("sum", "amax", "norm", "mean"):
        for label, g in {
            "inf": [1, np.inf, 2],
            "both": [np.inf, -np.inf],
            "low": [-np.inf, -np.inf],
            "none": [],
        }.items():
            optimizer = loads(rules.FOLDS[name], target)([np.zeros(len(g), dtype)])
            optimizer.step([np.array(g, dtype)])
            results[name, label] = float(optimizer.state["0"]["r"])
    assert (
        results["sum", "inf"] == results["amax", "inf"] == results["norm", "inf"] == results["norm", "both"] == np.inf
    )
    assert np.isnan(results["sum", "both"])
    assert results["amax", "both"] == np.inf
    assert results["amax", "low"] == results["amax", "none"] == results["sum", "low"] == -np.inf
    assert results["sum", "none"] == results["norm", "none"] == 0
    assert np.isnan(results["mean", "none"])


def test_folds_do_not_overflow_early(target: str) -> None:
    """The squares of a float32 tensor are float64 numbers: 1e30 has a norm."""
    optimizer = loads(rules.FOLDS["norm"], target)([np.zeros(4, np.float32)])
    optimizer.step([np.full(4, 1e30, np.float32)])
    assert float(optimizer.state["0"]["r"]) == pytest.approx(2e30, rel=1e-7)


def test_lamb_follows_the_interpreter(target: str, dtype: Float) -> None:
    """The trust ratio of LAMB, whose sums do round: within a few units of the last place, for every size of tensor."""
    text = (rules.SAMPLES / "lamb.opt").read_text(encoding="utf-8")
    shapes = {"empty": (0,), "one": (1,), "lanes": (257,), "blocks": (2 * BLOCK + 5,), "still": (8,)}
    chance = np.random.default_rng(8)
    start = {name: np.asarray(chance.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}
    start["still"][:] = 0
    gradients = [
        {name: np.asarray(chance.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}
        for _ in range(4)
    ]
    for exact in (False, True):
        made = loads(text, target, exact=exact)
        path = walk(made, start, gradients, {"weight_decay": 0.1, "lr": 0.05})
        meant = interpret(rule_from(text), start, gradients, {"weight_decay": 0.1, "lr": 0.05})
        for ours, theirs in zip(path, meant, strict=True):
            for name in theirs:
                assert ours[name].dtype == theirs[name].dtype
                np.testing.assert_allclose(
                    ours[name], theirs[name], rtol=64 * float(np.finfo(dtype).eps), atol=64 * float(np.finfo(dtype).eps)
                )


# Functions


@cache
def function_rule(name: str) -> str:
    """Return a rule that calls one function, of the table's arguments: the gradient, the parameter, a third."""
    function = functions.FUNCTIONS[name]
    offered = iter(("g", "x", "lr"))
    arguments = [
        "g > x" if function.kind_of(i) is Kind.BOOLEAN else next(offered) for i in range(len(function.arguments))
    ]
    call = f"{name}({', '.join(arguments)})"
    if function.reduction:
        return f"rule R(x, g)\nhyper\n  lr = 0.5\nstate\n  r: scalar = 0\nupdate\n  r' = {call}\n  x' = x - lr*g\n"
    return f"rule R(x, g)\nhyper\n  lr = 0.5\nstate\n  r = 0\nupdate\n  r' = {call}\n  x' = x - lr*g\n"


@pytest.mark.parametrize("name", functions.FUNCTIONS)
def test_functions(name: str, target: str, dtype: Float) -> None:
    """Every function of the table: bit for bit, or for transcendental ones within 4 units of the last place."""
    made, rule = loads(function_rule(name), target, exact=True), rule_from(function_rule(name))
    check_function(made, rule, dtype, name in {op.value for op in TRANSCENDENTAL})


@pytest.mark.parametrize(
    "power", ["g^0", "abs(g)^0.5", "g^0.5", "g^lr", "lr^g", "abs(g)^x", "g^-1.5", "g^65", "2^g", "x^(g*g)"]
)
def test_powers(power: str, target: str, dtype: Float) -> None:
    """Powers that aren't products."""
    text = f"rule R(x, g)\nhyper\n  lr = 0.7\nstate\n  r = 0\nupdate\n  r' = {power}\n  x' = x - lr*g\n"
    check_function(loads(text, target, exact=True), rule_from(text), dtype, True)


def check_function(made: Any, rule: Rule, dtype: Float, library: bool) -> None:
    """Compare one step with the interpreter."""
    shapes = {"small": (64,), "large": (4097,)}
    fold = rule.states[0].scalar
    if fold:
        start, given = whole_numbers(shapes, dtype, 1), whole_numbers(shapes, dtype, 2)
    else:
        start, given = start_of(shapes, dtype), gradients_of(shapes, dtype, 1)[0]
        scale = 10.0 ** np.random.default_rng(3).integers(-30, 3, 2000)
        with np.errstate(all="ignore"):
            given["large"][1366:3366] *= scale.astype(dtype)
    ours, theirs = walk(made, start, [given], {}), interpret(rule, start, [given], {})
    if not library:
        assert_same_path(ours, theirs)
        return
    for name in theirs[0]:
        apart = ulps(ours[0][name], theirs[0][name])
        at = int(np.argmax(apart))
        shown = given[name.split(".")[0]].reshape(-1)[at]
        assert apart.max(initial=0) <= 4, (name, shown, ours[0][name].reshape(-1)[at], theirs[0][name].reshape(-1)[at])


def test_special_values_of_functions(target: str, dtype: Float) -> None:
    """Limits and poles are where IEEE 754 and C have them, on every target."""
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e5, -1e5, 0.5], dtype)
    expected: dict[str, list[float]] = {
        "exp": [1, 1, np.e, 1 / np.e, np.inf, 0, np.nan, np.inf, 0, np.exp(0.5)],
        "log": [-np.inf, -np.inf, 0, np.nan, np.inf, np.nan, np.nan, np.log(1e5), np.nan, np.log(0.5)],
        "sqrt": [0, -0.0, 1, np.nan, np.inf, np.nan, np.nan, np.sqrt(1e5), np.nan, np.sqrt(0.5)],
        "sign": [0, 0, 1, -1, 1, -1, np.nan, 1, -1, 1],
        "log1p": [0, -0.0, np.log(2), -np.inf, np.inf, np.nan, np.nan, np.log1p(1e5), np.nan, np.log1p(0.5)],
        "tanh": [0, -0.0, np.tanh(1), -np.tanh(1), 1, -1, np.nan, 1, -1, np.tanh(0.5)],
        "cbrt": [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, np.cbrt(1e5), -np.cbrt(1e5), np.cbrt(0.5)],
        "floor": [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e5, -1e5, 0],
    }
    for name, row in expected.items():
        optimizer = loads(function_rule(name), target)([np.zeros(len(values), dtype)])
        optimizer.step([values])
        np.testing.assert_allclose(
            optimizer.state["0"]["r"], np.array(row, dtype), rtol=8 * float(np.finfo(dtype).eps), err_msg=name
        )


def test_cube_roots_of_all_sizes(both_targets: None, dtype: Float) -> None:
    """Those of C are its own: from the smallest subnormal number to the largest, within a unit of the last place."""
    limits, bits = np.finfo(dtype), np.dtype(f"u{dtype.itemsize}")
    largest = np.array(np.inf, dtype).view(bits)
    values = np.random.default_rng(4).integers(1, int(largest), 200_000, dtype=bits).view(dtype)
    edges = [limits.smallest_subnormal, limits.tiny, limits.max, np.nextafter(limits.tiny, dtype.type(0)), 1, 8, 27]
    values = np.concatenate([values, np.array(edges, dtype)])
    values[::2] *= -1
    optimizer = loads(function_rule("cbrt"), "c", exact=True)([np.zeros(values.size, dtype)])
    optimizer.step([values])
    found = optimizer.state["0"]["r"]
    exact = np.cbrt(values.astype(np.longdouble))
    apart = np.abs(found - exact) / np.spacing(np.abs(exact).astype(dtype))
    assert float(apart.max()) < 1.0
    assert found[-3:].tolist() == [
        math.copysign(root, value) for root, value in zip((1, 2, 3), values[-3:], strict=True)
    ]


def test_scalar_functions_agree(both_targets: None, dtype: Float) -> None:
    """Scalars are float64 on every target: each function of a scalar state, rounded once where elements read it."""
    names = [n for n, f in functions.FUNCTIONS.items() if not f.reduction and len(f.arguments) == 1]
    state = "".join(f"  s_{name}: scalar = {i + 0.25}\n" for i, name in enumerate(names))
    update = "".join(f"  s_{name}' = s_{name} + 0.1*{name}(s_{name}/7) - lr^t/3\n" for name in names)
    text = f"rule R(x, g)\nhyper\n  lr = 0.7\nstate\n{state}update\n{update}  x' = x - s_exp'*g + s_tanh\n"
    start, gradients = start_of(SHAPES, dtype), gradients_of(SHAPES, dtype, 4)
    paths = [walk(loads(text, target), start, gradients, {}) for target in ("numpy", "c")]
    meant = interpret(rule_from(text), start, gradients, {})
    assert_same_path(paths[0], meant)
    for ours, theirs in zip(paths[1], meant, strict=True):
        for name in theirs:
            assert ulps(ours[name], theirs[name]).max(initial=0) <= 4 * len(ours), name


# Storage


@pytest.mark.parametrize("storage", ["f32", "f64"])
def test_declared_storage(storage: str, target: str, dtype: Float) -> None:
    """A state of a stated element type computes in the parameter's arithmetic and is rounded where it is stored.

    In a process of its own, since a target that takes the state for another type writes past its end.
    """
    text = f"rule R(x, g)\nstate\n  m: {storage} = 0\nupdate\n  m' = 0.5*m + g\n  x' = x - 0.25*m'\n"
    stored = {"f32": "float32", "f64": "float64"}[storage]
    script = f"""
import numpy as np
from optdsl.loading import loads
start = np.arange(1000.0)
# Every number on the way fits in eight bits.
x, g = start.astype({dtype.name!r}), (start % 7 - 3).astype({dtype.name!r})
optimizer = loads({text!r}, {target!r})([x])
x[:] = 0
optimizer.step([g])
optimizer.step([g])
m = optimizer.state["0"]["m"]
assert m.dtype.name == {stored!r}, m.dtype
assert (m.astype(np.float64) == 1.5 * g).all(), m[:10]
assert (x == -0.25 * 2.5 * g).all(), x[:10]
third = np.full(5, 1 / 3, {dtype.name!r})  # the parameter reads the new state as it is before it is stored
x = np.zeros_like(third)
loads({text!r}, {target!r})([x]).step([third])
assert (x == -0.25 * third).all(), x
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


# Text that isn't code

QUOTES = [
    "plain words", "*/ int evil(void) { return 1; } /*", "/* nested", "trigraphs ??/ ??' ??!",
    "ends in a backslash \\", "{braces} %s %d {0} $T $S $F $$", "''' and \\\\n \\x41 \\N{DASH}",
    "naïve − √β₁ 🙂 \u202fthin\u00a0spaces",
    "tab\there",
    "#include <no/such/file.h>", "\\u0041 \\777", "'; import os; os.abort(); '",
]  # fmt: skip


@pytest.mark.parametrize("words", QUOTES)
def test_quoted_text_is_inert(words: str, target: str) -> None:
    """Words in documentation and comments reach no compiler: the same code comes out, but for comments and strings."""
    x = np.array([1.0, 2.0])
    loads(quoting(words), target)([x]).step([np.array([1.0, -1.0])])
    plain = np.array([1.0, 2.0])
    loads(quoting("nothing"), target)([plain]).step([np.array([1.0, -1.0])])
    assert (x == plain).all()
    assert loads(quoting(words), target).rule.hypers[0].doc == words


def quoting(words: str) -> str:
    """Return a rule that quotes some words wherever words can stand."""
    return (
        f'# {words} "quoted"\nrule R(x, g)  # {words}\n  "{words}"\n  cite "{words}" "{words}"\n\nhyper # {words}\n'
        f'  lr = 0.1 in [0, inf) "{words}"  # {words}\nstate\n  m = 0 "{words}"\nupdate\n  # {words}\n'
        f"  m' = (m + # {words}\n    g)  \"{words}\" # {words}\n  x' = x - lr*m'  # {words}\n"
    )


@pytest.mark.parametrize(
    "stem", ['a"b', "a\\b", "a*slash", "class", "1st", "a b", "ünï", "a'b", "per%cent", "new\nline", "a??slash"]
)
def test_file_names_are_inert(stem: str, target: str, tmp_path: Any) -> None:
    """Nor do the names of files, which generated code quotes."""
    folder = tmp_path / 'odd "folder\\'
    folder.mkdir()
    path = folder / f"{stem}.opt"
    path.write_text("rule R(x, g)\nupdate\n  x' = x - g\n", encoding="utf-8")
    x = np.array([1.0, 2.0])
    load(path, target)([x]).step([np.array([1.0, -1.0])])
    assert (x == [0.0, 3.0]).all()


# The measures themselves


def test_same_is_strict() -> None:
    """Zeros of different signs differ, NaNs of different payloads don't, and an element type counts."""
    payload = np.array([0x7FF8000000000001, 0xFFF8000000000000]).astype(np.uint64).view(np.float64)
    assert same(payload, np.array([np.nan, np.nan]))
    assert not same(np.array([0.0]), np.array([-0.0]))
    assert not same(np.array([1.0]), np.array([np.nan]))
    assert not same(np.array([1.0]), np.array([1.0], np.float32))
    assert list(ulps(np.array([1.0, 0.0, np.nan, 1.0]), np.array([1 + 2**-52, -5e-324, np.nan, np.nan]))) == [
        1,
        1,
        0,
        2**64,
    ]


def test_steps_are_enough_to_differ() -> None:
    """The gradients of these tests hold every special value."""
    seen = np.concatenate([given["odd"] for given in gradients_of(SHAPES, np.dtype(np.float32), STEPS)])
    assert np.isnan(seen).any()
    assert {np.inf, -np.inf, float(np.finfo(np.float32).max)} <= set(seen.tolist())
    assert (np.signbit(seen) & (seen == 0)).any()
    assert ((seen != 0) & (abs(seen) < np.finfo(np.float32).tiny)).any()


# What is the same for all elements


@pytest.mark.parametrize(
    "value", ["sc^3", "h2*h2*h2", "exp(h2)", "if t > 1 then sc*sc*1.7 else 0", "mean(g)*h2*sc", "norm(g)/3*h2"]
)
def test_a_scalar_that_fills_a_tensor_is_rounded_once(value: str, target: str) -> None:
    """An equation of a tensor whose value is one number is computed in float64, wherever it is used."""
    text = (
        "rule R(x, g)\nhyper\n  h2 = 0.3\nstate\n  m = 0\n  sc: scalar = 1\nupdate\n"
        f"  sc' = -1 - h2\n  m' = {value}\n  x' = x - h2*(g + m)\n"
    )
    rule = rule_from(text)
    x = np.linspace(-1, 2, 5, dtype=np.float32)
    optimizer = loads(text, target)([x])
    arithmetic = Arrays(np.float32)
    hypers = evaluate.defaults(rule)
    now, states = x.copy(), evaluate.initial_states(rule, arithmetic, hypers, x.copy())
    for t in (1, 2, 3):
        g = np.linspace(0.1, 0.7, 5, dtype=np.float32) * np.float32(t)
        optimizer.step([g])
        outcome = evaluate.step(rule, arithmetic, hypers, now, g, states, t)
        now, states = outcome.parameter, outcome.states
        assert optimizer.state["0"]["m"].tolist() == states["m"].tolist()


def test_half_powers_are_roots_everywhere(target: str, dtype: Float) -> None:
    """C compilers and NumPy disagree on whether `pow(-inf, 0.5)` is NaN, even within one array."""
    x = np.zeros(17, dtype)
    loads("rule R(x, g)\nupdate\n  x' = g^0.5 + 1/g^-0.5\n", target)([x]).step([np.full(17, -np.inf, dtype)])
    assert np.isnan(x).all()
    loads("rule R(x, g)\nupdate\n  x' = g^0.5\n", target)([x]).step([np.full(17, -0.0, dtype)])
    assert np.signbit(x).all()


def test_first_values_may_reduce_the_parameter(target: str) -> None:
    """A state can start from a norm of the parameter it belongs to."""
    states = "state\n  s: scalar = norm(x)\n  z = x/amax(x)\nupdate\n  s' = s\n  z' = z\n"
    text = f"rule R(x, g)\n{states}  x' = x - g*s*z\n"
    x = np.array([3.0, 4.0])
    loads(text, target)([x]).step([np.ones(2)])
    assert x.tolist() == [3 - 5 * 0.75, 4 - 5.0]
    empty = np.empty(0)
    loads(text, target)([empty]).step([np.empty(0)])
    assert empty.size == 0


def test_a_named_condition_of_states_is_seen_through(target: str) -> None:
    """A state that exists under a condition may be read where an intermediate of that condition holds."""
    text = (
        "rule R(x, g)\nhyper\n  a = 1\nstate\n  m = 0 when a > 0\nupdate\n"
        "  on = a > 0\n  m' = m + g\n  x' = if on then x - 2*m' else x - g\n"
    )
    for a, expected in ((1.0, -2.0), (0.0, -1.0)):
        x = np.zeros(3)
        loads(text, target)([x], a=a).step([np.ones(3)])
        assert x.tolist() == [expected] * 3


@pytest.mark.parametrize(
    "update",
    [
        "x' = 2*(if flag then 3 else g)",
        "d = sqrt(if flag then lr else g)\n  x' = x - lr*d/g",
        "x' = x - max(if t == 1 then 3 else g, if t < 3 then lr else x)",
    ],
)
def test_a_scalar_arm_of_element_arithmetic_fills_the_tensor(update: str, target: str, dtype: Float) -> None:
    """Where a scalar condition leaves only scalars in element arithmetic, every element has that value."""
    text = f"rule R(x, g)\nhyper\n  flag = true\n  lr = 0.1\nupdate\n  {update}\n"
    assert pipeline.check(SourceFile("r.opt", text)).rule is not None
    x, g = np.linspace(1, 2, 5, dtype=dtype), np.linspace(-1, 3, 5, dtype=dtype)
    now = x.copy()
    optimizer = loads(text, target, exact=True)([x])
    rule = rule_from(text)
    for t in (1, 2, 3):
        optimizer.step([g])
        now = evaluate.step(rule, Arrays(dtype), evaluate.defaults(rule), now, g, {}, t).parameter
        assert x.tolist() == now.tolist()


def test_first_values_are_rounded_as_equations_are(target: str) -> None:
    """A float64 state of a float32 parameter starts from a float32 number, as its equation would give."""
    text = "rule R(x, g)\nhyper\n  lr = 0.1\nstate\n  v: f64 = lr\nupdate\n  v' = v\n  x' = x - g*v\n"
    optimizer = loads(text, target)([np.ones(3, np.float32)])
    optimizer.init_state()
    before = optimizer.state["0"]["v"].tolist()
    optimizer.step([np.ones(3, np.float32)])
    assert before == optimizer.state["0"]["v"].tolist() == [float(np.float32(0.1))] * 3


def test_the_largest_of_zeros_is_positive(target: str, dtype: Float) -> None:
    """Reductions look at elements in an order of their own, which the sign of a zero mustn't show."""
    g = np.where(np.arange(300) % 3 == 0, dtype.type(0), -dtype.type(0)).astype(dtype)
    for gradient in (g, -g, g[::-1].copy()):
        x = np.ones(300, dtype)
        loads("rule R(x, g)\nupdate\n  x' = 1/amax(g)\n", target)([x]).step([gradient])
        assert (x == np.inf).all()


def test_numbers_beyond_the_type_overflow_in_silence(target: str) -> None:
    """A scalar too large for float32 is infinity there, without a warning from check, start or step."""
    text = "rule R(x, g)\nstate\n  m = 1e30*1e30\nupdate\n  m' = 1e30^2\n  x' = x + m'\n"
    pipeline.check(SourceFile("r.opt", text))
    x = np.ones(3, np.float32)
    loads(text, target)([x]).step([np.ones(3, np.float32)])
    assert (x == np.inf).all()
