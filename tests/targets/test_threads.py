"""Threads, forks and the floating-point environment: none of them shows in the numbers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from optdsl import bases, bundled
from optdsl.loading import load, loads
from optdsl.pipeline import rule_of
from optdsl.runtime import toolchain
from optdsl.runtime.optimizer import Optimizer
from optdsl.source import read

from . import rules
from .support import Array, Float, assert_same_path, gradients_of, start_of, walk

ROOT = Path(__file__).resolve().parents[2]

LARGE: dict[str, tuple[int, ...]] = {
    "small": (5,), "large": (7 * (1 << 18) + 12345,), "matrix": (3, 70001), "empty": (0,), "larger": ((1 << 21) + 77,),
}  # fmt: skip
"""Shapes for which every target starts several threads, at sizes that no number of threads divides."""

LAMB = (rules.SAMPLES / "lamb.opt").read_text(encoding="utf-8")
THREADED = {
    "adam": None,
    "asgd": None,
    "nadam": None,
    "lamb": LAMB,
    **{name: rules.FOLDS[name] for name in ("twice", "sum", "of-new")},
}


def made(name: str, target: str) -> type[Optimizer]:
    """Return the class of one of the rules above."""
    text = THREADED.get(name)
    return loads(text, target) if text else load(name, target)


@pytest.mark.parametrize("name", THREADED)
def test_the_number_of_threads_does_not_show(
    name: str, target: str, dtype: Float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread or seven leave the same bits, reductions included."""
    chance = np.random.default_rng(1)
    start = {key: np.asarray(chance.standard_normal(shape)).astype(dtype) for key, shape in LARGE.items()}
    gradients = [{key: np.roll(value, 1 + step) for key, value in start.items()} for step in range(2)]
    paths = []
    for count in (1, 2, 3, 7):
        monkeypatch.setenv("OPTDSL_NUM_THREADS", str(count))
        paths.append(walk(made(name, target), start, gradients, {}))
    for path in paths[1:]:
        assert_same_path(path, paths[0])


def test_separate_optimizers_in_threads(target: str) -> None:
    """Four threads that step an optimizer each leave what they would have left one after another."""
    shapes: dict[str, tuple[int, ...]] = {"a": (300, 5), "b": (70000,), "c": ()}
    names = ["adam", "lamb", "rmsprop", "twice"]
    data = [
        (start_of(shapes, np.dtype(np.float32), seed), gradients_of(shapes, np.dtype(np.float32), 30, seed + 50))
        for seed in range(4)
    ]
    serial = [walk(made(name, target), *given, {})[-1] for name, given in zip(names, data, strict=True)]
    parallel: dict[int, list[dict[str, Array]]] = {}
    barrier = threading.Barrier(4)

    def work(index: int) -> None:
        barrier.wait()
        parallel[index] = walk(made(names[index], target), *data[index], {})

    workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for index, last in enumerate(serial):
        assert_same_path([parallel[index][-1]], [last])


def python(script: str, **environment: str) -> str:
    """Run a script in a process of its own, with the tests' cache, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("name", ["adam", "lamb"])
def test_fork_after_threads(name: str, target: str) -> None:
    """A child forked after a threaded step steps on, with threads of its own, and exits."""
    script = f"""
import os, signal, sys
import numpy as np
from optdsl.loading import load, loads
from optdsl.pipeline import rule_of
optimizer_class = {"loads" if THREADED[name] else "load"}({(THREADED[name] or name)!r}, {target!r})
x = np.ones(1 << 22, np.float32)
g = np.full_like(x, 0.5)
optimizer = optimizer_class([x])
optimizer.step([g])
child = os.fork()
if child == 0:
    signal.alarm(60)
    optimizer.step([g])
    os._exit(0 if optimizer.step_count("0") == 2 and np.isfinite(x).all() and (x != 1).all() else 1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
optimizer.step([g])
print(optimizer.step_count("0"))
"""
    assert python(script, OPTDSL_NUM_THREADS="4").strip() == "2"


SUBNORMAL = """
import numpy as np
from optdsl.loading import load
def probe():
    small, wide = np.float32(2e-40), np.float64(2e-310)
    values = np.full(4097, 3e-42, np.float32)
    return (small * np.float32(0.5)).tobytes(), (wide * 0.5).hex(), (values * np.float32(0.5)).tobytes(), 2.0 ** -1060
before = probe()
assert np.float32(2e-40) * np.float32(0.5) != 0
optimizer_class = load("adam", {target!r})
assert probe() == before
x, v = np.full(4097, 1e-40, np.float32), np.full(4097, 1e-41, np.float32)
momentum = load("momentum", {target!r})([x], lr=0.5, momentum=0.5)
momentum.step([v])
assert (x == np.float32(1e-40) - v * np.float32(0.5)).all() and (x != 0).all(), x
y = np.ones(1 << 21, np.float32)
optimizer = optimizer_class([y])
optimizer.step([np.full_like(y, 1e-30)])
assert probe() == before
print(momentum.state["0"]["b"].tobytes().hex()[:64], x.tobytes().hex()[:64])
"""


def test_subnormals_survive(target: str) -> None:
    """Loading a rule, and stepping it on several threads, flushes nothing to zero, in the rule or outside it."""
    python(SUBNORMAL.format(target=target), OPTDSL_NUM_THREADS="3")


def test_flags_of_the_environment_are_not_taken(
    both_targets: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's CFLAGS make the arithmetic fast and loose."""
    flags = dict.fromkeys(("CFLAGS", "CPPFLAGS", "LDFLAGS"), "-Ofast -ffast-math")
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    script = SUBNORMAL.format(target="c")
    assert python(script, OPTDSL_CACHE_DIR=str(cache), **flags) == python(script)
    built = list(cache.glob("*/lib*.so"))
    names = {library.name for library in built} - {"libgather.so"}  # which takes Python's headers
    assert names == {"libadam.so", "libmomentum.so"}, "the rules weren't built under those flags"
    plain = Path(os.environ["OPTDSL_CACHE_DIR"])
    for library in built:
        assert library.read_bytes() == (plain / library.parent.name / library.name).read_bytes()


def test_no_flag_loosens_arithmetic() -> None:
    """The flags of the toolchain name none that changes what IEEE 754 says."""
    loose = {
        "-Ofast",
        "-ffast-math",
        "-funsafe-math-optimizations",
        "-ffinite-math-only",
        "-fassociative-math",
        "-ffp-contract=fast",
    }
    assert not loose & set(toolchain.FLAGS)
    assert "-ffp-contract=off" in toolchain.FLAGS


def _with_scalar_states() -> list[str]:
    """Return the bundled rules that have a number of their own for each parameter."""
    found = []
    for name in bundled.names():
        path = bundled.path(name)
        assert path is not None
        source = read(path)
        if "scalar" in "".join([source.text, *bases.texts(source)]):
            found += [name] if any(state.scalar for state in rule_of(source).states) else []
    return found


@pytest.mark.parametrize("name", _with_scalar_states())
def test_a_bundled_rule_is_safe_to_split(name: str, target: str) -> None:
    """A rule whose parts need the whole tensor is never split: two blocks with a scalar state count one step."""
    made = load(name, target)
    scalars = [state.name for state in made.rule.states if state.scalar]
    assert scalars
    x, g = np.ones((1 << 21) + 1), np.zeros((1 << 21) + 1)
    g[-1] = 1.0  # so that a norm is that of one element
    optimizer, small = made([x]), made([np.ones(1)])
    optimizer.step([g])
    small.step([np.ones(1)])
    for state in scalars:
        ours, alone = (float(each.state["0"][state]) for each in (optimizer, small))
        # A mean over the elements is that much smaller; a step counted twice would be neither.
        assert ours in (alone, pytest.approx(alone / x.size, rel=1e-12)), state
