"""Takes gradients from the package `autograd` instead of writing them by hand (pip install autograd).

Anything that returns arrays will do: the optimizer asks for gradients in the structure of the parameters, and doesn't
care where they come from.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from optdsl.optimizers import Adam


def main() -> None:
    """Fit a small network to a sine."""
    if find_spec("autograd") is None:
        print("this example needs the package autograd: pip install autograd")
        return
    import autograd.numpy as anp  # NumPy, watched
    from autograd import value_and_grad

    rng = np.random.default_rng(0)
    x = np.linspace(-np.pi, np.pi, 200)[:, None]
    y = np.sin(x)
    # Parameters may be nested as is convenient: their names are "0.W", "0.b", "1.W" and "1.b".
    layers = [
        {"W": rng.normal(size=(1, 16)), "b": np.zeros(16)},
        {"W": rng.normal(size=(16, 1)) / 4, "b": np.zeros(1)},
    ]

    def loss(layers: Any) -> Any:
        hidden = anp.tanh(x @ layers[0]["W"] + layers[0]["b"])
        return anp.mean((hidden @ layers[1]["W"] + layers[1]["b"] - y) ** 2)

    loss_and_gradients = value_and_grad(loss)
    opt = Adam(layers, lr=1e-2)
    for step in range(1001):
        value, gradients = loss_and_gradients(layers)
        if step % 250 == 0:
            print(f"step {step:5}   mean squared error {value:.6f}")
        opt.step(gradients)


if __name__ == "__main__":
    main()
