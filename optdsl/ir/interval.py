"""Intervals of real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Interval:
    """The values a hyperparameter may take."""

    low: float = -inf
    high: float = inf
    low_closed: bool = False
    high_closed: bool = False

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.low_closed else value > self.low
        below = value <= self.high if self.high_closed else value < self.high
        return above and below

    def __str__(self) -> str:
        opening, closing = "[" if self.low_closed else "(", "]" if self.high_closed else ")"
        return f"{opening}{_shown(self.low)}, {_shown(self.high)}{closing}"


def _shown(end: float) -> str:
    """Return an end with every digit it needs, but no `.0`."""
    return repr(end).removesuffix(".0")
