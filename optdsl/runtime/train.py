"""The plain training loop, and stepping one parameter at a time, both as in Flux."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.wording import kind

LossAndGradients = Callable[..., tuple[Any, Any]]
Callback = Callable[[int, float], object]


def update(opt: Optimizer, parameter: Any, gradient: Any) -> None:
    """Step one parameter of an optimizer, found by identity, and leave the others alone.

    A parameter that the optimizer doesn't have yet joins its first group. Raises as `opt.step` does, and then nothing
    has changed.
    """
    if not isinstance(opt, Optimizer):
        raise TypeError(f"update takes an optimizer first, got {kind(opt)}")
    opt.update(parameter, gradient)


def train(
    loss_and_grad: LossAndGradients,
    params: Any,
    data: Any,
    opt: Optimizer,
    epochs: int = 1,
    batch_size: int | None = None,
    seed: int | None = None,
    callback: Callback | None = None,
) -> list[float]:
    """Step an optimizer through data.

    Args:
        loss_and_grad: Called as `loss_and_grad(params, *batch)`; returns the loss and the gradients in the structure of
            the parameters (or None where they are `Parameter`s and carry their own).
        params: The parameters, handed to `loss_and_grad` as they are.
        data: A tuple of arrays with the same first dimension, such as `(X, Y)`; or one array; or another iterable of
            batches, each a tuple of arguments, in which case `batch_size` must be None.
        opt: An optimizer over the parameters.
        epochs: How often to go through the data.
        batch_size: Examples per step: None for all of them, 1 for one at a time. The last batch may be smaller.
        seed: Shuffle the examples anew in each epoch, from this seed; None keeps their order.
        callback: Called after each step as `callback(step, loss)`, the first step being 1.

    Returns:
        The loss of each step, as it was before the step.

    Raises:
        TypeError: Data or counts of a wrong type.
        ValueError: No examples, differing first dimensions, a count below its least, or a spent iterator.
    """
    _check_count("epochs", epochs, 0)
    losses: list[float] = []
    for batch in _batches(data, epochs, batch_size, seed):
        result = loss_and_grad(params, *batch)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"loss_and_grad must return (loss, gradients); got {kind(result)}")
        loss = float(result[0])
        opt.step(result[1])
        losses.append(loss)
        if callback is not None:
            callback(len(losses), loss)
    return losses


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} takes a whole number; got {value!r}")
    if value < least:
        raise ValueError(f"{name} = {value} is below {least}")


def _batches(data: Any, epochs: int, batch_size: int | None, seed: int | None) -> Iterator[tuple[Any, ...]]:
    if isinstance(data, tuple) or hasattr(data, "__array__"):
        arrays = tuple(np.asarray(array) for array in (data if isinstance(data, tuple) else (data,)))
        return _slices(arrays, _examples(arrays), epochs, batch_size, seed)
    if not isinstance(data, Iterable):
        raise TypeError(f"data is {kind(data)}; expected a tuple of arrays, an array, or an iterable of batches")
    if batch_size is not None or seed is not None:
        raise TypeError(
            "data is an iterable of batches, which batch_size and seed can't divide; pass a tuple of arrays"
        )
    if isinstance(data, Iterator) and epochs > 1:
        raise ValueError("data is an iterator, which can be read once only; pass a list of batches")
    return _given(data, epochs)


def _given(data: Iterable[Any], epochs: int) -> Iterator[tuple[Any, ...]]:
    for _ in range(epochs):
        for batch in data:
            if not isinstance(batch, tuple):
                raise TypeError(f"a batch is {kind(batch)}; expected a tuple of arguments, such as (x, y)")
            yield batch


def _examples(arrays: Sequence[Any]) -> int:
    """Return how many examples the arrays hold."""
    if not arrays or any(array.ndim == 0 for array in arrays):
        raise ValueError("data must be arrays with a first dimension, one entry per example")
    counts = {len(array) for array in arrays}
    if len(counts) > 1:
        raise ValueError(f"data: the arrays differ in their first dimension: {[array.shape for array in arrays]}")
    count = counts.pop()
    if count == 0:
        raise ValueError("data has no examples")
    return count


def _slices(
    arrays: Sequence[Any], count: int, epochs: int, batch_size: int | None, seed: int | None
) -> Iterator[tuple[Any, ...]]:
    if batch_size is not None:
        _check_count("batch_size", batch_size, 1)
    size = count if batch_size is None else batch_size
    generator = None if seed is None else np.random.default_rng(seed)
    for _ in range(epochs):
        order = None if generator is None else generator.permutation(count)
        for start in range(0, count, size):
            part = slice(start, start + size)
            # Without shuffling a batch is a view, and copies nothing.
            yield tuple(array[part] if order is None else array[order[part]] for array in arrays)
