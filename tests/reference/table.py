"""The table of comparisons: which rule follows which library's optimizer, with which options, and how closely.

Each module in `tests/reference/rows` has a list `ROWS`; the table is all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROWS = Path(__file__).resolve().parent / "rows"
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One comparison over a scenario: our rule beside a library's optimizer, each with its options."""

    rule: str
    """Our rule: `adam`, `optax/yogi`."""
    library: str
    """One of `libraries.NAMES`."""
    theirs: str
    """The class or factory in the library, dotted where it is nested: `contrib.schedule_free_adamw`."""
    lr: float | None
    """The learning rate of both; None where the rule has none."""
    options: Options = field(default_factory=dict)
    """The library's options."""
    ours: Options = field(default_factory=dict)
    """Our hyperparameters."""
    tolerance: float | None = None
    """The largest error allowed; None for the usual of the library."""
    note: str = ""
    """A deliberate difference or a limit, with the thread it is known by."""
    lr_name: str = "lr"
    """Our name of the learning rate."""
    state: Mapping[str, str] = field(default_factory=dict)
    """What users read besides the parameter: our state or view, and what the library calls it."""
    scenario: str = "whole"
    """One of `scenario.NAMES`."""

    @property
    def key(self) -> str:
        """What names the row: `adam-amsgrad-lr=0.01`. The same rule may stand beside two classes of a library."""
        rate = {} if self.lr is None else {"lr": self.lr}
        named = self.options if self.options else self.ours
        parts = [_part(name, value) for name, value in {**named, **rate}.items()]
        return "-".join([self.rule, self.theirs, *parts, *([] if self.scenario == "whole" else [self.scenario])])

    @property
    def allowed(self) -> float:
        """The largest error allowed."""
        if self.tolerance is not None:
            return self.tolerance
        return 1e-10 if self.library in ("optax", "keras", "timm", "pytorch_optimizer", "schedulefree") else 1e-12

    def facts(self) -> dict[str, Any]:
        """What the library's path depends on, as JSON has it: a recorded path is stale where these differ."""
        return {
            "theirs": self.theirs,
            "lr": self.lr,
            "options": {
                name: list(value) if isinstance(value, tuple) else value for name, value in self.options.items()
            },
            "state": dict(self.state),
            "scenario": self.scenario,
        }


def _part(name: str, value: object) -> str:
    if value is True:
        return name
    if isinstance(value, tuple):
        return f"{name}={','.join(f'{item:g}' for item in value)}"
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def modules() -> list[str]:
    """Return the names of the modules with rows."""
    return sorted(path.stem for path in ROWS.glob("[!_]*.py"))


@cache
def table() -> tuple[Row, ...]:
    """Return all rows. Raises ValueError where two rows of a library have the same key."""
    rows: list[Row] = []
    for name in modules():
        rows.extend(import_module(f".rows.{name}", __package__).ROWS)
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.library, row.key) in seen:
            raise ValueError(f"two rows beside {row.library} are called {row.key}")
        seen.add((row.library, row.key))
    return tuple(rows)


def of(library: str) -> tuple[Row, ...]:
    """Return the rows of a library."""
    return tuple(row for row in table() if row.library == library)
