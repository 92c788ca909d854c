"""The rules of old Flux, and those of papers alone, walk the paths of their restatements in plain NumPy.

A hundred steps in float64. Errors are measured as beside torch: the largest distance, in units of the largest magnitude
the parameter has on the reference's path.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optdsl import bundled
from optdsl.loading import load

from .support import reference

Array = npt.NDArray[np.float64]

TOLERANCE = 1e-12
STEPS = 100
PAPERS = reference("papers")
RULES: dict[str, Any] = {
    **reference("flux").RULES, "lion": PAPERS.Lion, "adabelief": PAPERS.AdaBelief, "adan": PAPERS.Adan,
}  # fmt: skip

TWO_BETAS: list[dict[str, float]] = [
    {},
    {"eta": 0.05},
    {"eta": 0.02, "beta1": 0.5, "beta2": 0.8},
    {"eta": 0.01, "beta1": 0.0, "beta2": 0.0, "epsilon": 1e-3},
    {"beta1": 0.99, "beta2": 0.9, "epsilon": 0.1},
]
MOMENTUM: list[dict[str, float]] = [{}, {"eta": 0.1, "rho": 0.5}, {"eta": 0.03, "rho": 0.0}, {"rho": 0.99}]
OPTIONS: dict[str, list[dict[str, float]]] = {
    "flux/descent": [{}, {"eta": 0.5}, {"eta": 0.0}],
    "flux/momentum": MOMENTUM,
    "flux/nesterov": MOMENTUM,
    "flux/rmsprop": [*MOMENTUM, {"eta": 0.01, "rho": 0.8, "epsilon": 1e-2}],
    "flux/adam": TWO_BETAS,
    "flux/adamax": TWO_BETAS,
    "flux/adagrad": [{}, {"eta": 0.5}, {"epsilon": 0.1}],
    "flux/adadelta": [{}, {"rho": 0.5}, {"rho": 0.99, "epsilon": 1e-3}],
    "flux/amsgrad": TWO_BETAS,
    "flux/nadam": TWO_BETAS,
    "flux/adamw": [*TWO_BETAS, {"decay": 0.01}, {"eta": 0.05, "decay": 0.1}],
    "adabelief": [{}, {"lr": 0.01, "eps": 1e-8}, {"beta1": 0.5, "beta2": 0.8, "eps_root": 1e-3}, {"eps": 0.1}],
    "adan": [{}, {"lr": 0.01, "weight_decay": 0.3}, {"beta1": 0.5, "beta2": 0.8, "beta3": 0.9}, {"beta2": 0.0}],
    "lion": [
        {},
        {"lr": 0.01},
        {"lr": 0.01, "weight_decay": 0.3},
        {"beta1": 0.5, "beta2": 0.8},
        {"beta1": 0.0, "beta2": 0.0},
    ],
}
CASES = [
    pytest.param(rule, options, id="-".join([rule, *(f"{name}={value:g}" for name, value in options.items())]))
    for rule, sets in OPTIONS.items()
    for options in sets
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_follows_the_restatement(name: str, options: dict[str, float], target: str) -> None:
    """A rule stays on the path of its restatement, whatever its options; elements without a gradient too."""
    chance = np.random.default_rng(11)
    start = {"a": chance.standard_normal((3, 5)), "b": chance.standard_normal(())}
    ours = {key: value.copy() for key, value in start.items()}
    theirs = dict(start)
    optimizer = load(name, target)(ours, **options)
    references = {key: RULES[name](**options) for key in start}
    distance, size = dict.fromkeys(start, 0.0), dict.fromkeys(start, 0.0)
    for _ in range(STEPS):
        gradients = {key: np.asarray(chance.standard_normal(value.shape) + 0.3) for key, value in start.items()}
        gradients["a"][0] *= 1e-3
        gradients["a"][1, chance.random(5) < 0.3] = 0.0
        gradients["a"][2, 4] = 0.0
        optimizer.step(gradients)
        theirs = {key: references[key].apply(theirs[key], gradients[key]) for key in start}
        for key in start:
            distance[key] = max(distance[key], float(np.abs(ours[key] - theirs[key]).max()))
            size[key] = max(size[key], float(np.abs(theirs[key]).max()))
    for key in start:
        assert np.isfinite(ours[key]).all()
        assert distance[key] <= TOLERANCE * size[key]


def test_every_rule_of_flux_is_compared() -> None:
    """A rule in the folder has a restatement and option sets."""
    there = {name for name in bundled.names() if name.startswith("flux/")}
    assert RULES.keys() == OPTIONS.keys()
    assert there == {name for name in RULES if name.startswith("flux/")}
