"""The bundled rules walk the paths of the libraries they are named after, for every row of the table.

A run has three parameters in two groups with different learning rates, steps in which gradients are missing, and a
learning rate that changes on the way, all in float64 (`tests/reference/scenario.py`). Paths of libraries that may be
absent are recorded; where a library is installed, its paths are made anew as well. With `OPTDSL_LIVE` set, all
have to be.
"""

from __future__ import annotations

import os
from functools import cache

import pytest

from .support import INSTALLED, RESTATED, Paths, Row, adapter, errors, recorded, run_ours, scenario, table

LIBRARIES = [row for row in table() if row.library in INSTALLED]


def name(row: Row) -> str:
    return f"{row.library}:{row.key}"


@cache
def _theirs(library: str, index: int) -> Paths:
    row = table()[index]
    return adapter(library).run(row, scenario(row.scenario))


def theirs(row: Row) -> Paths:
    """Return a row's paths as the library makes them now."""
    return _theirs(row.library, table().index(row))


def follows(row: Row, target: str, paths: Paths) -> None:
    """Assert that the parameters, and the states that users read, are where the library has them."""
    found = errors(run_ours(row, target), paths)
    assert found.keys() == {"", *row.state}
    for state, error in found.items():
        assert error <= row.allowed, f"{state or 'the parameter'} is {error:.1e} away; allowed are {row.allowed:.0e}"


@pytest.mark.parametrize("row", LIBRARIES, ids=name)
def test_follows_the_recorded_path(row: Row, target: str) -> None:
    record = recorded.record(row.library)
    fresh = record.fresh(row)
    assert fresh, "this row isn't recorded as it stands; run python tests/reference/record.py"
    follows(row, target, record.paths(row))


@pytest.mark.parametrize("row", LIBRARIES, ids=name)
def test_follows_the_library_itself(row: Row, target: str) -> None:
    try:
        adapter(row.library).versions()
    except ImportError:
        assert not os.environ.get("OPTDSL_LIVE"), f"OPTDSL_LIVE asks for {row.library}, and it isn't installed"
        pytest.skip(f"{row.library} isn't installed; its recorded paths stand in for it")
    follows(row, target, theirs(row))


@pytest.mark.parametrize("row", [row for row in table() if row.library in RESTATED], ids=name)
def test_follows_the_restatement(row: Row, target: str) -> None:
    follows(row, target, theirs(row))
