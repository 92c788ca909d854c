"""What a run of the benchmark found, as it is kept in a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant of one measurement. Times are seconds of a step: the median and the quartiles."""

    rule: str
    size: str
    tensors: int
    elements: int
    gradients: str
    contestant: str
    median: float
    first_quartile: float
    third_quartile: float
    samples: int
    bytes: int
    """What the rule has to move per element."""
    agrees: bool | None = None
    """Whether it computed what the first of our targets did; None where there is nothing to compare."""
    note: str = ""

    @property
    def nanoseconds(self) -> float:
        """Nanoseconds per element."""
        return self.median / self.elements * 1e9

    @property
    def bandwidth(self) -> float:
        """GB/s of what the rule has to move."""
        return self.bytes * self.elements / self.median / 1e9


@dataclass(frozen=True, slots=True)
class Results:
    """A run: on what machine, by which command, and its rows."""

    machine: Mapping[str, Any]
    command: str
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()

    def pairs(self) -> dict[tuple[str, str, str], list[Row]]:
        """Return the rows of each rule, size and kind of gradients, the fastest first."""
        found: dict[tuple[str, str, str], list[Row]] = {}
        for row in self.rows:
            found.setdefault((row.rule, row.size, row.gradients), []).append(row)
        return {pair: sorted(rows, key=lambda row: row.median) for pair, rows in found.items()}

    def text(self) -> str:
        """Return them as JSON, a row a line."""
        head = {"format": FORMAT, "command": self.command, "machine": self.machine, "left_out": self.left_out}
        lines = json.dumps(head, indent=1, ensure_ascii=False).rstrip("}\n")
        rows = ",\n".join(f"  {json.dumps(asdict(row), ensure_ascii=False)}" for row in self.rows)
        return f'{lines},\n "rows": [\n{rows}\n ]\n}}\n'


def read(path: Path) -> Results:
    """Return the results in a file. Raises OSError, or ValueError where it holds anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']!r}, and {FORMAT} was expected")
        rows = tuple(Row(**row) for row in found["rows"])
        for row in rows:
            _check(row)
        return Results(dict(found["machine"]), str(found["command"]), rows, tuple(found["left_out"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        why = f"there is no {error} in it" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} holds no results of optdsl bench: {why}") from None


def _check(row: Row) -> None:
    """Raise ValueError where a row has no times that could be drawn."""
    times = (row.median, row.first_quartile, row.third_quartile)
    numbers: Iterable[Any] = (*times, row.elements, row.bytes, row.tensors, row.samples)
    if not all(isinstance(number, int | float) and 0 < number < float("inf") for number in numbers):
        raise ValueError(f"the times and sizes of {row.contestant} for {row.rule} aren't all above 0")
    if not all(isinstance(text, str) for text in (row.rule, row.size, row.contestant, row.gradients, row.note)):
        raise ValueError(f"a row of {row.rule} has something else where a name should be")
