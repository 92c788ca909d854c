"""Work that is shared among threads, which start and end with it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

Piece = TypeVar("Piece")

MOST_THREADS = 8
"""Beyond so many, threads of NumPy operations wait for the interpreter more than they work."""


def taken(queue: deque[Piece]) -> Iterator[Piece]:
    """Yield the pieces of work that no other thread has taken, until there are none."""
    while True:
        try:
            piece = queue.popleft()
        except IndexError:
            return
        yield piece


def share(work: Callable[[int], None], workers: int) -> None:
    """Call `work(0)` in this thread and `work(1)` to `work(workers - 1)` in a thread each, and wait for all.

    None begins before every thread runs, so that a lack of threads changes nothing: MemoryError then. The first
    exception of a worker is raised when all have ended.
    """
    if workers <= 1:
        work(0)
        return
    ready = threading.Barrier(workers)
    failures: list[BaseException] = []

    def begin(worker: int) -> None:
        try:
            ready.wait()
            work(worker)
        except threading.BrokenBarrierError:
            return  # another couldn't begin, and says why
        except BaseException as error:
            failures.append(error)

    started: list[threading.Thread] = []
    try:
        for worker in range(1, workers):
            thread = threading.Thread(target=begin, args=(worker,))
            thread.start()
            started.append(thread)
    except BaseException as error:
        ready.abort()
        lack = isinstance(error, RuntimeError)
        message = f"no thread could be started for a step; nothing was changed: {error}"
        failures.append(MemoryError(message) if lack else error)
    else:
        begin(0)
    for thread in started:
        _wait(thread, failures)
    if failures:
        raise failures[0]


def _wait(thread: threading.Thread, failures: list[BaseException]) -> None:
    """Wait for a thread to end, and put an interrupt off until then: it writes to arrays of the caller."""
    while thread.is_alive():
        try:
            thread.join()
        except BaseException as error:
            failures.append(error)
