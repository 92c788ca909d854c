"""What the table covers, and that a comparison can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optdsl import bundled

from .support import (
    INSTALLED,
    RESTATED,
    Row,
    differences,
    error,
    errors,
    of,
    page,
    recorded,
    run_ours,
    scenario,
    table,
)  # fmt: skip

TORCH = {
    "adadelta", "adagrad", "adam", "adamax", "adamw", "amsgrad", "asgd", "momentum", "nadam", "nesterov", "radam",
    "rmsprop", "rprop", "sgd",
}  # fmt: skip


def test_every_bundled_rule_is_compared_or_its_absence_explained() -> None:
    compared = {row.rule for row in table()}
    names = set(bundled.names())
    assert compared <= names
    assert set(differences.UNCOMPARED) == names - compared
    assert all(differences.UNCOMPARED.values())


def test_all_rules_named_after_torch_are_compared_with_it() -> None:
    assert {row.rule for row in of("torch")} >= TORCH
    assert len(of("torch")) >= 132


def test_nothing_is_recorded_that_is_in_no_row() -> None:
    for library in INSTALLED:
        record = recorded.record(library)
        rows = of(library)
        assert set(record.cases) == {row.key for row in rows}
        assert set(record.arrays) == {
            f"{row.key}+{name}" if name else row.key for row in rows for name in ("", *row.state)
        }


def test_versions_are_recorded() -> None:
    for library in INSTALLED:
        assert not of(library) or library in recorded.record(library).versions


def test_an_exception_has_its_cause() -> None:
    """A row that is allowed more than is usual says why, and no note is left where nothing is."""
    for row in table():
        assert row.tolerance is None or row.note, f"{row.library} {row.key} has a tolerance of its own and no note"


def test_the_page_is_up_to_date() -> None:
    assert page.PATH.read_text(encoding="utf-8") == page.text(), "run python tests/reference/record.py --page"


@pytest.mark.parametrize(
    "row", [next(row for row in of("torch") if row.rule == "adam"), of("flux")[0]], ids=lambda row: str(row.library)
)
def test_another_option_is_far_off(row: Row) -> None:
    """The scenario tells a rule from the same rule with another learning rate, in each group."""
    assert row.lr is not None
    path = run_ours(row, "numpy")
    other = run_ours(replace(row, lr=row.lr * (1 + 1e-9)), "numpy")
    assert 1e-12 < errors(other, path)[""] < 1e-6


def test_a_stale_record_is_noticed() -> None:
    row = next(row for row in of("torch") if row.rule == "sgd")
    record = recorded.record("torch")
    assert record.fresh(row)
    for changed in (
        replace(row, lr=0.5), replace(row, options={"momentum": 0.1}), replace(row, theirs="Adam"),
        replace(row, state={"b": "momentum_buffer"}), replace(row, scenario="matrix"),
    ):  # fmt: skip
        assert not record.fresh(changed)
        assert not recorded.Record(record.versions, {changed.key: record.cases[row.key]}, record.arrays).fresh(changed)


def test_the_error_is_relative_to_the_tensor() -> None:
    theirs = np.zeros((2, 18))
    theirs[:, :12], theirs[:, 12:17], theirs[:, 17] = 100, 10, 0
    ours = theirs.copy()
    assert error(ours, theirs) == 0
    ours[1, 3] += 1
    assert error(ours, theirs) == 0.01
    ours[0, 16] -= 1
    assert error(ours, theirs) == 0.1
    ours[0, 17] = 0.5  # nothing to be relative to
    assert error(ours, theirs) == 0.5
    ours[0, 0] = np.nan
    assert error(ours, theirs) == np.inf


def test_scenarios_hold_what_they_say() -> None:
    whole, matrix, steady, lively = (scenario(name) for name in ("whole", "matrix", "steady", "lively"))
    assert [len(plan.gradients) for plan in (whole, matrix, steady, lively)] == [100] * 4
    missing = {name: sum(step[name] is None for step in whole.gradients) for name in whole.start}
    assert missing == {"a": 3, "b": 0, "c": 6}
    assert whole.rates(1.0, 59) == {"a": 1.0, "b": 0.5, "c": 0.5}
    assert whole.rates(1.0, 60) == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert steady.rates(1.0, 60) == {"a": 1.0, "b": 0.5, "c": 0.5}
    assert set(matrix.start) == {"a"}
    zeros = sum(int((g == 0).sum()) for step in whole.gradients for g in step.values() if g is not None)
    assert zeros > 200
    assert all((g != 0).all() for step in lively.gradients for g in step.values() if g is not None)


def test_libraries_are_named_once() -> None:
    assert not set(INSTALLED) & set(RESTATED)
    assert {row.library for row in table()} <= {*INSTALLED, *RESTATED}
