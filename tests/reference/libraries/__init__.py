"""One adapter for each library: a module with `versions()` and `run(row, plan)`.

`versions` raises ImportError where the library isn't installed. `run` makes a run of a row and returns the paths of the
parameters (under `""`) and of each state the row names, in float64.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from ..scenario import Paths, Scenario
from ..table import Row

INSTALLED = ("torch", "optax", "keras", "timm", "pytorch_optimizer", "schedulefree")
"""Libraries that may be absent; their paths are recorded."""
RESTATED = ("flux", "optimisers", "papers")
"""Restatements in NumPy beside this folder; they are always there and need no record."""
NAMES = INSTALLED + RESTATED


class Adapter(Protocol):
    """What the module of a library offers."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the library and of what it runs on. Raises ImportError where they aren't installed."""
        ...

    def run(self, row: Row, plan: Scenario) -> Paths:
        """Return the library's paths of a row."""
        ...


def adapter(library: str) -> Adapter:
    """Return the adapter of a library. Importing it doesn't import the library."""
    if library not in NAMES:
        raise ValueError(f"unknown library {library!r}; expected one of {', '.join(NAMES)}")
    module = "restated" if library in RESTATED else library
    return cast(Adapter, import_module(f".{module}", __package__))
