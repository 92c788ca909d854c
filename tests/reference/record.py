"""Record the paths of the libraries: `python tests/reference/record.py [LIBRARY …]`, and write docs/conformance.md.

Without names, all libraries that are installed. What is recorded already, with the versions installed, stays as it is;
`--again` makes every path anew. Paths whose rows are gone are dropped. For every row the error of our rule is measured
on both targets. `--page` writes the page alone.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

if not __package__:  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    __package__ = "reference"
    import_module(__package__)

from . import page
from .libraries import INSTALLED, RESTATED, adapter
from .ours import errors, run_ours
from .recorded import Record, record, write
from .scenario import Paths, scenario
from .table import Row, of

TARGETS = ("numpy", "c")


def measured(row: Row, theirs: Paths) -> float:
    """Return the largest error of our rule over both targets, the parameters and the states, to two digits."""
    worst = max(error for target in TARGETS for error in errors(run_ours(row, target), theirs).values())
    return float(f"{worst:.1e}")


class Recorder:
    """Records rows, and remembers those that are too far off or couldn't be run."""

    def __init__(self) -> None:
        self.far: list[str] = []

    def library(self, library: str, *, again: bool) -> None:
        """Record a library. Raises ImportError where it is absent."""
        versions = adapter(library).versions()
        known = record(library)
        if again or known.versions != versions:
            known = Record()
        made = Record(versions)
        for row in of(library):
            self._row(row, known, made)
        write(library, made)

    def restated(self) -> None:
        """Measure the errors beside the restatements."""
        made = Record()
        for library in RESTATED:
            for row in of(library):
                self._row(row, Record(), made)
        made.arrays.clear()
        write("restated", made)

    def _row(self, row: Row, known: Record, made: Record) -> None:
        fresh = known.fresh(row)
        try:
            paths = known.paths(row) if fresh else adapter(row.library).run(row, scenario(row.scenario))
            error = measured(row, paths)
        except Exception as wrong:  # a row that can't be run doesn't keep the others from being recorded
            self.far.append(f"{row.library} {row.key}: {type(wrong).__name__}: {wrong}")
            return
        made.arrays.update({f"{row.key}+{name}" if name else row.key: path for name, path in paths.items()})
        made.cases[row.key] = {"rule": row.rule, "library": row.library, **row.facts(), "error": error}
        if error > row.allowed:
            self.far.append(f"{row.library} {row.key}: {error:.1e}")
        print(f"{row.library} {row.key}: {error:.1e}{' (recorded before)' if fresh else ''}", flush=True)


def main() -> int:
    """Record what was asked for; the status is 1 where a row is too far off."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=f"{', '.join(INSTALLED)} or restated")
    parser.add_argument("--again", action="store_true", help="make every path anew")
    parser.add_argument("--page", action="store_true", help="write docs/conformance.md alone")
    given = parser.parse_args()
    unknown = sorted({*given.libraries} - {*INSTALLED, "restated"})
    if unknown:
        parser.error(f"unknown library {unknown[0]!r}; expected {', '.join(INSTALLED)} or restated")
    recorder = Recorder()
    for library in () if given.page else given.libraries or (*INSTALLED, "restated"):
        try:
            if library == "restated":
                recorder.restated()
            else:
                recorder.library(library, again=given.again)
        except ImportError as absent:
            print(f"{library} isn't installed, so what is recorded of it stays: {absent}")
    page.PATH.write_text(page.text(), encoding="utf-8")
    print("\n".join(["too far off:", *recorder.far]) if recorder.far else "all rows are close enough")
    return int(bool(recorder.far))


if __name__ == "__main__":
    raise SystemExit(main())
