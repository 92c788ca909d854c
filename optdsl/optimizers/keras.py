"""The rules of Keras under their names there, each compiled on first use and cached."""

from __future__ import annotations

from typing import Any

from optdsl.optimizers._lazy import Members

_members = Members(__name__, "keras/")


def __getattr__(name: str) -> Any:
    value = globals()[name] = _members.load(name)
    return value


def __dir__() -> list[str]:
    return sorted(_members.rules)
