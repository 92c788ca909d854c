"""Running what has the shape of a torch optimizer: `step`, `param_groups`, `state`, gradients in `.grad`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..scenario import Array, Paths, Scenario, pack
from ..table import Row

Make = Callable[[list[Any]], Any]
"""What makes an optimizer of groups."""


@contextmanager
def float64() -> Iterator[Any]:
    """Give torch, with a default dtype of float64.

    Left at float32, scalar states (the product in NAdam, the step size in ASGD) would shift a path by up to 1e-5 of the
    distance travelled.
    """
    torch = importlib.import_module("torch")  # by name, so that types check alike with torch and without
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield torch
    finally:
        torch.set_default_dtype(before)


def versions() -> dict[str, str]:
    """Return the version of torch, without the build."""
    return {"torch": str(importlib.import_module("torch").__version__).split("+")[0]}


def arguments(kind: Callable[..., Any], row: Row) -> dict[str, Any]:
    """Return the row's options for a class, with its learning rate, and `foreach=False` where it can be said."""
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in row.options.items()}
    if row.lr is not None:
        options["lr"] = row.lr
    if "foreach" in inspect.signature(kind).parameters:
        options.setdefault("foreach", False)
    return options


def shown(optimizer: Any, entry: str, parameter: Any) -> Any:
    """Return a state of a parameter as the library keeps it (zero before it exists).

    `eval()` instead of a name stands for what the parameter is while the optimizer evaluates.
    """
    if entry == "eval()":
        optimizer.eval()
        value = parameter.detach().clone()
        optimizer.train()
        return value
    return optimizer.state[parameter].get(entry, 0 * parameter.detach()).clone()


class Runner:
    """Optimizers of one row: one for all parameters in groups, or one each where step counts are shared.

    A library that counts steps by group doesn't let a parameter without a gradient keep its own count; with an
    optimizer for each parameter, such a step isn't made.
    """

    def __init__(self, torch: Any, make: Make, row: Row, plan: Scenario, *, together: bool) -> None:
        self.torch, self.together = torch, together
        self.parameters = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in plan.start.items()}
        # The groups' rates are there at once: some make states from them, or keep them.
        rates = {} if row.lr is None else plan.rates(row.lr, 1)

        def group(names: tuple[str, ...]) -> dict[str, Any]:
            parameters = [self.parameters[name] for name in names]
            return {"params": parameters, "lr": rates[names[0]]} if rates else {"params": parameters}

        self.optimizers: dict[str, Any]
        if together:
            self.optimizers = dict.fromkeys(plan.start, make([group(names) for names, _ in plan.groups]))
        else:
            self.optimizers = {name: make([group((name,))]) for name in plan.start}

    def set_rates(self, rates: dict[str, float]) -> None:
        """Give each parameter's group its learning rate."""
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                if any(p is self.parameters[name] for p in group["params"]):
                    group["lr"] = rates[name]

    def step(self, gradients: dict[str, Array | None]) -> None:
        """Make one step of every optimizer that has a gradient."""
        for name, gradient in gradients.items():
            self.parameters[name].grad = None if gradient is None else self.torch.tensor(gradient)
        if self.together:
            next(iter(self.optimizers.values())).step()
            return
        for name, gradient in gradients.items():
            if gradient is not None:
                self.optimizers[name].step()

    def state(self, entry: str) -> Array:
        """Return a state of every parameter, end to end."""
        return pack({n: shown(self.optimizers[n], entry, p).numpy() for n, p in self.parameters.items()})

    def position(self) -> Array:
        """Return the parameters, end to end."""
        return pack({name: p.detach().numpy().copy() for name, p in self.parameters.items()})


def run(row: Row, plan: Scenario, make: Make, *, together: bool = False) -> Paths:
    """Return the paths of a row, with the optimizers that `make` makes of groups; torch's default is float64."""
    torch = importlib.import_module("torch")
    runner = Runner(torch, make, row, plan, together=together)
    paths: dict[str, list[Array]] = {"": [], **{name: [] for name in row.state}}
    for step, gradients in enumerate(plan.gradients, start=1):
        if row.lr is not None and step == plan.lr_change_step:
            runner.set_rates(plan.rates(row.lr, step))
        runner.step(gradients)
        if step in plan.recorded_steps:
            paths[""].append(runner.position())
            for name, entry in row.state.items():
                paths[name].append(runner.state(entry))
    return {name: np.stack(rows) for name, rows in paths.items()}
