"""Forks and threads, of the caller and of a step: they neither hang nor show in the numbers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optdsl.loading import load

CHILDREN = 100

FORKED = """
import os, signal
import numpy as np
from optdsl.loading import load
made = load("momentum", {target!r})
size = (2 << 20) + 77
def begun():
    x, g = np.ones(size, np.float32), np.full(size, 0.5, np.float32)
    optimizer = made([x], clip_norm=1e9)
    optimizer.step([g])
    return x, g, optimizer
expected, g, optimizer = begun()
optimizer.step([g])
x, g, optimizer = begun()
def child():
    signal.alarm(120)
    optimizer.step([g])
    os._exit(0 if x.tobytes() == expected.tobytes() and optimizer.step_count("0") == 2 else 1)
ends = []
for _ in range({children} // 5):
    some = []
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            child()
        some.append(pid)
    ends += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in some]
assert optimizer.step_count("0") == 1
optimizer.step([g])
assert x.tobytes() == expected.tobytes()
print(ends.count(0))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_children_forked_after_a_threaded_step(target: str, run: Callable[..., str]) -> None:
    """Each of 100 steps on, on threads of its own, to the bits its parent comes to, and ends."""
    script = FORKED.format(target=target, children=CHILDREN)
    assert int(run(script, OPTDSL_NUM_THREADS="2")) == CHILDREN


RULES = ["adam", "lamb", "nadam", "rmsprop", "lion", "adammini", "momentum", "asgd"]


def stepped(name: str, target: str, seed: int, steps: int) -> bytes:
    """Return what is left of a walk of its own."""
    chance = np.random.default_rng(seed)
    parameters: dict[str, Any] = {
        "a": chance.standard_normal((3, 5)),
        "b": chance.standard_normal(17).astype(np.float32),
    }
    gradients = [{key: np.asarray(np.roll(value, i)) for key, value in parameters.items()} for i in range(7)]
    optimizer = load(name, target)(parameters, clip_norm=1.0 + seed, nonfinite="raise")
    for step in range(steps):
        optimizer.step(gradients[step % 7])
    states = [value.tobytes() for key in parameters for value in optimizer.state[key].values()]
    assert optimizer.step_count("a") == steps
    return b"".join([*(value.tobytes() for value in parameters.values()), *states])


@pytest.mark.parametrize("steps", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_separate_optimizers_in_eight_threads(steps: int, target: str) -> None:
    """They leave the bits that they leave one after another."""
    serial = [stepped(name, target, seed, steps) for seed, name in enumerate(RULES)]
    parallel: dict[int, bytes] = {}
    barrier = threading.Barrier(len(RULES))

    def work(seed: int) -> None:
        barrier.wait()
        parallel[seed] = stepped(RULES[seed], target, seed, steps)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(len(RULES))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [parallel.get(seed) for seed in range(len(RULES))] == serial


@pytest.mark.parametrize("name", ["adammini", "lamb"])
def test_the_number_of_threads_does_not_show_in_norms(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all gradients, of parameters and of rows, for arrays that are stepped in place and on a copy."""
    chance = np.random.default_rng(3)
    shapes: list[tuple[int, ...]] = [((1 << 20) + 77,), (300, 4001), (5,), (3, 1 << 19)]
    values: list[Any] = [chance.standard_normal(shape).astype(np.float32) for shape in shapes]
    left = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("OPTDSL_NUM_THREADS", threads)
        parameters = [value.copy() for value in values[:3]] + [np.asfortranarray(values[3])]
        optimizer = load(name, target)(parameters, clip_norm=0.75, clip_value=2.0)
        for _ in range(2):
            optimizer.step(values)
        states = [value.tobytes() for key in "0123" for value in optimizer.state[key].values()]
        left.append([*(parameter.tobytes() for parameter in parameters), *states])
    assert left[1] == left[0]
    assert left[2] == left[0]
