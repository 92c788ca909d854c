"""Finding the restatements that rules are compared with."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

REFERENCE = Path(__file__).resolve().parents[1] / "reference"


def reference(name: str) -> ModuleType:
    """Return a module of `tests/reference`, which is a folder of scripts and no package."""
    known = f"optdsl_reference_{name}"
    if known not in sys.modules:
        spec = spec_from_file_location(known, REFERENCE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[known] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[known])
    return sys.modules[known]
