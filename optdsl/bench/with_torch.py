"""Optimizers of PyTorch as contestants."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optdsl.bench.data import Array, Data
from optdsl.runtime.kernel import threads

WAYS: dict[str, dict[str, bool]] = {
    "torch-for": {"foreach": False},
    "torch-foreach": {"foreach": True},
    "torch-fused": {"fused": True},
    "torch-compiled": {"foreach": True},
}
"""What each way asks of an optimizer."""
FUSED = ("Adam", "AdamW", "SGD", "Adagrad")
"""Optimizers that PyTorch has a fused kernel of for the CPU."""


class Torch:
    """One of `torch.optim`, on parameters that share memory with NumPy's."""

    def __init__(self, way: str, kind: str, options: Mapping[str, Any], data: Data) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._torch.set_num_threads(threads())
        self._arrays = data.parameters()
        self._gradients = data.gradients()
        self._tensors = [self._torch.from_numpy(array).requires_grad_() for array in self._arrays]
        self.renew()
        optimizer = getattr(self._torch.optim, kind)(self._tensors, **options, **WAYS[way])
        self.step: Callable[[], object] = optimizer.step
        if way == "torch-compiled":
            self._torch.compiler.reset()  # what was compiled for other tensors counts against a limit
            self.step = self._torch.compile(optimizer.step)

    def renew(self) -> None:
        """Take other gradient tensors."""
        self._gradients.renew()
        for tensor, gradient in zip(self._tensors, self._gradients.now, strict=True):
            tensor.grad = self._torch.from_numpy(gradient)

    def parameters(self) -> Sequence[Array]:
        """Return the parameters."""
        return self._arrays
