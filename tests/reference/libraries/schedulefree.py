"""Optimizers of schedulefree, an optimizer for each parameter: it counts steps by group."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

from ..scenario import Paths, Scenario
from ..table import Row
from . import _torchlike


def versions() -> dict[str, str]:
    """Return the versions installed."""
    return {"schedulefree": importlib.metadata.version("schedulefree"), **_torchlike.versions()}


def run(row: Row, plan: Scenario) -> Paths:
    """Return the library's paths of a row: those of the parameters it trains with."""
    with _torchlike.float64():
        kind = getattr(importlib.import_module("schedulefree"), row.theirs)

        def make(groups: list[Any]) -> Any:
            optimizer = kind(groups, **_torchlike.arguments(kind, row))
            optimizer.train()
            return optimizer

        return _torchlike.run(row, plan, make)
