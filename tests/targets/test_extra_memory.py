"""The memory that a step takes besides parameters, gradients and states: little, whatever their size."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from .test_threads import python

MOST = 4 << 20

SHAPES = {
    "one": "[(1 << 24,)]",
    "square": "[(4096, 4096)]",
    "transformer": "[(5025, 768), (1024, 768), *[(768,), (768, 2304), (2304,), (768, 768), (768, 3072), (3072,)] * 4]",
    "vectors": "[(1 << 23,), (1 << 22, 2)]",
    "rows": "[(1, 1 << 23), (80, 100_003)]",
    "many": "[(100,)] * 1000",
    "uneven": "[(1 + i % 97, 1 + i % 31) for i in range(2000)]",
}
"""Shapes of parameters by name, as the text of an expression."""

STEP = """
import gc, sys, tracemalloc
import numpy as np
from optdsl.loading import load
shapes = {shapes}
parameters = [np.ones(shape, np.float32) for shape in shapes]
gradients = [np.full(shape, 0.5, np.float32) for shape in shapes]
optimizer = load({name!r}, {target!r})(parameters, **{options})
optimizer.init_state()
for state in optimizer.state.values():
    for array in state.values():
        np.add(array, 0, out=array)  # so that its pages are there
gc.collect()
{measure}
assert all(optimizer.step_count(str(i)) == 2 for i in range(len(shapes)))
"""

TRACED = """
tracemalloc.start()
optimizer.step(gradients)
tracemalloc.reset_peak()
before = tracemalloc.get_traced_memory()[0]
optimizer.step(gradients)
print(tracemalloc.get_traced_memory()[1] - before)
"""
"""Prints what NumPy and Python allocate at the peak of a step over what they held before."""

FIRST = """
tracemalloc.start()
optimizer.step(gradients)
held, peak = tracemalloc.get_traced_memory()
optimizer.step(gradients)
print(peak)
"""
"""Prints the peak of a first step, which also makes what later steps reuse."""

RESIDENT = """
import resource
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
optimizer.step(gradients)
optimizer.step(gradients)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
"""Prints by how much two steps raise the most memory that the process ever had."""


def measured(measure: str, target: str, shapes: str, name: str = "adam", **options: Any) -> int:
    """Return the bytes that a script of its own prints."""
    text = STEP.format(shapes=SHAPES[shapes], name=name, target=target, options=options, measure=measure)
    return int(python(text, OPTDSL_NUM_THREADS="2"))


@pytest.mark.parametrize("shapes", ["one", "transformer", "many", "uneven"])
def test_steps_allocate_little(target: str, shapes: str) -> None:
    """A step in a steady state takes little memory."""
    assert measured(TRACED, target, shapes) < MOST


@pytest.mark.parametrize("shapes", ["one", "transformer", "many"])
def test_first_steps_allocate_little(target: str, shapes: str) -> None:
    """What is made once and kept, work arrays and arenas, is little too."""
    assert measured(FIRST, target, shapes) < MOST


@pytest.mark.parametrize("name", ["adopt", "lamb", "adamp", "rprop", "nadam"])
def test_rules_with_many_work_arrays(target: str, name: str) -> None:
    """Rules that need many work arrays, or add elements up, take as little."""
    assert measured(FIRST, target, "square", name) < MOST


@pytest.mark.parametrize("measure", [FIRST, RESIDENT], ids=["first", "resident"])
@pytest.mark.parametrize("name", ["adamgc", "sgdgc"])
@pytest.mark.parametrize("shapes", ["one", "vectors", "rows"])
def test_numbers_of_rows_take_little(target: str, shapes: str, name: str, measure: str) -> None:
    """Nor do reductions over rows, however many rows there are, where nothing is reduced over whole tensors."""
    if measure == RESIDENT and sys.platform != "linux":
        pytest.skip("ru_maxrss is in kilobytes on Linux only")
    assert measured(measure, target, shapes, name) < MOST


def test_limits_on_gradients_allocate_little(target: str) -> None:
    """Neither the norm of all gradients nor the search for infinities takes more."""
    assert measured(FIRST, target, "one", clip_norm=0.25, nonfinite="skip") < MOST


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
@pytest.mark.parametrize("shapes", ["one", "transformer", "many"])
def test_little_becomes_resident(target: str, shapes: str) -> None:
    """Nor does memory that no allocator of Python sees."""
    assert measured(RESIDENT, target, shapes) < MOST
