"""Compares descent on the whole batch, on one example at a time, and on mini-batches, for the same number of epochs.

Each sees every example equally often. The whole batch makes few, sure steps; single examples make many, noisy ones,
which need a smaller learning rate and still end in a cloud around the minimum; mini-batches lie between.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import optdsl
from optdsl.optimizers import SGD

Array = npt.NDArray[np.floating]

EPOCHS = 20

rng = np.random.default_rng(0)
X = rng.normal(size=(512, 10))
Y = X @ rng.normal(size=10) + 0.5 * rng.normal(size=512)
BEST = np.linalg.lstsq(X, Y)[0]


def loss_and_gradient(w: Array, x: Array, y: Array) -> tuple[float, Array]:
    """Return half the mean squared error of a linear model, and its gradient."""
    error = x @ w - y
    return float((error**2).mean() / 2), x.T @ error / len(x)


def main() -> None:
    """Train in the three ways and print a table."""
    least, _ = loss_and_gradient(BEST, X, Y)
    print(f"{EPOCHS} epochs over {len(X)} examples; the least loss there is: {least:.5f}\n")
    print(f"{'batch':>12}{'lr':>8}{'steps':>8}{'first epoch':>14}{'last':>10}{'above least':>14}")
    for name, batch_size, lr in (("whole", None, 0.2), ("mini, 32", 32, 0.1), ("one", 1, 0.01)):
        w = np.zeros(10)
        opt = SGD(w, lr=lr)
        optdsl.train(loss_and_gradient, w, (X, Y), opt, epochs=1, batch_size=batch_size, seed=1)
        first, _ = loss_and_gradient(w, X, Y)
        optdsl.train(loss_and_gradient, w, (X, Y), opt, epochs=EPOCHS - 1, batch_size=batch_size, seed=2)
        last, _ = loss_and_gradient(w, X, Y)
        print(f"{name:>12}{lr:>8g}{opt.step_count('0'):>8}{first:>14.5f}{last:>10.5f}{last - least:>14.1e}")


if __name__ == "__main__":
    main()
