"""Rows of the rules that take the mean over each row from the gradient."""

from __future__ import annotations

from ..table import Row

ADAM_P = (
    "pytorch_optimizer centralises in front of AdamP, which with delta = 0 never projects and is Adam, but for eps: it "
    "is added before the bias correction, and so left out"
)

ROWS = [
    Row(
        "adamgc", "pytorch_optimizer", "AdamP", 1e-2, {"use_gc": True, "delta": 0.0, "eps": 0.0}, {"eps": 0.0},
        note=ADAM_P, scenario="lively",
    ),
    Row(
        "adamgc", "pytorch_optimizer", "AdamP", 1e-2,
        {"use_gc": True, "delta": 0.0, "eps": 0.0, "betas": (0.8, 0.95)}, {"eps": 0.0, "beta1": 0.8, "beta2": 0.95},
        note=ADAM_P, scenario="lively",
    ),
]  # fmt: skip
"""SGD with centralised gradients is in none of the libraries: tests/targets/test_rows.py holds it against SGD."""
