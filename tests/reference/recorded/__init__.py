"""The recorded paths, and reading and writing them.

`scenario.npz` has the start and the gradients of all runs. Beside it, for each library that may be absent:

- `LIBRARY.npz`: for every row an array (16, 18) under its key: the parameters after each of the recorded steps, laid
  end to end; and under `KEY+STATE` the same of each state that the row names.
- `LIBRARY.json`: the versions used, and for every row what its path depends on, with the error of our rule when it was
  recorded (the larger of the targets').

`restated.json` has the errors beside the restatements, whose paths need no record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..scenario import Array, Paths
from ..table import Row

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Record:
    """What is recorded of one library."""

    versions: dict[str, str] = field(default_factory=dict)
    cases: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """By key: `Row.facts` and, under `error`, what was measured."""
    arrays: dict[str, Array] = field(default_factory=dict, repr=False)

    def paths(self, row: Row) -> Paths:
        """Return the recorded paths of a row. Raises KeyError where there are none."""
        return {name: self.arrays[f"{row.key}+{name}" if name else row.key] for name in ("", *row.state)}

    def fresh(self, row: Row) -> bool:
        """Tell whether the row is recorded as it stands in the table."""
        known = self.cases.get(row.key, {})
        same = all(known.get(name) == value for name, value in row.facts().items())
        return same and all((f"{row.key}+{name}" if name else row.key) in self.arrays for name in ("", *row.state))


@cache
def record(library: str) -> Record:
    """Return what is recorded of a library; nothing where there is no record."""
    path = FOLDER / f"{library}.json"
    if not path.exists():
        return Record()
    head = json.loads(path.read_text(encoding="ascii"))
    arrays: dict[str, Array] = {}
    if (FOLDER / f"{library}.npz").exists():
        with np.load(FOLDER / f"{library}.npz") as data:
            arrays = {name: data[name] for name in data.files}
    return Record(head["versions"], head["cases"], arrays)


def write(library: str, made: Record) -> None:
    """Write a record; the same record makes the same bytes."""
    if made.arrays:
        arrays: dict[str, Any] = dict(sorted(made.arrays.items()))
        np.savez_compressed(FOLDER / f"{library}.npz", **arrays)
    cases = [f"    {json.dumps(key)}: {json.dumps(case)}" for key, case in sorted(made.cases.items())]
    listed = ",\n".join(cases)
    text = f'{{\n  "versions": {json.dumps(made.versions)},\n  "cases": {{\n{listed}\n  }}\n}}\n'
    (FOLDER / f"{library}.json").write_text(text, encoding="ascii")
    record.cache_clear()
