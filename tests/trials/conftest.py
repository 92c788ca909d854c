"""A cache of compiled rules that belongs to the tests, and the targets this machine can run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from optdsl.loading import load
from optdsl.runtime import toolchain
from optdsl.runtime.optimizer import Optimizer


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTDSL_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=["numpy", "c"])
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "c":
        try:
            toolchain.find_compiler()
        except toolchain.ToolchainError as error:
            pytest.skip(str(error))
    return name


@pytest.fixture
def adam() -> type[Optimizer]:
    return load("adam", "numpy")


@pytest.fixture
def descent() -> type[Optimizer]:
    return load("flux/descent", "numpy")
