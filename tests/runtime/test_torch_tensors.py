"""Tensors of PyTorch as gradients, where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from optdsl.runtime.numpy_kernel import NumpyPlan

from .handmade import SGD

torch = pytest.importorskip("torch", reason="PyTorch isn't installed")


def test_tensors_are_read_without_copying(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones(3, np.float32)
    SGD([x], lr=1.0).step([torch.ones(3)])
    assert x.tolist() == [0.0] * 3
    seen: list[Any] = []
    monkeypatch.setattr(NumpyPlan, "run", lambda self, active, gradients, hypers: seen.append(gradients[0]))
    gradient = torch.ones(2, dtype=torch.float64)
    opt = SGD([np.ones(2)])
    for _ in range(2):
        opt.step([gradient])
    assert seen[0] is seen[1], "kernels see one object for the memory of a tensor"
    assert seen[0].ctypes.data == gradient.data_ptr()


def test_a_tensor_that_needs_a_gradient_is_refused_with_the_way_out() -> None:
    x = np.ones(3)
    with pytest.raises(TypeError, match="detach"):
        SGD([x]).step([torch.ones(3, dtype=torch.float64, requires_grad=True)])
    assert x.tolist() == [1.0] * 3


def test_a_tensor_is_no_parameter() -> None:
    with pytest.raises(TypeError, match=r"torch\.Tensor"):
        SGD([torch.ones(2)])


BESIDE_OPENMP = """
import os, signal
import numpy as np, torch
from optdsl.loading import load
torch.set_num_threads(3)
def work():
    return float((torch.ones(1 << 22) * 2).sum())  # in OpenMP's threads
x, g = np.ones(1 << 22, np.float32), np.full(1 << 22, 0.5, np.float32)
work()
optimizer = load("adam", {target!r})([x], lr=0.25)
optimizer.step([g])
assert work() == 1 << 23
child = os.fork()
if child == 0:
    signal.alarm(60)
    optimizer.step([g])
    os._exit(0 if optimizer.step_count("0") == 2 and (abs(x - 0.5) < 1e-3).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
optimizer.step([g])
print(optimizer.step_count("0"), work() == 1 << 23)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_steps_beside_another_runtime_of_threads(target: str) -> None:
    """PyTorch's OpenMP threads run in the same process, and a child forked after both have used theirs steps on."""
    done = subprocess.run(
        [sys.executable, "-c", BESIDE_OPENMP.format(target=target)], capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "OPTDSL_NUM_THREADS": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "True"]
