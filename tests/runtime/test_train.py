"""The training loop and single-parameter updates, as in Flux."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from optdsl.runtime.parameter import Parameter
from optdsl.runtime.train import train, update

from .handmade import SGD, Adam

Array = npt.NDArray[Any]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5))
Y = X @ RNG.normal(size=(5, 2)) + RNG.normal(size=2)


def squared_error(params: dict[str, Array], x: Array, y: Array) -> tuple[float, dict[str, Array]]:
    error = x @ params["W"].T + params["b"] - y
    return float((error**2).mean()), {"W": 2 * error.T @ x / error.size, "b": 2 * error.sum(0) / error.size}


def model() -> dict[str, Array]:
    return {"W": np.zeros((2, 5)), "b": np.zeros(2)}


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"epochs": 300}, 300),
        ({"epochs": 20, "batch_size": 1}, 800),
        ({"epochs": 60, "batch_size": 16, "seed": 1}, 180),
    ],
)
def test_linear_regression(options: dict[str, int], steps: int) -> None:
    params = model()
    seen: list[tuple[int, float]] = []
    losses = train(
        squared_error, params, (X, Y), SGD(params, lr=0.1, momentum=0.5), callback=lambda *a: seen.append(a), **options
    )
    assert len(losses) == steps
    assert seen == list(enumerate(losses, 1))
    assert squared_error(params, X, Y)[0] < 1e-3 < losses[0]


def test_linear_regression_by_update() -> None:
    params = model()
    opt = SGD(lr=0.5)
    for _ in range(300):
        _, gradients = squared_error(params, X, Y)
        for name, array in params.items():
            update(opt, array, gradients[name])
    assert squared_error(params, X, Y)[0] < 1e-6
    assert opt.step_count(params["W"]) == 300


def batches_seen(data: Any, **options: Any) -> list[list[float]]:
    x = np.zeros(1)
    seen: list[list[float]] = []

    def record(params: Any, *batch: Any) -> tuple[float, Array]:
        seen.append(np.ravel(batch[0]).tolist())
        return 0.0, np.zeros(1)

    train(record, x, data, SGD(x), **options)
    return seen


def test_batches_cover_the_data_in_order() -> None:
    data = np.arange(5.0)
    assert batches_seen(data) == [[0, 1, 2, 3, 4]]
    assert batches_seen((data,), batch_size=2, epochs=2) == [[0, 1], [2, 3], [4]] * 2
    assert batches_seen([(data[:1], "tag"), (data[1:], "tag")], epochs=2) == [[0], [1, 2, 3, 4]] * 2
    assert batches_seen(data, epochs=0) == []


def test_a_seed_shuffles_anew_in_each_epoch_and_repeatably() -> None:
    data = np.arange(20.0)
    first = batches_seen(data, batch_size=20, epochs=2, seed=3)
    assert first == batches_seen(data, batch_size=20, epochs=2, seed=3)
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1]) == data.tolist()
    assert first != batches_seen(data, batch_size=20, epochs=2, seed=4)


def test_parameters_may_carry_their_gradients() -> None:
    p = Parameter(np.zeros(1))

    def loss(params: Parameter, x: Array) -> tuple[float, None]:
        params.grad = params.data - x.mean(0)
        return 0.0, None

    train(loss, p, np.full((4, 1), 3.0), SGD(p, lr=1.0))
    assert p.data.tolist() == [3.0]


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ((X, Y[:3]), {}, ValueError, "differ in their first dimension"),
        (X[:0], {}, ValueError, "no examples"),
        ((), {}, ValueError, "first dimension"),
        ((np.float64(1),), {}, ValueError, "first dimension"),
        (X, {"batch_size": 0}, ValueError, "batch_size = 0 is below 1"),
        (X, {"batch_size": 1.5}, TypeError, "batch_size takes a whole number"),
        (X, {"epochs": -1}, ValueError, "epochs = -1 is below 0"),
        ([X, Y], {}, TypeError, "expected a tuple of arguments"),
        ([(X, Y)], {"batch_size": 2}, TypeError, "pass a tuple of arrays"),
        (iter([(X,)]), {"epochs": 2}, ValueError, "read once only"),
        (3, {}, TypeError, "data is an int"),
    ],
)
def test_bad_data_is_refused(data: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    x = np.zeros(1)
    with pytest.raises(error, match=message):
        train(lambda *a: (0.0, np.zeros(1)), x, data, SGD(x), **options)


def test_the_loss_function_must_return_a_pair() -> None:
    x = np.zeros(1)
    with pytest.raises(TypeError, match=r"must return \(loss, gradients\)"):
        train(lambda *a: 0.0, x, X, SGD(x))  # type: ignore[arg-type]


def test_update_leaves_the_others_alone() -> None:
    W, b = np.zeros(2), np.zeros(2)
    opt = Adam([W, b])
    update(opt, b, np.ones(2))
    assert W.tolist() == [0.0, 0.0]
    assert (opt.step_count("0"), opt.step_count("1")) == (0, 1)
    p = Parameter(np.zeros(2))
    update(opt, p, np.ones(2))
    assert opt.step_count("2") == opt.step_count(p) == 1
    opt.step([np.ones(2), None, np.ones(2)])
    assert opt.step_count(p.data) == 2


@pytest.mark.parametrize("params", [np.zeros(1), {"W": np.zeros(1)}, [("W", np.zeros(1))]])
def test_a_structure_grows_by_update(params: Any) -> None:
    opt = SGD(params, lr=1.0)
    new = np.zeros(1)
    update(opt, new, np.ones(1))
    name = next(iter(opt.state))
    first = np.full(1, 2.0)
    opt.step({"W": first, name: np.ones(1)} if isinstance(params, dict) else [first, np.ones(1)])
    assert new[0] == -2.0


@pytest.mark.parametrize(
    ("parameter", "gradient", "error"),
    [
        (np.zeros(2), np.zeros(3), ValueError),
        (np.zeros(2), np.zeros(2, np.float32), TypeError),
        (np.zeros(2, int), np.zeros(2), TypeError),
        ("0", np.zeros(2), TypeError),
        ([np.zeros(2)], [np.zeros(2)], TypeError),
    ],
)
def test_a_failed_update_adds_no_parameter(parameter: Any, gradient: Any, error: type[Exception]) -> None:
    W = np.zeros(2)
    opt = SGD(W, lr=1.0)
    with pytest.raises(error):
        update(opt, parameter, gradient)
    assert len(opt.param_groups[0]["params"]) == 1
    opt.step(np.ones(2))
    assert W.tolist() == [-1.0, -1.0]


def test_update_refuses_a_view_of_a_known_parameter() -> None:
    W = np.zeros(2)
    with pytest.raises(ValueError, match=r"share memory|same array"):
        update(SGD(W), W[:1], np.zeros(1))


def test_update_takes_an_optimizer_first() -> None:
    with pytest.raises(TypeError, match="takes an optimizer first"):
        update(np.zeros(1), SGD(), np.zeros(1))  # type: ignore[arg-type]
