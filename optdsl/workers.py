"""One function over many items, in a few processes at once.

Processes, because the compiler is Python and computes. They are started afresh (`spawn`): a forked copy of a process
with threads may hang.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")

FEWEST = 3
"""Items that are worth a process: each takes about half a second to start."""


def each(function: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Generator[Result, None, None]:
    """Yield `function(item)` of every item, in their order, worked out by up to `jobs` processes.

    `function` is one of a module, or a partial of one; it, the items and the results go through pipes. What a process
    fails at is done again in this one, so that errors are those that it raises here. Where the iterator is closed or
    interrupted, the processes end at once, and clean up what they were at.
    """
    jobs = min(jobs, len(items))
    if jobs < 2 or len(items) < FEWEST:
        yield from map(function, items)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_begin)
    finished = False
    try:
        futures = [pool.submit(_attempt, function, item) for item in items]
        for item, future in zip(items, futures, strict=True):
            done, result = _outcome(future)
            yield result if done else function(item)
        finished = True
    finally:
        if not finished:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
        pool.shutdown(cancel_futures=True)


def _attempt(function: Callable[[Item], Result], item: Item) -> tuple[bool, Result | None]:
    """Return whether a function succeeds, and its result."""
    try:
        return True, function(item)
    except Exception:
        return False, None
    except SystemExit:
        os._exit(1)  # told to end: everything is cleaned up by now, and the pool would go on with the next item


def _outcome(future: Future[Any]) -> tuple[bool, Any]:
    """Return what `_attempt` returned in a process; failure, where the process died or the result can't be sent."""
    try:
        return future.result()  # type: ignore[no-any-return]
    except Exception:
        return False, None


def _begin() -> None:
    """Prepare a process: Ctrl-C and warnings are the parent's to handle, and its end is ours, too."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(ValueError):
        signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_follow, daemon=True).start()


def _end(*_: object) -> None:
    raise SystemExit(1)  # so that temporary folders are removed and a running compiler is stopped


def _follow() -> None:
    """Wait until the parent is gone, however it went, and end this process."""
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is None:
        return
    parent.join()
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        os._exit(1)
