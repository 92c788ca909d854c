"""Results made up for tests, and what tests of the benchmark share."""

from __future__ import annotations

from click.testing import CliRunner, Result

from optdsl.bench.results import Results, Row
from optdsl.cli import main

MACHINE = {
    "processor": "A Processor", "cores": 2, "threads": 2, "compiler": "cc 1.2", "packages": {"numpy": "2.0"},
}  # fmt: skip
COMMAND = "optdsl bench adam lion"


def invoke(*arguments: str) -> Result:
    """Run `optdsl bench` in this process."""
    return CliRunner().invoke(main, ["bench", *arguments], env={"COLUMNS": "80"})


def row(rule: str, contestant: str, ms: float, note: str = "", agrees: bool | None = True, size: str = "16M") -> Row:
    """Return a row with a spread of a tenth."""
    tensors, elements = (1, 16_000_000) if size == "16M" else (1000, 100_000)
    return Row(
        rule=rule, size=size, tensors=tensors, elements=elements, gradients="same", contestant=contestant,
        median=ms / 1e3, first_quartile=ms / 1e3 * 0.95, third_quartile=ms / 1e3 * 1.05, samples=30, bytes=28,
        agrees=agrees, note=note,
    )  # fmt: skip


def results() -> Results:
    """Return a run of two rules."""
    rows = (
        row("adam", "c", 6.2, agrees=None),
        row("adam", "numpy", 13.1),
        row("adam", "torch-fused", 6.4),
        row("adam", "torch-foreach", 98.04),
        row("adam", "floor", 6.0, agrees=None),
        row("adam", "numpy-out", 101.0),
        row("adam", "c", 0.0723, agrees=None, size="1000x100"),
        row(
            "adam", "optax", 3.3, agrees=False, note="computes something else: after 5 steps it is NaN", size="1000x100"
        ),
        row("lion", "c", 4.9, agrees=None),
        row("lion", "optax", 21.9, agrees=None, note="another rule: its steps come one late"),
        row("lion", "floor", 4.5, agrees=None),
    )
    return Results(MACHINE, COMMAND, rows, ("numba left out: numba not installed",))
