"""Bounds on what SymPy is asked: how large the question is, and how long the answer may take.

SymPy has operations that never end on a dozen nodes, and others that fill the memory in one call of C code. Size is
checked before SymPy sees an expression (`tree_size`, `LARGEST_NUMBER`, …), because no clock interrupts a single long
operation on whole numbers; everything else is stopped by the clock (`limited`).
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from optdsl.ir import nodes as ir

SECONDS = 0.5
"""Processor time for one question: what is found doesn't depend on what else the machine does."""
PATIENCE = 10.0
"""Time on the wall that a question may take, as a multiple of its processor time."""
MOST_NODES = 3_000
"""Nodes of an expression, counted as SymPy walks it: a shared part counts as often as it is reached."""
DEEPEST = 200
"""Nesting of an expression."""
LARGEST_NUMBER = 4_096
"""Bits of a numerator or denominator."""
LARGEST_EXPONENT = 1_000
"""Magnitude of a whole exponent: polynomial routines allocate in proportion to it."""
LARGEST_CONSTANT = 1e100
"""Magnitude of a constant that isn't rational: evaluating it takes digits in proportion to its exponent."""

_AGAIN = 0.02  # seconds after which an expiry that something swallowed is repeated
_GRACE = 0.25  # seconds for a function of another module to return

Answer = TypeVar("Answer")

clock = time.thread_time
"""The clock that questions are timed by: the processor time of this thread, in seconds."""


class Unknown(Exception):
    """There is no answer within the bounds."""


class TimedOut(Unknown):
    """SymPy took longer than it was given."""


class TooLarge(Unknown):
    """The expression is over a bound on its size."""


class _Expired(BaseException):
    """The time is up. Not an `Exception`, so that no handler in SymPy takes it for a failed attempt."""


def limited(function: Callable[[], Answer], seconds: float = SECONDS) -> Answer:
    """Return `function()`, or raise `TimedOut` after `seconds` of work, or `TooLarge` where it recursed too deeply.

    A trace function looks at the clock on every line of SymPy's: it stops any Python code in any thread on any
    platform, and it raises in the thread itself at a known place (an exception sent from another thread or by a signal
    could arrive too late, or in somebody else's code). Tracing makes SymPy three times slower; in the main thread of a
    POSIX system it therefore begins only when a timer signal says that the time is up. Signal handler, timer and trace
    function are as before afterwards; a timer that was running goes on where it would have been.
    """
    try:
        return _by_signal(function, seconds) if _signals_work() else _by_trace(function, seconds)
    except RecursionError:
        raise TooLarge("the expression is nested too deeply") from None


def _signals_work() -> bool:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return False
    return signal.getsignal(signal.SIGALRM) is not None  # a handler not installed from Python can't be put back


def _lateness(seconds: float) -> Callable[[], float]:
    """Return what tells how many seconds ago the time was up; negative before."""
    worked, waited = clock() + seconds, time.monotonic() + PATIENCE * seconds
    return lambda: max(clock() - worked, time.monotonic() - waited)


def _watch(function: Callable[[], Answer], lateness: Callable[[], float]) -> Callable[[FrameType, str, Any], Any]:
    """Return a trace function that raises once the time is up.

    At first it raises in frames of SymPy, mpmath and the module of `function` only, then in any. Garbage collection and
    weak references call functions at any moment, and an exception raised in one of those is printed and lost: it never
    raises in those that are known. Nor does it raise in this module, which would be while it tidies up.
    """
    own = getattr(function, "__module__", None)
    collecting = {getattr(callback, "__code__", None) for callback in gc.callbacks}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        late = lateness()
        name = frame.f_globals.get("__name__", "")
        welcome = late > _GRACE or name == own or name.partition(".")[0] in ("sympy", "mpmath")
        lost = frame.f_code in collecting or frame.f_code.co_name == "__del__"
        if late >= 0 and welcome and not lost and name != __name__:
            raise _Expired
        return trace

    return trace


def _by_signal(function: Callable[[], Answer], seconds: float) -> Answer:
    lateness = _lateness(seconds)
    trace = _watch(function, lateness)

    over = False

    def expire(number: int, frame: FrameType | None) -> None:
        if over or lateness() < 0:
            return  # too late for this call; or others had the processor meanwhile, and the next signal comes soon
        # The signal may find any function running, so it doesn't raise: it has every frame of the call traced.
        while frame is not None and frame.f_code is not _by_signal.__code__:
            frame.f_trace = trace
            frame = frame.f_back
        sys.settrace(trace)

    started, previous = time.monotonic(), sys.gettrace()
    handler = signal.signal(signal.SIGALRM, expire)
    delay, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        return function()
    except _Expired:
        raise TimedOut(f"no answer in {seconds:g} s") from None
    finally:
        # In this order: a signal that was sent means nothing, none is sent, none is on its way, and nothing is traced.
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        _take_pending()
        sys.settrace(previous)
        signal.signal(signal.SIGALRM, handler)
        if delay:
            left = delay - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6), interval)


def _take_pending() -> None:
    """Take a signal of the timer that was sent and hasn't arrived.

    The system may hand it to any thread, such as one of a numerical library that sleeps and comes to it much later on a
    busy machine. By then the handler is another, and the default one ends the process.
    """
    if hasattr(signal, "sigtimedwait"):
        signal.sigtimedwait({signal.SIGALRM}, 0)


def _by_trace(function: Callable[[], Answer], seconds: float) -> Answer:
    previous = sys.gettrace()
    sys.settrace(_watch(function, _lateness(seconds)))
    try:
        return function()
    except _Expired:
        raise TimedOut(f"no answer in {seconds:g} s") from None
    finally:
        sys.settrace(previous)


def measure(expr: ir.Expr) -> tuple[int, int]:
    """Return the number of nodes (shared parts counted again) and the depth of an expression, in linear time."""
    known: dict[int, tuple[int, int]] = {}

    def walk(node: ir.Expr) -> tuple[int, int]:
        if id(node) not in known:
            parts = [walk(part) for part in ir.operands(node)]
            known[id(node)] = (1 + sum(size for size, _ in parts), 1 + max((depth for _, depth in parts), default=0))
        return known[id(node)]

    return walk(expr)


def check_size(expr: ir.Expr) -> None:
    """Raise `TooLarge` where an expression is too large or too deep for SymPy."""
    try:
        size, depth = measure(expr)
    except RecursionError:
        raise TooLarge("the expression is nested too deeply") from None
    if size > MOST_NODES:
        raise TooLarge(f"the expression has {size:,} nodes; the limit is {MOST_NODES:,}")
    if depth > DEEPEST:
        raise TooLarge(f"the expression is nested {depth} deep; the limit is {DEEPEST}")
