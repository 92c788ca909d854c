"""Every bundled rule lowers a quadratic, and trains the network on the digits."""

from __future__ import annotations

from typing import Any

import pytest

from optdsl import bundled
from optdsl.loading import load
from optdsl.trials.run import run_digits, run_function

RULES = bundled.names()
STEPS = 180
"""Four epochs of the digits."""

DIGITS: dict[str, dict[str, Any]] = {
    **{name: {"lr": 0.1} for name in (
        "asgd", "msvag", "sgd", "sgdgc", "sgdw", "srmm", "timm/sgdw", "torch/asgd", "torch/sgd",
    )},
    **{name: {"lr": 0.01} for name in (
        "accsgd", "adamod", "ftrl", "momentum", "nesterov", "radam", "radamw", "torch/radam",
    )},
    **{name: {"eta": 0.01} for name in ("flux/nesterov", "optimisers/nesterov", "optimisers/radam")},
    **{name: {"learning_rate": 0.1} for name in ("keras/adagrad", "keras/ftrl", "keras/sgd", "optax/sgd")},
    "lion": {"lr": 1e-3}, "optax/lion": {"learning_rate": 1e-3}, "timm/lion": {"lr": 1e-3},
    "ano": {"lr": 1e-3}, "kate": {"lr": 1e-4}, "ogd": {"lr": 0.03}, "qhm": {"lr": 0.3},
    "keras/adadelta": {"learning_rate": 1.0}, "optax/lars": {"learning_rate": 1.0},
    "optax/radam": {"learning_rate": 0.01},
    # Made for whole batches: a step can't be let grow to 50 where gradients are noisy.
    "rprop": {"step_max": 0.01}, "torch/rprop": {"step_max": 0.01}, "optax/rprop": {"max_step_size": 0.01},
    "optimisers/rprop": {"gamma2": 0.01},
}  # fmt: skip
"""Options where the defaults are too timid for so few steps, or too bold for this network."""
QUADRATIC: dict[str, dict[str, Any]] = {
    "flux/descent": {"eta": 0.01}, "optimisers/descent": {"eta": 0.01},
    "ogd": {"lr": 1e-3}, "schedulefreesgd": {"lr": 0.01}, "sgdp": {"lr": 0.01},
    "adamod": {"lr": 0.01}, "ano": {"lr": 3e-3}, "ftrl": {"lr": 0.01}, "kate": {"lr": 10.0},
    "lion": {"lr": 1e-3}, "optax/lion": {"learning_rate": 1e-3}, "timm/lion": {"lr": 1e-3},
    "keras/adadelta": {"learning_rate": 1.0}, "keras/adagrad": {"learning_rate": 0.1},
    "keras/ftrl": {"learning_rate": 0.1}, "optax/lars": {"learning_rate": 0.1},
}  # fmt: skip
"""The same for the quadratic, whose steeper direction has a curvature of 100."""


def test_settings_are_of_rules() -> None:
    assert {*DIGITS, *QUADRATIC} <= set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_trains_on_the_digits(rule: str) -> None:
    result = run_digits(load(rule), DIGITS.get(rule, {}), steps=STEPS)
    assert not result.diverged
    first, last = result.checkpoints[0], result.checkpoints[-1]
    assert first.test.accuracy < 0.2
    assert last.test.accuracy > 0.8
    assert last.train.loss < 0.75 * first.train.loss


@pytest.mark.parametrize("rule", RULES)
def test_lowers_a_quadratic(rule: str) -> None:
    result = run_function(load(rule), "quadratic", QUADRATIC.get(rule, {}), steps=300)
    assert not result.diverged
    assert result.losses[-1] < 0.9 * result.losses[0]
