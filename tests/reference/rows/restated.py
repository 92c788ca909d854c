"""Rows beside restatements in NumPy: the rules of old Flux, which has no Python, and some papers' own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..table import Row

Options = dict[str, Any]

TWO_BETAS: list[Options] = [
    {},
    {"eta": 0.05},
    {"eta": 0.02, "beta1": 0.5, "beta2": 0.8},
    {"eta": 0.01, "beta1": 0.0, "beta2": 0.0, "epsilon": 1e-3},
    {"beta1": 0.99, "beta2": 0.9, "epsilon": 0.1},
]
MOMENTUM: list[Options] = [{}, {"eta": 0.1, "rho": 0.5}, {"eta": 0.03, "rho": 0.0}, {"rho": 0.99}]


def _rows(rule: str, theirs: str, default_lr: float | None, option_sets: list[Options]) -> Iterator[Row]:
    """Yield a row for each set of options; a learning rate is taken out of the set."""
    library, _, _ = rule.rpartition("/")
    lr_name = "eta" if library else "lr"
    for given in option_sets:
        options = {name: value for name, value in given.items() if name != lr_name}
        lr = given.get(lr_name, default_lr)
        yield Row(rule, library or "papers", theirs, lr, options, options, lr_name=lr_name)


ROWS = [
    *_rows("flux/descent", "Descent", 0.1, [{}, {"eta": 0.5}, {"eta": 0.0}]),
    *_rows("flux/momentum", "Momentum", 0.01, MOMENTUM),
    *_rows("flux/nesterov", "Nesterov", 0.001, MOMENTUM),
    *_rows("flux/rmsprop", "RMSProp", 0.001, [*MOMENTUM, {"eta": 0.01, "rho": 0.8, "epsilon": 1e-2}]),
    *_rows("flux/adam", "ADAM", 0.001, TWO_BETAS),
    *_rows("flux/adamax", "AdaMax", 0.001, TWO_BETAS),
    *_rows("flux/adagrad", "ADAGrad", 0.1, [{}, {"eta": 0.5}, {"epsilon": 0.1}]),
    *_rows("flux/adadelta", "ADADelta", None, [{}, {"rho": 0.5}, {"rho": 0.99, "epsilon": 1e-3}]),
    *_rows("flux/amsgrad", "AMSGrad", 0.001, TWO_BETAS),
    *_rows("flux/nadam", "NADAM", 0.001, TWO_BETAS),
    *_rows("flux/adamw", "ADAMW", 0.001, [*TWO_BETAS, {"decay": 0.01}, {"eta": 0.05, "decay": 0.1}]),
    *_rows(
        "adabelief", "AdaBelief", 1e-3,
        [{}, {"lr": 0.01, "eps": 1e-8}, {"beta1": 0.5, "beta2": 0.8, "eps_root": 1e-3}, {"eps": 0.1}],
    ),
    *_rows(
        "adan", "Adan", 1e-3,
        [{}, {"lr": 0.01, "weight_decay": 0.3}, {"beta1": 0.5, "beta2": 0.8, "beta3": 0.9}, {"beta2": 0.0}],
    ),
    *_rows(
        "adammini", "AdamMini", 1e-3,
        [{}, {"lr": 0.01, "weight_decay": 0.3}, {"beta1": 0.5, "beta2": 0.8, "eps": 1e-2}],
    ),
    *_rows(
        "lion", "Lion", 1e-4,
        [
            {},
            {"lr": 0.01},
            {"lr": 0.01, "weight_decay": 0.3},
            {"beta1": 0.5, "beta2": 0.8},
            {"beta1": 0.0, "beta2": 0.0},
        ],
    ),
]  # fmt: skip
