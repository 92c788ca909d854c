"""What a measurement was made on."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from optdsl.runtime import toolchain
from optdsl.runtime.kernel import threads
from optdsl.version import __version__

PACKAGES = ("numpy", "torch", "jax", "jaxlib", "optax", "numba")


def describe() -> dict[str, Any]:
    """Return the processor, memory, system, compiler and versions, as JSON has them."""
    try:
        compiler = toolchain.find_compiler().version
    except toolchain.ToolchainError:
        compiler = None
    return {
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "vector_units": [unit for unit in ("avx512f", "avx2", "asimd", "sve") if unit in _flags()],
        "cores": os.cpu_count(),
        "threads": threads(),
        "memory_gib": _gib(memory("MemTotal")),
        "caches": _caches(),
        "system": platform.platform(),
        "compiler": compiler,
        "flags": list(toolchain.FLAGS),
        "optdsl": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES if _version(name)},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpuinfo(key: str) -> str:
    """Return what Linux says of the first processor, or nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def _flags() -> list[str]:
    return (_cpuinfo("flags") or _cpuinfo("Features")).split()


def memory(key: str = "MemAvailable") -> int | None:
    """Return bytes of memory, by default those that are free for use; None where the system doesn't say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)
    except (OSError, ValueError, IndexError):
        return None


def _gib(size: int | None) -> float | None:
    return None if size is None else round(size / 2**30, 1)


def _caches() -> dict[str, str]:
    """Return the sizes of the first processor's caches, by level."""
    found = {}
    try:
        for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
            found[f"L{level}{'' if kind == 'Unified' else kind[0].lower()}"] = size
    except OSError:
        pass
    return found


@contextmanager
def limited(number: int | None) -> Iterator[None]:
    """Use so many threads, None for as many as before: ours, and on Linux so many processors for every library.

    A library that was loaded before may keep to the threads it has started.
    """
    if number is None:
        yield
        return
    before = os.environ.get("OPTDSL_NUM_THREADS")
    processors = os.sched_getaffinity(0) if sys.platform == "linux" else set()
    os.environ["OPTDSL_NUM_THREADS"] = str(number)
    try:
        if number < len(processors):
            os.sched_setaffinity(0, sorted(processors)[:number])
        yield
    finally:
        if processors:
            os.sched_setaffinity(0, processors)
        if before is None:
            del os.environ["OPTDSL_NUM_THREADS"]
        else:
            os.environ["OPTDSL_NUM_THREADS"] = before
