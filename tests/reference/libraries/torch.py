"""Optimizers of `torch.optim`, with its groups and its missing gradients."""

from __future__ import annotations

from ..scenario import Paths, Scenario
from ..table import Row
from . import _torchlike


def versions() -> dict[str, str]:
    """Return the version installed."""
    return _torchlike.versions()


def run(row: Row, plan: Scenario) -> Paths:
    """Return torch's paths of a row."""
    with _torchlike.float64() as torch:
        kind = getattr(torch.optim, row.theirs)
        return _torchlike.run(row, plan, lambda groups: kind(groups, **_torchlike.arguments(kind, row)), together=True)
