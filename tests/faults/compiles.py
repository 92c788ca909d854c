"""Kills processes while they compile a rule: `python -m tests.faults compiles --count 200 --seed 1`.

The moments are drawn from the whole of a cold compile, the compiler's run among them. In turn the process alone is
killed, so that its compiler goes on by itself, or everything that it started with it, or the compiler alone. After each
kill, a run over the same cache must give the right numbers, and leave no debris in the cache or the temporary folder.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import support

LONGEST = 120.0
"""Seconds after which a run counts as stuck."""

WHO = ("the process", "all of it", "the compiler")


@dataclass
class Outcome:
    """How far a compile had come when somebody was killed, what was wrong, and how long the next run took."""

    who: str
    reached: str
    problems: list[str]
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--count", type=int, default=200, help="kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--staged", action="store_true", help="a compiler that hands out in pieces what another made")


def main(arguments: argparse.Namespace) -> int:
    """Kill, report, and return whether anything was wrong."""
    outcomes: list[Outcome] = []
    with suppress(KeyboardInterrupt):
        for outcome in kill(arguments.count, arguments.seed, arguments.staged):
            outcomes.append(outcome)
            for problem in outcome.problems:
                print(f"kill {len(outcomes)}, of {outcome.who} while {outcome.reached}: {problem}", flush=True)
    if not outcomes:
        return 1
    print(f"{len(outcomes)} kills of seed {arguments.seed}, of:", _counted([outcome.who for outcome in outcomes]))
    print("while:", _counted([outcome.reached for outcome in outcomes]))
    wrong = sum(bool(outcome.problems) for outcome in outcomes)
    longest = max(outcome.seconds for outcome in outcomes)
    print(f"{wrong} left something lost, stuck or lying about; the longest next run took {longest:.1f} s")
    return int(wrong > 0)


def _counted(words: list[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())


def kill(count: int, seed: int, staged: bool) -> Iterator[Outcome]:
    """Kill some compiles, each in a cache of its own, and yield what came of each."""
    drawn = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="optdsl-kills-") as folder:
        support.preload()
        extra = {"OPTDSL_CC": support.staged(Path(folder))} if staged else {}
        span = _whole(Path(folder) / "whole", extra)
        for number in range(count):
            moment = drawn.random() * 1.05 * span
            outcome, took = _once(Path(folder) / str(number), extra, WHO[number % len(WHO)], moment)
            if took:
                span = 0.8 * span + 0.2 * took  # the machine may be busier now than it was
            yield outcome


def environment_in(folder: Path) -> dict[str, str]:
    """Make the folders of a run and return the variables that name them."""
    (folder / "temporary").mkdir(parents=True, exist_ok=True)
    return {"OPTDSL_CACHE_DIR": str(folder / "cache"), "TMPDIR": str(folder / "temporary")}


def _run() -> None:
    found = support.answer()
    if found != support.ANSWER:
        raise AssertionError(f"the answer is {found}")


def _whole(folder: Path, extra: dict[str, str]) -> float:
    """Return the seconds that a cold compile takes."""
    start = time.monotonic()
    process = support.forked(_run, {**environment_in(folder), **extra}, folder / "log")
    if support.ended(process, LONGEST) != 0:
        raise RuntimeError((folder / "log").read_text(encoding="utf-8"))
    return time.monotonic() - start


def _once(folder: Path, extra: dict[str, str], who: str, moment: float) -> tuple[Outcome, float]:
    """Kill one compile and run it again; return what came of it and how long an undisturbed one took, 0 if unknown."""
    environment = {**environment_in(folder), **extra}
    start = time.monotonic()
    process = support.forked(_run, environment, folder / "log")
    status = support.ended(process, moment)
    took = 0.0
    if status is None:
        children = support.descendants(process)
        reached = _reached(folder / "cache", children)
        for victim in {"the process": [process], "all of it": [process, *children], "the compiler": children}[who]:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        status = support.ended(process, LONGEST)
    else:
        reached, took = "done", time.monotonic() - start
    problems = ["the killed process is stuck"] if status is None else []
    start = time.monotonic()
    again = support.ended(support.forked(_run, environment, folder / "log"), LONGEST)
    seconds = time.monotonic() - start
    if again is None:
        problems.append("the next run is stuck")
    elif again != 0:
        problems.append("the next run failed: " + (folder / "log").read_text(encoding="utf-8"))
    problems += [f"{path} is left" for path in debris(folder)]
    return Outcome(who, reached, problems, seconds), took


def _reached(cache: Path, children: list[int]) -> str:
    """Return what a compile is at, as seen from outside."""
    if not cache.exists():
        return "beginning"
    made = any(path.name.startswith("lib") for path in cache.glob("*/*"))
    if children:
        return "compiling the gatherer" if made else "compiling the rule"
    if any((cache / ".work").glob("build-*")):
        return "making an entry"
    return "between the libraries" if made else "waiting or reading"


def debris(folder: Path) -> list[str]:
    """Return what lies about that isn't a whole entry of the cache."""
    cache = folder / "cache"
    left = [path for path in cache.iterdir() if not (path / "manifest.txt").exists() and path.name != ".work"]
    return [str(path) for path in (*left, *(cache / ".work").glob("*"), *(folder / "temporary").iterdir())]
