"""Time a step of one large tensor beside PyTorch and NumPy by hand, interleaved in one run.

    python benchmarks/steps.py [--elements 16000000] [--rounds 20]

Prints the median of each and its ratio to a peer. PyTorch is left out where it isn't installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

import optdsl
from optdsl.runtime.kernel import threads

Array = npt.NDArray[np.float32]
Step = Callable[[], object]


def by_hand(x: Array, g: Array) -> Step:
    """Return Adam as it is usually written in NumPy, in place where that is short."""
    m, v = np.zeros_like(x), np.zeros_like(x)
    lr, beta1, beta2, eps, t = 1e-3, 0.9, 0.999, 1e-8, 0

    def step() -> None:
        nonlocal t
        t += 1
        m[:] = beta1 * m + (1 - beta1) * g
        v[:] = beta2 * v + (1 - beta2) * g**2
        x[:] -= lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)

    return step


def by_hand_without_temporaries(x: Array, g: Array) -> Step:
    """Return Adam with `out=` everywhere and two scratch arrays: the best NumPy does one operation at a time."""
    m, v, a, b = (np.zeros_like(x) for _ in range(4))
    lr, beta1, beta2, eps, t = 1e-3, 0.9, 0.999, 1e-8, 0

    def step() -> None:
        nonlocal t
        t += 1
        np.multiply(m, beta1, out=m)
        np.multiply(g, 1 - beta1, out=a)
        np.add(m, a, out=m)
        np.multiply(v, beta2, out=v)
        np.multiply(g, g, out=a)
        np.multiply(a, 1 - beta2, out=a)
        np.add(v, a, out=v)
        np.divide(m, 1 - beta1**t, out=a)
        np.divide(v, 1 - beta2**t, out=b)
        np.sqrt(b, out=b)
        np.add(b, eps, out=b)
        np.divide(a, b, out=a)
        np.multiply(a, lr, out=a)
        np.subtract(x, a, out=x)

    return step


def compiled(rule: str, target: str, x: Array, g: Array) -> Step:
    """Return a step of a bundled rule."""
    optimizer = optdsl.load(rule, target=target)([x])
    return lambda: optimizer.step([g])


def torch_fused(x: Array, g: Array) -> Step | None:
    """Return PyTorch's fused Adam, or None where PyTorch is missing."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads())
    parameter = torch.from_numpy(x).requires_grad_()
    parameter.grad = torch.from_numpy(g)
    step: Step = torch.optim.Adam([parameter], fused=True).step
    return step


def main() -> None:
    """Time everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, default=16_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)

    def array() -> Array:
        return random.standard_normal(arguments.elements, dtype=np.float32)

    contenders: dict[str, Step | None] = {
        "Adam, C": compiled("adam", "c", array(), array()),
        "Adam, torch fused": torch_fused(array(), array()),
        "Adam, NumPy": compiled("adam", "numpy", array(), array()),
        "Adam, NumPy by hand": by_hand(array(), array()),
        "Adam, NumPy by hand with out=": by_hand_without_temporaries(array(), array()),
        "NAdam, C": compiled("nadam", "c", array(), array()),
        "RMSprop, C": compiled("rmsprop", "c", array(), array()),
        "Rprop, C": compiled("rprop", "c", array(), array()),
        "Lion, C": compiled("lion", "c", array(), array()),
    }
    steps = {name: step for name, step in contenders.items() if step is not None}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(arguments.rounds + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if round_ >= 2:  # the first rounds make states and warm the caches
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{arguments.elements:,} float32, {threads()} threads, median of {arguments.rounds} interleaved steps")
    for name, median in medians.items():
        spread = statistics.quantiles(times[name], n=4)
        print(f"  {name:<30} {median * 1e3:8.2f} ms   (quartiles {spread[0] * 1e3:.2f} to {spread[2] * 1e3:.2f})")
    for first, second in (
        ("Adam, C", "Adam, torch fused"),
        ("Adam, NumPy", "Adam, NumPy by hand"),
        ("Adam, NumPy", "Adam, NumPy by hand with out="),
    ):
        if first in medians and second in medians:
            print(f"  {first} / {second}: {medians[first] / medians[second]:.2f}")


if __name__ == "__main__":
    main()
