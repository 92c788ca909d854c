"""Running a program that may hang, never stop talking, or leave others running."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

MOST = 1 << 16
"""Bytes of what a program says that are kept; the rest is read and thrown away."""


class TookTooLong(Exception):
    """A program was ended because its time was up."""


def run(
    command: Sequence[str], seconds: float, folder: str, environment: Mapping[str, str] | None = None,
    errors: bool = True,
) -> tuple[int, bytes]:  # fmt: skip
    """Run a program in a folder; return its exit status and the beginning of what it said (errors, too).

    However this is left, the program is gone by then with all that it started. Raises TookTooLong, and OSError where
    the program can't be started.
    """
    import subprocess

    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
        cwd=folder, env=environment, process_group=0 if os.name == "posix" else None,
    ) as process:  # fmt: skip
        try:
            return _listen(process, time.monotonic() + seconds)
        finally:
            _end(process)


def _listen(process: subprocess.Popen[bytes], until: float) -> tuple[int, bytes]:
    """Return the exit status of a program and the beginning of what it says."""
    import selectors

    assert process.stdout is not None
    said, descriptor = bytearray(), process.stdout.fileno()
    os.set_blocking(descriptor, False)
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while time.monotonic() < until:
            # Something that it started, as a compiler's cache does, may hold the pipe open when it has ended itself.
            over = process.poll() is not None
            if selector.select(0 if over else 0.05):
                data = os.read(descriptor, 1 << 16)
                said += data[: MOST - len(said)]
                if not data:
                    return _status(process, until), bytes(said)
            elif over:
                return process.returncode, bytes(said)
    raise TookTooLong


def _status(process: subprocess.Popen[bytes], until: float) -> int:
    """Return the exit status of a program that says no more."""
    import subprocess

    try:
        return process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TookTooLong from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it has started. Where it has ended by itself, others of its group may not have."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 9)
    elif process.poll() is None:
        process.kill()
