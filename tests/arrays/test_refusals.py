"""Arrays that can't be stepped are refused by name, and no byte of anything has changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer

from .support import Array, everything

TYPES = [
    ">f4", ">f8", "O", "c8", "c16", "i1", "i4", "i8", "u2", "?", "S4", "U2", "M8[s]", "m8[s]", "V4", "longdouble",
]  # fmt: skip
OTHER_TYPES = [np.zeros((2, 3), dtype) for dtype in TYPES]
RECORDS = np.zeros((2, 3), [("a", "f4"), ("b", "f4")])
LOCKED = np.zeros((2, 3), np.float32)
LOCKED.flags.writeable = False

PARAMETERS: dict[str, tuple[Any, type[Exception], str]] = {
    **{dtype: (array, TypeError, "'last' is ") for dtype, array in zip(TYPES, OTHER_TYPES, strict=True)},
    "records": (RECORDS, TypeError, "'last' is "),
    "masked": (np.ma.zeros((2, 3), np.float32), TypeError, "'last' is a masked array"),
    "read-only": (LOCKED, ValueError, "'last' is read-only"),
    "broadcast": (np.broadcast_to(np.zeros(3, np.float32), (2, 3)), ValueError, "'last' is read-only"),
    "all one element": (as_strided(np.zeros(1, np.float32), (2, 3), (0, 0)), ValueError, "'last' has elements that"),
    "all of very many": (as_strided(np.zeros(1, np.float32), (1 << 60,), (0,)), ValueError, "'last' has elements"),
    "many in few bytes": (as_strided(np.zeros(9), (1 << 30, 1 << 20), (8, 8)), ValueError, "'last' has elements"),
    "a scalar": (np.float32(1), TypeError, "'last' is "),
    "a number": (1.5, TypeError, "'last' is "),
    "text": ("abc", TypeError, "'last' is "),
    "a buffer": (bytearray(8), TypeError, "'last' is "),
}
GRADIENTS: dict[str, tuple[Any, type[Exception], str]] = {
    **{dtype: (array, TypeError, "gradient of 'last' is ") for dtype, array in zip(TYPES, OTHER_TYPES, strict=True)},
    "records": (RECORDS, TypeError, "gradient of 'last' is "),
    "masked": (np.ma.zeros((2, 3), np.float32), TypeError, "gradient of 'last' is a masked array"),
    "wide": (np.zeros((2, 3)), TypeError, "gradient of 'last' is float64"),
    "turned": (np.zeros((3, 2), np.float32), ValueError, "gradient of 'last' has shape"),
    "flat": (np.zeros(6, np.float32), ValueError, "gradient of 'last' has shape"),
    "one more axis": (np.zeros((1, 2, 3), np.float32), ValueError, "gradient of 'last' has shape"),
    "to broadcast": (np.zeros((1, 3), np.float32), ValueError, "gradient of 'last' has shape"),
    "a single number": (np.zeros((), np.float32), ValueError, "gradient of 'last' has shape"),
    "hollow": (np.zeros((0, 3), np.float32), ValueError, "gradient of 'last' has shape"),
    "a scalar": (np.float32(1), ValueError, "gradient of 'last' has shape"),
    "a number": (1.5, TypeError, "gradient of 'last' is a float"),
    "a list": ([[0.0] * 3] * 2, ValueError, "gradient of 'last' is a list"),
    "text": ("abc", TypeError, "gradient of 'last' is a str"),
}


def begun(target: str, **options: Any) -> tuple[Optimizer, dict[str, Array]]:
    """Return an optimizer of several parameters that has made two steps, and its parameters."""
    parameters: dict[str, Array] = {
        "first": np.ones((4, 2), np.float32), "strided": np.ones((3, 2), np.float32).T, "wide": np.ones(5),
        "last": np.ones((2, 3), np.float32),
    }  # fmt: skip
    optimizer = load("nadam", target)(parameters, **options)  # which has a scalar state, too
    for _ in range(2):
        optimizer.step(gradients(parameters))
    return optimizer, parameters


def gradients(parameters: dict[str, Array], **others: Any) -> dict[str, Any]:
    return {**{name: np.full(value.shape, 0.5, value.dtype) for name, value in parameters.items()}, **others}


def refused(optimizer: Optimizer, act: Callable[[], object], error: type[Exception], message: str, *near: Any) -> None:
    """Demand an error, before which and after which everything is the same, and steps go on."""
    arrays = [array for array in near if isinstance(array, np.ndarray) and array.size < 1000 and array.dtype != object]
    before = everything(optimizer, arrays)
    with pytest.raises(error, match=message):
        act()
    assert everything(optimizer, arrays) == before


@pytest.mark.parametrize("kind", PARAMETERS)
def test_a_parameter_that_cannot_be_stepped(kind: str, target: str) -> None:
    """As the last of several, when an optimizer is made and when a group joins one."""
    value, error, message = PARAMETERS[kind]
    others: dict[str, Array] = {"one": np.ones(3, np.float32), "two": np.ones((2, 2))}
    kept = {name: array.tobytes() for name, array in others.items()}
    with pytest.raises(error, match=message):
        load("nadam", target)({**others, "last": value})
    assert {name: array.tobytes() for name, array in others.items()} == kept
    optimizer, parameters = begun(target)
    message = message.replace("last", "newest")
    group = {"params": {**others, "newest": value}}
    refused(optimizer, lambda: optimizer.add_param_group(group), error, message, value, *others.values())
    assert len(optimizer.param_groups) == 1
    optimizer.step(gradients(parameters))


@pytest.mark.parametrize("kind", GRADIENTS)
def test_a_gradient_that_does_not_fit(kind: str, target: str) -> None:
    """As the last of several, with every way to look through gradients first."""
    value, error, message = GRADIENTS[kind]
    for options in ({}, {"clip_norm": 1.0, "nonfinite": "raise"}):
        optimizer, parameters = begun(target, **options)
        given = gradients(parameters, last=value)
        refused(optimizer, lambda: optimizer.step(given), error, message, *given.values())  # noqa: B023
        refused(optimizer, lambda: optimizer.step(lambda: (0.0, given)), error, message, *given.values())  # noqa: B023
        optimizer.step(gradients(parameters))
        assert optimizer.step_count("last") == 3


def test_what_a_closure_raises_changes_nothing(target: str) -> None:
    optimizer, parameters = begun(target)

    def broken() -> Any:
        raise ArithmeticError("of the model")

    refused(optimizer, lambda: optimizer.step(broken), ArithmeticError, "of the model")
    refused(optimizer, lambda: optimizer.step(lambda: 0.5), TypeError, "must return")
    refused(optimizer, lambda: optimizer.step(lambda: (0.5, None)), TypeError, "plain arrays are")
    wrong = {"first": np.ones((4, 2), np.float32)}
    refused(optimizer, lambda: optimizer.step(lambda: (0.5, wrong)), ValueError, "missing")
    optimizer.step(lambda: (0.5, gradients(parameters)))
    assert optimizer.step_count("wide") == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite(bad: float, target: str) -> None:
    """Only the last element of the last parameter is; the step is refused or left out whole."""
    optimizer, parameters = begun(target, nonfinite="raise")
    given = gradients(parameters)
    given["last"][1, 2] = bad
    refused(optimizer, lambda: optimizer.step(given), FloatingPointError, "gradient of 'last'", *given.values())
    optimizer.nonfinite = "skip"
    before = everything(optimizer)
    optimizer.step(given)
    assert everything(optimizer) == {**before, "skipped": 1}


def test_a_schedule_that_leaves_its_interval_changes_nothing(target: str) -> None:
    optimizer, parameters = begun(target, lr=lambda t: -1.0 if t == 3 else 0.1)
    refused(optimizer, lambda: optimizer.step(gradients(parameters)), ValueError, "lr")
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step(gradients(parameters))


RESHAPED: dict[str, Callable[[Array], None]] = {
    "shape": lambda x: setattr(x, "shape", x.shape[::-1]),
    "flat": lambda x: setattr(x, "shape", (x.size,)),
    "dtype": lambda x: setattr(x, "dtype", np.int32),
    "byte order": lambda x: setattr(x, "dtype", ">f4"),
    "halves": lambda x: setattr(x, "dtype", np.float16),
    "strides": lambda x: setattr(x, "strides", (x.itemsize, x.itemsize * len(x))),  # by columns
}


@pytest.mark.parametrize("subclass", [False, True])
@pytest.mark.parametrize("how", RESHAPED)
def test_a_parameter_that_has_changed_its_form(how: str, subclass: bool, target: str) -> None:
    """An array that the caller reshapes or retypes in place is noticed, whatever gradient comes with it."""

    class Own(np.ndarray[Any, Any]):
        pass

    optimizer, parameters = begun(target)
    x: Array = np.ones((2, 3), np.float32)
    if subclass:
        x = x.view(Own)
    optimizer.add_param_group({"params": {"x": x}})
    others = gradients(parameters)
    optimizer.step([others, {"x": np.ones((2, 3), np.float32)}])
    form = x.shape, x.strides, x.dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer versions of NumPy advise against it
        RESHAPED[how](x)
    for gradient in (np.ones(x.shape, x.dtype), np.ones((2, 3), np.float32)):
        given = [others, {"x": gradient}]
        refused(optimizer, lambda: optimizer.step(given), ValueError, "parameter 'x' has become", x)  # noqa: B023
    optimizer.step([others, {"x": None}])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for name, value in zip(("dtype", "shape", "strides"), (form[2], form[0], form[1]), strict=True):
            setattr(x, name, value)
    optimizer.step([others, {"x": np.ones((2, 3), np.float32)}])
    assert optimizer.step_count("x") == 2


@pytest.mark.parametrize(
    "make", [lambda: np.ones(6, np.float32), lambda: np.ones((3, 2), np.float32).view(np.recarray)]
)
def test_a_parameter_made_read_only_later(make: Callable[[], Array], target: str) -> None:
    optimizer, parameters = begun(target)
    x = make()
    optimizer.add_param_group({"params": {"x": x}})
    given = [gradients(parameters), {"x": np.ones(x.shape, np.float32)}]
    optimizer.step(given)
    x.flags.writeable = False
    refused(optimizer, lambda: optimizer.step(given), ValueError, "'x' has become read-only", x)
    x.flags.writeable = True
    optimizer.step(given)


def test_a_parameter_and_a_seen_gradient_stay_where_they_are(target: str) -> None:
    """NumPy refuses to move memory that an optimizer writes to or reads, even where it is told not to count."""
    x, g = np.ones(6), np.ones(6)
    optimizer = load("nadam", target)([x])
    optimizer.step([g])
    optimizer.step([g])
    before = everything(optimizer)
    with pytest.raises(ValueError, match="cannot resize"):
        x.resize((1 << 20,), refcheck=False)
    assert everything(optimizer) == before
    if target == "numpy":  # the C target asks an array where it lies at every step
        with pytest.raises(ValueError, match="cannot resize"):
            g.resize((1 << 20,), refcheck=False)
    else:
        g.resize((1 << 20,), refcheck=False)
        refused(optimizer, lambda: optimizer.step([g]), ValueError, "gradient of '0' has shape")
        g.resize((6,), refcheck=False)
    optimizer.step([g])
    optimizer.zero_grad()


def test_a_gradient_that_has_changed_its_strides_is_read_anew(target: str) -> None:
    x, y, g = np.ones((2, 3)), np.ones((2, 3)), np.arange(6.0).reshape(2, 3)
    one, other = load("sgd", target)([x], lr=1.0), load("sgd", target)([y], lr=1.0)
    one.step([g])
    other.step([g.copy()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        g.strides = (8, 16)
    one.step([g])
    other.step([g.copy()])
    assert x.tolist() == y.tolist() == [[1.0, -2.0, -5.0], [-3.0, -6.0, -9.0]]
