"""Schedules: hyperparameters as functions of the step number.

A schedule is called with a parameter's own step number t, 1 at its first step, and returns the value for that step. Any
callable of t will do; those here cover the usual ones. They are immutable and compare by value.

    opt = Adam(params, lr=Warmup(Cosine(1e-3, 10_000), 500))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from optdsl.ir.ieee import power

Schedule = Callable[[int], float]


def _steps(name: str, value: int, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} takes a number of steps; got {value!r}")
    if value < least:
        raise ValueError(f"{name} = {value} is below {least}")


def _progress(t: int, steps: int) -> float:
    """Return how far through `steps` steps step t is: 0 at the first, 1 after the last and from then on."""
    return min(max(t - 1, 0), steps) / steps


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value at every step: `value`."""

    value: float

    def __call__(self, t: int) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class Step:
    """Multiplied by `factor` after every `every` steps: value * factor^floor((t - 1)/every)."""

    value: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _steps("every", self.every)

    def __call__(self, t: int) -> float:
        return self.value * power(self.factor, max(t - 1, 0) // self.every)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Multiplied by `rate` at every step: value * rate^(t - 1), never below `least`."""

    value: float
    rate: float
    least: float = 0.0

    def __call__(self, t: int) -> float:
        return max(self.value * power(self.rate, max(t - 1, 0)), self.least)


@dataclass(frozen=True, slots=True)
class Linear:
    """A straight line: start + (end - start)*p with p = min(t - 1, steps)/steps, then `end`."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _steps("steps", self.steps)

    def __call__(self, t: int) -> float:
        p = _progress(t, self.steps)
        return self.end if p == 1.0 else self.start + (self.end - self.start) * p


@dataclass(frozen=True, slots=True)
class Cosine:
    """Half a cosine wave: end + (start - end)*(1 + cos(pi*p))/2 with p = min(t - 1, steps)/steps, then `end`."""

    start: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        _steps("steps", self.steps)

    def __call__(self, t: int) -> float:
        return _wave(self.start, self.end, _progress(t, self.steps))


@dataclass(frozen=True, slots=True)
class Warmup:
    """A linear rise over the first `steps` steps, then `after`, whose own step 1 is the first one after the rise.

    value(t) = s*(start + (1 - start)*t/(steps + 1)) for t <= steps, where s is `after` at its step 1, and
    after(t - steps) from then on. `after` may be a number.
    """

    after: Schedule | float
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        _steps("steps", self.steps, 0)

    def __call__(self, t: int) -> float:
        if t > self.steps:
            return _value(self.after, t - self.steps)
        return _value(self.after, 1) * (self.start + (1.0 - self.start) * t / (self.steps + 1))


@dataclass(frozen=True, slots=True)
class OneCycle:
    """Up to `peak` and down again along half cosine waves, over `steps` steps.

    It starts at peak/divide, reaches `peak` after `rise*steps` steps, and ends at peak/divide/divide_end.
    """

    peak: float
    steps: int
    rise: float = 0.3
    divide: float = 25.0
    divide_end: float = 1e4

    def __post_init__(self) -> None:
        _steps("steps", self.steps)
        if not 0.0 <= self.rise <= 1.0:
            raise ValueError(f"rise = {self.rise} is outside [0, 1]")
        if not (self.divide > 0.0 and self.divide_end > 0.0):
            raise ValueError("divide and divide_end must be above 0")

    def __call__(self, t: int) -> float:
        first, p = self.peak / self.divide, _progress(t, self.steps)
        if p < self.rise:
            return _wave(first, self.peak, p / self.rise)
        left = 1.0 - self.rise
        return _wave(self.peak, first / self.divide_end, (p - self.rise) / left if left else 1.0)


def _wave(start: float, end: float, p: float) -> float:
    """Return the point p of the way along half a cosine wave, its ends exact."""
    if p in {0.0, 1.0}:
        return end if p else start
    return end + (start - end) * (1.0 + math.cos(math.pi * p)) / 2.0


def _value(schedule: Schedule | float, t: int) -> float:
    return schedule(t) if callable(schedule) else schedule


@dataclass(frozen=True, slots=True, init=False)
class Join:
    """Schedules one after another: `Join(first, (n1, second), (n2, third))`.

    `second` takes over after step n1 and `third` after step n2; each counts its steps from 1. Parts may be numbers.
    """

    first: Schedule | float
    rest: tuple[tuple[int, Schedule | float], ...]

    def __init__(self, first: Schedule | float, *rest: tuple[int, Schedule | float]) -> None:
        before = 0
        for boundary, _ in rest:
            _steps("boundary", boundary, before + 1)
            before = boundary
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "rest", tuple((boundary, schedule) for boundary, schedule in rest))

    def __call__(self, t: int) -> float:
        start, schedule = 0, self.first
        for boundary, following in self.rest:
            if t <= boundary:
                break
            start, schedule = boundary, following
        return _value(schedule, t - start)

    def __repr__(self) -> str:
        return f"Join({', '.join(map(repr, (self.first, *self.rest)))})"
