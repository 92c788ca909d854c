"""What works on this machine, for `optdsl doctor`."""

from __future__ import annotations

import platform
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from optdsl import bundled
from optdsl.runtime import cache, gather, toolchain
from optdsl.runtime.entries import limit
from optdsl.runtime.kernel import threads
from optdsl.version import __version__


@dataclass(frozen=True)
class Finding:
    """One line of the report; `state` is `ok`, `missing` (something optional), or `broken`."""

    what: str
    state: str
    detail: str


def findings() -> list[Finding]:
    """Return the state of everything a rule needs, tried out and not only looked up."""
    rows = [
        Finding("optdsl", "ok", f"{__version__}, {len(bundled.names())} rules in {bundled.folder()}"),
        Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}"),
    ]
    rows += [_package(name, optional=False) for name in ("numpy", "sympy", "lark", "click", "rich", "optree")]
    rows += [_package(name, optional=True) for name in ("matplotlib", "ziglang", "torch", "jax")]
    rows += [_compiler(), _cache(), Finding("threads", "ok", f"{threads()} (OPTDSL_NUM_THREADS changes it)")]
    rows += [_target("numpy", optional=False), _target("c", optional=True), _gathering()]
    return rows


def _package(name: str, optional: bool) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "missing" if optional else "broken", "not installed")


def _compiler() -> Finding:
    try:
        found = toolchain.find_compiler()
    except toolchain.ToolchainError as error:
        return Finding("C compiler", "missing", str(error))
    return Finding("C compiler", "ok", f"{found.name} ({found.origin}): {found.version}")


def _cache() -> Finding:
    try:
        with cache.opened(make=True) as entries:
            entries.expect_writable()
            sizes, most = entries.sizes(), limit()
        amount = f"{len(sizes)} entries of {sum(sizes.values()) / 2**20:.1f} MiB in {cache.folder()}"
        return Finding("cache", "ok", amount + (f", at most {most / 2**20:.0f} MiB" if most else ""))
    except OSError as error:
        return Finding("cache", "missing", f"{error}; rules are compiled again in each process")


def _gathering() -> Finding:
    """Say whether steps of many parameters in C find gradients fast."""
    if gather.function() is None:
        detail = "can't be built (it takes a C compiler and Python's headers): small parameters step more slowly in C"
        return Finding("gathering", "missing", detail)
    return Finding("gathering", "ok", "the gradients of a step in C are found in one call")


def _target(name: str, optional: bool) -> Finding:
    """Compile a bundled rule afresh and take one step with it."""
    from optdsl.loading import load_outside_the_cache

    try:
        with tempfile.TemporaryDirectory(prefix="optdsl-") as folder:
            optimizer = load_outside_the_cache("adam", name, Path(folder))
            parameter = np.ones(3, np.float32)
            optimizer([parameter], lr=0.5).step([np.ones(3, np.float32)])
    except (OSError, toolchain.ToolchainError) as error:
        return Finding(f"target {name}", "missing" if optional else "broken", str(error).split("\n")[0])
    if not np.allclose(parameter, 0.5):
        return Finding(f"target {name}", "broken", f"a step of adam gave {parameter[0]:g} instead of 0.5")
    return Finding(f"target {name}", "ok", "a step of adam gives the right number")
