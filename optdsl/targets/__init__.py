"""Targets: each turns the kernels of a rule into the text of a module.

A target is a module with an object `TARGET` that satisfies the protocol below. Bundled ones are the modules of this
package; others are found by the entry point group `optdsl.targets`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol

from optdsl.ir.kernel import Program

BUNDLED = {"numpy": "optdsl.targets.numpy", "c": "optdsl.targets.c"}


class Target(Protocol):
    """A way to print kernels."""

    @property
    def name(self) -> str:
        """The name by which it is asked for."""

    def emit(self, program: Program, stem: str) -> dict[str, str]:
        """Return the text of each file by its name; `<stem>.py` is the module to import."""


def names() -> list[str]:
    """Return the names of all targets, bundled ones first."""
    return [
        *BUNDLED,
        *sorted(point.name for point in entry_points(group="optdsl.targets") if point.name not in BUNDLED),
    ]


def find(name: str) -> Target:
    """Return a target by name; KeyError if there is none."""
    if name in BUNDLED:
        target: Target = import_module(BUNDLED[name]).TARGET
        return target
    for point in entry_points(group="optdsl.targets"):
        if point.name == name:
            found: Target = point.load()
            return found
    raise KeyError(name)
