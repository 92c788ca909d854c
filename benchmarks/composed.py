"""Clipping by norm, AdamW and an average of the parameters: one step here beside torch's four calls, interleaved.

``python benchmarks/composed.py [--elements N] [--rounds N]`` (needs torch) steps one float32 tensor. Here it is
``AdamW(x, clip_norm=1, ema=0.999)``, a pass for the norm and one for the rest. There it is ``clip_grad_norm_``, AdamW
with ``fused=True``, ``AveragedModel`` with ``get_ema_multi_avg_fn``, and ``zero_grad``; torch's gradient is made anew
before each step, outside the clock, since ``zero_grad`` drops it. Both use the threads that torch would use.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np

REST = 0.01
"""Seconds before each step, after which idle threads of the other library have stopped to spin."""


def ours(start: np.ndarray, gradient: np.ndarray, target: str) -> Callable[[], float]:
    """Return a function that makes one step of ours and says how long it took."""
    from optdsl.loading import load

    x = start.copy()
    optimizer = load("adamw", target)([x], lr=1e-3, clip_norm=1.0, ema=0.999)

    def step() -> float:
        begin = time.perf_counter()
        optimizer.step([gradient])
        optimizer.zero_grad()
        return time.perf_counter() - begin

    return step


def theirs(start: np.ndarray, gradient: np.ndarray) -> Callable[[], float]:
    """Return the same for torch."""
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = torch.nn.Parameter(torch.from_numpy(start.copy()))

    model = Model()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    source = torch.from_numpy(gradient)

    def step() -> float:
        model.x.grad = source.clone()
        begin = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(model)
        optimizer.zero_grad()
        return time.perf_counter() - begin

    return step


def main() -> None:
    """Measure and print medians, their ratio, and the spread."""
    parser = argparse.ArgumentParser(description="clip_norm + AdamW + EMA in one step, beside torch")
    parser.add_argument("--elements", type=int, default=16_000_000)
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    import torch

    os.environ.setdefault("OPTDSL_NUM_THREADS", str(torch.get_num_threads()))
    chance = np.random.default_rng(0)
    start, gradient = (chance.standard_normal(arguments.elements, dtype=np.float32) for _ in range(2))
    steps = {"torch": theirs(start, gradient), "optdsl c": ours(start, gradient, "c")}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(arguments.rounds + 3):
        for name, step in steps.items():
            time.sleep(REST)
            seconds = step()
            if round_ >= 3:  # the first ones bring states and threads into being
                times[name].append(seconds)
    print(f"{arguments.elements:,} float32 elements, {torch.get_num_threads()} threads, torch {torch.__version__}")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        low, high = np.percentile(values, [25, 75])
        ratio = medians["torch"] / medians[name]
        spread = f"({low * 1e3:.2f} to {high * 1e3:.2f})"
        print(f"{name:10} {medians[name] * 1e3:7.2f} ms {spread}  {ratio:.2f} times torch's speed")


if __name__ == "__main__":
    main()
