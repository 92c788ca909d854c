"""Schedules as functions of the step number."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optdsl.runtime.schedules import Constant, Cosine, Exponential, Join, Linear, OneCycle, Step, Warmup

from .handmade import SGD

Case = tuple[Callable[[int], float], list[float]]

CASES: list[Case] = [
    (Constant(0.5), [0.5] * 4),
    (Step(1.0, 2, 0.5), [1.0, 1.0, 0.5, 0.5, 0.25]),
    (Exponential(1.0, 0.5), [1.0, 0.5, 0.25]),
    (Exponential(1.0, 0.5, 0.4), [1.0, 0.5, 0.4]),
    (Linear(1.0, 0.0, 4), [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
    (Cosine(1.0, 4), [1.0, (1 + math.cos(math.pi / 4)) / 2, 0.5, (1 + math.cos(3 * math.pi / 4)) / 2, 0.0, 0.0]),
    (Warmup(1.0, 3), [0.25, 0.5, 0.75, 1.0, 1.0]),
    (Warmup(Step(1.0, 1, 0.5), 1), [0.5, 1.0, 0.5, 0.25]),
    (Warmup(Constant(2.0), 0), [2.0, 2.0]),
    (OneCycle(1.0, 4, rise=0.5, divide=4.0, divide_end=5.0), [0.25, 0.625, 1.0, 0.525, 0.05, 0.05]),
    (Join(1.0, (2, Linear(4.0, 0.0, 2)), (4, 7.0)), [1.0, 1.0, 4.0, 2.0, 7.0, 7.0]),
]


@pytest.mark.parametrize(("schedule", "values"), CASES)
def test_values_step_by_step(schedule: Callable[[int], float], values: list[float]) -> None:
    assert [schedule(t) for t in range(1, len(values) + 1)] == pytest.approx(values, rel=1e-15, abs=1e-16)


def test_schedules_print_as_they_are_made() -> None:
    assert repr(Warmup(Cosine(0.1, 10), 3)) == "Warmup(after=Cosine(start=0.1, steps=10, end=0.0), steps=3, start=0.0)"
    assert repr(Join(1.0, (2, Constant(0.5)))) == "Join(1.0, (2, Constant(value=0.5)))"


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in CASES])
def test_schedules_compare_by_value_and_never_change(schedule: Callable[[int], float]) -> None:
    assert copy.deepcopy(schedule) == schedule
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, dataclasses.fields(schedule)[0].name, 1.0)  # type: ignore[arg-type]


@given(st.floats(1e-6, 1.0), st.integers(1, 1000), st.floats(0.0, 1e-6))
def test_decays_start_and_end_exactly_and_never_rise(start: float, steps: int, end: float) -> None:
    for schedule in (Linear(start, end, steps), Cosine(start, steps, end)):
        values = [schedule(t) for t in range(1, steps + 3)]
        assert values[0] == start
        assert values[steps:] == [end, end]
        assert all(a >= b - 1e-16 for a, b in pairwise(values))


def test_one_cycle_peaks_once() -> None:
    values = [OneCycle(2.0, 100)(t) for t in range(1, 102)]
    assert values[0] == pytest.approx(0.08)
    assert max(values) == values[30] == 2.0
    assert values[-1] == pytest.approx(8e-6)


def test_growth_ends_at_infinity_and_not_in_an_exception() -> None:
    assert Exponential(1.0, 2.0)(5000) == math.inf


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Linear(1.0, 0.0, 0), ValueError),
        (lambda: Cosine(1.0, 2.5), TypeError),  # type: ignore[arg-type]
        (lambda: Step(1.0, True), TypeError),
        (lambda: OneCycle(1.0, 10, rise=2.0), ValueError),
        (lambda: OneCycle(1.0, 10, divide=0.0), ValueError),
        (lambda: Join(1.0, (3, 2.0), (3, 1.0)), ValueError),
        (lambda: Warmup(1.0, -1), ValueError),
    ],
)
def test_impossible_schedules_are_refused(make: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_a_schedule_drives_a_hyperparameter() -> None:
    x = np.zeros(1)
    opt = SGD([x], lr=Step(1.0, 1, 0.5))
    for _ in range(3):
        opt.step([np.ones(1)])
    assert x[0] == -1.75
