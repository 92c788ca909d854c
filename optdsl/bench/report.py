"""Results in words and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from optdsl.bench.peers import BY_NAME, FLOOR
from optdsl.bench.results import Results, Row
from optdsl.terminal import count

REFERENCE = "c"


def say(console: Console, line: str) -> None:
    """Print a line as it is, however long."""
    console.print(line, soft_wrap=True, markup=False, emoji=False, highlight=False)


def show(console: Console, results: Results) -> None:
    """Print the machine, a table of each measurement, and what was left out."""
    say(console, about(results.machine))
    for rows in results.pairs().values():
        show_pair(console, rows)
    say(console, "\n".join(["", *results.left_out]) if results.left_out else "")


def show_pair(console: Console, rows: Sequence[Row]) -> None:
    """Print one measurement, the fastest first."""
    rows = sorted(rows, key=lambda row: row.median)
    say(console, f"\n{title(rows[0])}")
    console.print(_table(rows))
    for row in rows:
        if row.note:
            say(console, f"  {label(row.contestant)}: {row.note}")


def about(machine: Mapping[str, Any]) -> str:
    """Return one line about a machine."""
    packages = machine.get("packages", {})
    parts = [f"{machine.get('processor')}, {count(int(machine.get('cores') or 1), 'core')}"]
    parts += [count(int(machine.get("threads") or 1), "thread")]
    parts += [str(machine["compiler"])] if machine.get("compiler") else ["no C compiler"]
    return "; ".join([*parts, ", ".join(f"{name} {version}" for name, version in packages.items())])


def title(row: Row) -> str:
    """Return what a measurement is of."""
    tensors = count(row.tensors, "tensor")
    kind = "" if row.gradients == "same" else ", fresh gradients at every step"
    return f"{row.rule}, {row.size}: {tensors}, {row.elements:,} elements, {row.bytes} bytes moved for each{kind}"


def label(contestant: str) -> str:
    """Return the name of a contestant as tables have it: what isn't a peer is a target of ours."""
    return contestant if contestant in BY_NAME else f"optdsl {contestant}"


def _table(rows: Sequence[Row]) -> Table:
    medians = {row.contestant: row.median for row in rows}
    found = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    found.add_column("", no_wrap=True)
    for heading in ("ms", "quartiles", "ns/element", "GB/s", "x floor", "x C"):
        found.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        spread = f"{_three(row.first_quartile * 1e3)}-{_three(row.third_quartile * 1e3)}"
        ratios = [_ratio(row.median, medians.get(name)) for name in (FLOOR, REFERENCE)]
        cells = [_three(row.median * 1e3), spread, _three(row.nanoseconds), f"{row.bandwidth:.1f}", *ratios]
        ours = row.contestant not in BY_NAME
        style = "bold" if ours else "dim" if row.contestant == FLOOR else None
        found.add_row(label(row.contestant) + ("*" if row.note else ""), *cells, style=style)
    return found


def _three(value: float) -> str:
    """Return a number with three digits that mean something."""
    return f"{value:.0f}" if value >= 99.95 else f"{value:#.3g}"


def _ratio(value: float, other: float | None) -> str:
    """Return how many times another value one is, or nothing where there is no other."""
    if other is None:
        return ""
    ratio = value / other
    return f"{ratio:.1f}" if ratio >= 9.995 else f"{ratio:.2f}" if ratio >= 0.0995 else f"{ratio:#.2g}"
