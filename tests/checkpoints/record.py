"""Records what a format leaves behind: `python -m tests.checkpoints.record` adds the files of the present one.

Files that are there are never written again: they are what a version of that time wrote. The rules lie beside them,
so that changing a bundled one changes nothing here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.schedules import Cosine
from optdsl.runtime.statedict import FORMAT

Array = npt.NDArray[Any]

FOLDER = Path(__file__).with_name("versions")

PAUSE, END = 3, 5
"""Steps before a file is saved, and in all."""


def parameters() -> dict[str, Array]:
    """Return parameters of every kind, the same at each call."""
    chance = np.random.default_rng(7)
    return {
        "W": chance.standard_normal((3, 5)),
        "b.single": chance.standard_normal(7).astype(np.float32),
        "number": np.array(0.5),
        "empty": np.zeros((0, 2), np.float32),
        "seldom": np.ones(2),
        "never": np.ones(3, np.float32),
    }


def gradients(params: Mapping[str, Array], step: int) -> dict[str, Array | None]:
    """Return the gradients of a step, counted from 0: none for `never`, and for `seldom` only every other time."""
    chance = np.random.default_rng(100 + step)
    drawn: dict[str, Array | None] = {
        name: np.asarray(chance.standard_normal(value.shape)).astype(value.dtype) for name, value in params.items()
    }
    drawn["never"] = None
    if step % 2:
        drawn["seldom"] = None
    return drawn


def made(name: str, params: Mapping[str, Array], target: str) -> Optimizer:
    """Return an optimizer of a scenario over some parameters."""
    return SCENARIOS[name](load(str(FOLDER / f"{name}.opt"), target), params)


def _grouped(kind: type[Optimizer], params: Mapping[str, Array]) -> Optimizer:
    first = {name: value for name, value in params.items() if name in {"W", "number"}}
    rest = {name: value for name, value in params.items() if name not in first}
    return kind(
        [{"params": first, "lr": Cosine(0.1, 10), "momentum": 0.9}, {"params": rest, "nesterov": False}],
        lr=0.01, clip_value=2.0,
    )  # fmt: skip


SCENARIOS: Mapping[str, Callable[[type[Optimizer], Mapping[str, Array]], Optimizer]] = {
    "adam": lambda kind, params: kind(params, lr=0.01, amsgrad=True, clip_norm=4.0),
    "sgd": _grouped,
    "schedulefreeadamw": lambda kind, params: kind(params, weight_decay=0.1, warmup_steps=2.0, ema=0.5),
}
"""A conditional state and a limit; groups, a schedule and a state that only one group has; scalar states."""


def advance(opt: Optimizer, params: Mapping[str, Array], first: int, last: int) -> None:
    """Make the steps from one to another."""
    for step in range(first, last):
        opt.step(gradients(params, step))


def in_hex(arrays: Mapping[str, Array]) -> dict[str, str]:
    """Return the bytes of arrays, to be read by a person or compared."""
    return {name: np.ascontiguousarray(array).tobytes().hex() for name, array in arrays.items()}


def states_in_hex(opt: Optimizer) -> dict[str, dict[str, str]]:
    """Return the bytes of all states."""
    return {name: in_hex(states) for name, states in opt.state.items()}


def main() -> None:
    """Write what isn't there."""
    for name in SCENARIOS:
        file = FOLDER / f"format-{FORMAT}-{name}.safetensors"
        if file.exists():
            continue
        params = parameters()
        opt = made(name, params, "numpy")
        advance(opt, params, 0, PAUSE)
        opt.save(file)
        record: dict[str, Any] = {"saved": {"parameters": in_hex(params), "state": states_in_hex(opt)}}
        record["steps"] = {parameter: opt.step_count(parameter) for parameter in params}
        advance(opt, params, PAUSE, END)
        record["end"] = {"parameters": in_hex(params), "state": states_in_hex(opt)}
        file.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(file)


if __name__ == "__main__":
    main()
