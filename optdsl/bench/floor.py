"""The floor: a C kernel that moves the bytes of a rule's step and computes next to nothing.

It has the rule's passes, each with the same arrays only read, read and written, or only written, at their element
sizes; the compiler's flags, the splitting among threads and the single call are those of the C target. Elements are
taken as whole numbers and joined by exclusive or, so that no value is special, and sums can be vectorised.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from optdsl.bench.streams import Pass, Streams
from optdsl.runtime import toolchain
from optdsl.runtime.kernel import threads

_TYPES = {4: "uint32_t", 8: "uint64_t"}
_COMMON, _TYPED = "/* ---- after the sizes of the rule ---- */\n", "/* ---- after the passes ---- */\n"


def text(streams: Streams) -> str:
    """Return the C of a floor."""
    skeleton = files("optdsl.targets").joinpath("skeleton.c").read_text(encoding="utf-8")
    common = skeleton.split(_COMMON)[0]  # threads, and how many are worth starting
    rest = files("optdsl.bench").joinpath("floor.c").read_text(encoding="utf-8").split(_TYPED)[1]
    pieces = int(len(streams.passes) > 1)
    sizes = f"enum {{ COLUMNS = {len(streams.names) + 1}, PASSES = {len(streams.passes)}, PIECES = {pieces}, "
    parts = [common, sizes + f"WHOLE = {int(streams.whole)} }};\n"]
    parts += [_pass(streams, number, one) for number, one in enumerate(streams.passes)]
    cases = [f"    case {number}: return pass_{number}(row, lo, hi, mask);" for number in range(len(streams.passes))]
    parts += ["static uint64_t floor_pass(const int64_t *row, int pass, int64_t lo, int64_t hi, uint64_t mask) {"]
    parts += ["    switch (pass) {", *cases, "    default: return 0;", "    }", "}", rest]
    return "\n".join(parts)


def _pass(streams: Streams, number: int, one: Pass) -> str:
    """Return the function of one pass over the elements [lo, hi) of a tensor."""
    arguments = "const int64_t *row, int64_t lo, int64_t hi, uint64_t mask"
    lines = [f"static uint64_t pass_{number}({arguments}) {{", "    uint64_t seen = 0;"]
    for array in one.touched:
        kind = ("const " if array in one.read else "") + _TYPES[streams.widths[array]]
        lines.append(f"    {kind} *restrict a{array} = ({kind} *)(uintptr_t)row[{array + 1}] + lo;")
    # What is read alone goes into what is written; with nothing to write, into one number.
    mixed = " ^ ".join(f"a{array}[i]" for array in one.read) or "1"
    lines += ["    #pragma GCC ivdep", "    for (int64_t i = 0; i < hi - lo; ++i) {"]
    if one.both or one.write:
        widest = _TYPES[max(streams.widths)]
        lines.append(f"        const {widest} mixed = ({mixed}) & ({widest})mask;")
        lines += [f"        a{array}[i] ^= ({_TYPES[streams.widths[array]]})mixed;" for array in one.both]
        lines += [f"        a{array}[i] = ({_TYPES[streams.widths[array]]})mixed;" for array in one.write]
    else:
        lines.append(f"        seen ^= {mixed};")
    return "\n".join([*lines, "    }", "    (void)mask;", "    return seen;", "}", ""])


def library(source: str) -> ctypes.CDLL:
    """Build a floor, or take it from the cache, and load it. Raises ToolchainError."""
    compiler = toolchain.find_compiler()
    version = f"{compiler.name} {compiler.version}"
    loaded = toolchain.library(source, "floor", ctypes.CDLL, functions=("optdsl_floor",), compiler=version)
    loaded.optdsl_floor.argtypes = (ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64)
    loaded.optdsl_floor.restype = ctypes.c_uint64
    return loaded


def stepper(
    streams: Streams, tensors: Sequence[Sequence[npt.NDArray[np.generic]]], mask: int = 0
) -> Callable[[], object]:
    """Return what moves the bytes of one step; `tensors` has the arrays of each tensor, in the order of the streams.

    The arrays are contiguous, and have to be kept alive. They stay as they are, but for those that are only written and
    for the bits of `mask`. Raises as `library` does.
    """
    rows = [[arrays[0].size, *(array.ctypes.data for array in arrays)] for arrays in tensors]
    table = np.array(rows, np.int64)
    run = library(text(streams)).optdsl_floor
    return lambda: run(len(table), table.ctypes.data, threads(), mask)
