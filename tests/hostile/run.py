"""Running the program on an input, under limits, in a copy of a process that has it loaded already."""

from __future__ import annotations

import os
import re
import resource
import signal
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .inputs import Input

SECONDS = 2
"""Processor time that one verb may take for one input, loading and the C compiler apart."""
MEMORY = 512 << 20
"""Address space of the whole process, in bytes."""
PATIENCE = 300
"""Seconds on the wall after which a process that does nothing counts as hanging."""
VIEWS = ("math", "latex", "tree", "kernel", "numpy", "c", "json")
_UNSEEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")


@dataclass(frozen=True)
class Run:
    """How one verb ended: its exit status (negative for a signal), what it printed, processor seconds, peak memory."""

    verb: tuple[str, ...]
    status: int
    output: str
    seconds: float
    peak: int

    @property
    def wrong(self) -> str:
        """What is wrong with it, in words; empty where nothing is."""
        if self.status < 0:
            return f"ended by {signal.Signals(-self.status).name} after {self.seconds:.2f} s of processor time"
        if "Traceback (" in self.output or "internal error" in self.output or "Exception ignored" in self.output:
            return "a failure inside the program"
        if self.status > 3:
            return f"exit status {self.status}"
        if self.status == 1 and not re.search(r"(error|warning)\[[a-z-]+\]: ", self.output):
            return "findings without a slug"
        if self.status in (2, 3) and not self.output.strip():
            return "a failure without a word"
        if re.search(r"error\[too-complex\]: (?!.*the limit is)", self.output):
            return "a limit without its name"
        hidden = _UNSEEN.search(self.output)
        return f"prints U+{ord(hidden.group()):04X} as it is" if hidden else ""


def verbs(number: int) -> tuple[tuple[str, ...], ...]:
    """Return what an input of some number is put through. The last one may change the file."""
    return (
        ("check", "--seconds", "1"), ("show", "--as", VIEWS[number % len(VIEWS)]),
        ("compile", "-t", "numpy", "-o", "out"),
        ("compile", "-t", "c", "-o", "out"), ("fmt", "--unicode") if number % 2 else ("fmt",),
    )  # fmt: skip


def preload() -> None:
    """Load what any verb loads, so that copies of this process begin where a program that has started is."""
    import optdsl.algebra.equivalence
    import optdsl.algebra.propose
    import optdsl.building
    import optdsl.cli
    import optdsl.doctor
    import optdsl.jobs
    import optdsl.show
    from optdsl import checks, claims, loading, pipeline, targets, workers
    from optdsl.source import SourceFile
    from optdsl.syntax.format import formatted

    loaded = (checks.checks(), claims, loading, workers, optdsl.algebra, targets.find("c"), targets.find("numpy"))
    rule = "rule R(x, g)\nhyper\n  lr = 0.1\nupdate\n  x' = x - lr*(g + lr*g)^2/(g + 1)\nclaim\n  still when lr = 0\n"
    source = SourceFile("r.opt", rule)
    assert loaded
    assert pipeline.check(source).rule is not None
    assert formatted(source)
    for target in ("numpy", "c"):
        pipeline.compile_source(source, target, "r")


def runs(given: Input, number: int, aside: Path, quick: bool = False) -> Iterator[Run]:
    """Yield how each verb fares with an input, with `quick` only two of them, in turns.

    `aside` is a folder for the cache and for the compiler's wrapper.
    """
    every = verbs(number)
    with TemporaryDirectory(dir=aside) as name:
        folder = Path(name)
        given.write(folder)
        for verb in (every[0], every[1 + number % 4]) if quick else every:
            yield run(verb, given.name, folder, aside)


def run(verb: tuple[str, ...], file: str, folder: Path, aside: Path) -> Run:
    """Run one verb on a file of a folder."""
    arguments = [*verb, "--", file]
    output = aside / "output"
    pid = os.fork()
    if pid == 0:
        _become(arguments, folder, output, aside)
    status, peak = _waited(pid)
    spoken = output.read_bytes().decode("utf-8", "backslashreplace")
    code = os.waitstatus_to_exitcode(status)
    taken = aside / "seconds"
    own = float(taken.read_text()) if taken.exists() else float(SECONDS)
    taken.unlink(missing_ok=True)
    return Run(verb, code, spoken, own, peak)


def _become(arguments: list[str], folder: Path, output: Path, aside: Path) -> None:
    """Be the program, in a copied process; doesn't return."""
    status = 70
    try:
        os.chdir(folder)
        given, printed = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for source, target in ((given, 0), (printed, 1), (printed, 2)):
            os.dup2(source, target)
        os.environ.update(OPTDSL_CACHE_DIR=str(aside / "cache"), OPTDSL_CC=str(_compiler(aside)), NO_COLOR="1")
        sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, resource.RLIM_INFINITY))
        status = _main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        (aside / "seconds").write_text(str(time.process_time()))
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    os._exit(status)


def _main(arguments: list[str]) -> int:
    from optdsl.cli import main

    try:
        main(arguments, prog_name="optdsl")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _compiler(aside: Path) -> Path:
    """Return a compiler that is the usual one with limits of its own, for it is another program."""
    path = aside / "cc"
    if not path.exists():
        # Unoptimised: how long a compiler takes over the code is not what is looked at here.
        path.write_text(f'#!/bin/sh\nulimit -S -t {10 * SECONDS} -v unlimited\nexec cc "$@" -O0\n')
        path.chmod(stat.S_IRWXU)
    return path


def _waited(pid: int) -> tuple[int, int]:
    """Return how a process ended, and the most memory that it or its compiler had."""
    until = time.monotonic() + PATIENCE
    pause = 0.001
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return status, usage.ru_maxrss << 10
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            return status, usage.ru_maxrss << 10
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
