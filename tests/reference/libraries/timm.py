"""Optimizers of timm, an optimizer for each parameter: some count steps by group.

`timm.optim` needs torch alone; `timm` and `timm.models` ask for torchvision. Where that is absent, bare modules stand
in for the two.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from types import ModuleType
from typing import Any

from ..scenario import Paths, Scenario
from ..table import Row
from . import _torchlike


def versions() -> dict[str, str]:
    """Return the versions installed."""
    return {"timm": importlib.metadata.version("timm"), **_torchlike.versions()}


def _optim() -> Any:
    """Return `timm.optim`."""
    if "timm" not in sys.modules and importlib.util.find_spec("torchvision") is None:
        spec = importlib.util.find_spec("timm")
        if spec is None:
            raise ImportError("timm isn't installed")
        package, models = ModuleType("timm"), ModuleType("timm.models")
        package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations or [])
        models.group_parameters = None  # type: ignore[attr-defined]  # which timm.optim imports for layer-wise rates
        sys.modules |= {"timm": package, "timm.models": models}
    return importlib.import_module("timm.optim")


def run(row: Row, plan: Scenario) -> Paths:
    """Return timm's paths of a row."""
    with _torchlike.float64():
        kind = getattr(_optim(), row.theirs)
        return _torchlike.run(row, plan, lambda groups: kind(groups, **_torchlike.arguments(kind, row)))
