"""Rows of the rules that are read at another point than they train at: schedule-free ones and Lookahead."""

from __future__ import annotations

from ..table import Row

EVAL = {"eval": "eval()", "z": "z"}

ROWS = [
    Row("schedulefreesgd", "schedulefree", "SGDScheduleFree", 0.05, state=EVAL),
    Row(
        "schedulefreesgd", "schedulefree", "SGDScheduleFree", 0.1, {"momentum": 0.7, "weight_decay": 0.05},
        {"momentum": 0.7, "weight_decay": 0.05}, state=EVAL,
    ),
    Row(
        "schedulefreesgd", "schedulefree", "SGDScheduleFree", 0.1, {"warmup_steps": 20, "r": 1.5},
        {"warmup_steps": 20, "r": 1.5}, state=EVAL,
    ),
    Row(
        "schedulefreesgd", "schedulefree", "SGDScheduleFree", 0.1, {"warmup_steps": 7, "weight_lr_power": 0.0},
        {"warmup_steps": 7, "weight_lr_power": 0}, state=EVAL,
    ),
    Row(
        "schedulefreeadamw", "schedulefree", "AdamWScheduleFree", 1e-2, state={**EVAL, "v": "exp_avg_sq"},
    ),
    Row(
        "schedulefreeadamw", "schedulefree", "AdamWScheduleFree", 1e-2,
        {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
        {"beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.1}, state=EVAL,
    ),
    Row(
        "schedulefreeadamw", "schedulefree", "AdamWScheduleFree", 1e-2,
        {"warmup_steps": 30, "r": 2.0, "weight_lr_power": 1.0, "weight_decay": 0.01},
        {"warmup_steps": 30, "r": 2, "weight_lr_power": 1, "weight_decay": 0.01}, state=EVAL,
    ),
    Row("lookahead", "pytorch_optimizer", "Lookahead(Adam)", 1e-2),
    Row(
        "lookahead", "pytorch_optimizer", "Lookahead(Adam)", 1e-2, {"k": 3, "alpha": 0.8, "betas": (0.8, 0.95)},
        {"k": 3, "alpha": 0.8, "beta1": 0.8, "beta2": 0.95}, state={"eval": "slow_params"},
    ),
    Row(
        "lookahead", "pytorch_optimizer", "Lookahead(Adam)", 1e-2, {"k": 1, "alpha": 0.3, "amsgrad": True},
        {"k": 1, "alpha": 0.3, "amsgrad": True},
    ),
]  # fmt: skip
