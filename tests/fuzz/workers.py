"""Rules tried in processes of their own, so that one that crashes or never ends is a finding and not the end."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from .generate import rule_text
from .trial import DTYPES, Failure, Report, try_rule

RULES = 300
"""Rules after which a process is replaced: each leaves a library loaded."""
LARGE = 50
"""Every so many rules, a tensor is stepped that is worth two threads."""


@dataclass(frozen=True)
class Job:
    """A rule to try. Its element type is one of the two in turn, unless both are asked for.

    `seconds` is the processor time it may take; on the wall it may be ten times as long.
    """

    seed: int
    number: int
    both: bool = False
    seconds: int = 120

    @property
    def text(self) -> str:
        """The rule."""
        return rule_text(self.seed, self.number)

    @property
    def dtypes(self) -> tuple[Any, ...]:
        """The element types it is run in."""
        return DTYPES if self.both else (DTYPES[self.number % 2],)

    def run(self) -> Report:
        """Try it."""
        return try_rule(self.text, self.number, self.dtypes, large=self.number % LARGE == 0)


def results(jobs: Iterator[Job], processes: int, until: float) -> Iterator[tuple[Job, Report]]:
    """Yield what became of each rule, in the order they are done; none is begun once the clock shows `until`."""
    context = multiprocessing.get_context("spawn")
    workers = [_Worker(context) for _ in range(processes)]
    try:
        for worker in workers:
            worker.give(_next(jobs, until))
        while any(worker.job for worker in workers):
            busy = {worker.pipe: worker for worker in workers if worker.job}
            done = [busy[pipe] for pipe in wait(list(busy), timeout=5) if isinstance(pipe, Connection)]
            done += [worker for worker in busy.values() if worker not in done and worker.late()]
            for worker in done:
                yield worker.result()
                worker.give(_next(jobs, until))
    finally:
        for worker in workers:
            worker.stop()


def _next(jobs: Iterator[Job], until: float) -> Job | None:
    return next(jobs, None) if time.monotonic() < until else None


class _Worker:
    """A process and the rule it is at."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.job: Job | None = None
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = self.context.Pipe()
        self.process = self.context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.given = 0

    def give(self, job: Job | None) -> None:
        """Begin a rule, in a new process after many."""
        if self.given >= RULES and job is not None:
            self.stop()
            self._start()
        self.job, self.begun = job, time.monotonic()
        self.given += 1
        if job is not None:
            self.pipe.send(job)

    def late(self) -> bool:
        """Return whether the rule takes far too long, asleep or starved."""
        return self.job is not None and time.monotonic() - self.begun > 10 * self.job.seconds

    def result(self) -> tuple[Job, Report]:
        """Return what became of the rule, whose process may have died over it."""
        assert self.job is not None
        job, report = self.job, Report()
        if self.pipe.poll():
            with suppress(EOFError):
                return job, self.pipe.recv()
        self.process.join(0 if self.late() else 10)
        status = self.process.exitcode
        if status is None or status == -signal.SIGXCPU:
            report.failures.append(Failure("hang", f"no end within {job.seconds} s of processor time"))
        else:
            report.failures.append(Failure("crash", f"the process ended with status {status}"))
        self.stop()
        self._start()
        return job, report

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection) -> None:
    """Try rules until nobody asks for more, each within its processor time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OPTDSL_CC_TIMEOUT"] = (
        "1800"  # where others use the machine, too, a compiler isn't slow by its own fault
    )
    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + job.seconds, hard))
        pipe.send(job.run())
