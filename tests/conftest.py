"""What all tests share: the axes `rule`, `target` and `dtype`, a cache of the session's own, and golden files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from optdsl import bundled
from optdsl.runtime import toolchain

CACHE = "OPTDSL_CACHE_DIR"

settings.register_profile("optdsl", deadline=None)  # no test measures by the clock on the wall
settings.load_profile("optdsl")


@cache
def _targets() -> list[str]:
    """Return the targets that this machine can run."""
    try:
        toolchain.find_compiler()
    except toolchain.ToolchainError:
        return ["numpy"]
    return ["numpy", "c"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes golden files anew."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew instead of comparing")


def pytest_configure(config: pytest.Config) -> None:
    """Give the whole session, workers included, one temporary cache, so that each rule is compiled once."""
    if not hasattr(config, "workerinput"):
        os.environ[CACHE] = tempfile.mkdtemp(prefix="optdsl-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's cache."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(CACHE, ""), ignore_errors=True)


@pytest.fixture(params=bundled.names())
def rule(request: pytest.FixtureRequest) -> str:
    """Name of a bundled rule."""
    return str(request.param)


@pytest.fixture(params=_targets())
def target(request: pytest.FixtureRequest) -> str:
    """Name of a target that this machine can run."""
    return str(request.param)


@pytest.fixture
def both_targets() -> None:
    """Skip where there is no second target to compare with."""
    if len(_targets()) < 2:
        pytest.skip("no C compiler works here, so there is only the NumPy target")


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype[np.floating]:
    """Element type of a parameter."""
    return np.dtype(str(request.param))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Return what compares text with a golden file, or under `--update-golden` writes it."""
    update = bool(request.config.getoption("--update-golden"))

    def check(path: Path, text: str) -> None:
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path} is missing; pytest --update-golden writes it"
        assert text == path.read_text(encoding="utf-8"), f"{path} differs; pytest --update-golden writes it anew"

    return check
