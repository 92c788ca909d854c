"""The bundled rules walk the paths of torch.optim: recorded ones everywhere, live ones where torch is installed.

A run has three parameters, two groups with different learning rates, steps in which gradients are missing, and a
learning rate that changes on the way (`tests/reference/record_torch.py`). Everything is in float64. The error of a run
is the largest distance between the two paths, over all recorded steps and all elements of a parameter, in units of the
largest magnitude which that parameter (or that state) has on the recorded path: relative to the size of the tensor,
since an element that passes through zero has no size of its own to compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optdsl.loading import load

from .support import reference

Array = npt.NDArray[np.float64]

TOLERANCE = 1e-12

record: Any = reference("record_torch")
CASES, ARRAYS = record.recorded()


def run_ours(case: Any, target: str, state: str | None = None) -> Array:
    """Run a case with the bundled rule; return its rows (16, 18), as `record_torch.run_torch` does."""
    plan = record.scenario()
    parameters: dict[str, Any] = plan.start
    groups = [{"params": {n: parameters[n] for n in names}, "lr": case.lr * f} for names, f in plan.groups]
    optimizer = load(case.rule, target)(groups, **case.options)
    rows = []
    for step, gradients in enumerate(plan.gradients, start=1):
        if step == plan.lr_change_step:
            optimizer.param_groups[plan.lr_change_group]["lr"] *= plan.lr_change_factor
        optimizer.step(gradients)
        if step in plan.recorded_steps:
            shown = dict(parameters)
            if state is not None:
                shown = {
                    n: optimizer.state[n][state] if n in optimizer.state else 0 * parameters[n] for n in parameters
                }
            rows.append(record.pack(shown))
    return np.stack(rows)


def error(ours: Array, theirs: Array) -> float:
    """Return the largest distance between two paths, relative to the size of each parameter on the second."""
    worst, offset = 0.0, 0
    assert ours.shape == theirs.shape
    assert np.isfinite(theirs).all()
    for shape in record.SHAPES.values():
        columns = slice(offset, offset + int(np.prod(shape)))
        offset = columns.stop
        size = float(np.abs(theirs[:, columns]).max())
        distance = float(np.abs(ours[:, columns] - theirs[:, columns]).max())
        worst = max(worst, distance / size if size > 0 else distance)
    assert offset == theirs.shape[1]
    return worst


@cache
def live(key: str, state: str | None = None) -> Array:
    """Return the rows of a case as torch makes them now."""
    rows: Array = record.run_torch(next(case for case in CASES if case.key == key), state)
    return rows


@pytest.fixture(params=CASES, ids=lambda case: case.key)
def case(request: pytest.FixtureRequest) -> Any:
    """One recorded run."""
    return request.param


@pytest.fixture(params=["recorded", "live"])
def theirs(request: pytest.FixtureRequest, case: Any) -> Callable[[str | None], Array]:
    """Return what gives torch's rows of the case: of the parameters, or of a state."""
    if request.param == "recorded":
        return lambda state: ARRAYS[case.key if state is None else case.states[state]]
    pytest.importorskip("torch", reason="torch isn't installed; its recorded trajectories stand in for it")
    return lambda state: live(case.key, state)


def test_parameters_follow_torch(case: Any, target: str, theirs: Callable[[str | None], Array]) -> None:
    """Every parameter stays on torch's path."""
    assert error(run_ours(case, target), theirs(None)) <= TOLERANCE


@pytest.mark.parametrize("case", [case for case in CASES if case.states], ids=lambda case: case.key, indirect=True)
def test_states_follow_torch(case: Any, target: str, theirs: Callable[[str | None], Array]) -> None:
    """So do the states that users read: the average that ASGD keeps."""
    for state in case.states:
        assert error(run_ours(case, target, state), theirs(state)) <= TOLERANCE


def test_all_rules_named_after_torch_are_recorded() -> None:
    """A rule can't drop out of the record unnoticed."""
    assert {case.rule for case in CASES} == {
        "adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "momentum", "nadam", "nesterov", "radam", "rmsprop",
        "rprop", "sgd",
    }  # fmt: skip
    assert len(CASES) == len({case.key for case in CASES}) >= 132
