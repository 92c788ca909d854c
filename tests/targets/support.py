"""Walking the same path on targets and in the interpreter, and comparing what is left bit by bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl import bundled
from optdsl.ir import evaluate
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.nodes import TRANSCENDENTAL, Apply, Expr, Kind, Op, Rate, Rule, has_reduction, operands, rate
from optdsl.ir.powers import expand
from optdsl.pipeline import rule_of
from optdsl.runtime.optimizer import Optimizer
from optdsl.source import SourceFile

Array = npt.NDArray[Any]
Float = np.dtype[np.floating]
Options = dict[str, Any]
Snapshot = dict[str, Array]
"""Copies of parameters by name, and of their states by parameter and state (`a.m`)."""

SHAPES: dict[str, tuple[int, ...]] = {
    "empty": (0,), "one": (1,), "seven": (7,), "lanes": (16,), "over": (17,), "matrix": (3, 341), "odd": (4097,),
    "number": (),
}  # fmt: skip
"""Shapes of parameters: nothing, one element, around a vector register, odd, and without an axis."""

STEPS = 20


@cache
def rule_named(name: str) -> Rule:
    """Return a bundled rule as the compiler sees it."""
    path = bundled.path(name)
    assert path is not None
    return rule_of(SourceFile(str(path), path.read_text(encoding="utf-8")))


def rule_from(text: str) -> Rule:
    """Return a rule given as text as the compiler sees it."""
    return rule_of(SourceFile("rule.opt", text))


def option_sets(rule: Rule) -> Iterator[Options]:
    """Yield settings that reach every branch: the defaults, each switch turned, each factor that is 0 made positive."""
    switches: Options = {}
    plain = evaluate.defaults(rule)
    for hyper in rule.hypers:
        name = hyper.symbol.name
        if hyper.symbol.kind is Kind.BOOLEAN:
            switches[name] = not plain[name]
        elif plain[name] == 0:
            switches[name] = 0.25
    yield {}
    for name, value in switches.items():
        yield {name: value}
    if "maximize" in switches:
        del switches["maximize"]
    if len(switches) > 1:
        yield switches
    rates: Options = {name: 0.375 for name in ("lr", "eta") if name in plain}
    yield {**rates, **{name: 0.5 for name in ("beta1", "beta2", "rho", "alpha") if name in plain}}


def special(dtype: Float) -> Array:
    """Return values that aren't finite."""
    return np.array([np.inf, -np.inf, np.nan], dtype)


def extreme(dtype: Float) -> Array:
    """Return finite values at the edges: zeros of both signs, subnormals, the smallest and largest normal numbers."""
    limits = np.finfo(dtype)
    tiny = [float(value) for value in (0.0, limits.smallest_subnormal, limits.tiny / 3, limits.tiny, limits.max)]
    return np.array([*tiny, *(-value for value in tiny), 1.0, 1.0 + float(limits.eps)], dtype)


def drawn(chance: np.random.Generator, shape: tuple[int, ...], dtype: Float) -> Array:
    """Return random numbers with zeros and subnormals strewn in, and in the first third everything there is."""
    values = chance.standard_normal(shape).astype(dtype)
    flat = values.reshape(-1)
    third = flat.size // 3
    mild = np.array([0.0, -0.0, np.finfo(dtype).smallest_subnormal, -np.finfo(dtype).tiny / 5], dtype)
    if flat.size > 1:
        flat[chance.integers(0, flat.size, 1 + flat.size // 16)] = chance.choice(mild)
    if third > 1:
        wild = np.concatenate([special(dtype), extreme(dtype)])
        count = 1 + third // 8
        flat[chance.integers(0, third, count)] = chance.choice(wild, count)
    return values


def start_of(shapes: Mapping[str, tuple[int, ...]], dtype: Float, seed: int = 1) -> Snapshot:
    """Return parameters to begin with."""
    chance = np.random.default_rng(seed)
    return {name: np.asarray(drawn(chance, shape, dtype)) for name, shape in shapes.items()}


def gradients_of(
    shapes: Mapping[str, tuple[int, ...]], dtype: Float, steps: int = STEPS, seed: int = 2
) -> list[Snapshot]:
    """Return the gradients of some steps."""
    chance = np.random.default_rng(seed)
    return [{name: np.asarray(drawn(chance, shape, dtype)) for name, shape in shapes.items()} for _ in range(steps)]


def snapshot(optimizer: Optimizer, parameters: Mapping[str, Array]) -> Snapshot:
    """Return copies of the parameters and of all states."""
    taken = {name: value.copy() for name, value in parameters.items()}
    for name in parameters:
        taken |= {f"{name}.{state}": value.copy() for state, value in optimizer.state[name].items()}
    return taken


def walk(
    made: type[Optimizer], start: Mapping[str, Array], gradients: Sequence[Mapping[str, Array]], options: Options
) -> list[Snapshot]:
    """Return what there is after each step of a compiled rule."""
    parameters = {name: value.copy() for name, value in start.items()}
    optimizer = made(parameters, **options)
    path = []
    for given in gradients:
        before = {name: value.tobytes() for name, value in given.items()}
        optimizer.step(given)
        assert before == {name: value.tobytes() for name, value in given.items()}, "a gradient was written to"
        path.append(snapshot(optimizer, parameters))
    return path


def interpret(
    rule: Rule, start: Mapping[str, Array], gradients: Sequence[Mapping[str, Array]], options: Options
) -> list[Snapshot]:
    """Return what there is after each step by the meaning of the rule."""
    hypers = evaluate.defaults(rule) | options
    now: dict[str, Any] = {}
    for name, value in start.items():
        flat = value.reshape(-1).copy()
        now[name] = flat, evaluate.initial_states(rule, Arrays(value.dtype), hypers, flat, value.shape)
    path = []
    for t, given in enumerate(gradients, start=1):
        taken: Snapshot = {}
        for name, (x, states) in now.items():
            arithmetic = Arrays(x.dtype)
            after = evaluate.step(rule, arithmetic, hypers, x, given[name].reshape(-1), states, t, start[name].shape)
            now[name] = after.parameter, after.states
            taken[name] = np.asarray(after.parameter).reshape(start[name].shape)
            for state in after.states:
                shape = () if rule.state(state).scalar else start[name].shape
                taken[f"{name}.{state}"] = np.asarray(after.states[state]).reshape(shape)
        path.append(taken)
    return path


def same(left: Array, right: Array) -> bool:
    """Return whether two arrays hold the same numbers, signs of zeros included.

    A NaN need only meet a NaN: which operand hands its payload and sign on is left open by IEEE 754, and compilers swap
    the operands of a sum.
    """
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    nan = np.isnan(left) & np.isnan(right)
    return bool((nan | ((left == right) & (np.signbit(left) == np.signbit(right)))).all())


def assert_same_path(left: Sequence[Snapshot], right: Sequence[Snapshot]) -> None:
    """Fail at the first step, and the first array in it, in which two paths differ."""
    assert len(left) == len(right)
    for step, (ours, theirs) in enumerate(zip(left, right, strict=True), start=1):
        assert ours.keys() == theirs.keys()
        for name in ours:
            if not same(ours[name], theirs[name]):
                a, b = ours[name].reshape(-1), theirs[name].reshape(-1)
                assert a.shape == b.shape, (name, a.shape, b.shape)
                assert a.dtype == b.dtype, (name, a.dtype, b.dtype)
                at = next(i for i in range(a.size) if not same(a[i : i + 1], b[i : i + 1]))
                raise AssertionError(f"step {step}, {name}[{at}]: {a[at]!r} is not {b[at]!r}")


def calls_function(rule: Rule, functions: frozenset[Op] = TRANSCENDENTAL) -> bool:
    """Return whether a rule calls a function for each element that targets have from different libraries."""

    def of(expr: Expr) -> bool:
        called = isinstance(expr, Apply) and expr.op in functions and rate(expr) is Rate.ELEMENT
        return called or any(of(part) for part in operands(expr))

    return any(of(expand(equation.value)) for equation in rule.equations)


def rounds_apart(rule: Rule) -> bool:
    """Return whether targets may differ in last bits.

    They do where a rule adds elements up, in orders of their own, and where libraries compute a function of elements.
    """
    return any(has_reduction(equation.value) for equation in rule.equations) or calls_function(rule)


def tame(shapes: Mapping[str, tuple[int, ...]], dtype: Float, seed: int) -> Snapshot:
    """Return numbers of usual size, whose sums hardly depend on the order."""
    chance = np.random.default_rng(seed)
    return {name: np.asarray(chance.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}


def assert_near_path(left: Sequence[Snapshot], right: Sequence[Snapshot], units: float = 2000.0) -> None:
    """Fail where two paths are further apart than so many roundings of the largest number of an array."""
    for step, (ours, theirs) in enumerate(zip(left, right, strict=True), start=1):
        assert ours.keys() == theirs.keys()
        for name in ours:
            a, b = ours[name], theirs[name]
            assert (a.shape, a.dtype) == (b.shape, b.dtype), (step, name)
            there = ~np.isnan(b)  # the mean of no elements is NaN
            assert np.array_equal(there, ~np.isnan(a)), (step, name)
            bound = units * float(np.finfo(a.dtype).eps) * max(float(np.abs(b[there]).max(initial=0)), 1e-3)
            assert float(np.abs(a[there] - b[there]).max(initial=0)) <= bound, (step, name)


def ulps(left: Array, right: Array) -> Array:
    """Return how many floating-point numbers lie between two arrays; 0 where both are NaN, many where one is."""
    whole = np.dtype(f"i{left.dtype.itemsize}")

    def place(values: Array) -> Array:
        bits = np.atleast_1d(values).view(whole).astype(object)
        return np.where(bits < 0, -(bits + 2 ** (8 * whole.itemsize - 1)), bits)

    distance = np.abs(place(left) - place(right))
    nan = np.isnan(np.atleast_1d(left)), np.isnan(np.atleast_1d(right))
    return np.where(nan[0] & nan[1], 0, np.where(nan[0] | nan[1], 2**64, distance))


GOLDEN = Path(__file__).with_name("golden")
