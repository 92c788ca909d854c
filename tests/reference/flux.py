"""The rules of old Flux.jl restated in NumPy, to compare ``rules/flux`` with.

Facts from ``src/optimise/optimisers.jl`` of Flux.jl v0.12.10 and v0.13.0, which compute the same. An instance
belongs to one parameter; ``apply(x, g)`` takes the parameter and its gradient and returns the new parameter,
leaving both arrays alone. As in Flux, powers of the betas are running products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

EPSILON = 1e-8


class Rule(Protocol):
    """What every rule here offers."""

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        ...


class Descent:
    """Plain gradient descent."""

    def __init__(self, eta: float = 0.1) -> None:
        self.eta = eta

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        return np.asarray(x - self.eta * g)


class Momentum:
    """A velocity, with the learning rate inside it, is added to the parameter."""

    def __init__(self, eta: float = 0.01, rho: float = 0.9) -> None:
        self.eta, self.rho = eta, rho
        self.velocity: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        old = np.zeros_like(x) if self.velocity is None else self.velocity
        self.velocity = np.asarray(self.rho * old - self.eta * g)
        return np.asarray(x + self.velocity)


class Nesterov:
    """The step is made from the velocity as it was before the step."""

    def __init__(self, eta: float = 0.001, rho: float = 0.9) -> None:
        self.eta, self.rho = eta, rho
        self.velocity: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        old = np.zeros_like(x) if self.velocity is None else self.velocity
        move = self.rho**2 * old - (1 + self.rho) * self.eta * g
        self.velocity = np.asarray(self.rho * old - self.eta * g)
        return np.asarray(x + move)


class RMSProp:
    """Epsilon stands outside the root."""

    def __init__(self, eta: float = 0.001, rho: float = 0.9, epsilon: float = EPSILON) -> None:
        self.eta, self.rho, self.epsilon = eta, rho, epsilon
        self.square: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        old = np.zeros_like(x) if self.square is None else self.square
        self.square = np.asarray(self.rho * old + (1 - self.rho) * g * g)
        return np.asarray(x - g * (self.eta / (np.sqrt(self.square) + self.epsilon)))


class _TwoBetas:
    """Two running states that start at zero, and the running powers of the betas."""

    def __init__(self, eta: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = EPSILON) -> None:
        self.eta, self.beta1, self.beta2, self.epsilon = eta, beta1, beta2, epsilon
        self.power1, self.power2 = beta1, beta2
        self.first: Array | None = None
        self.second: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        if self.first is None or self.second is None:
            self.first, self.second = np.zeros_like(x), np.zeros_like(x)
        self.first = np.asarray(self.beta1 * self.first + (1 - self.beta1) * g)
        self.second = self.new_second(self.second, g)
        step = self.step(self.first, self.second, g)
        self.power1 *= self.beta1
        self.power2 *= self.beta2
        return np.asarray(x - self.finish(step, x))

    def new_second(self, old: Array, g: Array) -> Array:
        """Return the second state after this gradient."""
        return np.asarray(self.beta2 * old + (1 - self.beta2) * g * g)

    def step(self, first: Array, second: Array, g: Array) -> Array:
        """Return what is taken off the parameter; the powers are those of this step."""
        raise NotImplementedError

    def finish(self, step: Array, x: Array) -> Array:
        """Return the step as a later link of the chain hands it on."""
        return step


class ADAM(_TwoBetas):
    """Both moments are bias-corrected; epsilon joins the corrected root."""

    def step(self, first: Array, second: Array, g: Array) -> Array:
        """Return what is taken off the parameter."""
        root = np.sqrt(second / (1 - self.power2))
        return np.asarray(first / (1 - self.power1) / (root + self.epsilon) * self.eta)


class AdaMax(_TwoBetas):
    """Epsilon joins the maximum after it is taken."""

    def new_second(self, old: Array, g: Array) -> Array:
        """Return the decaying maximum."""
        return np.asarray(np.maximum(self.beta2 * old, np.abs(g)))

    def step(self, first: Array, second: Array, g: Array) -> Array:
        """Return what is taken off the parameter."""
        return np.asarray((self.eta / (1 - self.power1)) * first / (second + self.epsilon))


class NADAM(_TwoBetas):
    """The first moment is corrected one power ahead; the second carries one more factor beta2."""

    def step(self, first: Array, second: Array, g: Array) -> Array:
        """Return what is taken off the parameter."""
        ahead = self.beta1 * first / (1 - self.beta1 * self.power1)
        now = (1 - self.beta1) * g / (1 - self.power1)
        root = np.sqrt(second * self.beta2 / (1 - self.power2))
        return np.asarray((ahead + now) / (root + self.epsilon) * self.eta)


class ADAMW(ADAM):
    """ADAM followed by a decay that the learning rate doesn't scale."""

    def __init__(
        self,
        eta: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = EPSILON,
        decay: float = 0.0,
    ) -> None:
        super().__init__(eta, beta1, beta2, epsilon)
        self.decay = decay

    def finish(self, step: Array, x: Array) -> Array:
        """Return the step with the decay added."""
        return np.asarray(step + self.decay * x)


class ADAGrad:
    """The sum of squares starts at epsilon."""

    def __init__(self, eta: float = 0.1, epsilon: float = EPSILON) -> None:
        self.eta, self.epsilon = eta, epsilon
        self.total: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        old = np.full_like(x, self.epsilon) if self.total is None else self.total
        self.total = np.asarray(old + g * g)
        return np.asarray(x - g * (self.eta / (np.sqrt(self.total) + self.epsilon)))


class ADADelta:
    """Epsilon stands under both roots; the mean of squared steps is renewed after the step is made."""

    def __init__(self, rho: float = 0.9, epsilon: float = EPSILON) -> None:
        self.rho, self.epsilon = rho, epsilon
        self.square: Array | None = None
        self.moved: Array | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        if self.square is None or self.moved is None:
            self.square, self.moved = np.zeros_like(x), np.zeros_like(x)
        self.square = np.asarray(self.rho * self.square + (1 - self.rho) * g * g)
        step = g * (np.sqrt(self.moved + self.epsilon) / np.sqrt(self.square + self.epsilon))
        self.moved = np.asarray(self.rho * self.moved + (1 - self.rho) * step * step)
        return np.asarray(x - step)


class AMSGrad:
    """All three states start at epsilon, and there is no bias correction."""

    def __init__(self, eta: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = EPSILON) -> None:
        self.eta, self.beta1, self.beta2, self.epsilon = eta, beta1, beta2, epsilon
        self.states: tuple[Array, Array, Array] | None = None

    def apply(self, x: Array, g: Array) -> Array:
        """Return the parameter after one step."""
        if self.states is None:
            filled = np.full_like(x, self.epsilon)
            self.states = filled, filled, filled
        first, second, largest = self.states
        first = np.asarray(self.beta1 * first + (1 - self.beta1) * g)
        second = np.asarray(self.beta2 * second + (1 - self.beta2) * g**2)
        largest = np.asarray(np.maximum(largest, second))
        self.states = first, second, largest
        return np.asarray(x - self.eta * first / (np.sqrt(largest) + self.epsilon))


#: Our names of the rules, and what makes an instance for one parameter.
RULES: dict[str, Callable[..., Rule]] = {
    "flux/descent": Descent,
    "flux/momentum": Momentum,
    "flux/nesterov": Nesterov,
    "flux/rmsprop": RMSProp,
    "flux/adam": ADAM,
    "flux/adamax": AdaMax,
    "flux/adagrad": ADAGrad,
    "flux/adadelta": ADADelta,
    "flux/amsgrad": AMSGrad,
    "flux/nadam": NADAM,
    "flux/adamw": ADAMW,
}
