"""Puts a rule together from parts: clipping before Adam, an average of the parameters after it, all in one pass.

The gradients of a linear model are spoiled now and then by a large error. Clipped, they do little harm, and the average
of the parameters lies nearer to the best ones than where the last step ended.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import optdsl
from optdsl.optimizers import Adam
from optdsl.runtime.optimizer import Optimizer

Array = npt.NDArray[np.floating]

BEST = np.random.default_rng(1).normal(size=10)


def gradient(w: Array, rng: np.random.Generator) -> Array:
    """Return the gradient on a few examples, one in a hundred times spoiled by a wild target."""
    x = rng.normal(size=(8, 10))
    error = x @ (w - BEST) + rng.normal(size=8) + (rng.random() < 0.01) * 1e4
    return x.T @ error / 8


def trained(optimizer: type[Optimizer], **options: float) -> tuple[Optimizer, Array]:
    """Return an optimizer and its parameters after 1,000 steps."""
    rng, w = np.random.default_rng(0), np.zeros(10)
    opt = optimizer(w, lr=0.03, **options)
    for _ in range(1_000):
        opt.step(gradient(w, rng))
    return opt, w


def main() -> None:
    """Train with Adam and with the chain, and print how far from the best parameters each ends."""
    chain = optdsl.chain("clip_value", "adam", "ema", name="ClippedAdam")
    print(f"{chain.rule.name}: {', '.join(hyper.name for hyper in chain.rule.hypers)}")
    print("\n".join(f"  {equation}" for equation in chain.rule.equations))
    _, plain = trained(Adam)
    opt, clipped = trained(chain, limit=2.0, decay=0.99)
    for name, w in (("Adam", plain), ("clipped", clipped), ("its average", opt.view("average"))):
        print(f"{name:>12}: distance {np.linalg.norm(w - BEST):.3f}")


if __name__ == "__main__":
    main()
