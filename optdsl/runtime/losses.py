"""Updates that get lost: those of parameters of 16 bits that are too small to change the number that is stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optdsl.runtime.kernel import Leaf
from optdsl.runtime.wording import listing


class Losses:
    """Looks out for parameters of 16 bits without a master copy that keep most of their elements as they were.

    Kernels count in the steps whose number is a power of two. An element that isn't to move, because its gradient or
    the learning rate is zero, isn't counted.
    """

    def __init__(self) -> None:
        self.told = False
        self.leaves: list[Leaf] = []
        self.counts = np.zeros((0, 2), np.int64)

    def watch(self, leaves: Sequence[Leaf]) -> None:
        """Have a kernel count for leaves that it is about to be bound to."""
        self.leaves = [] if self.told else [leaf for leaf in leaves if leaf.flat.itemsize == 2 and not leaf.mastered]
        self.counts = np.zeros((len(self.leaves), 2), np.int64)
        for leaf in leaves:
            leaf.lost = None
        for leaf, counts in zip(self.leaves, self.counts, strict=True):
            leaf.lost = counts

    def message(self) -> str | None:
        """Return what to tell, once, after a step; None where there is nothing to tell."""
        if not self.leaves or not self.counts.any():
            return None
        moved, back = self.counts.T
        losing = [leaf for leaf, lost in zip(self.leaves, 2 * back > moved, strict=True) if lost]
        share = back[2 * back > moved].sum() / max(1, moved[2 * back > moved].sum())
        self.counts[...] = 0
        if not losing:
            return None
        self.told = True
        step = losing[0].steps
        return (
            f"step {step} moved {listing([leaf.name for leaf in losing])} by too little for {losing[0].data.dtype}: "
            f"rounding undid {100 * share:.0f} % of the updates; master_weights=True keeps them"
        )
