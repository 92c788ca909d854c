"""Making a rule that fails small, in a process of its own: what makes it smaller may crash or never end."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection

from .reduce import shrink
from .trial import Failure, try_rule
from .workers import Job

SECONDS = 600
"""Time on the wall for making a rule small."""


def smallest(job: Job, failure: Failure, seconds: float = SECONDS) -> str:
    """Return the smallest rule found that fails by the same oracle, or with the same error."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_shrink, args=(theirs, job, failure), daemon=True)
    process.start()
    theirs.close()
    text, end = job.text, time.monotonic() + seconds
    try:
        while ours.poll(max(0.0, end - time.monotonic())):
            text = ours.recv()
    except EOFError:
        pass
    finally:
        process.kill()
        process.join()
    return text


def _shrink(pipe: Connection, job: Job, failure: Failure) -> None:
    def fails(text: str) -> bool:
        failures = try_rule(text, job.number, job.dtypes).failures
        same = any(other.oracle == failure.oracle and _error(other) == _error(failure) for other in failures)
        if same:
            pipe.send(text)
        return same

    if not failure.detail.startswith("the process"):
        shrink(job.text, fails)


def _error(failure: Failure) -> str:
    """Return the error that ended the compiler, "" where it is its result that is wrong."""
    return failure.detail.partition(":")[0] if failure.oracle == "crash" else ""
