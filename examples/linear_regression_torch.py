"""Fits a line to data in the ways of torch: parameters carry their gradients, and `step` takes them from there.

The same problem, `y = w x + b` with the squared error, is in `linear_regression_flux.py` in the ways of Flux.
"""

from __future__ import annotations

import numpy as np

from optdsl import Parameter
from optdsl.optimizers import SGD, Adam

rng = np.random.default_rng(0)
W_TRUE, B_TRUE = rng.normal(size=(2, 5)), rng.normal(size=2)
X = rng.normal(size=(200, 5))
Y = X @ W_TRUE.T + B_TRUE + 0.1 * rng.normal(size=(200, 2))


class Linear:
    """w (2, 5) and b (2,), with the gradient of the squared error written out by hand."""

    def __init__(self) -> None:
        self.w, self.b = Parameter(np.zeros((2, 5))), Parameter(np.zeros(2))

    def loss(self, backward: bool = False) -> float:
        """Return the squared error, averaged over the examples; `backward` sets the gradients too."""
        error = X @ self.w.data.T + self.b.data - Y
        if backward:
            self.w.grad = 2 * error.T @ X / len(X)
            self.b.grad = 2 * error.sum(axis=0) / len(X)
        return float((error**2).sum() / len(X))


def show(way: str, steps: int, model: Linear) -> None:
    """Print how far a fit has come."""
    off = np.abs(model.w.data - W_TRUE).max()
    print(f"{way:34} {steps:5} steps   loss {model.loss():.4f}   largest error in w {off:.3f}")


def main() -> None:
    """Fit the line in three ways."""
    show("before", 0, Linear())

    # The loop every torch user knows.
    model = Linear()
    opt = SGD([model.w, model.b], lr=0.02, momentum=0.9)
    for _ in range(100):
        opt.zero_grad()
        model.loss(backward=True)
        opt.step()
    show("zero_grad(), backward, step()", 100, model)

    # A closure computes loss and gradients; `step` calls it and returns its loss.
    model = Linear()
    opt = Adam([model.w, model.b], lr=0.05)
    for _ in range(200):
        loss = opt.step(lambda model=model: model.loss(backward=True))
    show(f"step(closure), last loss {loss:.4f}", 200, model)

    # Groups with options of their own: what a group leaves out it takes from the options for all.
    model = Linear()
    opt = SGD([{"params": [model.w], "weight_decay": 1e-3}, {"params": [model.b], "lr": 0.2}], lr=0.05)
    for step in range(100):
        if step == 50:
            opt.param_groups[1]["lr"] = 0.1  # groups are live: a change holds from the next step on
        opt.zero_grad()
        model.loss(backward=True)
        opt.step()
    show("groups of their own options", 100, model)


if __name__ == "__main__":
    main()
