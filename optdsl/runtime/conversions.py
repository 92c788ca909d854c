"""A small library that converts many numbers of 16 bits at once; generated ones borrow its functions."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

from optdsl.runtime import toolchain

SOURCE = Path(__file__).with_name("half.c")


@functools.cache
def library() -> ctypes.CDLL:
    """Return the library of `half.c`, built when it is asked for first.

    Raises ToolchainError where it can't be built, OSError where it can't be loaded.
    """
    return toolchain.library(SOURCE.read_text(encoding="utf-8"), "half", ctypes.CDLL)


def address() -> int:
    """Return where its functions stand in the order in which `skeleton.c` has them. Raises as `library` does."""
    return ctypes.addressof(ctypes.c_char.in_dll(library(), "optdsl_conversions"))
