"""A small library that reads the addresses of many arrays in one call. Where it can't be built it is done without."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from optdsl.runtime import toolchain

SOURCE = Path(__file__).with_name("gather.c")
Function = Callable[..., int]


@functools.cache
def function() -> Function | None:
    """Return `optdsl_gather` of `gather.c`; None where it can't be had.

    That is where Python's headers or a compiler are missing, and on a Python without CPython's lock and layout.
    """
    import sysconfig  # which waits, as the library does, for the first step that can make use of it

    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None
    includes, text = _includes(), SOURCE.read_text(encoding="utf-8")
    if not includes:
        return None
    try:
        versions = {"python": sys.version, "numpy": np.__version__}
        gather = toolchain.library(text, "gather", ctypes.PyDLL, includes, ("optdsl_gather",), **versions).optdsl_gather
    except (toolchain.ToolchainError, OSError):
        return None
    objects, addresses = (ctypes.py_object,) * 4, (ctypes.c_void_p,) * 3
    gather.argtypes = (*objects, *addresses, ctypes.c_int64, ctypes.c_void_p)
    gather.restype = ctypes.c_int64
    return gather if _reads_arrays(gather) else None


def _includes() -> list[Path]:
    """Return the folders of headers; empty where one is missing."""
    import sysconfig

    python = [Path(sysconfig.get_path(name)) for name in ("include", "platinclude")]
    if not (python[0] / "Python.h").exists() or not (Path(np.get_include()) / "numpy").is_dir():
        return []
    return [*dict.fromkeys(python), Path(np.get_include())]


def _reads_arrays(gather: Function) -> bool:
    """Return whether the library sees arrays as they are: it was made for this layout of them."""
    parameters = (np.zeros(3), np.zeros((2, 1), np.float32))
    gradients = (np.ones(3), np.ones((2, 1), np.float32))
    found = np.zeros(2, np.int64)
    cells = np.array([found.ctypes.data, found.ctypes.data + 8], np.int64)
    spans, there = np.zeros(0, np.int64), np.zeros(2, np.int8)

    def taken(given: tuple[npt.NDArray[np.floating] | None, ...]) -> int:
        arrays = (cells.ctypes.data, spans.ctypes.data, spans.ctypes.data)
        return gather(given, parameters, parameters, np.ndarray, *arrays, 0, there.ctypes.data)

    if taken(gradients[::-1]) != -1 or taken((None, gradients[1])) != 1 or there.tolist() != [0, 1]:
        return False
    return taken(gradients) == 2 and found.tolist() == [gradient.ctypes.data for gradient in gradients]
