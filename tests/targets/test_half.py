"""Parameters of 16 bits: a step is that of float32, rounded once, on every target."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from optdsl.ir import evaluate
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.nodes import Rule
from optdsl.ir.storage import rounded
from optdsl.loading import load, loads
from optdsl.runtime.optimizer import Optimizer

from . import rules
from .support import Array, Options, Snapshot, assert_same_path, option_sets, rounds_apart, rule_from, rule_named, walk

SINGLE = np.dtype(np.float32)
SHAPES: dict[str, tuple[int, ...]] = {
    "empty": (0,), "number": (), "seven": (7,), "over": (257,), "matrix": (3, 341), "odd": (4097,),
}  # fmt: skip
STEPS = 4


@pytest.fixture(autouse=True)
def quiet_casts() -> Iterator[None]:
    """Let the tests' own roundings overflow: some processors tell, and NumPy then warns."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture(params=["float16", "bfloat16"])
def half(request: pytest.FixtureRequest) -> np.dtype[Any]:
    """Element type of 16 bits."""
    return np.dtype(ml_dtypes.bfloat16 if request.param == "bfloat16" else np.float16)


def drawn(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int, hard: bool = True) -> Array:
    """Return random numbers; where `hard`, every kind of number there is among them."""
    chance = np.random.default_rng(seed)
    values = np.asarray(chance.standard_normal(shape)).astype(dtype)
    flat = values.reshape(-1)
    if hard and flat.size > 2:
        third = flat.size // 3
        flat[:third] = chance.integers(0, 1 << 16, third).astype(np.uint16).view(dtype)
    return values


def course(rule: Rule, dtype: np.dtype[Any]) -> tuple[Snapshot, list[Snapshot]]:
    """Return where to start, and gradients: ones whose sums mean something where a rule makes sums."""
    hard = not rounds_apart(rule)

    def drawn_at(seed: int) -> Snapshot:
        return {
            name: drawn(shape, dtype, 10 * seed + index, hard) for index, (name, shape) in enumerate(SHAPES.items())
        }

    return drawn_at(1), [drawn_at(2 + step) for step in range(STEPS)]


def widened(arrays: Mapping[str, Array]) -> Snapshot:
    return {name: value.astype(SINGLE) for name, value in arrays.items()}


def walk_in_float32(
    made: type[Optimizer], start: Mapping[str, Array], gradients: Sequence[Mapping[str, Array]], options: Options
) -> list[Snapshot]:
    """Return the path of a compiled rule whose float32 parameters are rounded to 16 bits after each step."""
    parameters = widened(start)
    optimizer, path = made(parameters, **options), []
    for given in gradients:
        optimizer.step(widened(given))
        taken = {name: value.astype(start[name].dtype) for name, value in parameters.items()}
        for name, value in taken.items():
            parameters[name][...] = value
        states = {f"{name}.{key}": a.copy() for name in start for key, a in optimizer.state[name].items()}
        path.append(taken | states)
    return path


def interpret(
    rule: Rule, start: Mapping[str, Array], gradients: Sequence[Mapping[str, Array]], options: Options
) -> list[Snapshot]:
    """Return the path by the meaning of the rule: float32 arithmetic, and one rounding."""
    hypers, arithmetic = evaluate.defaults(rule) | options, Arrays(SINGLE)
    now: dict[str, Any] = {}
    for name, value in start.items():
        wide = value.reshape(-1).astype(SINGLE)
        now[name] = wide, evaluate.initial_states(rule, arithmetic, hypers, wide, value.shape)
    path = []
    for t, given in enumerate(gradients, start=1):
        taken: Snapshot = {}
        for name, (x, states) in now.items():
            g, shape = given[name].reshape(-1).astype(SINGLE), start[name].shape
            after = evaluate.step(rule, arithmetic, hypers, x, g, states, t, shape)
            with np.errstate(all="ignore"):
                stored = after.parameter.astype(start[name].dtype)
            now[name] = stored.astype(SINGLE), after.states
            taken[name] = stored.reshape(shape)
            for state, value in after.states.items():
                taken[f"{name}.{state}"] = np.asarray(value).reshape(() if rule.state(state).scalar else shape)
        path.append(taken)
    return path


# A step is that of float32, rounded once


pytestmark = pytest.mark.filterwarnings("ignore:step .* by too little")


def test_bundled_steps_are_those_of_float32(rule: str, target: str, half: np.dtype[Any]) -> None:
    """Every rule, with the last of its settings and the average: bit for bit, sums too."""
    start, gradients = course(rule_named(rule), half)
    made = load(rule, target)
    options = list(option_sets(rule_named(rule)))[-1]
    if any(hyper.name == "ema" for hyper in made.rule.hypers):
        options["ema"] = 0.75
    assert_same_path(walk(made, start, gradients, options), walk_in_float32(made, start, gradients, options))


@pytest.mark.parametrize("master_weights", [False, True])
def test_a_step_warns_of_no_overflow(target: str, half: np.dtype[Any], master_weights: bool) -> None:
    """Nor of a signalling NaN: what 16 bits can't hold is infinite, as where an element type is wider."""
    x, g = (drawn((300,), half, seed) for seed in (1, 2))
    x.view(np.uint16)[0] = 0x7C01 if half == np.float16 else 0x7F81
    with np.errstate(all="warn"):
        optimizer = load("sgd", target)([x], lr=1e4, momentum=0.9, master_weights=master_weights)
        for _ in range(3):
            optimizer.step([g])
    assert np.isinf(x.astype(SINGLE)).any()


@pytest.mark.parametrize("name", rules.EXACT)
def test_written_mean_what_they_say(name: str, target: str, half: np.dtype[Any]) -> None:
    """Hard rules leave the bits that the interpreter leaves in float32, with one rounding of the parameter."""
    rule = rule_from(rules.EXACT[name])
    start, gradients = course(rule, half)
    made = loads(rules.EXACT[name], target, exact=True)
    for options in rules.SETTINGS.get(name, [{}]):
        assert_same_path(walk(made, start, gradients, options), interpret(rule, start, gradients, options))


STATES = """\
rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
state
  a: f16 = x
  b: bf16 = 1/3
  c: f32 = lr
  d: f64 = 0
  e = 0
update
  a' = a + g
  b' = 0.75*b + a'*g
  c' = c*b'
  d' = d + c'
  e' = e + b' + d'
  x' = x - lr*(a' + b' + c' + d' + e')
"""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("exact", [True, False])
def test_states_of_every_element_type(dtype: str, exact: bool, target: str) -> None:
    """A state is stored in its declared type and rounded to it once, whatever the parameter's is."""
    kind = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    rule, made = rule_from(STATES), loads(STATES, target, exact=exact)
    chance = np.random.default_rng(1)
    arrays = [{name: np.asarray(chance.standard_normal(shape)).astype(kind) for name, shape in SHAPES.items()}
              for _ in range(STEPS + 1)]  # fmt: skip
    path = walk(made, arrays[0], arrays[1:], {})
    types = {name: path[0][f"odd.{name}"].dtype.name for name in "abcde"}
    own = "float64" if dtype == "float64" else "float32"
    assert types == {"a": "float16", "b": "bfloat16", "c": "float32", "d": "float64", "e": own}
    if exact:
        arithmetic = Arrays(np.dtype(own))
        x = arrays[0]["odd"].astype(own)
        states = evaluate.initial_states(rule, arithmetic, {"lr": 0.1}, x)
        for t, (given, taken) in enumerate(zip(arrays[1:], path, strict=True), 1):
            after = evaluate.step(rule, arithmetic, {"lr": 0.1}, x, given["odd"].astype(own), states, t)
            stored = rounded(after.parameter, kind)
            assert_same_path([{"odd": taken["odd"]}], [{"odd": stored}])
            assert_same_path([{n: taken[f"odd.{n}"] for n in "abcde"}], [after.states])
            x, states = stored.astype(own), after.states
    else:
        other = walk(loads(STATES, "numpy", exact=True), arrays[0], arrays[1:], {})
        for ours, theirs in zip(path, other, strict=True):
            for name, value in ours.items():
                np.testing.assert_allclose(value.astype(float), theirs[name].astype(float), rtol=0.1, atol=0.05)


def test_threads_change_nothing(target: str, half: np.dtype[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Large tensors beside small ones, by one thread and by three, with sums and without, with master copies or not."""
    shapes = {"large": (2 * (1 << 20) + 77,), "rows": (1200, 1001), "small": (33,)}
    start = {name: drawn(shape, half, 3, hard=False) for name, shape in shapes.items()}
    gradients = [
        {name: drawn(shape, half, 4 + step, hard=False) for name, shape in shapes.items()} for step in range(2)
    ]
    for rule in ("adam", "lamb", "adamgc"):
        for master in (False, True):
            paths = []
            for count in ("1", "3"):
                monkeypatch.setenv("OPTDSL_NUM_THREADS", count)
                paths.append(walk(load(rule, target), start, gradients, {"ema": 0.5, "master_weights": master}))
            assert_same_path(*paths)
            if not master:
                monkeypatch.setenv("OPTDSL_NUM_THREADS", "2")
                wide = walk_in_float32(load(rule, target), start, gradients, {"ema": 0.5})
                assert_same_path(paths[0], wide)


# Master copies


def test_master_copies_are_the_path_of_float32(rule: str, target: str, half: np.dtype[Any]) -> None:
    """Every rule: the master copies are what float32 parameters become, and the parameters are their rounding."""
    start, gradients = course(rule_named(rule), half)
    start = {name: np.asarray(np.nan_to_num(value.astype(SINGLE))).astype(half) for name, value in start.items()}
    made = load(rule, target)
    ours = walk(made, start, gradients, {"master_weights": True})
    theirs = walk(made, widened(start), [widened(given) for given in gradients], {})
    for mine, wide in zip(ours, theirs, strict=True):
        with np.errstate(all="ignore"):
            expected = {name: wide[name].astype(half) for name in start} | {
                (f"{name}.master" if name in start else name): value for name, value in wide.items()
            }
        assert_same_path([mine], [expected])


# Conversions, exhaustively


def near_rounding_boundaries(dtype: np.dtype[Any]) -> Array:
    """Return the floats around every number of 16 bits and every midpoint of two, and all kinds of NaN."""
    every = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    if dtype == np.float16:
        wide = every.astype(SINGLE)
        finite = np.sort(wide[np.isfinite(wide)])
        middle = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(SINGLE)
        ends = np.array([65519.996, 65520.0, 65520.004, 1e9, 3e38], np.float32)
        bits = np.concatenate([wide, middle, ends, -ends]).view(np.uint32)
    else:
        high = np.arange(1 << 16, dtype=np.uint32) << 16
        bits = np.concatenate([high, high | 0x8000])
    around = np.concatenate([bits, bits + 1, bits - 1, bits ^ 0x8000, bits + 0xFFF, bits - 0xFFF])
    chance = np.random.default_rng(1).integers(0, 1 << 32, 1 << 18, dtype=np.uint32)
    return np.concatenate([around, chance]).view(SINGLE)


def test_c_converts_as_numpy_does(half: np.dtype[Any], both_targets: None) -> None:
    """All 65,536 numbers widen to the same bits, and the floats around each boundary round to the same, NaN too."""
    from optdsl.runtime import conversions

    library, form = conversions.library(), 1 if half == np.float16 else 2
    for function in (library.optdsl_widen, library.optdsl_narrow):
        function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        function.restype = None
    every = np.arange(1 << 16, dtype=np.uint16)
    wide = np.zeros(every.size, np.float32)
    library.optdsl_widen(wide.ctypes.data, every.ctypes.data, every.size, form)
    with np.errstate(all="ignore"):
        assert (wide.view(np.uint32) == every.view(half).astype(SINGLE).view(np.uint32)).all()
        floats = near_rounding_boundaries(half)
        near = np.zeros(floats.size, np.uint16)
        library.optdsl_narrow(near.ctypes.data, floats.ctypes.data, floats.size, form)
        assert (near == floats.astype(half).view(np.uint16)).all()


def test_float64_is_rounded_once(half: np.dtype[Any], target: str) -> None:
    """A float64 on one side of a midpoint of two numbers of 16 bits, by less than float32 sees, goes to that side."""
    storage = "f16" if half == np.float16 else "bf16"
    text = f"rule R(x, g)\nstate\n  s: {storage} = 0\nupdate\n  s' = g\n  x' = x\n"
    every = np.arange(1 << 16, dtype=np.uint16).view(half).astype(np.float64)
    every = np.sort(every[np.isfinite(every)])
    low, high = every[:-1], every[1:]
    middle = (low + high) / 2
    for values, expected in (
        (np.nextafter(middle, -np.inf), low), (np.nextafter(middle, np.inf), high), (every, every),
    ):  # fmt: skip
        optimizer = loads(text, target)([np.zeros(values.size)])
        optimizer.step([values])
        stored = optimizer.state["0"]["s"].astype(np.float64)
        assert (stored == expected).all()
