"""Small parameters that the NumPy target gathers and steps together: nobody can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optdsl.loading import load, loads
from optdsl.runtime import arena
from optdsl.runtime.numpy_kernel import NumpyPlan
from optdsl.runtime.optimizer import Optimizer

from .support import Float, assert_same_path, drawn, snapshot

Array = npt.NDArray[Any]
Given = dict[str, Array | None]

SHAPES: dict[str, tuple[int, ...]] = {
    "number": (), "empty": (0,), "one": (1,), "row": (3,), "odd": (17,), "matrix": (3, 5), "more": (2, 3, 4),
    "some": (129,), "block": (16, 16), "last": (33,),
}  # fmt: skip

FOREIGN = """\
rule R(x, g)
state
  m: f32 = 0
  v: f64 = 0
update
  m' = ema(m, g, 0.75)
  v' = v + m'^2
  x' = x - m'*v'
"""
"""A rule whose states are stored in element types of their own."""


def plan_of(optimizer: Optimizer) -> NumpyPlan:
    """Return what the last step was planned with."""
    plan = optimizer._store.plan()
    assert isinstance(plan, NumpyPlan)
    return plan


def gathered(optimizer: Optimizer) -> list[list[str]]:
    """Return the names of the parameters that the last step gathered, batch by batch."""
    laid = plan_of(optimizer).laid
    assert laid is not None
    return [[leaf.name for leaf in batch.leaves] for batch in laid[1].batches]


def together_and_apart(made: type[Optimizer], groups: list[dict[str, Any]], gradients: list[Given]) -> Optimizer:
    """Step parameters in one optimizer and each in one of its own, compare, and return the one that has them all."""
    ours: dict[str, Array] = {name: value for group in groups for name, value in group["params"].items()}
    alone: dict[str, tuple[Array, Optimizer]] = {}
    for group in groups:
        options = {name: value for name, value in group.items() if name != "params"}
        for name, value in group["params"].items():
            copied = value.copy(order="K")
            alone[name] = copied, made({name: copied}, **options)
    optimizer = made(groups)
    for given in gradients:
        optimizer.step([{name: given[name] for name in group["params"]} for group in groups])
        for name, (_, single) in alone.items():
            single.step({name: given[name]})
        theirs: dict[str, Array] = {}
        begun = {name: value for name, value in ours.items() if optimizer.step_count(name)}
        for name in begun:
            theirs |= snapshot(alone[name][1], {name: alone[name][0]})
        assert_same_path([snapshot(optimizer, begun)], [theirs])
    return optimizer


def values(shapes: Mapping[str, tuple[int, ...]], dtype: Float, seed: int) -> dict[str, Array]:
    """Return arrays with everything there is in floating point."""
    chance = np.random.default_rng(seed)
    return {name: np.asarray(drawn(chance, shape, dtype)) for name, shape in shapes.items()}


def gradients(dtype: Float, steps: int = 4, **missing: list[int]) -> list[Given]:
    """Return the gradients of some steps, None at the steps that are named for a parameter."""
    drawn_: list[Given] = [{**values(SHAPES, dtype, 7 + step)} for step in range(steps)]
    for name, without in missing.items():
        for step in without:
            drawn_[step][name] = None
    return drawn_


def test_every_rule(rule: str, dtype: Float) -> None:
    """Every bundled rule does to many small parameters what it does to each."""
    optimizer = together_and_apart(load(rule, "numpy"), [{"params": values(SHAPES, dtype, 1)}], gradients(dtype))
    kernel = plan_of(optimizer).kernel
    assert gathered(optimizer) == ([list(SHAPES)] if kernel.separable and not kernel.shaped else [])


@pytest.mark.parametrize("name", ["adam", "nadam", "rprop"])
def test_missing_gradients(name: str, dtype: Float) -> None:
    """Parameters that have come to different step numbers are gathered apart."""
    given = gradients(dtype, 6, odd=[0], matrix=[0, 3], one=[1, 2], last=[5])
    optimizer = together_and_apart(load(name, "numpy"), [{"params": values(SHAPES, dtype, 2)}], given)
    assert {name: optimizer.step_count(name) for name in ("row", "odd", "matrix", "one", "last")} == {
        "row": 6, "odd": 5, "matrix": 4, "one": 4, "last": 5,
    }  # fmt: skip
    assert gathered(optimizer) == [["number", "empty", "row", "more", "some", "block"], ["one", "matrix"]]


def test_groups(dtype: Float) -> None:
    """Parameters with other hyperparameters, other states or another element type are gathered apart."""
    start = values(SHAPES, dtype, 3)
    names = list(SHAPES)
    groups: list[dict[str, Any]] = [
        {"params": {name: start[name] for name in names[::2]}, "lr": 0.5},
        {"params": {name: start[name] for name in names[1:5:2]}, "amsgrad": True},
        {"params": {name: start[name] for name in names[5::2]}, "ema": 0.5, "lr": lambda t: 1.0 / t},
    ]
    optimizer = together_and_apart(load("adam", "numpy"), groups, gradients(dtype))
    assert gathered(optimizer) == [list(group["params"]) for group in groups]


def test_element_types() -> None:
    """Element types are gathered apart."""
    singles, doubles = values(SHAPES, np.dtype(np.float32), 1), values(SHAPES, np.dtype(np.float64), 1)
    mixed = {name: (singles, doubles)[index % 2][name] for index, name in enumerate(SHAPES)}
    given: list[Given] = [{name: value.copy() for name, value in mixed.items()} for _ in range(3)]
    optimizer = together_and_apart(load("adam", "numpy"), [{"params": mixed}], given)
    assert gathered(optimizer) == [list(SHAPES)[::2], list(SHAPES)[1::2]]


def test_states_of_an_element_type_of_their_own(dtype: Float) -> None:
    """States that are stored otherwise than the parameter are gathered as they are stored."""
    made = loads(FOREIGN, "numpy")
    optimizer = together_and_apart(made, [{"params": values(SHAPES, dtype, 4)}], gradients(dtype))
    assert optimizer.state["odd"]["m"].dtype == np.float32
    assert optimizer.state["odd"]["v"].dtype == np.float64
    assert gathered(optimizer) == [list(SHAPES)]


def test_states_that_come_later(dtype: Float) -> None:
    """A state that comes into being between steps is gathered from then on."""
    together = values(SHAPES, dtype, 5)
    apart = {name: value.copy() for name, value in together.items()}
    made = load("sgd", "numpy")
    optimizer, singles = made(together, lr=0.5), {name: made({name: value}, lr=0.5) for name, value in apart.items()}
    for step, given in enumerate(gradients(dtype, 5)):
        if step == 2:
            for each in (optimizer, *singles.values()):
                each.param_groups[0]["momentum"] = 0.5
        optimizer.step(given)
        for name, single in singles.items():
            single.step({name: given[name]})
        theirs = {key: value for name in apart for key, value in snapshot(singles[name], {name: apart[name]}).items()}
        assert_same_path([snapshot(optimizer, together)], [theirs])
        assert gathered(optimizer) == [list(SHAPES)]


def test_strided_parameters(dtype: Float) -> None:
    """Parameters that the kernel works on copies of are gathered too, and what lies between their elements stays."""
    wide = {name: np.full((2 * size, 3), 7.0, dtype) for name, size in {"a": 5, "b": 9, "c": 1}.items()}
    views = {name: value[::2, 1] for name, value in wide.items()}
    chance = np.random.default_rng(1)
    given: list[Given] = [{name: drawn(chance, value.shape, dtype) for name, value in views.items()} for _ in range(3)]
    optimizer = together_and_apart(load("adam", "numpy"), [{"params": views}], given)
    assert gathered(optimizer) == [["a", "b", "c"]]
    for value in wide.values():
        assert (value[:, [0, 2]] == 7).all()
        assert (value[1::2] == 7).all()


def test_states_stay_where_they_are() -> None:
    """A state that the user holds is the live array, before and after."""
    parameters = [np.ones(10), np.ones(20)]
    optimizer = load("adam", "numpy")(parameters, lr=0.25)
    optimizer.step([np.ones(10), np.ones(20)])
    held = optimizer.state["1"]["m"]
    held[...] = 0.0
    optimizer.step([np.ones(10), np.full(20, 2.0)])
    assert gathered(optimizer) == [["0", "1"]]
    assert optimizer.state["1"]["m"] is held
    np.testing.assert_allclose(held, 0.2)
    assert (parameters[0] < 1).all()


def test_many_batches(dtype: Float) -> None:
    """More than an arena holds is stepped in several batches, and a large parameter by itself."""
    sizes = {f"p{index}": (700 + index % 5,) for index in range(150)} | {"large": (arena.SMALL_BYTES,)}
    start = values(sizes, dtype, 1)
    given: list[Given] = [{**values(sizes, dtype, 2 + step)} for step in range(2)]
    optimizer = together_and_apart(load("adam", "numpy"), [{"params": start}], given)
    batches = gathered(optimizer)
    assert len(batches) > 1
    assert [name for batch in batches for name in batch] == [name for name in sizes if name != "large"]
    layout = plan_of(optimizer).laid
    assert layout is not None
    for batch in layout[1].batches:
        assert (batch.x.nbytes + batch.g.nbytes + sum(state.nbytes for state in batch.own)) <= arena.ARENA_BYTES


def test_a_step_is_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of the same parameters together reuse their batches, however hyperparameters and threads change."""
    optimizer = load("adam", "numpy")([np.ones(3) for _ in range(4)], lr=lambda t: 0.1 / t)
    seen = []
    for step, count in enumerate(["1", "2", "2"]):
        monkeypatch.setenv("OPTDSL_NUM_THREADS", count)
        optimizer.param_groups[0]["beta1"] = 0.5 + step / 8
        optimizer.step([np.ones(3) for _ in range(4)])
        laid = plan_of(optimizer).laid
        assert laid is not None
        seen.append(laid[1])
    assert seen[1] is seen[0]
    assert seen[2] is seen[0]
    optimizer.step([np.ones(3), None, np.ones(3), np.ones(3)])
    assert gathered(optimizer) == [["0", "2", "3"]]
