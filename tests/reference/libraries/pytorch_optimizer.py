"""Optimizers of pytorch_optimizer, an optimizer for each parameter: it counts steps by group."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

from ..scenario import Paths, Scenario
from ..table import Row
from . import _torchlike

WRAPPER = ("k", "alpha", "pullback_momentum")
"""Options of the wrapper Lookahead; others are those of what it is around."""


def versions() -> dict[str, str]:
    """Return the versions installed."""
    return {"pytorch_optimizer": importlib.metadata.version("pytorch_optimizer"), **_torchlike.versions()}


def run(row: Row, plan: Scenario) -> Paths:
    """Return the library's paths of a row. `Lookahead(Adam)` is its wrapper around torch's class."""
    with _torchlike.float64() as torch:
        library = importlib.import_module("pytorch_optimizer")
        outer, _, inner = row.theirs.removesuffix(")").partition("(")
        kind = getattr(torch.optim, inner) if inner else getattr(library, outer)
        options = _torchlike.arguments(kind, row)
        around = {name: options.pop(name) for name in WRAPPER if inner and name in options}

        def make(groups: list[Any]) -> Any:
            optimizer = kind(groups, **options)
            return getattr(library, outer)(optimizer, **around) if inner else optimizer

        return _torchlike.run(row, plan, make)
