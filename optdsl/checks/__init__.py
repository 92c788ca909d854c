"""Warnings about a rule that means something, but hardly what its author meant.

A check is a module of this package: a `Problem` class and `check(rule)`, which yields findings. A file is found by its
being here; those whose names begin with `_` are shared helpers.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module

from optdsl.algebra.limits import Unknown, clock, limited
from optdsl.diagnostics import Problem, in_order
from optdsl.ir.nodes import Rule

SECONDS = 1.0
"""Processor time for all checks of a rule together. On a very busy machine it cuts those of a large rule short."""

Check = Callable[[Rule], Iterator[Problem]]


@cache
def checks() -> dict[str, Check]:
    """Return every check by the name of its module, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name: import_module(f"{__name__}.{name}").check for name in names}


def run(rule: Rule, seconds: float = SECONDS) -> list[Problem]:
    """Return the findings of every check, in the order of their places, as far as `seconds` of processor time last.

    A question that computer algebra can't settle in its time is no finding, and neither is what a check hasn't come to
    when the time for all of them is up. An exception is a bug in a check and is raised.
    """
    found: list[Problem] = []
    until = clock() + seconds
    for check in checks().values():
        try:
            limited(partial(_collect, found, check, rule), max(until - clock(), 0.01))
        except Unknown:
            continue
    return in_order(found)


def _collect(found: list[Problem], check: Check, rule: Rule) -> None:
    """Add findings as they come, so that those before the end of the time are kept."""
    for problem in check(rule):
        found.append(problem)  # noqa: PERF402
