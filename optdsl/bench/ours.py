"""Our own contestants: a rule on one of its targets, and its floor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

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


class Floor:
    """The bytes of a rule's step, moved."""

    def __init__(self, streams: Streams, data: Data) -> None:
        types = {4: np.uint32, 8: np.uint64}
        self._arrays = [[np.ones(math.prod(shape), types[width]) for width in streams.widths] for shape in data.shapes]
        self._step = floor.stepper(streams, self._arrays)

    def step(self) -> object:
        """Move them once."""
        return self._step()

    def renew(self) -> None:
        """Do nothing: addresses are at hand."""

    def parameters(self) -> Sequence[Array]:
        """Return none: nothing is computed."""
        return []
