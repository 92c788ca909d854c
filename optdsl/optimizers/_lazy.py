"""Bundled rules as attributes of a module, compiled when they are first asked for."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

from optdsl import bundled

_HEADER = re.compile(r"^rule\s+(\w+)", re.MULTILINE)


def _class_of(file: Path) -> str | None:
    """Return the name in a rule's header."""
    header = _HEADER.search(file.read_text(encoding="utf-8"))
    return header[1] if header else None


class Members:
    """The bundled rules of one folder (`""`, `"flux/"`) by class name."""

    def __init__(self, module: str, prefix: str) -> None:
        self.module = module
        self.prefix = prefix

    @cached_property
    def rules(self) -> dict[str, str]:
        """The bundled names by class name."""
        inside = [name for name in bundled.names() if name.rpartition("/")[0] == self.prefix.rstrip("/")]
        return {called: name for name in inside if (called := _class_of(bundled.folder() / f"{name}.opt"))}

    def _rule(self, name: str) -> str | None:
        """Return the bundled name of the class called `name`, looking first where it most likely is."""
        likely = f"{self.prefix}{name.lower()}"
        file = bundled.folder() / f"{likely}.opt"
        return likely if file.is_file() and _class_of(file) == name else self.rules.get(name)

    def load(self, name: str) -> Any:
        """Return the class called `name`. Raises AttributeError, with what was meant, where there is none."""
        rule = self._rule(name) if name.isidentifier() and not name.startswith("_") else None
        if rule is not None:
            from optdsl.loading import load

            return load(rule)
        if name.startswith("_"):
            raise AttributeError(f"module {self.module!r} has no attribute {name!r}")
        from optdsl.diagnostics import closest

        near = closest(name, self.rules)
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(sorted(self.rules))}"
        raise AttributeError(f"module {self.module!r} has no optimizer {name!r}; {hint}")
