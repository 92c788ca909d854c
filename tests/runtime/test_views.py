"""Views of an optimizer's parameters: computed anew, put into the arrays, and taken out again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

import optdsl
from optdsl.loading import load, loads

Array = npt.NDArray[Any]

TEXT = """
rule Averaged(x, g)

hyper
  lr   = 0.5  in [0, inf)
  keep = false

state
  total = 0
  old = x when keep

update
  total' = total + x'
  old' = x
  x'   = x - lr*g

view middle = total/t   "mean of all points"
view back = if keep then old else x - lr
"""


@pytest.fixture(scope="module")
def averaged() -> Any:
    return loads(TEXT, "numpy")


def stepped(kind: Any, params: Any, grads: Any, steps: int = 3, **options: Any) -> Any:
    optimizer = kind(params, **options)
    for _ in range(steps):
        optimizer.step(grads)
    return optimizer


def bits(array: Array) -> bytes:
    return array.tobytes()


def test_a_view_is_new_arrays(averaged: Any) -> None:
    x = np.array([1.0, -2.0])
    optimizer = stepped(averaged, [x], [np.ones(2)])
    before = x.copy()
    (mean,) = optimizer.view("middle")
    np.testing.assert_array_equal(mean, [0.0, -3.0])
    np.testing.assert_array_equal(x, before)
    mean[...] = 7
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(optimizer.view("middle")[0], [0.0, -3.0])


def test_what_a_view_returns_is_never_a_state(averaged: Any) -> None:
    optimizer = stepped(averaged, [np.ones(2)], [np.ones(2)], keep=True)
    (old,) = optimizer.view("back")
    assert not np.shares_memory(old, optimizer.state["0"]["old"])


class Pair(NamedTuple):
    weight: Array
    bias: Array


@dataclass
class Layer:
    weight: Array
    bias: Array

    def __post_init__(self) -> None:
        self.counted = 1


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: [a, b], lambda a, b: (a, [b]), lambda a, b: {"w": a, "rest": {"b": b, "none": None}}, Pair, Layer,
        lambda a, b: [("w", a), ("b", b)], lambda a, b: {"layers": [Pair(a, b)]},
    ],
    ids=["list", "nested", "mapping", "named tuple", "dataclass", "pairs", "layers"],
)  # fmt: skip
def test_a_view_has_the_structure_of_the_parameters(make: Callable[..., Any], averaged: Any) -> None:
    params = make(np.zeros((2, 3)), np.zeros(2))
    optimizer = averaged(params)
    optimizer.step(make(np.ones((2, 3)), np.ones(2)))
    seen = optimizer.view("middle")
    assert type(seen) is type(params)
    optimizer.step(seen)  # accepted as gradients are
    leaves = [array.shape for array in _leaves(seen)]
    assert leaves == [(2, 3), (2,)]


def _leaves(value: Any) -> list[Array]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _leaves(part)]
    if isinstance(value, Layer):
        return [value.weight, value.bias]
    return [leaf for part in value for leaf in _leaves(part)] if isinstance(value, list | tuple) else []


def test_a_single_array_has_an_array_for_a_view(averaged: Any) -> None:
    optimizer = stepped(averaged, np.array(1.0), np.array(1.0))
    seen = optimizer.view("middle")
    assert isinstance(seen, np.ndarray)
    assert (seen.shape, float(seen)) == ((), 0.0)


def test_groups_are_seen_by_name(averaged: Any) -> None:
    a, b = np.zeros(2), np.zeros(3, np.float32)
    optimizer = averaged([{"params": {"a": a}, "lr": 1.0}, {"params": [b], "keep": True}])
    optimizer.step({"a": np.ones(2), "0": np.ones(3, np.float32)})
    seen = optimizer.view("back")
    assert list(seen) == ["a", "0"]
    np.testing.assert_array_equal(seen["a"], [-2.0, -2.0])
    np.testing.assert_array_equal(seen["0"], np.zeros(3))
    assert seen["0"].dtype == np.float32
    optimizer.step(seen)


def test_before_its_first_step_a_parameter_is_its_view(averaged: Any) -> None:
    a, b = np.array([1.0, 2.0]), np.array([3.0])
    optimizer = averaged({"a": a, "b": b})
    optimizer.init_state()
    optimizer.step({"a": np.ones(2), "b": None})
    seen = optimizer.view("middle")
    np.testing.assert_array_equal(seen["b"], b)
    assert not np.shares_memory(seen["b"], b)
    assert not np.array_equal(seen["a"], [1.0, 2.0])


def awkward() -> dict[str, Array]:
    """Return parameters of all sorts, with values that only bits tell apart."""
    values = np.array([0.1, -0.0, np.nan, np.inf, 1e-310, -1.5])
    return {
        "plain": values.copy(), "every other": np.repeat(values, 2)[::2], "turned": values.reshape(2, 3).copy().T,
        "backward": values.copy()[::-1], "single": values.astype(np.float32), "number": np.array(0.1),
        "empty": np.zeros((0, 2)),
    }  # fmt: skip


def test_eval_and_train_swap_in_place(averaged: Any) -> None:
    params = awkward()
    optimizer = stepped(averaged, params, {name: np.ones_like(value) for name, value in params.items()})
    states = {name: bits(optimizer.state[name]["total"]) for name in params}
    training = {name: bits(value) for name, value in params.items()}
    mean = optimizer.view("middle")
    assert optimizer.eval("middle") is optimizer
    for name, value in params.items():
        assert bits(value) == bits(mean[name]), name
    assert optimizer.train() is optimizer
    assert {name: bits(value) for name, value in params.items()} == training
    assert {name: bits(optimizer.state[name]["total"]) for name in params} == states


def test_training_goes_on_as_if_nothing_had_been(averaged: Any, target: str) -> None:
    kind: Any = loads(TEXT, target)
    params, others = awkward(), awkward()
    grads = {name: np.full_like(value, 0.3) for name, value in params.items()}
    looked, plain = kind(params), kind(others)
    for _ in range(4):
        looked.step(grads)
        looked.eval("middle").eval("back").train()
        plain.step(grads)
    for name in params:
        assert bits(params[name]) == bits(others[name]), name


def test_eval_twice_and_another_view(averaged: Any) -> None:
    x = np.array([1.0, -2.0])
    optimizer = stepped(averaged, [x], [np.ones(2)])
    training, mean, back = x.copy(), optimizer.view("middle")[0], optimizer.view("back")[0]
    optimizer.eval("middle")
    x[0] = 99
    optimizer.eval("middle")
    assert x[0] == 99, "the same view again is no change"
    optimizer.eval("back")
    np.testing.assert_array_equal(x, back)
    np.testing.assert_array_equal(optimizer.view("middle")[0], mean)
    x[...] = 5
    optimizer.train()
    np.testing.assert_array_equal(x, training)
    optimizer.train()
    np.testing.assert_array_equal(x, training)


def test_parameter_objects(averaged: Any) -> None:
    parameter = optdsl.Parameter(np.array([1.0, -2.0]))
    optimizer = averaged([parameter])
    parameter.grad = np.ones(2)
    optimizer.step()
    before = parameter.data.copy()
    optimizer.eval("back")
    np.testing.assert_array_equal(parameter.data, before - 0.5)
    optimizer.train()
    np.testing.assert_array_equal(parameter.data, before)


def test_a_copy_of_one_that_evaluates(averaged: Any) -> None:
    x = np.array([1.0, -2.0])
    optimizer = stepped(averaged, [x], [np.ones(2)])
    training = x.copy()
    optimizer.eval("middle")
    params, other = copy.deepcopy(([x], optimizer))
    optimizer.train()
    np.testing.assert_array_equal(x, training)
    np.testing.assert_array_equal(params[0], other.view("middle")[0])
    other.train()
    np.testing.assert_array_equal(params[0], training)
    other.step([np.ones(2)])
    np.testing.assert_array_equal(x, training)


CALLS: dict[str, Callable[[Any], object]] = {
    "step": lambda o: o.step([np.ones(2)]),
    "a closure": lambda o: o.step(lambda: pytest.fail("the closure was called")),
    "a call": lambda o: o([np.ones(2)]),
    "update": lambda o: o.update("0", np.ones(2)),
    "a new parameter": lambda o: o.update(np.ones(2), np.ones(2)),
    "init_state": lambda o: o.init_state(),
    "state_dict": lambda o: o.state_dict(),
    "load_state_dict": lambda o: o.load_state_dict({}),
    "save": lambda o: o.save("never.safetensors"),
    "load": lambda o: o.load("never.safetensors"),
    "add_param_group": lambda o: o.add_param_group({"params": [np.ones(3)]}),
    "states that come": lambda o: o.param_groups[0].update({"keep": True}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_is_refused_while_evaluating(
    call: Callable[[Any], object], averaged: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.array([1.0, -2.0])
    optimizer = stepped(averaged, [x], [np.ones(2)])
    training = x.copy()
    optimizer.eval("middle")
    shown = x.copy()
    with pytest.raises(RuntimeError, match=r"the parameters hold the view 'middle'; call opt\.train\(\) before "):
        call(optimizer)
    np.testing.assert_array_equal(x, shown)
    assert (optimizer.step_count("0"), len(optimizer.param_groups)) == (3, 1)
    assert (list(optimizer.state["0"]), list(tmp_path.iterdir())) == (["total"], [])
    optimizer.train()
    np.testing.assert_array_equal(x, training)
    optimizer.step([np.ones(2)])


def test_a_rate_may_change_while_evaluating(averaged: Any) -> None:
    x = np.array([1.0])
    optimizer = stepped(averaged, [x], [np.ones(1)])
    optimizer.eval("middle")
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.train().step([np.ones(1)])
    assert float(x[0]) == 1 - 1.5 - 0.25


def test_a_read_only_array_stops_both_ways(averaged: Any) -> None:
    a, b = np.zeros(1), np.zeros(1)
    optimizer = stepped(averaged, [a, b], [np.ones(1), np.ones(1)])
    b.flags.writeable = False
    with pytest.raises(ValueError, match="parameter '1' has become read-only"):
        optimizer.eval("middle")
    assert float(a[0]) == -1.5
    b.flags.writeable = True
    optimizer.eval("middle")
    b.flags.writeable = False
    with pytest.raises(ValueError, match="parameter '1' has become read-only"):
        optimizer.train()
    assert float(a[0]) == -1.0, "nothing was put back"
    b.flags.writeable = True
    optimizer.train()
    assert float(a[0]) == float(b[0]) == -1.5


def test_hyperparameters_are_those_of_the_last_step(averaged: Any) -> None:
    x = np.array([1.0])
    optimizer = averaged([x], lr=lambda t: float(t))
    optimizer.step([np.ones(1)])
    np.testing.assert_array_equal(optimizer.view("back")[0], x - 1)
    optimizer.step([np.ones(1)])
    np.testing.assert_array_equal(optimizer.view("back")[0], x - 2)


def test_states_that_a_schedule_brings(averaged: Any) -> None:
    x = np.array([1.0])
    optimizer = averaged([x], keep=lambda t: t >= 3)
    for t in range(1, 5):
        before = x.copy()
        optimizer.step([np.ones(1)])
        expected = before if t >= 3 else x - 0.5
        np.testing.assert_array_equal(optimizer.view("back")[0], expected)


def test_states_that_a_change_brings(averaged: Any) -> None:
    x = np.array([1.0])
    optimizer = stepped(averaged, [x], [np.ones(1)])
    optimizer.param_groups[0]["keep"] = lambda t: t > 3
    np.testing.assert_array_equal(optimizer.view("back")[0], x)


def test_which_view_is_meant(averaged: Any) -> None:
    optimizer = stepped(averaged, [np.zeros(1)], [np.ones(1)])
    for ask in (optimizer.eval, optimizer.view):
        with pytest.raises(ValueError, match=r"^the rule Averaged has several views; name one of 'middle', 'back'$"):
            ask()
        with pytest.raises(ValueError, match=r"no view 'midle'; did you mean 'middle'\?; it has 'middle', 'back'"):
            ask("midle")
        with pytest.raises(TypeError, match="a view is asked for by its name, got an int"):
            ask(1)
    only: Any = loads(TEXT.replace("view back", "view eval"), "numpy")([np.zeros(1)])
    only.step([np.ones(1)])
    np.testing.assert_array_equal(only.view()[0], only.view("eval")[0])
    assert not np.array_equal(only.view()[0], only.view("middle")[0])
    single: Any = loads(TEXT.rpartition("view")[0], "numpy")([np.zeros(1)])
    np.testing.assert_array_equal(single.view()[0], single.view("middle")[0])


def test_a_rule_without_views() -> None:
    """Every rule has a view of the average that the option `ema` keeps, but only where it is kept."""
    optimizer: Any = optdsl.optimizers.Adam([np.zeros(1)])
    assert [view.name for view in optimizer.rule.views] == ["ema"]
    for ask in (optimizer.eval, optimizer.view, lambda: optimizer.eval("eval")):
        with pytest.raises(ValueError, match="the rule Adam has no view with these options; there is 'ema' where ema "):
            ask()
    with pytest.raises(ValueError, match="there is the view 'ema' of Adam only where ema != 0"):
        optimizer.view("ema")
    assert optimizer.train() is optimizer
    own = "rule R(x, g)\nhyper\n  average = 1\nupdate\n  x' = x - average*g\n"
    bare: Any = loads(own, "numpy")([np.zeros(1)])
    with pytest.raises(ValueError, match="the rule R has no view: its parameters are read as they are"):
        bare.view()


def test_a_group_without_an_average_is_its_own_view(target: str) -> None:
    a, b = np.zeros(2), np.zeros(3)
    optimizer: Any = load("sgd", target)([{"params": {"a": a}, "ema": 0.5}, {"params": {"b": b}}], lr=1.0)
    for _ in range(2):
        optimizer.step({"a": np.ones(2), "b": np.ones(3)})
    shown = optimizer.view()
    assert (shown["a"].tolist(), shown["b"].tolist()) == ([-1.25, -1.25], [-2.0, -2.0, -2.0])
    optimizer.eval()
    assert (a.tolist(), b.tolist()) == ([-1.25, -1.25], [-2.0, -2.0, -2.0])
    optimizer.train()
    assert (a.tolist(), b.tolist()) == ([-2.0, -2.0], [-2.0, -2.0, -2.0])


def test_what_a_rule_says_of_its_views(averaged: Any) -> None:
    mean, back, ema = averaged.rule.views
    assert (ema.name, ema.text, ema.condition) == ("ema", "ema = average", "ema != 0")
    assert (mean.name, mean.text, mean.doc) == ("middle", "middle = total/t", "mean of all points")
    assert back.doc == ""
    assert "Views:\n    middle: mean of all points. middle = total/t\n" in averaged.__doc__


def test_an_optimizer_says_that_it_evaluates(averaged: Any) -> None:
    optimizer = stepped(averaged, [np.zeros(1)], [np.ones(1)])
    assert "view" not in repr(optimizer)
    assert "holding the view: 'middle'" in repr(optimizer.eval("middle"))
    assert "view" not in repr(optimizer.train())
