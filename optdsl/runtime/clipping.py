"""Limits on gradients: the factor that brings their norm under a bound, and what to do about infinities and NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optdsl.runtime.blocks import BLOCK
from optdsl.runtime.kernel import Array

SMALL_SQUARE = 1e-280
"""Below this a sum of squares may have lost terms to underflow."""


@dataclass(slots=True)
class Limits:
    """How gradients are treated before a step. `clip_value` applies first, `clip_norm` to what it leaves."""

    clip_norm: float | None = None
    clip_value: float | None = None
    nonfinite: str = "propagate"

    @property
    def bound(self) -> float:
        """The largest magnitude an element may have."""
        return math.inf if self.clip_value is None else self.clip_value


def _largest(gradients: Sequence[Array], bound: float) -> float:
    """Return the largest magnitude after clipping; NaN if there is one."""
    largest = 0.0
    for gradient in gradients:
        for start in range(0, gradient.size, BLOCK):
            block = float(np.abs(gradient[start : start + BLOCK]).max())
            if math.isnan(block):
                return block
            largest = max(largest, block)
    return min(largest, bound)


def _rescaled_ratio(gradients: Sequence[Array], clip_norm: float, bound: float) -> float:
    """Return clip_norm over the norm where squares leave float64's range: elements are divided by the largest first."""
    largest = _largest(gradients, bound)
    if math.isnan(largest):
        return largest
    if largest == 0.0:
        return math.inf
    if math.isinf(largest):
        return 0.0
    total = 0.0
    for gradient in gradients:
        for start in range(0, gradient.size, BLOCK):
            block = np.clip(gradient[start : start + BLOCK].astype(np.float64), -bound, bound) / largest
            total += float(np.dot(block, block))
    # The norm itself, largest * sqrt(total), may be past the range too.
    return clip_norm / largest / math.sqrt(total)


def norm_factor(squares: float, gradients: Callable[[], Sequence[Array]], clip_norm: float, clip_value: float) -> float:
    """Return min(1, clip_norm / norm), the norm taken over all gradients together after clipping by value.

    A norm of zero gives 1. An infinite gradient gives 0 and a NaN gives NaN, so that either still shows in the
    parameters. Squares that overflow or underflow float64 are no hindrance.

    Args:
        squares: The sum of squares over all elements, after clipping by value, in float64.
        gradients: Gives the gradients, one-dimensional; asked where the sum isn't to be relied on.
        clip_norm: The bound on the Euclidean norm, from 0 to infinity.
        clip_value: The bound on the magnitude of an element, applied first; infinity for none.
    """
    if SMALL_SQUARE < squares < math.inf:
        ratio = clip_norm / math.sqrt(squares)
    elif squares <= SMALL_SQUARE and clip_norm > 1e-100:
        return 1.0
    else:
        with np.errstate(all="ignore"):
            ratio = _rescaled_ratio(gradients(), clip_norm, clip_value)
    # min() would turn NaN into 1.
    return 1.0 if ratio >= 1.0 else ratio
