"""Rules that most trials are tested with."""

from __future__ import annotations

import pytest

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer


@pytest.fixture
def adam() -> type[Optimizer]:
    """Adam, which gets everywhere."""
    return load("adam", "numpy")


@pytest.fixture
def descent() -> type[Optimizer]:
    """Plain descent, which diverges where its rate is too large."""
    return load("flux/descent", "numpy")
