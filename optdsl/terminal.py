"""What the command line writes: findings, tables, progress."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from optdsl.diagnostics import Problem
    from optdsl.source import SourceFile


def show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: object = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """Write a warning of the package as one line, in place of `warnings.showwarning`."""
    click.echo(f"optdsl: warning: {message}", err=True)


PAGE_WIDTH = 100
"""Longest line of a page on a terminal, in characters."""


class Findings(Protocol):
    """What was found in a file."""

    @property
    def source(self) -> SourceFile:
        """Its text."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The findings, in any order."""


class Checked(Findings, Protocol):
    """What was found in a file that may be compiled."""

    @property
    def errors(self) -> list[Problem]:
        """The findings that keep it from being compiled."""


def report(results: Sequence[Findings], output_format: str) -> None:
    """Write all findings: JSON and SARIF to standard output, everything else to standard error."""
    from optdsl import diagnostics

    if output_format == "sarif":
        from optdsl import sarif

        click.echo(sarif.render((result.source, result.problems) for result in results))
        return
    if output_format == "json":
        records = [record for result in results for record in diagnostics.as_records(result.source, result.problems)]
        click.echo(diagnostics.render_json(records))
        return
    for result in results:
        if not result.problems:
            continue
        if output_format == "concise":
            click.echo(diagnostics.render_concise(result.source, result.problems), err=True)
        else:
            click.echo(diagnostics.render(result.source, result.problems, color=use_color()) + "\n", err=True)
    counts = [
        sum(problem.severity == kind for result in results for problem in result.problems)
        for kind in ("error", "warning")
    ]
    if any(counts):
        shown = [count(number, word) for number, word in zip(counts, ("error", "warning"), strict=True) if number]
        click.echo(f"Found {' and '.join(shown)} in {count(len(results), 'file')}.", err=True)


def count(number: int, word: str) -> str:
    """Return a number with its word, such as `1 file` or `2 files`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def use_color() -> bool:
    """Return whether standard error takes colours; `NO_COLOR` and `FORCE_COLOR` decide before the terminal does."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()


def begin_run() -> None:
    """Say on standard error when a run of `--watch` begins, on a terminal across its whole width."""
    now = time.strftime("%H:%M:%S")
    if not sys.stderr.isatty():
        click.echo(f"[{now}]", err=True)
        return
    from rich.console import Console

    Console(stderr=True).rule(now, style="dim")


def show_page(markdown: str) -> None:
    """Write a page of `optdsl explain`: laid out on a terminal, as plain text into a pipe."""
    if not sys.stdout.isatty():
        from optdsl.explain import plain

        click.echo(plain(markdown))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(Markdown(markdown, code_theme="ansi_dark"), width=min(console.width, PAGE_WIDTH))


def failed(results: Sequence[Checked], strict: bool) -> bool:
    """Return whether findings make a command fail: errors, and under `strict` warnings too."""
    return any(result.errors or (strict and result.problems) for result in results)


@contextmanager
def progress(items: Iterable[Any], title: str, total: int) -> Iterator[Iterable[Any]]:
    """Give the items, `total` in number, one by one, under a bar on standard error where that is a terminal."""
    if total < 2 or not sys.stderr.isatty():
        yield items
        return
    from rich.console import Console
    from rich.progress import track

    yield track(items, description=title, total=total, console=Console(stderr=True), transient=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table: with rules and wrapped cells on a terminal, plain and unwrapped into a pipe."""
    rows = list(rows)
    if not sys.stdout.isatty():
        widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
        for row in [columns, *rows]:
            click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(*columns)
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    Console().print(shown)
