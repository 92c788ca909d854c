"""What the tests of this folder share: optimizers at any step count, and steps on copies."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.runtime.optimizer import Optimizer

Array = npt.NDArray[Any]

ROOT = Path(__file__).resolve().parents[2]


def at(optimizer: Optimizer, count: int) -> Optimizer:
    """Return an optimizer with states as before a first step, whose parameters have made so many steps."""
    optimizer.init_state()
    document = optimizer.state_dict()
    document["steps"] = dict.fromkeys(document["steps"], count)
    optimizer.load_state_dict(document)
    return optimizer


def adam_move(g: float, t: int, lr: float, beta1: float, beta2: float, eps: float) -> float:
    """Return what Adam takes off a parameter at step t, with moments of 0 before it, in float64."""
    m, v = (1 - beta1) * g, (1 - beta2) * g * g
    return lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)


def normal(*shape: int, seed: int = 0, dtype: str = "float64") -> Array:
    """Return random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def everything(optimizer: Optimizer, *arrays: Array) -> tuple[Any, ...]:
    """Return all bytes that a failed call must leave alone: given arrays, states, counts and options."""
    document = optimizer.state_dict()
    states = {(name, state): array.tobytes() for name, of in document["state"].items() for state, array in of.items()}
    return [array.tobytes() for array in arrays], states, document["steps"], document["param_groups"]


def python(
    code: str,
    environment: Mapping[str, str | None] | None = None,
    arguments: Sequence[str] = (),
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, with variables of the environment set, or removed where None."""
    asked = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    variables = {name: value for name, value in asked.items() if value is not None}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=600)
