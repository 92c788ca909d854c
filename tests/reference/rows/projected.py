"""Rows of the rules that leave out the part of a step along the weights."""

from __future__ import annotations

from ..table import Row

_ROWS = {"weight_decay": 0.1, "delta": 3.0}
_BOTH = {"weight_decay": 0.1, "delta": 0.8, "nesterov": True}

ROWS = [
    Row("adamp", "timm", "AdamP", 1e-2),
    Row(
        "adamp",
        "timm",
        "AdamP",
        1e-2,
        {"betas": (0.5, 0.9), "eps": 1e-3, **_ROWS},
        {"betas": (0.5, 0.9), "eps": 1e-3, **_ROWS},
    ),
    Row("adamp", "timm", "AdamP", 1e-2, _BOTH, _BOTH),
    Row("sgdp", "timm", "SGDP", 1e-2, {"momentum": 0.9, "delta": 1.5}, {"delta": 1.5}),
    Row(
        "sgdp",
        "timm",
        "SGDP",
        1e-2,
        {"momentum": 0.5, "dampening": 0.1, **_BOTH},
        {"momentum": 0.5, "dampening": 0.1, **_BOTH},
    ),
    Row("sgdp", "pytorch_optimizer", "SGDP", 1e-2, {"momentum": 0.9, **_ROWS}, _ROWS),
    Row("srmm", "pytorch_optimizer", "SRMM", 1e-2),
    Row("srmm", "pytorch_optimizer", "SRMM", 0.1, {"beta": 0.8, "memory_length": 7}, {"beta": 0.8, "memory": 7}),
]
