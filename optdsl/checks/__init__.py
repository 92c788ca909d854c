"""Warnings about a rule that means something, but hardly what its author meant.

A check is a module of this package: a `Problem` class and `check(rule)`, which yields findings. A file is found by its
being here; those whose names begin with `_` are shared helpers.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module

from optdsl.diagnostics import Problem, in_order
from optdsl.ir.nodes import Rule

Check = Callable[[Rule], Iterator[Problem]]


@cache
def checks() -> dict[str, Check]:
    """Return every check by the name of its module, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name: import_module(f"{__name__}.{name}").check for name in names}


def run(rule: Rule) -> list[Problem]:
    """Return the findings of every check, in the order of their places.

    A question that computer algebra can't settle in its time is no finding. An exception is a bug in a check and is
    raised.
    """
    return in_order(problem for check in checks().values() for problem in check(rule))
