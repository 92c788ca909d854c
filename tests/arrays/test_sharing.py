"""Parameters that share memory are refused; gradients that share it are taken as they were before the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.parameter import Parameter

from .support import Array, Tagged, after, everything

SHARING: dict[str, Callable[[Array], list[Any]]] = {
    "the same": lambda base: [base[:6], base[:6]],
    "the same object": lambda base: [base, base],
    "its own Parameter": lambda base: [base, Parameter(base)],
    "turned": lambda base: [base[:6].reshape(2, 3), base[:6].reshape(2, 3).T],
    "reversed": lambda base: [base[:6], base[:6][::-1]],
    "an end": lambda base: [base[:6], base[5:9]],
    "one element": lambda base: [base[::2], base[6:7]],
    "half an element": lambda base: [base[:4], base.view(np.uint8)[12:20].view(np.float32)],
    "crossing": lambda base: [base[::2], base[::3]],
    "another type": lambda base: [base[:6], base[4:8].view(np.float64)],
    "within": lambda base: [base, base[3:3].reshape(0), base[3:5]],
}


@pytest.mark.parametrize("kind", SHARING)
def test_parameters_that_share_memory_are_refused(kind: str, target: str) -> None:
    """In one group, in two, and in one that joins later."""
    base = np.arange(24, dtype=np.float32)
    kept, arrays = base.tobytes(), SHARING[kind](base)
    made = load("adam", target)
    named = {f"p{i}": array for i, array in enumerate(arrays)}
    pattern = f"'p0' and 'p{len(arrays) - 1}' (share memory|are the same array)"
    with pytest.raises(ValueError, match=pattern):
        made({"apart": np.ones(2), **named})
    with pytest.raises(ValueError, match=pattern):
        made([{"params": {name: array}} for name, array in named.items()])
    optimizer = made({"p0": arrays[0]})
    optimizer.step({"p0": np.ones(np.asarray(arrays[0]).shape, np.float32)})
    before, kept_now = everything(optimizer), base.tobytes()
    assert kept_now != kept
    rest = {name: array for name, array in named.items() if name != "p0"}
    with pytest.raises(ValueError, match=pattern):
        optimizer.add_param_group({"params": rest})
    assert everything(optimizer) == before
    assert base.tobytes() == kept_now


def states(optimizer: Optimizer, name: str = "x") -> list[Array]:
    return [array for array in optimizer.state[name].values() if array.ndim]


GIVEN: dict[str, Callable[[Array, Array, Optimizer], Array]] = {
    "itself": lambda x, y, opt: x,
    "itself, seen anew": lambda x, y, opt: x[:],
    "itself, turned round": lambda x, y, opt: x[::-1],
    "itself, reversed twice": lambda x, y, opt: x[::-1][::-1],
    "another parameter": lambda x, y, opt: y,
    "a state": lambda x, y, opt: states(opt)[0],
    "another's state": lambda x, y, opt: states(opt, "y")[1],
    "a state, reversed": lambda x, y, opt: states(opt)[1][::-1],
    "a subclass": lambda x, y, opt: x.view(Tagged),
}


@pytest.mark.parametrize("size", [5, 70_001])
@pytest.mark.parametrize("kind", GIVEN)
def test_a_gradient_is_taken_as_it_was(kind: str, size: int, target: str, dtype: np.dtype[np.floating]) -> None:
    """Whatever of the optimizer's own memory it lies in, and at every step again."""

    def steps(copied: bool) -> list[dict[str, bytes]]:
        x, y = (np.random.default_rng(seed).standard_normal(size).astype(dtype) for seed in (1, 2))
        optimizer = load("adam", target)({"x": x, "y": y}, lr=0.5)
        optimizer.step({"x": np.ones(size, dtype), "y": np.ones(size, dtype)})
        taken = []
        for name in ("x", "y", "x"):
            shared = GIVEN[kind](x, y, optimizer)
            given: dict[str, Any] = {"x": np.full(size, 0.5, dtype), "y": np.full(size, 0.25, dtype)}
            optimizer.step({**given, name: shared.copy() if copied else shared})
            taken.append(after(optimizer, {"x": x, "y": y}))
        return taken

    assert steps(copied=False) == steps(copied=True)


@pytest.mark.parametrize("size", [5, 70_001])
@pytest.mark.parametrize("shift", [-3, -1, 1, 2])
def test_a_gradient_that_is_shifted_against_its_parameter(shift: int, size: int, target: str) -> None:
    def steps(copied: bool) -> bytes:
        base = np.random.default_rng(1).standard_normal(size + 6).astype(np.float32)
        x, g = base[3 : 3 + size], base[3 + shift : 3 + shift + size]
        optimizer = load("adam", target)([x], lr=0.5)
        for _ in range(3):
            optimizer.step([g.copy() if copied else g])
        return base.tobytes()

    assert steps(copied=False) == steps(copied=True)


def test_one_gradient_for_many_parameters(target: str) -> None:
    """In one group and in two, also where one of them is stepped on a copy."""
    g = np.random.default_rng(1).standard_normal((3, 2))
    kept = g.copy()
    parameters = [np.ones((3, 2)), np.ones((3, 2)), np.ones((2, 3)).T]
    made = load("adam", target)
    optimizer = made([{"params": parameters[:1]}, {"params": parameters[1:]}], lr=0.5)
    alone = np.ones((3, 2))
    single = made([alone], lr=0.5)
    for _ in range(3):
        optimizer.step([g, g, g])
        single.step([kept])
    assert [np.ascontiguousarray(p).tobytes() for p in parameters] == [alone.tobytes()] * 3
    assert g.tobytes() == kept.tobytes()


def test_an_empty_parameter_in_the_middle_hinders_nothing(target: str) -> None:
    """Neither those before it nor those behind it, whichever of them has a gradient."""
    made = load("adam", target)
    shapes = [(3,), (0,), (2, 2), (0, 4), (), (4, 0, 2), (5,)]
    parameters = [np.ones(shape) for shape in shapes]
    optimizer = made(parameters, lr=0.5)
    alone = np.ones(1)
    single = made([alone], lr=0.5)
    for step in range(3):
        optimizer.step([np.ones(shape) for shape in shapes])
        single.step([np.ones(1)])
        assert [optimizer.step_count(str(i)) for i in range(7)] == [step + 1] * 7
    assert all((parameter == alone[0]).all() for parameter in parameters)
    optimizer.step([None if parameter.size else np.ones(parameter.shape) for parameter in parameters])
    assert [optimizer.step_count(str(i)) for i in range(7)] == [3, 4, 3, 4, 3, 4, 3]
    assert all((parameter == alone[0]).all() for parameter in parameters)
