"""Making and stepping optimizers, in the ways of torch and of Flux, and what stays untouched when a step fails."""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optdsl.runtime.numpy_kernel import NumpyPlan
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.parameter import Parameter

from .handmade import SGD, Adam, Breaking, Mixed, adam_reference

Array = npt.NDArray[Any]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def regression() -> tuple[Array, Array, Array, Array]:
    """Return W, b, inputs and targets of the linear regression y = W x + b."""
    x = normal(50, 5, seed=1)
    return np.zeros((2, 5)), np.zeros(2), x, x @ normal(2, 5, seed=2).T + normal(2, seed=3)


def loss_and_gradients(W: Array, b: Array, x: Array, y: Array) -> tuple[float, Array, Array]:
    error = x @ W.T + b - y
    return float((error**2).mean()), 2 * error.T @ x / error.size, 2 * error.sum(0) / error.size


def test_linear_regression_on_plain_arrays() -> None:
    W, b, x, y = regression()
    opt = Adam([W, b], lr=0.1)
    for _ in range(500):
        _, gW, gb = loss_and_gradients(W, b, x, y)
        opt.step([gW, gb])
    assert loss_and_gradients(W, b, x, y)[0] < 1e-6


def test_linear_regression_in_torchs_way() -> None:
    W, b, x, y = regression()
    model = {"W": Parameter(W), "b": Parameter(b)}
    opt = SGD([{"params": [model["W"]], "lr": 0.5}, {"params": [model["b"]]}], lr=0.3, momentum=0.5)

    def closure() -> float:
        opt.zero_grad()
        loss, model["W"].grad, model["b"].grad = loss_and_gradients(W, b, x, y)
        return loss

    losses = [opt.step(closure) for _ in range(300)]
    assert losses[-1] < 1e-6 < losses[0]
    opt.zero_grad()
    assert model["W"].grad is None


def test_linear_regression_in_fluxs_way() -> None:
    W, b, x, y = regression()
    params = [Parameter(W), Parameter(b)]
    opt = SGD(params, lr=0.5)
    for _ in range(300):
        _, params[0].grad, params[1].grad = loss_and_gradients(W, b, x, y)
        opt()
    assert loss_and_gradients(W, b, x, y)[0] < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_are_the_rule(dtype: type) -> None:
    x: Array = normal(7, 3).astype(dtype)
    gradients: list[Array] = [normal(7, 3, seed=k).astype(dtype) for k in range(1, 20)]
    expected = adam_reference(x, gradients)
    opt = Adam(x)
    for gradient in gradients:
        opt.step(gradient)
    np.testing.assert_array_equal(x, expected)
    assert x.dtype == dtype
    assert opt.step_count("0") == 19


def test_a_mapping_is_stepped_by_name() -> None:
    params: dict[str, Any] = {"W": np.ones(2), "n": {"b": np.ones(3)}}
    opt = SGD(params, lr=1.0)
    opt.step({"n": {"b": np.full(3, 2.0)}, "W": np.full(2, 3.0)})
    assert params["W"].tolist() == [-2.0] * 2
    assert list(opt.state) == ["W", "n.b"]


def test_a_gradient_of_none_leaves_parameter_state_and_count_alone() -> None:
    W, b = np.ones(2), np.ones(2)
    opt = Adam([W, b])
    opt.step([np.ones(2), None])
    assert b.tolist() == [1.0, 1.0]
    assert (opt.step_count("0"), opt.step_count("1")) == (1, 0)
    with pytest.raises(KeyError, match=r"no state before its first step.*init_state"):
        opt.state["1"]
    frozen = W.copy()
    opt.step([None, None])
    assert W.tolist() == frozen.tolist()
    assert opt.step_count("0") == 1


def test_each_parameter_counts_its_own_steps() -> None:
    W, b = np.ones(2), np.ones(2)
    opt = Adam([W, b])
    for k in range(4):
        opt.step([np.ones(2), np.ones(2) if k == 3 else None])
    assert (opt.step_count("0"), opt.step_count("1")) == (4, 1)
    np.testing.assert_array_equal(b, adam_reference(np.ones(2), [np.ones(2)]))


def test_closures() -> None:
    p = Parameter(np.ones(2))
    opt = SGD([p], lr=1.0)

    def closure() -> tuple[float, str]:
        p.grad = np.ones(2)
        return 3.0, "aside"

    assert opt.step(closure) == (3.0, "aside")
    assert p.data.tolist() == [0.0, 0.0]
    x = np.ones(2)
    plain = SGD([x], lr=1.0)
    assert plain.step(lambda: (5.0, [np.ones(2)])) == 5.0
    assert x.tolist() == [0.0, 0.0]
    with pytest.raises(TypeError, match=r"must return \(loss, gradients\)"):
        plain.step(lambda: 5.0)


def test_plain_arrays_have_no_gradient_of_their_own() -> None:
    with pytest.raises(TypeError, match="plain arrays are '1'"):
        SGD([Parameter(np.ones(2)), np.ones(2)]).step()


def test_states_are_the_arrays_themselves() -> None:
    x = np.ones(3)
    opt = Mixed(x)
    opt.step(np.ones(3))
    assert opt.state["0"]["z"].tolist() == [2.0] * 3
    with pytest.raises(TypeError):
        opt.state["0"]["z"] = np.zeros(3)  # type: ignore[index]
    opt.state["0"]["z"][...] = 0.0
    opt.state["0"]["prod"][...] = 8.0
    assert opt.state["0"]["prod"].shape == ()
    opt.step(np.ones(3))
    assert opt.state["0"]["z"].tolist() == [1.0] * 3
    assert opt.state["0"]["prod"] == 4.0
    assert opt.state[x]["z"] is opt.state["0"]["z"]
    assert list(opt.state["0"]) == ["z", "prod", "step"]
    with pytest.raises(KeyError, match="did you mean 'weight'"):
        Mixed({"weight": np.ones(1)}).state["weigth"]


def test_state_starts_from_the_parameter_as_it_is_at_the_first_step() -> None:
    x = np.ones(3)
    opt = Mixed(x, lr=0.25)
    x[...] = 7.0
    opt.init_state()
    assert opt.state["0"]["z"].tolist() == [7.0] * 3
    assert opt.state["0"]["step"].tolist() == [0.25] * 3
    assert opt.state["0"]["z"] is not x
    assert opt.step_count("0") == 0


def test_groups_take_the_defaults() -> None:
    W, b, c = np.zeros(1), np.zeros(1), np.zeros(1)
    opt = SGD([{"params": [W], "lr": 0.5}, {"params": b}], lr=0.25)
    opt.add_param_group({"params": (array for array in [c]), "lr": 1.0})
    opt.step([[np.ones(1)], np.ones(1), [np.ones(1)]])
    assert (W[0], b[0], c[0]) == (-0.5, -0.25, -1.0)
    assert list(opt.state) == ["0", "1", "2"]
    assert opt.defaults["lr"] == 0.25
    assert opt.param_groups[2]["params"][0] is c


def test_a_refused_group_adds_nothing() -> None:
    W = np.zeros(2)
    opt = SGD([W])
    for group in (
        {"params": [np.zeros(1)], "lr": -1},
        {"params": [W]},
        {"params": [np.zeros(1, int)]},
        {"params": {"0": np.zeros(1)}},
        {"lr": 1.0},
    ):
        with pytest.raises((TypeError, ValueError)):
            opt.add_param_group(group)
    assert len(opt.param_groups) == 1
    opt.step([np.ones(2)])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ([], ValueError, "params is empty"),
        (iter([]), ValueError, "params is empty"),
        ({"W": np.zeros(2), "b": np.float64(1)}, TypeError, "'b' is a float64"),
        ([1.0], TypeError, "can't be changed in place"),
        ([[1.0, 2.0]], TypeError, "'0.0' is a float, which can't be changed in place"),
        (["W"], TypeError, "a str"),
        ([np.zeros(2, np.int64)], TypeError, "'0' is int64.*astype"),
        ([np.zeros(2, ">f2")], TypeError, "foreign byte order"),
        ([np.zeros(2, complex)], TypeError, "complex128"),
        ([np.zeros(2, object)], TypeError, "object"),
        ([np.zeros(2, ">f8")], TypeError, "foreign byte order"),
        ([np.ma.zeros(2)], TypeError, "masked"),
        ({"params": [np.zeros(2)], "lr": 0.1}, TypeError, "groups go in a list"),
    ],
)
def test_what_cannot_be_stepped_is_refused(params: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SGD(params)


def test_a_spent_generator_is_noticed() -> None:
    arrays: Iterator[Array] = iter([np.zeros(2)])
    SGD(arrays)
    with pytest.raises(ValueError, match="has an iterator been used before"):
        SGD(arrays)


@pytest.mark.parametrize(
    ("gradient", "error", "message"),
    [
        (np.ones((3, 2)), ValueError, r"gradient of 'W' has shape \(3, 2\); the parameter has shape \(2, 3\)"),
        (np.ones(6), ValueError, "shape"),
        (np.ones((2, 3), np.float32), TypeError, r"gradient of 'W' is float32.*\.astype\(np\.float64\)"),
        (np.ones((2, 3), int), TypeError, "astype"),
        (np.ones((2, 3), ">f8"), TypeError, "astype"),
        ([[1.0] * 3] * 2, ValueError, "expected one array"),
        (1.0, TypeError, "a float; expected an array"),
        (np.ma.ones((2, 3)), TypeError, "masked"),
        (Parameter(np.ones((2, 3))), TypeError, "pass its .grad"),
    ],
)
def test_a_bad_gradient_changes_nothing(gradient: Any, error: type[Exception], message: str) -> None:
    params = {"b": np.ones(2), "W": np.ones((2, 3))}
    opt = Adam(params)
    opt.step({"b": np.ones(2), "W": np.ones((2, 3))})
    before = {name: array.copy() for name, array in params.items()}
    state = opt.state_dict()
    with pytest.raises(error, match=message):
        opt.step({"b": np.ones(2), "W": gradient})
    for name, array in params.items():
        np.testing.assert_array_equal(array, before[name])
    np.testing.assert_equal(opt.state_dict(), state)


def test_a_failing_kernel_leaves_no_new_state() -> None:
    x = np.ones((2, 2)).T[::-1]
    opt = Breaking([x], momentum=0.5)
    with pytest.raises(KeyError):
        opt.step([np.ones((2, 2))])
    assert len(opt.state) == 0
    assert opt.step_count("0") == 0
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_numpy_scalars_are_gradients_of_0d_parameters() -> None:
    scalar = np.ones(())
    SGD([scalar], lr=1.0).step([np.float64(1.0)])
    assert scalar == 0.0


def test_a_failing_closure_changes_nothing() -> None:
    x = np.ones(2)
    opt = SGD([x])
    with pytest.raises(ZeroDivisionError):
        opt.step(lambda: 1 / 0)
    assert opt.step_count("0") == 0


def test_zero_grad_is_harmless_on_plain_arrays() -> None:
    x = np.ones(2)
    opt = SGD([x], lr=1.0)
    gradient = np.ones(2)
    opt.step([gradient])
    opt.zero_grad()
    opt.step([gradient])
    assert x.tolist() == [-1.0, -1.0]


def test_repr_lists_groups_as_torch_does() -> None:
    text = repr(SGD([np.ones(1)], lr=0.5, clip_norm=1.0))
    assert text == ("SGD (\nParameter Group 0\n    lr: 0.5\n    momentum: 0\n    maximize: False\nclip_norm: 1\n)")


def test_a_deep_copy_steps_its_own_parameters() -> None:
    model = {"W": np.ones(2), "p": np.ones(3)}
    opt = Adam(model, lr=lambda t: 0.1 / t, clip_norm=1.0)
    opt.step({"W": np.ones(2), "p": None})
    twins, twin = copy.deepcopy((model, opt))
    twin.step({"W": np.ones(2), "p": np.ones(3)})
    assert (opt.step_count("W"), twin.step_count("W"), twin.step_count("p")) == (1, 2, 1)
    assert (twins["W"] != model["W"]).all()
    assert model["p"].tolist() == [1.0] * 3
    opt.step({"W": np.ones(2), "p": np.ones(3)})
    np.testing.assert_array_equal(twins["W"], model["W"])
    twin.param_groups[0]["lr"] = 0.0
    assert callable(opt.param_groups[0]["lr"])
    assert twin.clip_norm == 1.0


def test_a_deep_copy_alone_takes_copies_of_the_parameters() -> None:
    p = Parameter(np.ones(2))
    twin = copy.deepcopy(SGD([p], lr=1.0))
    own = twin.param_groups[0]["params"][0]
    own.grad = np.ones(2)
    twin.step()
    assert own.data.tolist() == [0.0, 0.0]
    assert p.data.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy])
def test_pickling_is_refused_with_the_way_out(how: Any) -> None:
    with pytest.raises(TypeError, match=r"save\(\) or state_dict\(\)"):
        how(SGD([np.ones(1)]))


def test_a_dropped_optimizer_is_freed_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        opt = Adam([np.ones(2)])
        opt.step([np.ones(2)])
        state = weakref.ref(opt.state["0"]["m"])
        del opt
        assert state() is None
    finally:
        gc.enable()


def test_a_steady_step_allocates_nothing_of_parameter_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NumpyPlan, "run", lambda self, active, gradients, hypers: None)
    size = 200_000
    arrays = [np.ones(size), np.ones((400, 500)).T, np.ones(size)]
    gradients = [np.ones(size), np.ones((500, 400)), np.ones(2 * size)[::2]]
    opt = Adam(arrays, clip_norm=1.0, clip_value=1.0, nonfinite="skip")
    for _ in range(2):
        opt.step(gradients)
    tracemalloc.start()
    try:
        opt.step(gradients)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * size / 4


def test_kernels_see_the_same_objects_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    monkeypatch.setattr(NumpyPlan, "run", lambda self, active, gradients, hypers: seen.append((*gradients, *hypers)))
    gradients = [np.ones(2), np.ones((2, 2)).T, np.ones(3)]
    opt = Adam([np.ones(2), np.ones((2, 2)), np.ones(3)], eps=lambda t: 1e-8)
    for _ in range(3):
        opt.step(gradients)
    assert all(a is b for a, b in zip(seen[1], seen[2], strict=True))
    opt.param_groups[0]["lr"] = 0.5
    opt.step(gradients)
    assert seen[3][-1] is not seen[2][-1]
    assert seen[3][-1].tolist() == [0.5, 0.9, 0.999, 1e-8, 0.0, np.inf, 1.0]


def test_zero_grad_lets_go_of_gradients() -> None:
    opt = SGD([np.ones(2)])
    gradient = np.ones(2)
    kept = weakref.ref(gradient)
    opt.step([gradient])
    opt.zero_grad()
    del gradient
    assert kept() is None


def test_a_changed_gradient_is_read_anew() -> None:
    x, g = np.zeros((2, 3)), np.ones((2, 3))
    opt = SGD([x], lr=1.0)
    opt.step([g])
    g[...] = 2.0
    opt.step([g])
    assert x.tolist() == [[-3.0] * 3] * 2
    g.shape = (3, 2)
    with pytest.raises(ValueError, match="shape"):
        opt.step([g])


def test_the_base_class_has_no_rule() -> None:
    with pytest.raises(TypeError, match="no rule of its own"):
        Optimizer([np.ones(1)])


def test_an_optimizer_without_parameters_steps_nothing() -> None:
    opt = SGD()
    assert opt.step([]) is None
    with pytest.raises(ValueError, match="got 1"):
        opt.step([np.ones(1)])


def test_parameters_keep_their_array() -> None:
    array = np.ones(2)
    p = Parameter(array)
    opt = SGD([p], lr=1.0)
    p.data = p.data * 5
    assert p.data is array
    opt.step([np.ones(2)])
    assert array.tolist() == [4.0, 4.0]
    with pytest.raises(ValueError, match="shape"):
        p.data = np.ones(3)
    assert np.asarray(p) is array
    assert (np.ones((1, 2)) @ p).tolist() == [8.0]
    assert np.array(p, copy=True) is not array
    assert p.shape == (2,)
    assert p.dtype == np.dtype(np.float64)
    p.grad = 1
    p.zero_grad()
    assert p.grad is None


def test_an_empty_group_hinders_nothing() -> None:
    x = np.zeros(1)
    opt = SGD([{"params": []}, {"params": [x]}], lr=1.0)
    opt.step([[], [np.ones(1)]])
    opt.load_state_dict(opt.state_dict())
    opt.step([np.ones(1)])
    assert (x[0], opt.step_count("0")) == (-2.0, 2)


def test_optimizers_in_threads_do_not_meet() -> None:
    def run(seed: int) -> Array:
        x = normal(1000, seed=seed)
        opt = Adam([x], clip_norm=1.0, nonfinite="raise")
        for k in range(50):
            opt.step([normal(1000, seed=k)])
        return x

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    for seed, result in enumerate(results):
        np.testing.assert_array_equal(result, run(seed))


def test_maximize_and_limits_turn_the_gradient_round_once() -> None:
    x, y = np.zeros(2), np.zeros(2)
    Mixed([x], lr=1.0, maximize=True, clip_norm=1.0, clip_value=3.0).step([np.array([3.0, 40.0])])
    Mixed([y], lr=1.0, clip_norm=1.0, clip_value=3.0).step([np.array([3.0, 40.0])])
    np.testing.assert_array_equal(x, -y)
    assert (x > 0).all()


def test_the_list_of_groups_is_closed() -> None:
    opt = SGD([np.ones(2)])
    for change in (
        lambda: opt.param_groups.append({"params": [np.ones(3)]}),  # type: ignore[arg-type]
        lambda: opt.param_groups.clear(),
        lambda: opt.param_groups.__setitem__(0, {}),  # type: ignore[call-overload]
    ):
        with pytest.raises(TypeError, match="add_param_group"):
            change()
    opt.add_param_group({"params": [np.ones(3)]})
    assert len(opt.param_groups) == 2
    assert isinstance(opt.param_groups, list)
