"""Rows of the dialects: what a library computes where it isn't what the rule of that name at the top does."""

from __future__ import annotations

from typing import Any

from ..table import Row


def _optimisers(name: str, theirs: str, *options: dict[str, Any], eta: float | None = 1e-2) -> list[Row]:
    """Rows beside the restatement of Optimisers.jl, which has our names."""
    return [Row(f"optimisers/{name}", "optimisers", theirs, eta, given, given, lr_name="eta") for given in options]


def _named(library: str, name: str, theirs: str, lr: float, *options: dict[str, Any], note: str = "") -> list[Row]:
    """Rows beside a library whose names of hyperparameters are ours."""
    rate = "lr" if library == "timm" else "learning_rate"
    return [Row(f"{library}/{name}", library, theirs, lr, given, given, lr_name=rate, note=note) for given in options]


def _same(library: str, theirs: str, lr: float, *options: dict[str, Any]) -> list[Row]:
    """Rows beside a library whose class is ours, name, hyperparameters and defaults."""
    return [Row(f"{library}/{theirs.lower()}", library, theirs, lr, given, given) for given in options]


def _lamb(*options: dict[str, Any]) -> list[Row]:
    """Rows beside timm's Lamb without its clipping of all gradients together, which is no part of the rule."""
    return [Row("timm/lamb", "timm", "Lamb", 1e-2, given | {"max_grad_norm": None}, given) for given in options]


TWO_BETAS: list[dict[str, Any]] = [
    {}, {"beta1": 0.5, "beta2": 0.8}, {"beta1": 0.0, "beta2": 0.0, "epsilon": 1e-3}, {"epsilon": 0.1},
]  # fmt: skip
MOMENTUM: list[dict[str, Any]] = [{}, {"rho": 0.5}, {"rho": 0.0}]
STALE = "the step of one step before: google-deepmind/optax#1725"
COEFFICIENT = "1 - b2 where the authors have beta2: google-deepmind/optax#1715"
ORDER = "the maximum comes after the bias correction: google-deepmind/optax#1389"

ROWS = [
    *_optimisers("descent", "Descent", {}),
    *_optimisers("momentum", "Momentum", *MOMENTUM),
    *_optimisers("nesterov", "Nesterov", *MOMENTUM),
    *_optimisers("rmsprop", "RMSProp", *MOMENTUM, {"centred": True, "epsilon": 1e-3}),
    *_optimisers(
        "rprop", "Rprop", {}, {"ell1": 0.3, "ell2": 1.5}, {"gamma1": 0.02, "gamma2": 0.05}, {"gamma2": 1e-3}
    ),
    *_optimisers("adam", "Adam", *TWO_BETAS),
    *_optimisers("lion", "Lion", {}, {"beta1": 0.5, "beta2": 0.8}, {"beta2": 0.1}),
    *_optimisers("radam", "RAdam", *TWO_BETAS[:2], {"beta2": 0.9, "epsilon": 0.1}),
    *_optimisers("adamax", "AdaMax", *TWO_BETAS),
    *_optimisers("oadam", "OAdam", *TWO_BETAS),
    *_optimisers("adagrad", "AdaGrad", {}, {"epsilon": 0.1}),
    *_optimisers("adadelta", "AdaDelta", {}, {"rho": 0.5}, {"rho": 0.99, "epsilon": 1e-3}, eta=None),
    *_optimisers("amsgrad", "AMSGrad", *TWO_BETAS),
    *_optimisers("nadam", "NAdam", *TWO_BETAS),
    *_optimisers("adamw", "AdamW", {}, {"lam": 0.3}, {"lam": 0.01, "couple": False, "epsilon": 0.1}),
    *_optimisers("adabelief", "AdaBelief", *TWO_BETAS),
    *_named("optax", "adam", "adam", 1e-2, {}, {"b1": 0.5, "b2": 0.8, "eps_root": 1e-2}, {"nesterov": True}),
    *_named("optax", "nadam", "nadam", 1e-2, {}, {"b1": 0.5, "b2": 0.8, "eps": 0.1}, {"eps_root": 1e-3}),
    *_named("optax", "adamw", "adamw", 1e-2, {}, {"weight_decay": 0.3, "eps_root": 1e-3}, {"nesterov": True}),
    *_named("optax", "nadamw", "nadamw", 1e-2, {}, {"weight_decay": 0.3, "b1": 0.5}),
    *_named(
        "optax", "amsgrad", "amsgrad", 1e-2, {}, {"b1": 0.5, "b2": 0.8, "eps_root": 1e-3},
        {"bias_correction_nu": False}, {"bias_correction_mu": False, "eps": 0.1}, note=ORDER,
    ),
    *_named(
        "optax", "radam", "radam", 1e-2, {}, {"b2": 0.9, "eps": 0.1}, {"threshold": 8.0, "eps_root": 1e-3},
        {"nesterov": True},
    ),
    *_named(
        "optax", "rmsprop", "rmsprop", 1e-2, {}, {"momentum": 0.9, "initial_scale": 0.5},
        {"momentum": 0.8, "nesterov": True, "eps": 1e-2}, {"centered": True, "eps": 1e-3, "bias_correction": True},
        {"eps_in_sqrt": False, "decay": 0.99}, {"eps_in_sqrt": False, "centered": True, "eps": 0.1},
    ),
    *_named(
        "optax", "adagrad", "adagrad", 0.1, {}, {"initial_accumulator_value": 0.0},
        {"initial_accumulator_value": 1.0, "eps": 0.1},
    ),
    *_named(
        "optax", "adan", "adan", 1e-2, {}, {"b1": 0.5, "b2": 0.8, "b3": 0.9, "eps": 0.1}, {"weight_decay": 0.3},
        {"eps_root": 0.0}, note=COEFFICIENT,
    ),
    *_named(
        "optax", "lars", "lars", 1.0, {}, {"weight_decay": 0.3, "eps": 0.1}, {"momentum": 0.5, "nesterov": True},
        {"momentum": 0.0, "trust_coefficient": 0.01},
    ),
    *_named("optax", "fromage", "fromage", 1e-2, {}, {"min_norm": 0.5}),
    *_named(
        "optax", "rprop", "rprop", 1e-2, {}, {"eta_minus": 0.3, "eta_plus": 1.5},
        {"min_step_size": 0.005, "max_step_size": 0.05}, note=STALE,
    ),
    *_named("keras", "sgd", "SGD", 1e-2, {}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}),
    *_named(
        "keras", "rmsprop", "RMSprop", 1e-2, {}, {"momentum": 0.9}, {"rho": 0.99, "epsilon": 0.1},
        {"centered": True, "momentum": 0.5, "epsilon": 1e-3},
    ),
    *_named("keras", "adagrad", "Adagrad", 0.1, {}, {"initial_accumulator_value": 1.0, "epsilon": 0.1}),
    *_named("keras", "adadelta", "Adadelta", 1.0, {}, {"rho": 0.5, "epsilon": 1e-3}),
    *_named(
        "keras", "adam", "Adam", 1e-2, {}, {"beta_1": 0.5, "beta_2": 0.8, "epsilon": 0.1}, {"amsgrad": True},
    ),
    *_named("keras", "adamw", "AdamW", 1e-2, {}, {"weight_decay": 0.3, "epsilon": 0.1}, {"amsgrad": True}),
    *_named("keras", "adamax", "Adamax", 1e-2, {}, {"beta_1": 0.5, "beta_2": 0.8, "epsilon": 0.1}),
    *_named("keras", "nadam", "Nadam", 1e-2, {}, {"beta_1": 0.5, "beta_2": 0.8, "epsilon": 0.1}),
    *_named("keras", "lion", "Lion", 1e-2, {}, {"beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.3}),
    *_named("keras", "lamb", "Lamb", 1e-2, {}, {"beta_1": 0.5, "beta_2": 0.8, "weight_decay": 0.3}),
    *_named(
        "keras", "ftrl", "Ftrl", 0.1, {}, {"l1_regularization_strength": 0.5, "beta": 0.3},
        {"l2_regularization_strength": 0.2, "l2_shrinkage_regularization_strength": 0.1},
        {"initial_accumulator_value": 1.0},
    ),
    *_named(
        "timm", "rmsproptf", "RMSpropTF", 1e-2, {}, {"momentum": 0.9, "weight_decay": 0.3},
        {"momentum": 0.5, "lr_in_momentum": False, "weight_decay": 0.3, "decoupled_decay": True},
        {"centered": True, "eps": 1e-3, "alpha": 0.99},
    ),
    *_lamb({}, {"weight_decay": 0.0}, {"weight_decay": 0.3, "trust_clip": True, "grad_averaging": False}),
    *_lamb({"weight_decay": 0.0, "always_adapt": True, "bias_correction": False}),
    *_lamb({"weight_decay": 0.3, "decoupled_decay": True, "eps": 0.1}),
    *_named("optax", "sgd", "sgd", 1e-2, {}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}),
    *_named("optax", "lion", "lion", 1e-2, {}, {"b1": 0.5, "b2": 0.8, "weight_decay": 0.3}),
    *_named("optax", "sign_sgd", "sign_sgd", 1e-2, {}),
    *_named("optax", "signum", "signum", 1e-2, {}, {"beta": 0.5}),
    *_named("optax", "yogi", "yogi", 1e-2, {}, {"b1": 0.5, "b2": 0.8, "eps": 0.1}),
    *_named("optax", "adabelief", "adabelief", 1e-2, {}, {"b1": 0.5, "b2": 0.8, "eps_root": 1e-3, "nesterov": True}),
    *_named("optax", "lamb", "lamb", 1e-2, {}, {"b1": 0.5, "weight_decay": 0.3, "eps_root": 1e-3}),
    *_same("torch", "SGD", 1e-2, {}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    *_same("torch", "AdamW", 1e-2, {}, {"betas": (0.5, 0.8), "amsgrad": True}),
    *_same("torch", "Adamax", 1e-2, {}, {"betas": (0.5, 0.8), "eps": 0.1}),
    *_same("torch", "NAdam", 1e-2, {}, {"betas": (0.5, 0.8), "weight_decay": 0.1}),
    *_same("torch", "RAdam", 1e-2, {}, {"betas": (0.5, 0.8), "weight_decay": 0.1}),
    *_same("torch", "RMSprop", 1e-2, {}, {"momentum": 0.9, "centered": True, "eps": 1e-3}),
    *_same("torch", "Adagrad", 1e-2, {}, {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    *_same("torch", "Adadelta", 1.0, {}, {"rho": 0.5, "eps": 1e-3}),
    *_same("torch", "ASGD", 1e-2, {}, {"lambd": 0.1, "alpha": 0.5, "t0": 20.0}),
    *_same("torch", "Rprop", 1e-2, {}, {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1)}),
    *_same("timm", "Lion", 1e-2, {}, {"betas": (0.5, 0.8), "weight_decay": 0.3}),
    *_same("timm", "MADGRAD", 1e-2, {}, {"momentum": 0.5, "eps": 1e-3}),
    *_same("timm", "Adopt", 1e-2, {}, {"betas": (0.5, 0.8), "eps": 1e-2}),
    *_same("timm", "LaProp", 1e-2, {}, {"betas": (0.5, 0.8), "weight_decay": 0.3}),
    *_same("timm", "AdamP", 1e-2, {}, {"weight_decay": 0.1, "delta": 0.8, "nesterov": True}),
    *_same("timm", "SGDW", 1e-2, {}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    *_same("timm", "NAdamW", 1e-2, {}, {"betas": (0.5, 0.8), "weight_decay": 0.3}),
    *_same("timm", "NvNovoGrad", 1e-2, {}, {"betas": (0.5, 0.8), "weight_decay": 0.1}),
    # Where a library means what the rule at the top does, names and defaults apart.
    Row("sgd", "optax", "sgd", 1e-2),
    Row("sgd", "optax", "sgd", 1e-2, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
    Row("momentum", "optax", "sgd", 1e-2, {"momentum": 0.8}, {"momentum": 0.8}),
    Row("nesterov", "optax", "sgd", 1e-2, {"momentum": 0.8, "nesterov": True}, {"momentum": 0.8}),
    Row("adam", "optax", "adam", 1e-2, {"b1": 0.5, "b2": 0.8}, {"beta1": 0.5, "beta2": 0.8}),
    Row("adamw", "optax", "adamw", 1e-2, {"weight_decay": 0.3}, {"weight_decay": 0.3}),
    Row("adamax", "optax", "adamax", 1e-2, {"eps": 0.1}, {"eps": 0.1}),
    Row("adadelta", "optax", "adadelta", 1.0, {"rho": 0.5}, {"rho": 0.5}),
    Row("adabelief", "optax", "adabelief", 1e-2),
    Row("adabelief", "optax", "adabelief", 1e-2, {"eps": 0.1, "eps_root": 1e-3}, {"eps": 0.1, "eps_root": 1e-3}),
    Row("lion", "optax", "lion", 1e-2, {"weight_decay": 0.3}, {"weight_decay": 0.3}),
    Row("lion", "keras", "Lion", 1e-2, {"beta_1": 0.5}, {"beta1": 0.5}),
    Row("lion", "timm", "Lion", 1e-2, {"weight_decay": 0.3}, {"weight_decay": 0.3}),
    Row("adan", "timm", "Adan", 1e-2),
    Row("adan", "timm", "Adan", 1e-2, {"betas": (0.5, 0.8, 0.9), "weight_decay": 0.3}, {
        "beta1": 0.5, "beta2": 0.8, "beta3": 0.9, "weight_decay": 0.3,
    }),
]  # fmt: skip
