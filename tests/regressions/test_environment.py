"""The process around an optimizer: its floating-point mode, its threads and its forks are left as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import optdsl

from .elsewhere import elsewhere
from .support import python

SUBNORMAL = """
import threading, numpy as np
def alive():
    tiny = np.array([2e-40], np.float32)
    return [5e-324 * 1.0 != 0, float(tiny[0] * np.float32(0.5)) != 0, float(np.float64(1e-310) / 4) != 0]
def everywhere():
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(alive()))
    thread.start(); thread.join()
    return alive() + seen
"""


@elsewhere("llvm/llvm-project#57589", "llvm/llvm-project#80475", "xiph/flac#476")
def test_flags_of_the_environment_do_not_reach_the_floating_point_mode(both_targets: None, tmp_path: Path) -> None:
    """Building and loading a rule under CFLAGS=-Ofast leaves subnormal numbers alive in every thread.

    A library linked with -ffast-math switches the thread that loads it, and all that it starts, to treating subnormal
    numbers as zero, in code that has nothing to do with it.
    """
    flags = dict.fromkeys(
        ("CFLAGS", "CPPFLAGS", "LDFLAGS", "CXXFLAGS"), "-Ofast -ffast-math -funsafe-math-optimizations"
    )
    done = python(
        f"""{SUBNORMAL}
import optdsl
x = np.ones(200_000, np.float32)
opt = optdsl.load("momentum", target="c")([x])
for _ in range(3): opt.step([np.ones_like(x)])
print(all(everywhere()))
""",
        {**flags, "OPTDSL_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


@elsewhere("symengine/symengine#1453", "uclouvain/openjpeg#488", "latte-int/latte#12")
def test_importing_changes_nothing_about_floats(target: str) -> None:
    """Importing, loading and stepping leave Python's and NumPy's floats and NumPy's error settings as they were.

    Importing a package made 1e-323 equal to 0 in pure Python.
    """
    done = python(f"""{SUBNORMAL}
settings, before = np.geterr(), everywhere()
import optdsl
x = np.ones(8)
optdsl.load("adam", target={target!r})([x]).step([np.zeros(8)])
print(all(before), everywhere() == before, np.geterr() == settings)
""")
    assert (done.stdout, done.stderr) == ("True True True\n", "")


@elsewhere("chelsea0x3b/dfdx#59", "LBANN/lbann#56", "chainer/chainer#2554")
def test_subnormal_states_keep_their_digits(target: str) -> None:
    """A state in the subnormal range decays as IEEE arithmetic says, digit by digit, and isn't cut to zero.

    Steps became slow as second moments fell into the subnormal range; the remedy was to flush such numbers to zero in
    the whole process.
    """
    dtypes: list[tuple[Any, float]] = [(np.float32, 1e-41), (np.float64, 1e-310)]
    for dtype, tiny in dtypes:
        x = np.ones(5, dtype)
        opt = optdsl.load("adam", target=target)({"W": x}, beta2=0.75)
        opt.init_state()
        start = (np.arange(1, 6) * tiny).astype(dtype)
        opt.state["W"]["v"][...] = start
        opt.step({"W": np.zeros(5, dtype)})
        assert (start > 0).all()
        np.testing.assert_array_equal(opt.state["W"]["v"], start * dtype(0.75))


@elsewhere("LBANN/lbann#2467")
def test_nothing_is_added_to_gradients_in_secret(target: str, dtype: np.dtype[np.floating]) -> None:
    """Zero gradients from the start leave parameters and moments at what they were, to the last bit.

    A small number had been added to every gradient so that moments stay clear of the subnormal range; it was taken out
    again because it made training unstable.
    """
    x = np.linspace(-2, 2, 9).astype(dtype)
    before = x.tobytes()
    opt = optdsl.load("adam", target=target)({"W": x})
    for _ in range(4):
        opt.step({"W": np.zeros(9, dtype)})
    assert x.tobytes() == before
    assert not opt.state["W"]["m"].any()
    assert not opt.state["W"]["v"].any()


@elsewhere("facebookresearch/faiss#5206", "OpenMathLib/OpenBLAS#240", "april-org/april-ann#173")
def test_a_child_forked_after_a_threaded_step_can_step(target: str) -> None:
    """After a step on several threads a forked child makes steps of its own and ends.

    The thread pool of an OpenMP runtime isn't there in a forked child, which waited for it for ever.
    """
    done = python(
        f"""
import os, signal, numpy as np, optdsl
opt = optdsl.load("adam", target={target!r})([np.ones(1 << 20, np.float32)])
g = np.ones(1 << 20, np.float32)
opt.step([g])
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        opt.step([g])
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
opt.step([g])
print(opt.step_count("0"))
""",
        {"OPTDSL_NUM_THREADS": "4"},
    )
    assert done.stdout == "7\n7\n7\n2\n", done.stderr
