"""Compare a file of rows live, and print the error of each: `python tests/reference/compare.py ROWFILE [RULE …]`.

`ROWFILE` is a module of `tests/reference/rows`, such as `tests/reference/rows/torch.py`. Rules may be given as
patterns: `'optax/*'`. `--target numpy` or `--target c` asks for one target alone. The status is 1 where an error is too
large.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

if not __package__:  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    __package__ = "reference"
    import_module(__package__)

from .libraries import adapter
from .ours import errors, run_ours
from .scenario import scenario
from .table import ROWS, Row, modules


def compared(row: Row, targets: list[str]) -> Iterator[tuple[str, str, float | str]]:
    """Yield target, what is compared (the parameter under `""`) and the error, or what went wrong."""
    try:
        theirs = adapter(row.library).run(row, scenario(row.scenario))
    except Exception as wrong:
        yield row.library, "", f"{type(wrong).__name__}: {wrong}"
        return
    for target in targets:
        try:
            for name, error in errors(run_ours(row, target), theirs).items():
                yield target, name, error
        except Exception as wrong:
            yield target, "", f"{type(wrong).__name__}: {wrong}"


def main() -> int:
    """Print a line for each row and target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("rules", nargs="*", default=["*"])
    parser.add_argument("--target", choices=["numpy", "c"])
    given = parser.parse_args()
    if given.file.resolve().parent != ROWS or not given.file.is_file():
        parser.error(f"{given.file} is no file of rows; expected one of {', '.join(modules())} in {ROWS}")
    rows: list[Row] = import_module(f".rows.{given.file.stem}", __package__).ROWS
    chosen = [row for row in rows if any(fnmatch(row.rule, pattern) for pattern in given.rules)]
    if not chosen:
        parser.error(f"no row of {given.file} is of {', '.join(given.rules)}")
    bad = 0
    for row in chosen:
        for target, name, error in compared(row, [given.target] if given.target else ["numpy", "c"]):
            fine = isinstance(error, float) and error <= row.allowed
            bad += not fine
            shown = f"{error:9.2e}" if isinstance(error, float) else error
            print(f"{'ok  ' if fine else 'FAR '} {row.library} {row.key} {name or 'x'} {target}: {shown}", flush=True)
    print(f"{len(chosen)} rows, {bad} too far off")
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
