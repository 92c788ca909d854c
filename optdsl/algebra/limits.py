"""Bounds on what SymPy is asked: how large the question is, and how long the answer may take.

SymPy has operations that never end on a dozen nodes, and others that fill the memory in one call of C code. Size is
checked before SymPy sees an expression (`check_size`, `LARGEST_NUMBER`, …), because no clock interrupts a single long
operation on whole numbers; everything else is stopped by the clock, or by the memory it takes (`limited`). Whoever asks
many questions bounds what they take together: the checks of a rule, its claims, the search for cheaper forms.
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

try:
    import resource
except ImportError:  # not a POSIX system
    resource = None  # type: ignore[assignment]

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
MOST_MEMORY = 192 << 20
"""Bytes by which the process may grow beyond its largest size before, while a question is worked on."""
LARGEST_CONSTANT = 1e100
"""Magnitude of a constant that isn't rational: evaluating it takes digits in proportion to its exponent."""

_AGAIN = 0.02  # seconds after which time and memory are looked at again, and a swallowed expiry is repeated
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
    """The time is up, or the memory. Not an `Exception`, so that no handler in SymPy takes it for a failed attempt."""


def limited(function: Callable[[], Answer], seconds: float = SECONDS) -> Answer:
    """Return `function()`, or raise `TimedOut` after `seconds` of work.

    Raises `TooLarge` where it recursed too deeply, or where the process grew by more than `MOST_MEMORY`.

    A trace function looks at the clock on every line of SymPy's: it stops any Python code in any thread on any
    platform, and it raises in the thread itself at a known place (an exception sent from another thread or by a signal
    could arrive too late, or in somebody else's code). Tracing makes SymPy three times slower; in the main thread of a
    POSIX system it therefore begins only when a timer signal finds that a bound is passed. Signal handler, timer and
    trace function are as before afterwards; a timer that was running goes on where it would have been.
    """
    watch = _Watch(function, seconds)
    try:
        return _by_signal(function, watch) if _signals_work() else _by_trace(function, watch)
    except _Expired:
        raise watch.reason() from None
    except RecursionError:
        raise TooLarge("the expression is nested too deeply") from None


def _signals_work() -> bool:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return False
    return signal.getsignal(signal.SIGALRM) is not None  # a handler not installed from Python can't be put back


def _peak() -> int:
    """Return the most memory that this process ever had, in bytes; 0 where the system doesn't tell."""
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class _Watch:
    """The bounds of one question, and the trace function that raises once one is passed.

    At first it raises in frames of SymPy, mpmath and the module of the question only, then in any. Garbage collection
    and weak references call functions at any moment, and an exception raised in one of those is printed and lost: it
    never raises in those that are known. Nor does it raise in this module, which would be while it tidies up.
    """

    def __init__(self, function: Callable[[], object], seconds: float) -> None:
        self.seconds = seconds
        self.worked, self.waited = clock() + seconds, time.monotonic() + PATIENCE * seconds
        self.memory = _peak() + MOST_MEMORY
        self.filled: float | None = None
        self.over = False
        self.look = clock()
        self.own = getattr(getattr(function, "func", function), "__module__", None)
        self.collecting = {getattr(callback, "__code__", None) for callback in gc.callbacks}

    def lateness(self) -> float:
        """Return how many seconds ago a bound was passed; negative before, and once the question is over."""
        if self.over:
            return -1.0
        now = clock()
        if now >= self.look:
            self.look = now + _AGAIN
            if self.filled is None and _peak() > self.memory:
                self.filled = now
        late = max(now - self.worked, time.monotonic() - self.waited)
        return late if self.filled is None else max(late, now - self.filled)

    def reason(self) -> Unknown:
        """Return what to raise in place of the expiry."""
        if self.filled is not None:
            return TooLarge(f"the answer takes more than {MOST_MEMORY >> 20} MiB of memory")
        return TimedOut(f"no answer in {self.seconds:g} s")

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Raise in a welcome place once a bound is passed."""
        late = self.lateness()
        name = frame.f_globals.get("__name__", "")
        welcome = late > _GRACE or name == self.own or name.partition(".")[0] in ("sympy", "mpmath")
        lost = frame.f_code in self.collecting or frame.f_code.co_name == "__del__"
        if late >= 0 and welcome and not lost and name != __name__:
            raise _Expired
        return self.trace


def _by_signal(function: Callable[[], Answer], watch: _Watch) -> Answer:
    def expire(number: int, frame: FrameType | None) -> None:
        if watch.lateness() < 0:
            return  # nothing is passed yet; the next signal comes soon
        # The signal may find any function running, so it doesn't raise: it has every frame of the call traced.
        while frame is not None and frame.f_code is not _by_signal.__code__:
            frame.f_trace = watch.trace
            frame = frame.f_back
        sys.settrace(watch.trace)

    started, previous = time.monotonic(), sys.gettrace()
    handler = signal.signal(signal.SIGALRM, expire)
    delay, interval = signal.setitimer(signal.ITIMER_REAL, min(_AGAIN, watch.seconds), _AGAIN)
    try:
        return function()
    finally:
        # First, for a signal that has come already may be handled between any two of these lines, and begin tracing.
        watch.over = True
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


def _by_trace(function: Callable[[], Answer], watch: _Watch) -> Answer:
    previous = sys.gettrace()
    sys.settrace(watch.trace)
    try:
        return function()
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
