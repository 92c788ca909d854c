"""Tensors of PyTorch as gradients, where it is installed."""

from __future__ import annotations

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
