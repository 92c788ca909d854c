"""One call for a whole step, whatever it steps."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from optdsl.loading import load
from optdsl.runtime.c_kernel import CKernel


def test_parameters_of_two_types_step_together(target: str) -> None:
    single, double = np.zeros(3, np.float32), np.zeros((2, 2))
    optimizer = load("flux/momentum", target)([single, double], eta=0.5)
    optimizer.step([np.ones(3, np.float32), None])
    optimizer.step([np.ones(3, np.float32), np.ones((2, 2))])
    optimizer.step([None, np.ones((2, 2))])
    assert single.tolist() == pytest.approx([-0.5 - 0.95] * 3)
    assert double.ravel().tolist() == pytest.approx([-0.5 - 0.95] * 4)
    assert (optimizer.step_count("0"), optimizer.step_count("1")) == (2, 2)


def test_a_plan_keeps_no_gradient_alive(target: str) -> None:
    x = np.zeros(3)
    optimizer = load("flux/descent", target)([x], eta=1.0)
    gradient = np.ones(3)
    kept = weakref.ref(gradient)
    optimizer.step([gradient])
    optimizer.zero_grad()
    del gradient
    gc.collect()
    assert kept() is None
    for value in (2.0, 3.0):  # an array that may lie where the first one lay is read anew
        optimizer.step([np.full(3, value)])
    assert x.tolist() == [-6.0] * 3


def test_a_library_without_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch, both_targets: None) -> None:
    optimizer_class = load("adam", "c")
    kernel = optimizer_class.kernel
    assert isinstance(kernel, CKernel)

    class Full:
        """A library whose step says that it got no memory."""

        optdsl_step = staticmethod(lambda *_: 1)

    full = CKernel(kernel.select, Full(), kernel.tensor_states)  # type: ignore[arg-type]
    monkeypatch.setattr(optimizer_class, "kernel", full)
    x = np.ones(3)
    optimizer = optimizer_class([x])
    with pytest.raises(MemoryError, match="nothing was changed"):
        optimizer.step([np.ones(3)])
    assert (optimizer.step_count("0"), len(optimizer.state), x.tolist()) == (0, 0, [1.0] * 3)
