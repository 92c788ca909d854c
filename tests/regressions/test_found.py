"""Rules that random tests found wrong, made small: each by every oracle, as `python -m tests.fuzz` tries them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import found
from tests.fuzz.trial import try_rule


@pytest.mark.parametrize("path", found.files(), ids=lambda path: path.stem)
def test_a_rule_that_was_wrong_is_right(path: Path, both_targets: None) -> None:
    """In both element types, with the numbers it failed with."""
    text = path.read_text(encoding="utf-8")
    assert [str(failure) for failure in try_rule(text, found.inputs(text)).failures] == []


def test_each_file_says_what_was_wrong() -> None:
    assert found.files()
    for path in found.files():
        assert path.read_text(encoding="utf-8").startswith("# "), path.name
