"""The rules of Optimisers.jl restated in NumPy, to compare ``rules/optimisers`` with.

Facts from ``src/rules.jl`` of Optimisers.jl 0.4.8 (b3595f5). An instance belongs to one parameter; ``apply(x, g)``
takes the parameter and its gradient and returns the new parameter, leaving both arrays alone. As there, powers of the
betas are running products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Rule(Protocol):
    """What every rule here offers."""

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        ...


class Descent:
    """The gradient times the learning rate is taken off."""

    def __init__(self, eta: float = 0.1) -> None:
        self.eta = eta

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        return np.asarray(x - g * self.eta)


class Momentum:
    """A velocity, with the learning rate inside it, is taken off."""

    def __init__(self, eta: float = 0.01, rho: float = 0.9) -> None:
        self.eta, self.rho = eta, rho
        self.velocity: Array | float = 0.0

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        self.velocity = self.rho * self.velocity + self.eta * g
        return np.asarray(x - self.velocity)


class Nesterov:
    """The step is made of the velocity as it was; the velocity counts along the descent."""

    def __init__(self, eta: float = 0.001, rho: float = 0.9) -> None:
        self.eta, self.rho = eta, rho
        self.velocity: Array | float = 0.0

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        step = -(self.rho**2) * self.velocity + (1 + self.rho) * self.eta * g
        self.velocity = self.rho * self.velocity - self.eta * g
        return np.asarray(x - step)


class RMSProp:
    """Epsilon stands outside the root; the mean of the gradient is kept in the centred variant alone."""

    def __init__(self, eta: float = 0.001, rho: float = 0.9, epsilon: float = 1e-8, centred: bool = False) -> None:
        self.eta, self.rho, self.epsilon, self.centred = eta, rho, epsilon, centred
        self.square: Array | float = 0.0
        self.mean: Array | float = 0.0

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        self.square = self.rho * self.square + (1 - self.rho) * g**2
        if self.centred:
            self.mean = self.rho * self.mean + (1 - self.rho) * g
        root = np.sqrt(self.square - np.square(self.mean))
        return np.asarray(x - g * self.eta / (root + self.epsilon))


class Rprop:
    """Steps of each element's own size; a gradient that has flipped makes none, and is forgotten."""

    def __init__(
        self, eta: float = 1e-3, ell1: float = 0.5, ell2: float = 1.2, gamma1: float = 1e-6, gamma2: float = 50.0
    ) -> None:
        self.eta, self.ell, self.gamma = eta, (ell1, ell2), (gamma1, gamma2)
        self.state: tuple[Array, Array] | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        last, size = self.state or (np.zeros_like(x), np.full_like(x, self.eta))
        agreement = last * g
        larger = np.minimum(size * self.ell[1], self.gamma[1])
        smaller = np.maximum(size * self.ell[0], self.gamma[0])
        size = np.where(agreement > 0, larger, np.where(agreement < 0, smaller, size))
        last = np.where(agreement < 0, 0.0, g)
        self.state = last, size
        return np.asarray(x - size * np.sign(last))


class _TwoBetas:
    """Two running states that start at zero, and the running powers of the betas."""

    def __init__(self, eta: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.eta, self.beta1, self.beta2, self.epsilon = eta, beta1, beta2, epsilon
        self.power1, self.power2 = beta1, beta2
        self.count = 1
        self.first: Array | float = 0.0
        self.second: Array | float = 0.0

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        self.first = self.beta1 * self.first + (1 - self.beta1) * g
        self.second = self.new_second(g)
        step = self.step(x, g)
        self.power1 *= self.beta1
        self.power2 *= self.beta2
        self.count += 1
        return np.asarray(x - step)

    def new_second(self, g: Array) -> Array | float:
        """Return the second state after this gradient."""
        return self.beta2 * self.second + (1 - self.beta2) * g**2

    def step(self, x: Array, g: Array) -> Array | float:
        """Return what is taken off the parameter; the states and powers are those of this step."""
        return self.eta * self.direction()

    def direction(self) -> Array | float:
        """Return Adam's step at a learning rate of 1."""
        root = np.sqrt(self.second / (1 - self.power2))
        return np.asarray(self.first / (1 - self.power1) / (root + self.epsilon))


class Adam(_TwoBetas):
    """Both moments are bias-corrected; epsilon joins the corrected root."""


class Lion:
    """The gradient's share in the average is beta2, the average's own the rest; the step reads the new average."""

    def __init__(self, eta: float = 0.001, beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.eta, self.beta1, self.beta2 = eta, beta1, beta2
        self.average: Array | float = 0.0

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        self.average = self.beta2 * g + (1 - self.beta2) * self.average
        return np.asarray(x - self.eta * np.sign((self.beta2 - self.beta1) * g + self.beta1 * self.average))


class RAdam(_TwoBetas):
    """The step is rectified where the average is longer than 4, and the corrected mean of the gradient elsewhere."""

    def step(self, x: Array, g: Array) -> Array | float:
        """Return what is taken off the parameter."""
        longest = 2 / (1 - self.beta2) - 1
        length = longest - 2 * self.count * self.power2 / (1 - self.power2)
        if length <= 4:
            return np.asarray(self.first / (1 - self.power1) * self.eta)
        over = (length - 4) * (length - 2) * longest
        return np.asarray(self.direction() * self.eta * np.sqrt(over / ((longest - 4) * (longest - 2) * length)))


class AdaMax(_TwoBetas):
    """Epsilon joins the maximum after it is taken."""

    def new_second(self, g: Array) -> Array | float:
        """Return the decaying maximum."""
        return np.asarray(np.maximum(self.beta2 * self.second, np.abs(g)))

    def step(self, x: Array, g: Array) -> Array | float:
        """Return what is taken off the parameter."""
        return np.asarray(self.eta / (1 - self.power1) * self.first / (self.second + self.epsilon))


class OAdam(_TwoBetas):
    """Twice Adam's step less the last one, each with the learning rate of its time."""

    def __init__(self, eta: float = 0.001, beta1: float = 0.5, beta2: float = 0.9, epsilon: float = 1e-8) -> None:
        super().__init__(eta, beta1, beta2, epsilon)
        self.term: Array | float = 0.0

    def step(self, x: Array, g: Array) -> Array | float:
        """Return what is taken off the parameter."""
        last, self.term = self.term, self.eta * self.direction()
        return 2 * self.term - last


class AdaGrad:
    """The sum of squares starts at epsilon."""

    def __init__(self, eta: float = 0.1, epsilon: float = 1e-8) -> None:
        self.eta, self.epsilon = eta, epsilon
        self.total: Array | float = epsilon

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        self.total = self.total + g**2
        return np.asarray(x - g * self.eta / (np.sqrt(self.total) + self.epsilon))


class AdaDelta:
    """Epsilon stands under both roots; the mean of squared steps is renewed after the step is made."""

    def __init__(self, rho: float = 0.9, epsilon: float = 1e-8) -> None:
        self.rho, self.epsilon = rho, epsilon
        self.square: Array | float = 0.0
        self.moved: Array | float = 0.0

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        self.square = self.rho * self.square + (1 - self.rho) * g**2
        step = g * np.sqrt(self.moved + self.epsilon) / np.sqrt(self.square + self.epsilon)
        self.moved = self.rho * self.moved + (1 - self.rho) * step**2
        return np.asarray(x - step)


class AMSGrad(_TwoBetas):
    """All three states start at epsilon, and there is no bias correction."""

    def __init__(self, eta: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        super().__init__(eta, beta1, beta2, epsilon)
        self.first = self.second = epsilon
        self.largest: Array | float = epsilon

    def step(self, x: Array, g: Array) -> Array | float:
        """Return what is taken off the parameter."""
        self.largest = np.asarray(np.maximum(self.largest, self.second))
        return self.eta * self.first / (np.sqrt(self.largest) + self.epsilon)


class NAdam(_TwoBetas):
    """The first moment is corrected one power ahead; the second carries one more factor beta2."""

    def step(self, x: Array, g: Array) -> Array | float:
        """Return what is taken off the parameter."""
        ahead = self.beta1 * self.first / (1 - self.beta1 * self.power1)
        now = (1 - self.beta1) * g / (1 - self.power1)
        root = np.sqrt(self.second * self.beta2 / (1 - self.power2))
        return np.asarray((ahead + now) / (root + self.epsilon) * self.eta)


class AdamW(_TwoBetas):
    """Adam with a decay which the learning rate scales where the two are coupled."""

    def __init__(
        self, eta: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, lam: float = 0.0,
        couple: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(eta, beta1, beta2, epsilon)
        self.lam, self.couple = lam, couple

    def step(self, x: Array, g: Array) -> Array | float:
        """Return what is taken off the parameter."""
        if self.couple:
            return self.eta * (self.direction() + self.lam * x)
        return self.eta * self.direction() + self.lam * x


class AdaBelief(_TwoBetas):
    """The second state is that of the distance from the new mean, and epsilon stays in it."""

    def __init__(self, eta: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-16) -> None:
        super().__init__(eta, beta1, beta2, epsilon)

    def new_second(self, g: Array) -> Array | float:
        """Return the second state after this gradient."""
        return self.beta2 * self.second + (1 - self.beta2) * (g - self.first) ** 2 + self.epsilon


#: Our names of the rules, and what makes an instance for one parameter.
RULES: dict[str, Callable[..., Rule]] = {
    f"optimisers/{kind.__name__.lower()}": kind
    for kind in (
        Descent, Momentum, Nesterov, RMSProp, Rprop, Adam, Lion, RAdam, AdaMax, OAdam, AdaGrad, AdaDelta, AMSGrad,
        NAdam, AdamW, AdaBelief,
    )
}  # fmt: skip
