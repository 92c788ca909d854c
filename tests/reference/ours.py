"""Our side of a comparison, and how far two paths lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from optdsl.loading import load

from .scenario import SHAPES, Array, Paths, pack, scenario
from .table import Row


def run_ours(row: Row, target: str) -> Paths:
    """Run a row with the bundled rule (or a rule file): the parameters' path, and that of each compared state."""
    plan = scenario(row.scenario)
    parameters: dict[str, Any] = plan.start
    rates = None if row.lr is None else plan.rates(row.lr, 1)
    groups = [
        {"params": {name: parameters[name] for name in names}}
        | ({} if rates is None else {row.lr_name: rates[names[0]]})
        for names, _ in plan.groups
    ]
    optimizer: Any = load(row.rule, target)(groups, **row.ours)
    paths: dict[str, list[Array]] = {"": [], **{name: [] for name in row.state}}
    for step, gradients in enumerate(plan.gradients, start=1):
        if step == plan.lr_change_step and row.lr is not None:
            optimizer.param_groups[0][row.lr_name] = plan.rates(row.lr, step)[plan.groups[0][0][0]]
        optimizer.step(gradients)
        if step in plan.recorded_steps:
            paths[""].append(pack(parameters))
            for name in row.state:
                paths[name].append(pack(_shown(optimizer, name, parameters)))
    return {name: np.stack(rows) for name, rows in paths.items()}


def _shown(optimizer: Any, name: str, parameters: dict[str, Any]) -> dict[str, Array]:
    """Return a state of each parameter (zero before it exists), or a view."""
    views = {view.name for view in getattr(optimizer.rule, "views", ())}
    if name in views:
        return dict(optimizer.view(name))
    states = optimizer.state
    return {key: states[key][name] if key in states else 0 * value for key, value in parameters.items()}


def errors(ours: Paths, theirs: Paths) -> dict[str, float]:
    """Return the error of the parameters' path (under `""`) and of each state's. See `error`."""
    assert ours.keys() == theirs.keys(), f"{sorted(ours)} beside {sorted(theirs)}"
    return {name: error(ours[name], theirs[name]) for name in theirs}


def error(ours: Array, theirs: Array) -> float:
    """Return the largest distance between two paths, relative to the size of each parameter on the second.

    Relative to the size of the tensor, since an element that passes through zero has no size of its own.
    """
    worst, offset = 0.0, 0
    assert ours.shape == theirs.shape
    assert np.isfinite(theirs).all(), "the library's path isn't finite"
    if not np.isfinite(ours).all():
        return float("inf")
    for shape in SHAPES.values():
        columns = slice(offset, offset + int(np.prod(shape)))
        if columns.start == theirs.shape[1]:
            break  # a scenario with fewer parameters
        offset = columns.stop
        size = float(np.abs(theirs[:, columns]).max())
        distance = float(np.abs(ours[:, columns] - theirs[:, columns]).max())
        worst = max(worst, distance / size if size > 0 else distance)
    assert offset == theirs.shape[1]
    return worst
