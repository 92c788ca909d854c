"""A parameter of more than 2^31 elements is stepped to its last one.

These take about 10 GiB of memory and a minute each: `pytest -m slow tests/numbers/test_large.py -n 0`.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import numpy as np
import pytest

from optdsl.loading import load
from optdsl.targets import c

SIZE = 2**31 + 8
PLACES = np.array([0, 1, 2**24 + 1, 2**30, 2**31 - 2, 2**31 - 1, 2**31, 2**31 + 1, SIZE - 1])
ROOT = Path(__file__).resolve().parents[2]
SKELETON = Path(c.__file__).with_name("skeleton.c")


def zeros(size: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return zeros that take no memory where they are only read."""
    # Shared pages, which are the default, would be made by reading them.
    return np.frombuffer(mmap.mmap(-1, 4 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.float32)


@pytest.mark.slow
def test_more_than_2_to_the_31_elements(target: str) -> None:
    """Each element is stepped once, and the norm is that of all."""
    x, g = zeros(SIZE), zeros(SIZE)
    g[PLACES] = 1 + np.arange(len(PLACES))
    norm = float(np.sqrt(((1.0 + np.arange(len(PLACES))) ** 2).sum()))
    optimizer = load("sgd", target)([x], lr=0.5, clip_norm=norm / 2, nonfinite="raise")
    optimizer.step([g])
    expected = -0.25 * (1 + np.arange(len(PLACES)))
    np.testing.assert_allclose(x[PLACES], expected, rtol=1e-6)
    assert sum(int(np.count_nonzero(x[at : at + 2**26])) for at in range(0, SIZE, 2**26)) == len(PLACES)
    assert optimizer.step_count("0") == 1
    g[-1] = np.nan
    before = x[PLACES]
    with pytest.raises(FloatingPointError, match="gradient of '0'"):
        optimizer.step([g])
    np.testing.assert_array_equal(x[PLACES], before)
    optimizer.nonfinite, optimizer.clip_norm = "propagate", None
    g[-1] = 0
    optimizer.step([g])
    np.testing.assert_allclose(x[PLACES[:-1]], (expected - 0.5 * (1 + np.arange(len(PLACES))))[:-1], rtol=1e-6)


def test_no_index_has_32_bits() -> None:
    """Whatever counts elements in C has 64: loops of `int` go over passes, lanes and a few iterations."""
    golden = sorted(ROOT.glob("tests/targets/golden/c/*.c.golden"))
    assert golden
    for path in (SKELETON, *golden):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        loops = re.findall(r"for \((?:const )?(\w+) (\w+) = ([^;]*);([^;]*);", text)
        assert len(loops) > 20
        for type_, name, begin, condition in loops:
            few = re.fullmatch(rf" {name} < (LANES|PHASES|\d+)", condition)
            rest = (name, begin, condition) == ("k", "0", " i < length")  # what is left after whole LANES
            assert type_ in ("int64_t", "float", "double") or (type_ == "int" and (few or rest)), (
                path,
                name,
                condition,
            )
        narrow = re.findall(r"[(,]\s*(?:const )?(?:int|unsigned|long|size_t|u?int32_t) (\w+)(?=[,)])", text)
        assert set(narrow) <= {"phase", "bits"}, (path, narrow)
