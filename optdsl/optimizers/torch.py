"""The rules of torch that have more options than those at the top, each compiled on first use and cached."""

from __future__ import annotations

from typing import Any

from optdsl.optimizers._lazy import Members

_members = Members(__name__, "torch/")


def __getattr__(name: str) -> Any:
    value = globals()[name] = _members.load(name)
    return value


def __dir__() -> list[str]:
    return sorted(_members.rules)
