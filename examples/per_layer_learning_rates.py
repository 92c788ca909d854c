"""Gives each layer of a network options of its own: groups, names, and a schedule.

A fresh last layer on a first layer that is already good is the usual case: here the first is trained, the last is
thrown away, and the two are trained on, the first a hundred times more slowly.
"""

from __future__ import annotations

import numpy as np

from optdsl import schedules
from optdsl.optimizers import AdamW
from optdsl.trials import digits

STEPS = 300


def main() -> None:
    """Train a network, replace its last layer, and train on with a learning rate for each layer."""
    rng = np.random.default_rng(0)
    train, test = digits.load()
    network = digits.new_network(rng)
    batches = digits.batches(train, 32, rng)

    # A mapping gives the parameters its names.
    opt = AdamW(network, lr=3e-3)
    for _ in range(STEPS):
        _, gradients = digits.loss_and_gradients(network, next(batches))
        opt.step(gradients)
    print(f"one learning rate for all:        {digits.score(network, test).accuracy:.1%} right")

    fresh = digits.new_network(rng)
    network["W2"][:], network["b2"][:] = fresh["W2"], fresh["b2"]
    before = network["W1"].copy()
    print(f"with a fresh last layer:          {digits.score(network, test).accuracy:.1%} right")

    # A list of groups; what a group leaves out it takes from the options for all. Any option may be a schedule.
    opt = AdamW(
        [
            {"params": {"W1": network["W1"], "b1": network["b1"]}, "lr": 3e-5},
            {"params": {"W2": network["W2"]}, "lr": schedules.Warmup(schedules.Cosine(3e-3, STEPS), 20)},
            {"params": {"b2": network["b2"]}, "weight_decay": 0.0},
        ],
        lr=3e-3,
        clip_norm=5.0,
    )
    for _ in range(STEPS):
        _, gradients = digits.loss_and_gradients(network, next(batches))
        opt.step(gradients)  # a mapping from names finds its parameters in whatever group they are
    print(f"after training layer by layer:    {digits.score(network, test).accuracy:.1%} right")

    moved = np.linalg.norm(network["W1"] - before) / np.linalg.norm(before)
    print(f"the first layer moved by {moved:.1%}; W2 has made {opt.step_count('W2')} steps")
    print(f"size of W2's first moment, by name: {np.linalg.norm(opt.state['W2']['m']):.3f}")


if __name__ == "__main__":
    main()
