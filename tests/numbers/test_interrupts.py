"""Ctrl-C at any moment of a step: the step is done, states and count included, or it was not begun."""

from __future__ import annotations

from collections.abc import Callable

import pytest

INTERRUPTED = """
import os, random, signal, threading, time
import numpy as np
from optdsl.loading import load

made, size = load("adam", {target!r}), {size}
parts = {parts}
one = np.ones(1, np.float32)
reference = made([one], lr=1e-3)
path = []
def at(count):
    while len(path) <= count:
        path.append((one[0], reference.state["0"]["m"][0], reference.state["0"]["v"][0]) if path else (one[0], 0, 0))
        reference.step([np.full(1, 0.5, np.float32)])
    return path[count]

parameters = [parts(np.ones(size, np.float32)) for _ in range(3)]
gradients = [np.full(parameter.shape, 0.5, np.float32) for parameter in parameters]
optimizer = made(parameters, lr=1e-3)
given = {given}
chance = random.Random(5)
raised, moments = 0, set()
begun = threading.Event()
def interrupt():
    for _ in range({times}):
        begun.wait()
        begun.clear()
        time.sleep(chance.random() * {longest})
        os.kill(os.getpid(), signal.SIGINT)
sender = threading.Thread(target=interrupt, daemon=True)
sender.start()
while raised < {times}:
    try:
        begun.set()
        while True:
            optimizer.step(given)
    except KeyboardInterrupt:
        raised += 1
    counts = [optimizer.step_count(str(i)) for i in range(3)]
    assert counts[0] == counts[2] and counts[1] == (counts[0] if given[1] is not None else 0), counts
    for i, (parameter, count) in enumerate(zip(parameters, counts)):
        if count == 0:
            assert (parameter == 1).all() and str(i) not in optimizer.state
            continue
        state = optimizer.state[str(i)]
        x, m, v = at(count)
        assert (parameter == x).all(), (i, count, "x")
        assert (state["m"] == m).all() and (state["v"] == v).all(), (i, count)
print(raised, counts[0])
"""
"""Steps identical elements for ever, interrupts at random moments, and compares with one element stepped as often."""

TIMES = 6

KINDS = {
    "all": ("lambda a: a", "gradients"),
    "some": ("lambda a: a", "[gradients[0], None, gradients[2]]"),
    "strided": ("lambda a: a.reshape(2, -1).T", "gradients"),
}


@pytest.mark.parametrize(("kind", "size"), [("all", 4), *((kind, 600_000) for kind in KINDS)])
def test_an_interrupted_step_is_done_or_not_begun(kind: str, size: int, target: str, run: Callable[..., str]) -> None:
    parts, given = KINDS[kind]
    longest = 0.002 if size == 4 else 0.01
    script = INTERRUPTED.format(target=target, size=size, parts=parts, given=given, times=TIMES, longest=longest)
    raised, steps = map(int, run(script, OPTDSL_NUM_THREADS="3").split())
    assert raised == TIMES
    assert steps > 0
