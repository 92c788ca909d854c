"""Bugs that were seen in other libraries: which thread a test cites, and the table of all of them.

A test that guards against one says so by `@elsewhere("owner/repository#number")`, or by the number of a CVE. The first
paragraph of its docstring says what holds here, the second what went wrong there. `docs/elsewhere.md` is made of both.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., None])

MODULES = {
    "counters": "Counting steps",
    "clipping": "Clipping and gradients that aren't finite",
    "low_precision": "Parameters of 16 bits",
    "state_dicts": "Checkpoints",
    "layout": "Layout, size and sharing of memory",
    "semantics": "What a step means",
    "environment": "The process around it",
    "build_cache": "Compiling and the cache of compiled rules",
    "specs": "Rules from strangers",
}
"""The modules of cited tests, `test_NAME.py`, with their headings in the table."""

THREAD = re.compile(r"([\w.-]+/[\w.-]+)#(\d+)")
CVE = re.compile(r"CVE-\d{4}-\d{4,}")


@dataclass(frozen=True)
class Citation:
    """One test: the threads it cites, what holds here, and what went wrong there."""

    threads: tuple[str, ...]
    promise: str
    story: str
    module: str
    test: str


_CITED: dict[str, Citation] = {}


def address(thread: str) -> str:
    """Return where a thread can be read. Raises ValueError for what is neither a thread's name nor a CVE's."""
    if CVE.fullmatch(thread):
        return f"https://nvd.nist.gov/vuln/detail/{thread}"
    named = THREAD.fullmatch(thread)
    if named is None:
        raise ValueError(f"{thread!r} is neither owner/repository#number nor CVE-year-number")
    return f"https://github.com/{named[1]}/issues/{named[2]}"


def elsewhere(*threads: str) -> Callable[[Test], Test]:
    """Say in which threads the bug was seen that a test guards against. Raises ValueError for a malformed name."""

    def cite(test: Test) -> Test:
        paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(test.__doc__ or "").split("\n\n")]
        if len(paragraphs) != 2 or not threads:
            raise ValueError(
                f"{test.__name__} needs a thread, and two paragraphs: what holds here, what went wrong there"
            )
        for thread in threads:
            address(thread)
        module = test.__module__.rpartition(".")[2].removeprefix("test_")
        _CITED[f"{module}::{test.__name__}"] = Citation(threads, paragraphs[0], paragraphs[1], module, test.__name__)
        test.__doc__ = f"{test.__doc__}\n\nSeen in {', '.join(threads)}."
        return test

    return cite


def catalogue() -> list[Citation]:
    """Return every cited test, in the order of the modules and of the lines in them."""
    for name in MODULES:
        importlib.import_module(f"tests.regressions.test_{name}")
    order = list(MODULES)
    return sorted((cited for cited in _CITED.values() if cited.module in order), key=lambda c: order.index(c.module))


def tables() -> dict[str, str]:
    """Return the table of each module for docs/elsewhere.md, by the module's name."""
    rows: dict[str, list[str]] = {name: [] for name in MODULES}
    for cited in catalogue():
        links = ", ".join(f"[{thread}]({address(thread)})" for thread in cited.threads)
        rows[cited.module].append(f"| {cited.story} {links} | {cited.promise} | `{cited.test}` |")
    head = ["| what went wrong there | what holds here | test |", "| --- | --- | --- |"]
    return {name: "\n".join([*head, *lines]) for name, lines in rows.items()}
