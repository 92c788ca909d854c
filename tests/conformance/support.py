"""The table of `tests/reference`, which is a package of its own for scripts and tests alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # where the type checker finds it; pytest puts `tests` itself on the path
    from tests.reference import differences, page, recorded
    from tests.reference.libraries import INSTALLED, RESTATED, adapter
    from tests.reference.ours import error, errors, run_ours
    from tests.reference.scenario import Array, Paths, scenario
    from tests.reference.table import Row, of, table
else:
    from reference import differences, page, recorded
    from reference.libraries import INSTALLED, RESTATED, adapter
    from reference.ours import error, errors, run_ours
    from reference.scenario import Array, Paths, scenario
    from reference.table import Row, of, table

__all__ = [
    "INSTALLED", "RESTATED", "Array", "Paths", "Row", "adapter", "differences", "error", "errors", "of", "page",
    "recorded", "run_ours", "scenario", "table",
]  # fmt: skip
