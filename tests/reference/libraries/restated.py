"""Rules restated in plain NumPy beside this folder: of old Flux, of Optimisers.jl, of papers.

A module has a mapping `RULES` from our name of a rule to a class; an instance belongs to one parameter, and its `apply`
takes the parameter and its gradient and returns the new parameter.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ..scenario import Array, Paths, Scenario, pack
from ..table import Row


def versions() -> dict[str, str]:
    """Return no versions: restatements have none."""
    return {}


def run(row: Row, plan: Scenario) -> Paths:
    """Return the restatement's path of a row."""
    kind: Any = import_module(f"..{row.library}", __package__).RULES[row.rule]
    assert kind.__name__ == row.theirs, f"{row.rule} is restated by {kind.__name__}"
    parameters: dict[str, Array] = dict(plan.start)
    rates = {name: {} if row.lr is None else {row.lr_name: plan.rates(row.lr, 1)[name]} for name in parameters}
    instances = {name: kind(**row.options, **rates[name]) for name in parameters}
    rows: list[Array] = []
    for step, gradients in enumerate(plan.gradients, start=1):
        if row.lr is not None and step == plan.lr_change_step:
            for name, rate in plan.rates(row.lr, step).items():
                setattr(instances[name], row.lr_name, rate)
        for name, gradient in gradients.items():
            if gradient is not None:
                parameters[name] = instances[name].apply(parameters[name], gradient)
        if step in plan.recorded_steps:
            rows.append(pack(parameters))
    return {"": np.stack(rows)}
