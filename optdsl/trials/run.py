"""Trying a rule on a problem: what a run does and what comes of it, without a word printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from time import perf_counter
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.runtime.optimizer import Optimizer
from optdsl.trials import digits
from optdsl.trials.digits import Score
from optdsl.trials.functions import FUNCTIONS, Function, Point

Progress = Callable[[int, float], object]
"""Called after each step with the number of steps done and the latest loss."""

BATCH = 32
DIGITS_STEPS = 1800
"""Forty epochs of batches."""
FUNCTION_STEPS = 12_000
"""Enough for Adam at its defaults to come to rest; long after that its second moment is used up and it leaps."""

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How a network does after some steps, on the images it was trained on and on those it was not."""

    step: int
    train: Score
    test: Score


@dataclass(frozen=True, slots=True)
class DigitsResult:
    """What came of training on the digits.

    Attributes:
        rule: The name of the rule.
        losses: The loss of each step's batch, before the step; the last isn't finite where the run diverged.
        checkpoints: The network before the first step, after every epoch and after the last step.
        seconds: The time training took, checkpoints left out.
    """

    rule: str
    losses: tuple[float, ...]
    checkpoints: tuple[Checkpoint, ...]
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the loss stopped being a finite number, which ended the run."""
        return not (isfinite(self.losses[-1]) and isfinite(self.checkpoints[-1].train.loss))


@dataclass(frozen=True, slots=True)
class FunctionResult:
    """What came of minimising a function.

    Attributes:
        rule: The name of the rule.
        function: The function.
        path: The points, the start first, float64 (steps + 1, 2).
        losses: The function's value at each point.
        seconds: The time the run took.
    """

    rule: str
    function: Function
    path: npt.NDArray[np.float64]
    losses: tuple[float, ...]
    seconds: float

    @property
    def end(self) -> Point:
        """The last point."""
        return float(self.path[-1, 0]), float(self.path[-1, 1])

    @property
    def diverged(self) -> bool:
        """Whether the value stopped being a finite number, which ended the run."""
        return not isfinite(self.losses[-1])


Result = DigitsResult | FunctionResult


def run_digits(
    optimizer_class: type[Optimizer],
    options: Mapping[str, Any] = _NONE,
    *,
    steps: int = DIGITS_STEPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> DigitsResult:
    """Train a network 64 - 128 - 10 on the handwritten digits in batches of 32.

    Args:
        optimizer_class: A compiled rule.
        options: Its options where they aren't its own defaults.
        steps: How many steps to make; 45 are an epoch.
        seed: Sets the first weights and the order of the images.
        progress: Called after each step.

    Raises:
        TypeError: An unknown option or one of a wrong type.
        ValueError: An option outside its interval, steps below 1, or a seed below 0.
    """
    _check_steps(steps)
    rng = np.random.default_rng(seed)
    train, test = digits.load()
    network = digits.new_network(rng)
    optimizer = optimizer_class(network, **options)
    losses: list[float] = []
    checkpoints = [Checkpoint(0, digits.score(network, train), digits.score(network, test))]
    epoch = -(-len(train) // BATCH)
    seconds = 0.0
    # Numbers that overflow are what divergence looks like; it is reported, and needs no warning per operation.
    with np.errstate(all="ignore"):
        for step, batch in enumerate(islice(digits.batches(train, BATCH, rng), steps), start=1):
            began = perf_counter()
            loss, gradients = digits.loss_and_gradients(network, batch)
            optimizer.step(gradients)
            seconds += perf_counter() - began
            losses.append(loss)
            if progress is not None:
                progress(step, loss)
            last = step == steps or not isfinite(loss)
            if last or step % epoch == 0:
                checkpoints.append(Checkpoint(step, digits.score(network, train), digits.score(network, test)))
            if last or not isfinite(checkpoints[-1].train.loss):
                break
    return DigitsResult(optimizer_class.rule.name, tuple(losses), tuple(checkpoints), seconds)


def run_function(
    optimizer_class: type[Optimizer],
    function: Function | str,
    options: Mapping[str, Any] = _NONE,
    *,
    steps: int = FUNCTION_STEPS,
    progress: Progress | None = None,
) -> FunctionResult:
    """Minimise a function of two numbers from its start, in float64.

    Args:
        optimizer_class: A compiled rule.
        function: The function or its name.
        options: The rule's options where they aren't its own defaults.
        steps: How many steps to make.
        progress: Called after each step.

    Raises:
        KeyError: No function of that name.
        TypeError: An unknown option or one of a wrong type.
        ValueError: An option outside its interval, or steps below 1.
    """
    _check_steps(steps)
    if isinstance(function, str):
        function = FUNCTIONS[function]
    point = np.array(function.start)
    optimizer = optimizer_class(point, **options)
    path = [function.start]
    began = perf_counter()
    with np.errstate(all="ignore"):
        loss, *gradient = function.at(*point)
        losses = [float(loss)]
        for step in range(1, steps + 1):
            if not isfinite(losses[-1]):
                break
            optimizer.step(np.array(gradient))
            loss, *gradient = function.at(*point)
            path.append((float(point[0]), float(point[1])))
            losses.append(float(loss))
            if progress is not None:
                progress(step, losses[-1])
    return FunctionResult(optimizer_class.rule.name, function, np.array(path), tuple(losses), perf_counter() - began)


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps = {steps} is below 1")
