"""Kills processes while they save a checkpoint: `python -m tests.faults saves --count 200 --seed 1`.

The moments are drawn from the whole of a save. After each kill the file must load, and be bit for bit what was saved
before or what was being saved; the next save must come through and leave nothing else in the folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer

LONGEST = 120
"""Seconds after which a save counts as stuck."""

FILE = "state.safetensors"


@dataclass
class Outcome:
    """How far a save had come when it was killed, None if it was done; what was wrong; how long the next one took."""

    reached: str | None
    problems: list[str]
    span: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--count", type=int, default=200, help="processes to kill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--elements", type=int, default=200_000, help="numbers in each of two parameters")
    parser.add_argument("--folder", default=None, help="where to save, a temporary folder by default")


def made(elements: int) -> tuple[dict[str, Any], Optimizer]:
    """Return parameters and an optimizer with two states for each."""
    params = {"wide": np.zeros(elements), "single": np.zeros(elements, np.float32), "number": np.array(0.0)}
    return params, load("adam", "numpy")(params)


def hashed(opt: Optimizer) -> str:
    """Return a hash of all that a checkpoint keeps."""
    document = opt.state_dict()
    digest = hashlib.sha256(repr({**document, "state": None}).encode())
    for name, states in document["state"].items():
        for state, array in states.items():
            digest.update(f"{name}.{state} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def start_save(opt: Optimizer, path: Path) -> int:
    """Save in a process of its own, whose number is returned."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(LONGEST)
            opt.save(path)
            os._exit(0)
        except BaseException:
            os._exit(1)
    return child


def wait(child: int) -> int:
    """Return how a process ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def phase(folder: Path, path: Path, old: tuple[int, int]) -> str:
    """Return how far a save had come, by what it left in the folder."""
    left = [other for other in folder.iterdir() if other != path]
    now = path.stat()
    if (now.st_ino, now.st_mtime_ns) != old:
        return "after the rename"
    if not left:
        return "before anything was written"
    return "while writing" if left[0].stat().st_size < now.st_size else "written whole, before the rename"


def undisturbed(opt: Optimizer, path: Path) -> tuple[int, float]:
    """Save, and return how that ended and how many seconds it took."""
    start = time.monotonic()
    return wait(start_save(opt, path)), time.monotonic() - start


def trial(folder: Path, params: dict[str, Any], opt: Optimizer, moment: float) -> Outcome:
    """Step, kill the save that follows at a moment, look at what is left, and save again."""
    path, problems = folder / FILE, []
    old = hashed(opt)
    opt.step({name: np.full_like(value, opt.step_count("wide") + 1) for name, value in params.items()})
    new = hashed(opt)
    status = path.stat()
    child = start_save(opt, path)
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    finished = wait(child) == 0
    reached = phase(folder, path, (status.st_ino, status.st_mtime_ns))
    other = made(len(params["wide"]))[1]
    try:
        other.load(path)
    except (ValueError, OSError) as error:
        problems.append(f"lost: {error}")
    else:
        found = hashed(other)
        if found not in (old, new):
            problems.append("neither the old file nor the new one")
        if (found == new) != (reached == "after the rename"):
            problems.append(f"the file is the {'new' if found == new else 'old'} one {reached}")
    again, span = undisturbed(opt, path)
    if again:
        problems.append(f"the next save ended with {again}" + (", stuck" if again == -signal.SIGALRM else ""))
    debris = sorted(other.name for other in folder.iterdir() if other != path)
    if debris:
        problems.append(f"left behind: {', '.join(debris)}")
    return Outcome(None if finished else reached, problems, span)


def main(arguments: argparse.Namespace) -> int:
    """Run the trials, report, and return how many went wrong, 125 at most."""
    chance = random.Random(arguments.seed)
    phases: Counter[str] = Counter()
    wrong = late = 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        params, opt = made(arguments.elements)
        opt.step({key: np.ones_like(value) for key, value in params.items()})
        span = undisturbed(opt, folder / FILE)[1]
        while phases.total() < arguments.count and late <= 20 * arguments.count:
            # Now and then a moment past the end, for a save that takes longer than the last one.
            outcome = trial(folder, params, opt, chance.uniform(0, 1.2 * span))
            span = outcome.span
            wrong += bool(outcome.problems)
            for problem in outcome.problems:
                print(f"kill {phases.total() + 1}, {outcome.reached or 'too late'}: {problem}", flush=True)
            if outcome.reached is None:
                late += 1
            else:
                phases[outcome.reached] += 1
        size = (folder / FILE).stat().st_size
    print(f"{phases.total()} saves of {size:,} bytes killed, {wrong} went wrong (seed {arguments.seed})")
    for reached, count in phases.most_common():
        print(f"  {count:4} {reached}")
    print(f"  {late} more were done before their moment came, and don't count")
    return min(wrong, 125) or int(phases.total() < arguments.count)
