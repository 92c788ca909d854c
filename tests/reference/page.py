"""The page `docs/conformance.md`, made of the table, the records and the list of differences."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from .differences import DIFFERENCES, UNCOMPARED
from .libraries import INSTALLED, RESTATED
from .recorded import record
from .table import Row, table

PATH = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"

HEAD = """# Conformance

Every rule is compared with the library that it is named after, over 100 steps in float64: three parameters in two
groups with learning rates of their own, steps without a gradient, gradients that are zero, a learning rate that changes
on the way. The error is the largest distance between the two paths, in units of the largest magnitude that the
parameter has on the library's path; the table shows the largest over all cases and over both targets, NumPy and C.
Allowed are 1e-12 beside torch and beside restatements, and 1e-10 elsewhere, unless a note says more.

The rows are in `tests/reference/rows`, the recorded paths in `tests/reference/recorded`. Tests follow the recorded
paths everywhere, and the libraries themselves where they are installed (`pip install -e '.[test,conformance]'`).
`python tests/reference/record.py` records what is new and writes this page anew.
"""


def text() -> str:
    """Return the page."""
    parts = [HEAD, "## Rules\n", *_rules(), "\n## Notes\n", *_notes(), "\n## Known differences\n", *_differences()]
    if UNCOMPARED:
        parts += ["\n## Not compared\n", "| rule | why |", "| --- | --- |"]
        parts += [f"| `{rule}` | {why} |" for rule, why in sorted(UNCOMPARED.items())]
    return "\n".join(parts) + "\n"


def _order(row: Row) -> tuple[object, ...]:
    """Sort rules as `optdsl list` does, and libraries as they are listed."""
    return row.rule.count("/"), row.rule, (*INSTALLED, *RESTATED).index(row.library), row.theirs


def _rules() -> Iterator[str]:
    yield "| rule | beside | version | cases | largest error |"
    yield "| --- | --- | --- | --- | --- |"
    for (_, rule, _, theirs), group in groupby(sorted(table(), key=_order), _order):
        rows = list(group)
        library = rows[0].library
        version = record(library).versions.get(library, "restated")
        worst = max(_case(row).get("error", float("inf")) for row in rows)
        shown = f"{worst:.0e}" if worst else "0"
        yield f"| `{rule}` | {library} `{theirs}` | {version} | {len(rows)} | {shown} |"


def _case(row: Row) -> dict[str, Any]:
    return record("restated" if row.library in RESTATED else row.library).cases.get(row.key, {})


def _notes() -> Iterator[str]:
    noted = [row for row in sorted(table(), key=_order) if row.note or row.tolerance is not None]
    if not noted:
        yield "None."
    seen: set[str] = set()
    for row in noted:
        allowed = "" if row.tolerance is None else f" Allowed: {row.tolerance:.0e}."
        line = f"- `{row.rule}` beside {row.library} `{row.theirs}`: {row.note.rstrip('.')}.{allowed}"
        if line not in seen:
            yield line
        seen.add(line)


def _differences() -> Iterator[str]:
    yield "| library | difference | here | known by |"
    yield "| --- | --- | --- | --- |"
    for one in DIFFERENCES:
        known = f"[{_short(one.known)}]({one.known})" if one.known else "found by comparing or reading"
        yield f"| {one.library} | {one.what} | {one.here} | {known} |"


def _short(link: str) -> str:
    """Return a thread's short name: `google-deepmind/optax#1725`."""
    owner, name, _, number = link.removeprefix("https://github.com/").split("/")
    return f"{owner}/{name}#{number}"
