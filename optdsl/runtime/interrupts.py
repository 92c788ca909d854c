"""Interrupts that wait until a step is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Without what turns numbers into enumerations and back, which takes as long as a step of a small parameter.
_signals: Any = getattr(signal, "_signal", signal)
_INTERRUPT = int(signal.SIGINT)


@contextmanager
def put_off() -> Iterator[None]:
    """Have an interrupt (SIGINT, as of Ctrl-C) that comes meanwhile handled at the end.

    Handlers of signals run in the main thread only, so in any other this does nothing.
    """
    handler = _signals.getsignal(_INTERRUPT) if threading.current_thread() is threading.main_thread() else None
    if not callable(handler):
        yield
        return
    came: list[FrameType | None] = []
    _signals.signal(_INTERRUPT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        _signals.signal(_INTERRUPT, handler)
        if came:
            handler(_INTERRUPT, came[0])
