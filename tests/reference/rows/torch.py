"""Rows beside torch: each dense rule at torch's defaults, then with its options combined at a livelier rate."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from ..table import Row

Options = dict[str, Any]

#: torch's tuples, and the hyperparameters that stand for them here.
TUPLES = {
    "betas": ("beta1", "beta2"),
    "etas": ("eta_minus", "eta_plus"),
    "step_sizes": ("step_min", "step_max"),
}


def _product(**choices: tuple[Any, ...]) -> Iterator[Options]:
    """Yield every combination of the options, each option left out where its value is None."""
    for values in itertools.product(*choices.values()):
        yield {name: value for name, value in zip(choices, values, strict=True) if value is not None}


def _ours(options: Options) -> Options:
    """Return torch's options under the names of our hyperparameters."""
    found: Options = {}
    for name, value in options.items():
        found.update(zip(TUPLES[name], value, strict=True) if name in TUPLES else [(name, value)])
    return found


def _rows(
    rule: str, theirs: str, default_lr: float, lr: float, option_sets: Iterable[Options], **more: Any
) -> Iterator[Row]:
    """Yield the option sets at a livelier rate than torch's default, the first of them at the default too.

    Options of `more` under `fixed` make torch's class the rule, and are none of ours.
    """
    fixed = more.pop("fixed", {})
    for index, options in enumerate(option_sets):
        for rate in (default_lr, lr) if index == 0 else (lr,):
            yield Row(rule, "torch", theirs, rate, {**options, **fixed}, _ours(options), **more)


def _sgd() -> Iterator[Options]:
    """Yield the combinations that torch's SGD takes: nesterov asks for momentum and forbids dampening."""
    every = _product(
        momentum=(None, 0.9),
        dampening=(None, 0.1),
        weight_decay=(None, 0.05),
        nesterov=(None, True),
        maximize=(None, True),
    )
    for options in every:
        if "nesterov" not in options or ("momentum" in options and "dampening" not in options):
            yield options


def _adam() -> Iterator[Options]:
    """Yield the option sets of Adam and AdamW."""
    yield from _product(amsgrad=(None, True), weight_decay=(None, 0.05))
    yield from _product(betas=((0.8, 0.95),), eps=(1e-3,), amsgrad=(None, True), weight_decay=(None, 0.05))


def _amsgrad() -> Iterator[Options]:
    yield from _product(weight_decay=(None, 0.05))
    yield from _product(betas=((0.8, 0.95),), eps=(1e-3,), weight_decay=(None, 0.05))


def _adamw() -> Iterator[Options]:
    yield from _adam()
    yield from _product(amsgrad=(None, True), weight_decay=(0.0,))


def _rmsprop() -> Iterator[Options]:
    both = {"centered": (None, True), "momentum": (None, 0.9), "weight_decay": (None, 0.05)}
    yield from _product(**both)
    yield from _product(alpha=(0.9,), eps=(1e-3,), **both)


def _adamax() -> Iterator[Options]:
    yield from _product(weight_decay=(None, 0.05))
    yield from _product(betas=((0.8, 0.95),), eps=(1e-2,), weight_decay=(None, 0.05))


def _adadelta() -> Iterator[Options]:
    yield from _product(weight_decay=(None, 0.05))
    yield from _product(rho=(0.95,), eps=(1e-3,), weight_decay=(None, 0.05))


def _decoupled(**more: tuple[Any, ...]) -> Iterator[Options]:
    """Yield the option sets of NAdam and RAdam."""
    both = {"weight_decay": (None, 0.05), "decoupled_weight_decay": (None, True)}
    yield from _product(**both)
    yield from _product(betas=((0.8, 0.95),), eps=(1e-3,), **more, **both)


def _radam() -> Iterator[Options]:
    yield from _decoupled()
    yield from _product(betas=((0.9, 0.6),))


ROWS = [
    *_rows("sgd", "SGD", 1e-3, 0.02, _sgd()),
    *_rows("momentum", "SGD", 1e-3, 0.02, _product(momentum=(0.9, 0.5))),
    *_rows("nesterov", "SGD", 1e-3, 0.02, _product(momentum=(0.9, 0.5)), fixed={"nesterov": True}),
    *_rows("rmsprop", "RMSprop", 1e-2, 3e-3, _rmsprop()),
    *_rows("adam", "Adam", 1e-3, 1e-2, _adam()),
    *_rows("amsgrad", "Adam", 1e-3, 1e-2, _amsgrad(), fixed={"amsgrad": True}),
    *_rows("adamw", "AdamW", 1e-3, 1e-2, _adamw()),
    *_rows("adamax", "Adamax", 2e-3, 1e-2, _adamax()),
    *_rows(
        "adagrad", "Adagrad", 1e-2, 0.1,
        _product(
            eps=(None, 1e-3),
            lr_decay=(None, 0.01),
            weight_decay=(None, 0.05),
            initial_accumulator_value=(None, 0.1),
        ),
    ),
    *_rows("adadelta", "Adadelta", 1.0, 0.5, _adadelta()),
    *_rows("nadam", "NAdam", 2e-3, 1e-2, _decoupled(momentum_decay=(0.05,))),
    *_rows("radam", "RAdam", 1e-3, 1e-2, _radam()),
    *_rows(
        "asgd", "ASGD", 1e-2, 0.03,
        _product(lambd=(None, 0.05), alpha=(None, 0.5), t0=(None, 20.0), weight_decay=(None, 0.05)),
        state={"ax": "ax"},
    ),
    *_rows("rprop", "Rprop", 1e-2, 0.02, _product(etas=(None, (0.4, 1.5)), step_sizes=(None, (1e-3, 0.1)))),
]  # fmt: skip
