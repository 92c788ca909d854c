"""What `optdsl stability` does: settings in, words and a picture out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from optdsl.ir.nodes import Rule
from optdsl.settings import parse_settings
from optdsl.stability.grid import STEPS
from optdsl.stability.region import limits, region
from optdsl.stability.report import needs_limits, report

_REFRESHES = 100


def run(rule: Rule, when: Sequence[str], plot: str | None) -> str:
    """Return in words where a rule is stable, and draw it into the file `plot`.

    Raises:
        ValueError: Settings that can't be read or that the rule doesn't take, or a file that can't be drawn into.
        PlotError: A picture was asked for, and matplotlib is missing.
    """
    given = parse_settings(when)
    if plot is not None:
        from optdsl.trials.plot import check

        check(plot)
    found = region(rule, given)
    if plot is not None:
        from optdsl.stability import plot as pictures

        pictures.check(found)
    values = []
    if needs_limits(found):
        with _progress("simulating", 2 * STEPS) as tick:
            values = limits(found, tick)
    text = report(found, values)
    if plot is not None:
        with _progress("drawing", 3 * STEPS) as tick:
            pictures.draw(found, plot, tick)
        text += f"\npicture: {plot}"
    return text


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """Show a bar on standard error where that is a terminal, and yield what is to be called with each step's number."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    every = max(1, total // _REFRESHES)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)

        def tick(step: int) -> None:
            if step % every == 0:
                bar.advance(task, every)

        yield tick
