"""The bundled rules as classes, each compiled on first use and cached.

`from optdsl.optimizers import Adam` is rules/adam.opt, `from optdsl.optimizers.flux import ADAM` rules/flux/adam.opt.
"""

from __future__ import annotations

from typing import Any

from optdsl.optimizers._lazy import Members

_members = Members(__name__, "")


def __getattr__(name: str) -> Any:
    value = globals()[name] = _members.load(name)
    return value


def __dir__() -> list[str]:
    return sorted(_members.rules)
