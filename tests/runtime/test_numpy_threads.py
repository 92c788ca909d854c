"""How the NumPy target shares work among threads: all of it once, whatever fails on the way."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
import pytest

from optdsl.loading import load
from optdsl.runtime.blocks import BLOCK
from optdsl.runtime.crew import MOST_THREADS, share, taken
from optdsl.runtime.layout import WORTH, divide, workers_for


def test_all_work_is_done_once() -> None:
    """Threads take pieces until none is left, and end."""
    queue, done = deque(range(1000)), [0] * 1000
    before = threading.active_count()

    def work(worker: int) -> None:
        for piece in taken(queue):
            done[piece] += 1

    share(work, 4)
    assert done == [1] * 1000
    assert threading.active_count() == before


@pytest.mark.parametrize("failing", [0, 1, 3])
def test_a_failure_is_raised_when_all_have_ended(failing: int) -> None:
    """The others finish what they do, and then it is raised."""
    ended = []

    def work(worker: int) -> None:
        if worker == failing:
            raise ValueError("this one")
        ended.append(worker)

    with pytest.raises(ValueError, match="this one"):
        share(work, 4)
    assert sorted(ended) == [worker for worker in range(4) if worker != failing]


def test_a_lack_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a thread can't be started, none of the parameters is stepped, and a later step goes on."""
    start, begun = threading.Thread.start, []

    def refuse(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setenv("OPTDSL_NUM_THREADS", "3")
    parameters = [np.ones(3 * WORTH, np.float32), np.ones(3, np.float32), np.ones(4, np.float32)]
    gradients = [np.ones_like(value) for value in parameters]
    optimizer = load("adam", "numpy")(parameters, lr=0.5)
    optimizer.init_state()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(MemoryError, match="nothing was changed"):
        optimizer.step(gradients)
    assert all((value == 1).all() for value in parameters)
    assert not any(array.any() for state in optimizer.state.values() for array in state.values())
    assert [optimizer.step_count(name) for name in "012"] == [0, 0, 0]
    assert not begun[0].is_alive()
    optimizer.step(gradients)
    assert all((value == 0.5).all() for value in parameters)


def test_an_interrupt_waits_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt while the last part is worked on is raised when nobody writes to the arrays any more."""
    going, join = threading.Event(), threading.Thread.join
    interrupted: list[threading.Thread] = []
    ended: list[int] = []

    def interrupt(thread: threading.Thread, timeout: float | None = None) -> None:
        if not interrupted:
            interrupted.append(thread)
            going.set()
            raise KeyboardInterrupt
        join(thread, timeout)

    def work(worker: int) -> None:
        if worker == 1:
            assert going.wait(60)
            ended.append(worker)

    monkeypatch.setattr(threading.Thread, "join", interrupt)
    with pytest.raises(KeyboardInterrupt):
        share(work, 2)
    assert ended == [1]


@pytest.mark.parametrize("grain", [1, 7, 3 * BLOCK + 5, None])
@pytest.mark.parametrize("allowed", [1, 2, 3, 7])
@pytest.mark.parametrize("sizes", [[16 * WORTH], [500_000] * 40, [BLOCK, 5 * WORTH + 1, 3 * BLOCK + 17], [BLOCK], []])
def test_parts_are_the_whole(sizes: list[int], allowed: int, grain: int | None) -> None:
    """The parts of leaves are each leaf once, in whole blocks and grains; one that can't be divided isn't."""
    large = [(10 + index, size) for index, size in enumerate(sizes)]
    parts, workers = divide(large, None if grain is None else [grain] * len(large), allowed)
    assert 1 <= workers <= max(1, min(allowed, len(parts)))
    assert workers == 1 or sum(sizes) >= workers * WORTH
    for place, size in large:
        own = [part.elements for part in parts if part.place == place]
        assert own[0].start == 0
        assert own[-1].stop == size
        assert [part.stop for part in own[:-1]] == [part.start for part in own[1:]]
        assert grain is None or all(part.start % grain == 0 for part in own)
        assert grain != 1 or all(part.start % BLOCK == 0 for part in own)
        assert all(part.whole == (len(own) == 1) for part in parts if part.place == place)
        assert grain is not None or len(own) == 1


def test_few_elements_start_no_thread() -> None:
    """Threads are for a million elements each, and there is a limit to how many help."""
    assert workers_for([WORTH, WORTH - 1], 8) == 1
    assert workers_for([WORTH // 2] * 4, 8) == 2
    assert workers_for([1000 * WORTH], 1000) == MOST_THREADS
