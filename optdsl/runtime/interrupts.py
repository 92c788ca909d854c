"""Interrupts that wait until a step is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# The functions themselves: to turn numbers into enumerations and back takes as long as to step a small parameter.
_get: Callable[[int], Any] = getattr(signal.getsignal, "__wrapped__", signal.getsignal)
_set: Callable[[int, Any], Any] = getattr(signal.signal, "__wrapped__", signal.signal)
_INTERRUPT = int(signal.SIGINT)


@contextmanager
def put_off() -> Iterator[None]:
    """Have an interrupt (SIGINT, as of Ctrl-C) that comes meanwhile handled at the end.

    Handlers of signals run in the main thread only, so in any other this does nothing.
    """
    handler = _get(_INTERRUPT) if threading.current_thread() is threading.main_thread() else None
    if not callable(handler):
        yield
        return
    came: list[FrameType | None] = []
    _set(_INTERRUPT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        _set(_INTERRUPT, handler)
        if came:
            handler(_INTERRUPT, came[0])
