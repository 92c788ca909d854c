"""Rows of the element-wise relatives of Adam."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..table import Row

BETAS: dict[str, Any] = {"betas": (0.8, 0.95)}
THREE_BETAS: dict[str, Any] = {"betas": (0.8, 0.95, 0.9)}
OURS: dict[str, float] = {"beta1": 0.8, "beta2": 0.95}
OURS_OF_THREE: dict[str, float] = {**OURS, "beta3": 0.9}
B1_B2: dict[str, float] = {"b1": 0.8, "b2": 0.95}
COUPLED: dict[str, Any] = {"weight_decay": 0.05, "weight_decouple": False}
DECOUPLED: dict[str, Any] = {"weight_decay": 0.05, "weight_decouple": True}
DECAY: dict[str, float] = {"weight_decay": 0.05}
FLOAT32_WEIGHTS = "pytorch_optimizer keeps the weights of the two means in float32"


def _kozistr(
    rule: str, theirs: str, *sets: tuple[dict[str, Any], dict[str, Any]], lr: float = 1e-2, **more: Any
) -> Iterator[Row]:
    """Yield the rows of a rule beside pytorch_optimizer: sets of its options and ours."""
    for options, ours in sets:
        yield Row(rule, "pytorch_optimizer", theirs, lr, options, ours, **more)


def _optax(rule: str, theirs: str, *sets: tuple[dict[str, Any], dict[str, Any]], lr: float = 1e-2) -> Iterator[Row]:
    """Yield the rows of a rule beside optax: sets of its options and ours."""
    for options, ours in sets:
        yield Row(rule, "optax", theirs, lr, options, ours)


def _timm(rule: str, theirs: str, *sets: tuple[dict[str, Any], dict[str, Any]], lr: float = 1e-2) -> Iterator[Row]:
    """Yield the rows of a rule beside timm: sets of its options and ours."""
    for options, ours in sets:
        yield Row(rule, "timm", theirs, lr, options, ours)


def _torch() -> Iterator[Row]:
    """Yield what the dialect of torch adds to Adam, and RAdam under its own name where the decay is decoupled."""
    decoupled = {"decoupled_weight_decay": True}
    for options in (
        {},
        DECAY,
        decoupled,
        {**DECAY, **decoupled},
        {**DECAY, **decoupled, "amsgrad": True},
        {**DECAY, "amsgrad": True, "maximize": True},
    ):
        yield Row("torch/adam", "torch", "Adam", 1e-2, options, options)
    yield Row("torch/adam", "torch", "Adam", 1e-2, {**BETAS, **DECAY, **decoupled}, {**OURS, **DECAY, **decoupled})
    yield Row("radamw", "torch", "RAdam", 1e-2, {"weight_decay": 0.01, **decoupled})
    yield Row("radamw", "torch", "RAdam", 1e-2, {**BETAS, **DECAY, **decoupled}, {**OURS, **DECAY})


ROWS = [
    *_torch(),
    *_optax(
        "yogi",
        "yogi",
        ({}, {}),
        ({**B1_B2, "eps": 1e-2}, {**OURS, "eps": 1e-2}),
        ({"b1": 0.0}, {"beta1": 0.0}),
    ),
    *_kozistr(
        "yogi",
        "Yogi",
        ({}, {}),
        ({**BETAS, "initial_accumulator": 0.1, "eps": 1e-2}, {**OURS, "initial_accumulator": 0.1, "eps": 1e-2}),
        (COUPLED, DECAY),
    ),
    *_optax(
        "adamaxw",
        "adamaxw",
        ({}, {}),
        ({**B1_B2, "eps": 1e-2, **DECAY}, {**OURS, "eps": 1e-2, **DECAY}),
        ({"weight_decay": 0.0}, {"weight_decay": 0.0}),
    ),
    *_timm(
        "nadamw",
        "NAdamW",
        ({}, {}),
        ({**BETAS, "eps": 1e-3, **DECAY}, {**OURS, "eps": 1e-3, **DECAY}),
        ({"weight_decay": 0.0}, {"weight_decay": 0.0}),
    ),
    *_timm(
        "cadamw",
        "AdamWLegacy",
        ({"caution": True}, {}),
        ({"caution": True, **BETAS, "eps": 1e-3, **DECAY}, {**OURS, "eps": 1e-3, **DECAY}),
        ({"caution": True, "amsgrad": True, **DECAY}, {"amsgrad": True, **DECAY}),
    ),
    *_timm(
        "laprop",
        "LaProp",
        ({}, {}),
        ({**BETAS, "eps": 1e-3, **DECAY}, {**OURS, "eps": 1e-3, **DECAY}),
        ({"betas": (0.0, 0.9), **DECAY}, {"beta1": 0.0, "beta2": 0.9, **DECAY}),
    ),
    *_kozistr("laprop", "LaProp", ({"ams_bound": True, **BETAS, **DECAY}, {"amsgrad": True, **OURS, **DECAY})),
    *_timm(
        "adopt",
        "Adopt",
        ({"clip_exp": 0.25}, {}),
        ({"clip_exp": 0.333, **BETAS, "eps": 1e-2, **DECAY}, {"clip_exp": 0.333, **OURS, "eps": 1e-2, **DECAY}),
    ),
    *_optax("adopt", "contrib.adopt", ({}, {}), ({**B1_B2, "eps": 1e-2}, {**OURS, "eps": 1e-2})),
    *_optax(
        "ademamix",
        "contrib.ademamix",
        ({}, {}),
        ({**B1_B2, "b3": 0.9, "alpha": 2.0, **DECAY}, {**OURS_OF_THREE, "alpha": 2.0, **DECAY}),
    ),
    *_kozistr(
        "ademamix",
        "AdEMAMix",
        ({}, {}),
        ({"t_alpha_beta3": 60.0, **DECOUPLED}, {"warmup": 60, **DECAY}),
        ({**THREE_BETAS, "t_alpha_beta3": 200.0, "alpha": 2.0}, {**OURS_OF_THREE, "warmup": 200, "alpha": 2.0}),
    ),
    *_optax(
        "simplifiedademamix",
        "contrib.simplified_ademamix",
        ({}, {}),
        ({**B1_B2, "alpha": 2.0, "eps": 1e-3, **DECAY}, {**OURS, "alpha": 2.0, "eps": 1e-3, **DECAY}),
        lr=1e-3,
    ),
    *_optax(
        "oadam",
        "optimistic_adam_v2",
        ({"nesterov": False}, {}),
        ({"nesterov": False, **B1_B2, "beta": 0.5, "eps": 1e-3}, {**OURS, "optimism": 0.5, "eps": 1e-3}),
        ({"nesterov": False, "beta": 0.0}, {"optimism": 0.0}),
    ),
    *_kozistr(
        "adamwi",
        "AdEMAMix",
        ({"alpha": 0.0, **DECOUPLED, "fixed_decay": True}, DECAY),
        ({"alpha": 0.0, **THREE_BETAS, **DECOUPLED, "fixed_decay": True}, {**OURS, **DECAY}),
        ({"alpha": 0.0, "weight_decay": 1e-5, "weight_decouple": True, "fixed_decay": True}, {}),
    ),
    *_kozistr(
        "qhadam",
        "QHAdam",
        ({"betas": (0.995, 0.999), "nus": (0.7, 1.0)}, {}),
        ({**BETAS, "nus": (0.7, 0.9), "eps": 1e-3}, {**OURS, "nu1": 0.7, "nu2": 0.9, "eps": 1e-3}),
        ({**BETAS, **DECAY}, {**OURS, "nu1": 1.0, **DECAY}),
        tolerance=1e-6,
        note=FLOAT32_WEIGHTS,
    ),
    *_kozistr(
        "adabound",
        "AdaBound",
        ({}, {}),
        ({**BETAS, "gamma": 0.1, "final_lr": 0.03}, {**OURS, "gamma": 0.1, "final_lr": 0.03}),
        ({"ams_bound": True, **COUPLED, "eps": 1e-3}, {"amsgrad": True, **DECAY, "eps": 1e-3}),
    ),
    *_kozistr(
        "adamod",
        "AdaMod",
        ({"betas": (0.9, 0.999, 0.999)}, {}),
        ({**THREE_BETAS, "eps": 1e-3}, {**OURS_OF_THREE, "eps": 1e-3}),
        ({"betas": (0.9, 0.99, 0.9999), **COUPLED}, {"beta2": 0.99, "beta3": 0.9999, **DECAY}),
    ),
    *_kozistr(
        "diffgrad",
        "DiffGrad",
        ({}, {}),
        ({**BETAS, "eps": 1e-3}, {**OURS, "eps": 1e-3}),
        ({"ams_bound": True, "eps": 1e-3, **COUPLED}, {"amsgrad": True, "eps": 1e-3, **DECAY}),
    ),
    *_kozistr(
        "padam",
        "PAdam",
        ({}, {"amsgrad": False}),
        ({**BETAS, "partial": 0.5, "eps": 1e-3}, {**OURS, "partial": 0.5, "eps": 1e-3, "amsgrad": False}),
        ({"partial": 0.125, **COUPLED}, {"partial": 0.125, "amsgrad": False, **DECAY}),
    ),
    *_kozistr(
        "grams",
        "Grams",
        ({}, {}),
        ({**BETAS, "eps": 1e-3, **DECAY}, {**OURS, "eps": 1e-3, **DECAY}),
    ),
    *_kozistr("msvag", "MSVAG", ({}, {}), ({"beta": 0.5}, {"beta": 0.5})),
    *_kozistr(
        "adapnm",
        "AdaPNM",
        ({}, {}),
        ({**THREE_BETAS, "eps": 1e-3, **DECAY}, {**OURS_OF_THREE, "eps": 1e-3, **DECAY}),
        ({"ams_bound": False, **DECAY}, {"amsgrad": False, **DECAY}),
    ),
    *_kozistr(
        "adasmooth",
        "AdaSmooth",
        ({}, {}),
        ({**BETAS, "eps": 1e-3}, {**OURS, "eps": 1e-3}),
        (DECAY, DECAY),
    ),
    *_kozistr(
        "exadam",
        "EXAdam",
        ({}, {}),
        ({**BETAS, "eps": 1e-3, **DECAY}, {**OURS, "eps": 1e-3, **DECAY}),
    ),
    *_kozistr(
        "ano",
        "Ano",
        ({}, {}),
        ({**BETAS, "eps": 1e-3, **DECAY}, {**OURS, "eps": 1e-3, **DECAY}),
    ),
]
