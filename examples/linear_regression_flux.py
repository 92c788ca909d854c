"""Fits a line to data in the ways of Flux: the optimizer is handed gradients, and steps arrays in place.

The same problem, `y = w x + b` with the squared error, is in `linear_regression_torch.py` in the ways of torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import optdsl
from optdsl.optimizers.flux import ADAM, Descent

Array = npt.NDArray[np.float64]

rng = np.random.default_rng(0)
W_TRUE, B_TRUE = rng.normal(size=(2, 5)), rng.normal(size=2)
X = rng.normal(size=(200, 5))
Y = X @ W_TRUE.T + B_TRUE + 0.1 * rng.normal(size=(200, 2))


def loss_and_gradients(params: list[Array], x: Array, y: Array) -> tuple[float, list[Array]]:
    """Return the squared error, averaged over the examples, and its gradients by w and by b."""
    w, b = params
    error = x @ w.T + b - y
    return float((error**2).sum() / len(x)), [2 * error.T @ x / len(x), 2 * error.sum(axis=0) / len(x)]


def show(way: str, steps: int, params: list[Array]) -> None:
    """Print how far a fit has come."""
    loss, _ = loss_and_gradients(params, X, Y)
    off = np.abs(params[0] - W_TRUE).max()
    print(f"{way:34} {steps:5} steps   loss {loss:.4f}   largest error in w {off:.3f}")


def start() -> list[Array]:
    """Return w and b before training."""
    return [np.zeros((2, 5)), np.zeros(2)]


def main() -> None:
    """Fit the line in three ways."""
    show("before", 0, start())

    # All parameters at once: an optimizer is called with gradients in the structure of its parameters.
    params = start()
    opt: Any = Descent(params)  # its rate, eta, is 0.1, as in Flux
    for _ in range(100):
        _, gradients = loss_and_gradients(params, X, Y)
        opt(gradients)
    show("opt([gw, gb])", 100, params)

    # One parameter at a time, as Flux's update! does. The optimizer learns of each when it first sees it.
    params = w, b = start()
    opt = Descent(eta=0.1)
    for _ in range(100):
        _, (gw, gb) = loss_and_gradients(params, X, Y)
        optdsl.update(opt, w, gw)
        optdsl.update(opt, b, gb)
    show("optdsl.update(opt, w, gw)", 100, params)

    # The loop itself can be left to `train`: here over mini-batches, in an order drawn from a seed.
    params = start()
    losses = optdsl.train(loss_and_gradients, params, (X, Y), ADAM(params, eta=0.02), epochs=30, batch_size=20, seed=1)
    show("optdsl.train(…, batch_size=20)", len(losses), params)


if __name__ == "__main__":
    main()
