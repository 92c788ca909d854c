"""Rules that neither torch nor old Flux has, restated in NumPy from their papers and authors, to compare ours with.

An instance belongs to one parameter; ``apply(x, g)`` returns the new parameter and leaves both arrays alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Lion:
    """Lion (Chen et al. 2023, arXiv:2302.06675).

    The step goes along the sign of a blend of the old momentum and the gradient; the momentum is renewed afterwards,
    with a decay of its own. The decay of the parameter is scaled by the learning rate.
    """

    def __init__(self, lr: float = 1e-4, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0) -> None:
        self.lr, self.beta1, self.beta2, self.weight_decay = lr, beta1, beta2, weight_decay
        self.momentum: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step; ``x`` and ``g`` are left alone."""
        momentum = np.zeros_like(x) if self.momentum is None else self.momentum
        direction = np.sign(self.beta1 * momentum + (1 - self.beta1) * g)
        self.momentum = np.asarray(self.beta2 * momentum + (1 - self.beta2) * g)
        return np.asarray(x - self.lr * (direction + self.weight_decay * x))


class AdaBelief:
    """AdaBelief (Zhuang et al. 2020, arXiv:2010.07468), with the two small numbers of optax.

    The second moment is of the gradient's distance from the new mean, and ``eps_root`` stays in it.
    """

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16
    ) -> None:
        self.lr, self.beta1, self.beta2, self.eps, self.eps_root = lr, beta1, beta2, eps, eps_root
        self.count = 0
        self.mean: Array | float = 0.0
        self.spread: Array | float = 0.0

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        self.count += 1
        self.mean = self.beta1 * self.mean + (1 - self.beta1) * g
        self.spread = self.beta2 * self.spread + (1 - self.beta2) * (g - self.mean) ** 2 + self.eps_root
        mean = self.mean / (1 - self.beta1**self.count)
        spread = self.spread / (1 - self.beta2**self.count)
        return np.asarray(x - self.lr * mean / (np.sqrt(spread) + self.eps))


class Adan:
    """Adan (Xie, Zhou, Li, Lin & Yan 2022, arXiv:2208.06677), as its authors have it: the decay divides."""

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.98, beta2: float = 0.92, beta3: float = 0.99, eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.lr, self.betas, self.eps, self.weight_decay = lr, (beta1, beta2, beta3), eps, weight_decay
        self.count = 0
        self.moments: list[Array | float] = [0.0, 0.0, 0.0]
        self.last: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        self.count += 1
        change = np.zeros_like(g) if self.last is None else g - self.last
        self.last = g.copy()
        ahead = g + self.betas[1] * change
        new = (g, change, ahead * ahead)
        self.moments = [b * old + (1 - b) * part for b, old, part in zip(self.betas, self.moments, new, strict=True)]
        mean, drift, square = (m / (1 - b**self.count) for b, m in zip(self.betas, self.moments, strict=True))
        step = (mean + self.betas[1] * drift) / (np.sqrt(square) + self.eps)
        return np.asarray((x - self.lr * step) / (1 + self.lr * self.weight_decay))


class AdamMini:
    """Adam-mini (Zhang et al. 2024, arXiv:2406.16793) of a tensor that is one block: the mean square has one entry.

    No library will do: pytorch_optimizer takes a whole model, and keeps its moments in float32.
    """

    def __init__(
        self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        self.lr, self.beta1, self.beta2, self.eps, self.weight_decay = lr, beta1, beta2, eps, weight_decay
        self.count = 0
        self.mean: Array | float = 0.0
        self.square = 0.0

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step: the decay comes first."""
        self.count += 1
        self.mean = self.beta1 * self.mean + (1 - self.beta1) * g
        self.square = self.beta2 * self.square + (1 - self.beta2) * float((g * g).mean())
        root = np.sqrt(self.square / (1 - self.beta2**self.count))
        shrunk = x * (1 - self.lr * self.weight_decay)
        return np.asarray(shrunk - self.lr * self.mean / (1 - self.beta1**self.count) / (root + self.eps))


#: Our names of the rules, and what makes an instance for one parameter.
RULES: dict[str, Callable[..., Any]] = {"lion": Lion, "adabelief": AdaBelief, "adan": Adan, "adammini": AdamMini}
