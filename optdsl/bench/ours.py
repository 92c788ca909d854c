"""Our own contestants: a rule on one of its targets, and its floor."""

from __future__ import annotations

from collections.abc import Sequence

from optdsl.bench import floor
from optdsl.bench.data import Array, Data
from optdsl.bench.streams import Streams
from optdsl.runtime.optimizer import Optimizer


class Rule:
    """A rule as it was compiled, at its defaults."""

    def __init__(self, optimizer: type[Optimizer], data: Data) -> None:
        self._parameters = data.parameters()
        self._gradients = data.gradients()
        self._optimizer = optimizer(self._parameters)
        self._given = self._gradients.now

    def step(self) -> object:
        """Make one step."""
        return self._optimizer.step(self._given)

    def renew(self) -> None:
        """Take other gradient arrays."""
        self._gradients.renew()
        self._given = self._gradients.now

    def parameters(self) -> Sequence[Array]:
        """Return the parameters."""
        return self._parameters

    def arrays(self, names: Sequence[str]) -> list[list[Array]]:
        """Return the arrays of each tensor after the first step: parameter, gradient, and the states of the names."""
        states = self._optimizer.state.values()
        tensors = zip(self._parameters, self._gradients.now, states, strict=True)
        return [[x, g, *(own[name] for name in names[2:])] for x, g, own in tensors]


class Floor:
    """The bytes of a rule's step, moved in the arrays of a contestant: where memory lies makes it fast or slow."""

    def __init__(self, streams: Streams, rule: Rule) -> None:
        self._arrays = rule.arrays(streams.names)
        self._step = floor.stepper(streams, self._arrays)

    def step(self) -> object:
        """Move them once."""
        return self._step()

    def renew(self) -> None:
        """Do nothing: addresses are at hand."""

    def parameters(self) -> Sequence[Array]:
        """Return none: nothing is computed."""
        return []
