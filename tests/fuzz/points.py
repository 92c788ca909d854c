"""Values to try a rule at: numbers of a size at which most results stay finite, and special ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.ir.arithmetic import Arrays, Floats
from optdsl.ir.evaluate import defaults, initial_states, step
from optdsl.ir.nodes import Kind, Rule

Array = npt.NDArray[Any]
Hypers = dict[str, Any]

STEPS = (1, 2, 7, 1000)
SPECIAL = (0.0, -0.0, 1e-45, 1e-38, 5e-324, 1e-310, 1e-160, 1e18, 3e38, 1e160, 1e300, 1.7e308, 1.0, -1.0)
ELEMENTS = 6
SHAPES = ((6,), (2, 3), (1, 2, 3))
TRIES = 8
"""How often inputs are drawn anew, smaller or larger, where results aren't finite."""


@dataclass(frozen=True)
class Point:
    """Values for one step. `usual` says that hyperparameters are the defaults."""

    hypers: Hypers
    usual: bool
    x: list[float]
    g: list[float]
    states: dict[str, Any]
    t: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Course:
    """Hyperparameters and a size of numbers at which a rule stays finite, as far as such were found."""

    hypers: Hypers
    usual: bool
    scale: float


def course(rule: Rule, chance: random.Random, dtype: Any) -> Course:
    """Return inputs at which most results of the first steps are finite, as found by trying."""
    best, most = Course(defaults(rule), True, 1.0), -1.0
    for number in range(TRIES):
        usual = number in (0, 2, 4) or chance.random() < 0.3
        scale = 10.0 ** (0 if number < 2 else chance.choice((-1, 1)) * chance.uniform(0, 1 + number))
        drawn = Course(hypers_of(rule, chance, usual, 0.5), usual, scale)
        share = _finite(rule, drawn, chance, dtype)
        if share > most:
            best, most = drawn, share
        if most == 1.0:
            break
    return best


def _finite(rule: Rule, drawn: Course, chance: random.Random, dtype: Any) -> float:
    """Return the share of numbers that are finite after three steps."""
    arithmetic = Arrays(dtype)
    x = array(chance, (2, 3), dtype, drawn.scale).reshape(-1)
    states = initial_states(rule, arithmetic, drawn.hypers, x, (2, 3))
    for t in (1, 2, 3):
        g = array(chance, (2, 3), dtype, drawn.scale).reshape(-1)
        after = step(rule, arithmetic, drawn.hypers, x, g, states, t, (2, 3))
        x, states = after.parameter, after.states
    return share_finite([x, *states.values()])


def share_finite(values: Sequence[Any]) -> float:
    """Return the share of numbers that are finite."""
    flags = np.concatenate([np.isfinite(np.asarray(value, np.float64)).reshape(-1) for value in values])
    return float(flags.mean()) if flags.size else 1.0


def array(chance: random.Random, shape: tuple[int, ...], dtype: Any, scale: float) -> Array:
    """Return normal random numbers of a size."""
    generator = np.random.default_rng(chance.getrandbits(64))
    with np.errstate(all="ignore"):
        return np.asarray(generator.standard_normal(shape) * scale).astype(dtype)


def special_array(chance: random.Random, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return zeros of both signs, subnormal and the largest numbers, infinities and NaN among ordinary numbers."""
    values = array(chance, shape, dtype, 1.0)
    limits = np.finfo(dtype)
    magnitudes = (0.0, limits.smallest_subnormal, limits.tiny / 3, limits.tiny, limits.max, np.inf, 1.0, 1 + limits.eps)
    edges = np.array([*(sign * float(m) for m in magnitudes for sign in (1, -1)), np.nan], dtype)
    flat = values.reshape(-1)
    for index in range(flat.size):
        if chance.random() < 0.6:
            flat[index] = edges[chance.randrange(edges.size)]
    return values


def point(rule: Rule, chance: random.Random, special: bool, found: Course | None = None) -> Point:
    """Return values for one step; of the course found, if one is given."""
    usual = found.usual if found else chance.random() < 0.4
    hypers = found.hypers if found else hypers_of(rule, chance, usual, 0.6)
    scale = found.scale if found else 1.0
    x, g = ([_number(chance, special, scale) for _ in range(ELEMENTS)] for _ in range(2))
    t = chance.choice(STEPS)
    shape = chance.choice(SHAPES)
    states = initial_states(rule, Floats(), hypers, x, shape)
    if t > 1:
        for name, value in states.items():
            drawn = [abs(_number(chance, special, scale)) for _ in range(ELEMENTS)]
            states[name] = drawn if isinstance(value, list) else abs(_number(chance, False, scale))
    return Point(hypers, usual, x, g, states, t, shape)


def hypers_of(rule: Rule, chance: random.Random, usual: bool, share: float) -> Hypers:
    """Return the defaults, or with a share of them drawn from their intervals."""
    hypers = defaults(rule)
    for hyper in rule.hypers:
        if not usual and chance.random() < share:
            name = hyper.symbol.name
            hypers[name] = _hyper(hyper.symbol.kind, hyper.interval, hypers[name], chance)
    return hypers


def _hyper(kind: Kind, interval: Any, default: Any, chance: random.Random) -> Any:
    if kind is Kind.BOOLEAN:
        return chance.random() < 0.5
    for _ in range(20):
        value = chance.choice((chance.random(), 10.0 ** chance.uniform(-9, 3), 0.0, -chance.uniform(0, 3), 1.0))
        if interval is None or value in interval:
            return value
    return default


def _number(chance: random.Random, special: bool, scale: float) -> float:
    if special and chance.random() < 0.4:
        return chance.choice(SPECIAL)
    return float(np.float32(chance.gauss(0, 1) * scale * 10.0 ** chance.randint(-4, 3)))


def shown(hypers: Mapping[str, Any]) -> str:
    """Return hyperparameters in words."""
    return ", ".join(f"{name} = {value}" for name, value in hypers.items())
