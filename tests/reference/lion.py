"""Lion (Chen et al. 2023, arXiv:2302.06675) restated in NumPy, to compare ``rules/lion.opt`` with.

The step goes along the sign of a blend of the old momentum and the gradient; the momentum is renewed afterwards, with a
decay of its own. The decay of the parameter is scaled by the learning rate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Lion:
    """Lion for one parameter."""

    def __init__(self, lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0) -> None:
        self.lr, self.beta1, self.beta2, self.weight_decay = lr, beta1, beta2, weight_decay
        self.momentum: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step; ``x`` and ``g`` are left alone."""
        momentum = np.zeros_like(x) if self.momentum is None else self.momentum
        direction = np.sign(self.beta1 * momentum + (1 - self.beta1) * g)
        self.momentum = np.asarray(self.beta2 * momentum + (1 - self.beta2) * g)
        return np.asarray(x - self.lr * (direction + self.weight_decay * x))
