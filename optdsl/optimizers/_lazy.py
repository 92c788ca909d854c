"""Bundled rules as attributes of a module, compiled when they are first asked for."""

from __future__ import annotations

import re
from typing import Any

from optdsl import bundled

_HEADER = re.compile(r"^rule\s+(\w+)", re.MULTILINE)


class Members:
    """The bundled rules of one folder (`""`, `"flux/"`) by class name."""

    def __init__(self, module: str, prefix: str) -> None:
        self.module = module
        self.rules: dict[str, str] = {}
        for name in bundled.names():
            if name.startswith(prefix) and "/" not in name[len(prefix) :]:
                header = _HEADER.search((bundled.folder() / f"{name}.opt").read_text(encoding="utf-8"))
                if header:
                    self.rules[header.group(1)] = name

    def load(self, name: str) -> Any:
        """Return the class called `name`. Raises AttributeError, with what was meant, where there is none."""
        if name in self.rules:
            from optdsl.loading import load

            return load(self.rules[name])
        if name.startswith("_"):
            raise AttributeError(f"module {self.module!r} has no attribute {name!r}")
        from optdsl.diagnostics import closest

        near = closest(name, self.rules)
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(sorted(self.rules))}"
        raise AttributeError(f"module {self.module!r} has no optimizer {name!r}; {hint}")
