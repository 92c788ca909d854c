"""Whether a file is a whole library for this machine.

The system maps a library without looking whether it is all there: one that is cut short ends the process with a bus
error.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

_SHARED = 3


def fault(path: Path) -> str | None:
    """Return what is wrong with a shared library on a system whose programs are ELF files; None where nothing is seen.

    It must be for the processor this Python is for, and have all its parts. Raises OSError where it can't be read.
    """
    try:
        with open(sys.executable, "rb") as program:
            ours = program.read(64)
    except OSError:
        return None
    if ours[:4] != b"\x7fELF" or ours[4] != 2:
        return None  # another system, or one of 32 bits
    size = os.path.getsize(path)
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:4] != b"\x7fELF":
            return "not an ELF file" if head else "an empty file"
        if head[4:6] != ours[4:6] or head[18:20] != ours[18:20]:
            return "made for another processor"
        order = "<" if head[5] == 1 else ">"
        kind, programs, sections, program_size, program_count, section_size, section_count = struct.unpack(
            f"{order}16xH2x4x8xQQ4x2xHHHHxx", head
        )
        if kind != _SHARED:
            return "not a shared library"
        file.seek(programs)
        table = file.read(program_size * program_count)
    ends = [programs + program_size * program_count, sections + section_size * section_count]
    if len(table) == program_size * program_count and program_size == 56:
        for at in range(0, len(table), 56):
            start, filled = struct.unpack_from(f"{order}8xQ16xQ", table, at)
            ends.append(start + filled)
    return "cut short" if max(ends) > size else None
