"""Parameters of 16 bits as callers meet them: gradients, master copies, and the warning of lost updates."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import optdsl
from optdsl.loading import load

Array = npt.NDArray[Any]
BFLOAT16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
FLOAT16: np.dtype[Any] = np.dtype(np.float16)


@pytest.fixture(params=[FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])
def half(request: pytest.FixtureRequest) -> np.dtype[Any]:
    """Element type of 16 bits."""
    dtype: np.dtype[Any] = request.param
    return dtype


def normal(shape: tuple[int, ...] | int, dtype: Any, seed: int) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def misaligned(array: Array) -> Array:
    result = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def test_layouts_and_sizes(target: str, half: np.dtype[Any]) -> None:
    """Strided, misaligned, backward, empty and 0-d arrays go where contiguous ones go, as do float32 gradients."""
    base = normal((6, 8), half, 1)
    given = {
        "strided": base.copy()[::2, ::3], "transposed": base.copy().T, "back": base.copy()[::-1],
        "misaligned": misaligned(base), "empty": base[:0].copy(), "number": np.array(0.5, half),
    }  # fmt: skip
    plain = {name: np.ascontiguousarray(value).reshape(value.shape).copy() for name, value in given.items()}
    made = load("adam", target)
    one, other = made(given, lr=0.25, clip_norm=1.0), made(plain, lr=0.25, clip_norm=1.0)
    for step in range(3):
        gradients = {name: normal(value.shape, half, 2 + step) for name, value in plain.items()}
        one.step({name: np.asarray(g.astype(np.float32)) for name, g in gradients.items()})
        other.step(gradients)
        for name, value in given.items():
            assert value.tobytes() == plain[name].tobytes(), (step, name)


def test_types_beside_each_other(target: str) -> None:
    """Parameters of all types in one optimizer go where each goes in one of its own; those without a gradient stay."""
    types = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64] * 3
    arrays = [normal(5 + index, kind, index) for index, kind in enumerate(types)]
    alone = [array.copy() for array in arrays]
    made = load("adam", target)
    together, singles = made(arrays, lr=0.25), [made([array], lr=0.25) for array in alone]
    for step in range(4):
        gradients: list[Any] = [normal(array.shape, array.dtype, 50 + step + i) for i, array in enumerate(arrays)]
        gradients[step] = None
        together.step(gradients)
        for single, gradient in zip(singles, gradients, strict=True):
            single.step([gradient])
    assert [array.tobytes() for array in arrays] == [array.tobytes() for array in alone]


def test_wrong_types_are_refused(half: np.dtype[Any]) -> None:
    made = load("adam", "numpy")
    x = np.ones(3, half)
    for gradient in (np.ones(3), np.ones(3, FLOAT16 if half == BFLOAT16 else BFLOAT16), np.ones(3, np.int16)):
        with pytest.raises(TypeError, match=rf"gradient of '0' is .*; the parameter is {half.name}: use \.astype"):
            made([x]).step([gradient])
    with pytest.raises(TypeError, match="foreign byte order; float16, bfloat16, float32 and float64 are accepted"):
        made([np.ones(3, FLOAT16.newbyteorder())])
    with pytest.raises(TypeError, match="gradient of '0' is float16; the parameter is float32"):
        made([np.ones(3, np.float32)]).step([np.ones(3, np.float16)])
    assert (x == 1).all()


def test_gradients_that_are_not_finite(target: str, half: np.dtype[Any]) -> None:
    x, y = np.ones(300, half), np.ones(3, half)
    optimizer = load("adam", target)({"x": x, "y": y}, lr=0.25, nonfinite="skip")
    bad = np.ones(300, half)
    bad[299] = np.inf
    optimizer.step({"x": bad, "y": np.ones(3, half)})
    assert optimizer.skipped == 1
    assert (x == 1).all()
    optimizer.nonfinite = "raise"
    with pytest.raises(FloatingPointError, match="gradient of 'x' has"):
        optimizer.step({"x": bad, "y": None})


def test_the_norm_is_summed_in_float64(target: str) -> None:
    """The norm of float16 gradients whose squares float16 can't hold: 2,000 times sqrt(4096), and clipped by value."""
    x = np.zeros(4096, np.float16)
    optimizer = load("flux/descent", target)([x], eta=1.0, clip_norm=64.0)
    optimizer.step([np.full(4096, 2000.0, np.float16)])
    assert (x == -1.0).all()
    optimizer.clip_value = 1.0
    x[...] = 0.0
    optimizer.step([np.full(4096, 2000.0, np.float16)])
    assert (x == -1.0).all()


# Master copies


def test_a_thousand_small_updates(target: str) -> None:
    """With a master copy a bfloat16 parameter follows float32 to one rounding; without, it stays, and that is told."""
    plain, with_master, single = np.ones(4, BFLOAT16), np.ones(4, BFLOAT16), np.ones(4, np.float32)
    made = load("adamw", target)
    losing, keeping, exact = made([plain]), made([with_master], master_weights=True), made([single])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(1000):
            losing.step([np.ones(4, BFLOAT16)])
            keeping.step([np.ones(4, BFLOAT16)])
            exact.step([np.ones(4, np.float32)])
    assert (plain == 1).all()
    assert (with_master == single.astype(BFLOAT16)).all()
    assert (keeping.state["0"]["master"] == single).all()
    assert single[0] < 0.02
    text = "step 1 moved '0' by too little for bfloat16: rounding undid 100 % of the updates"
    assert [str(each.message) for each in caught] == [f"{text}; master_weights=True keeps them"]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("shapes", [[(3,), (2, 2), (5,)], [(300_000,)]], ids=["small", "large"])
def test_no_false_alarm(target: str, shapes: list[tuple[int, ...]], half: np.dtype[Any]) -> None:
    """Neither zero gradients, nor a learning rate of 0, nor NaN, nor updates that are seen, are lost updates."""
    made = load("adam", target)
    for lr, value in ((1e-3, 0.0), (0.0, 1.0), (0.25, 1.0), (1e-3, np.nan)):
        arrays = [np.ones(shape, half) for shape in shapes]
        optimizer = made(arrays, lr=lr)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(4):
                optimizer.step([np.full(shape, value, half) for shape in shapes])


def test_the_parameter_that_loses_is_named(target: str) -> None:
    """Of parameters that are stepped together, in the step that is looked at; others aren't named."""
    a, b, c = np.full(3, 1e-4, BFLOAT16), np.ones(5, BFLOAT16), np.ones(7, np.float32)
    optimizer = load("adam", target)({"a": a, "b": b, "c": c}, lr=lambda t: 0.25 if t < 4 else 1e-4)
    gradients = {name: np.ones_like(array) for name, array in {"a": a, "b": b, "c": c}.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            optimizer.step(gradients)
        b[...], a[...] = 1, 1e-4
        with pytest.raises(UserWarning, match="step 4 moved 'b' by too little for bfloat16"):
            optimizer.step(gradients)
        for _ in range(8):
            optimizer.step(gradients)
    assert optimizer.step_count("b") == 12


def test_a_parameter_that_the_caller_changes_is_followed(target: str, half: np.dtype[Any]) -> None:
    """Elements that were changed are taken from the parameter; those left alone keep what the parameter can't hold."""
    x = np.ones(600, half)
    optimizer = load("flux/descent", target)([x], eta=1.0, master_weights=True)
    step = np.full(600, 2.0**-14, np.float32)
    optimizer.step([step])
    x[5] = 3.0
    optimizer.step([step])
    master = optimizer.state["0"]["master"]
    assert master[5] == 3 - 2.0**-14
    assert (np.delete(master, 5) == 1 - 2.0**-13).all()


def test_other_types_have_no_master_copy(target: str) -> None:
    x, y = np.ones(3, np.float32), np.ones(3)
    optimizer = load("adam", target)([x, y], master_weights=True)
    assert optimizer.master_weights
    optimizer.step([np.ones(3, np.float32), np.ones(3)])
    assert [list(optimizer.state[name]) for name in "01"] == [["m", "v"]] * 2
    assert "master_weights: True" in repr(optimizer)
    with pytest.raises(TypeError, match="master_weights takes True or False"):
        load("adam", target)([x], master_weights=1)


def test_master_copies_are_saved_and_copied(target: str, half: np.dtype[Any], tmp_path: Path) -> None:
    """A run that is saved and resumed, or copied, half way has the bits of one that isn't."""
    made = load("adam", target)

    def course(interrupt: bool) -> tuple[Array, Array]:
        x = normal(40, half, 1)
        optimizer = made({"w": x}, lr=1e-3, master_weights=True)
        for step in range(8):
            if interrupt and step == 3:
                optimizer.save(tmp_path / "a.safetensors")
                x = x.copy()
                optimizer = made({"w": x}, lr=1e-3, master_weights=True)
                optimizer.load(tmp_path / "a.safetensors")
            if interrupt and step == 5:
                copied, optimizer = copy.deepcopy(({"w": x}, optimizer))
                x = copied["w"]
            optimizer.step({"w": normal(40, half, 10 + step)})
        return x, optimizer.state["w"]["master"]

    for ours, theirs in zip(course(True), course(False), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_checkpoints_with_and_without_master_copies(half: np.dtype[Any]) -> None:
    made = load("adam", "numpy")
    x = np.ones(3, half)
    with_master, without = made([x.copy()], master_weights=True), made([x.copy()], lr=0.25)
    for optimizer in (with_master, without):
        optimizer.step([np.ones(3, half)])
    before = without.state_dict()
    with pytest.raises(ValueError, match="make the optimizer with master_weights=True"):
        without.load_state_dict(with_master.state_dict())
    assert without.state_dict()["state"]["0"]["m"].tobytes() == before["state"]["0"]["m"].tobytes()
    fresh = made([x], master_weights=True)
    fresh.load_state_dict(before)
    assert (fresh.state["0"]["master"] == 1).all()
    wrong = with_master.state_dict()
    wrong["state"]["0"]["master"] = wrong["state"]["0"]["master"].astype(half)
    with pytest.raises(ValueError, match=r"'master' is .*; expected float32"):
        fresh.load_state_dict(wrong)


def test_views_read_the_master_copy(target: str) -> None:
    """A view is computed in float32 from the master, and rounded; `train` puts the parameter back."""
    x, y = np.ones(5, BFLOAT16), np.ones(5, np.float32)
    made = load("schedulefreesgd", target)
    optimizer, single = made([x], lr=1e-3, master_weights=True), made([y], lr=1e-3)
    for _ in range(20):
        optimizer.step([np.ones(5, BFLOAT16)])
        single.step([np.ones(5, np.float32)])
    assert (optimizer.view()[0] == single.view()[0].astype(BFLOAT16)).all()
    held = x.copy()
    optimizer.eval()
    optimizer.train()
    assert (x == held).all()
    optimizer.step([np.zeros(5, BFLOAT16)])
    single.step([np.zeros(5, np.float32)])
    assert (optimizer.state["0"]["master"] == y).all(), "the master was kept"


def test_update_takes_16_bits(target: str, half: np.dtype[Any]) -> None:
    p = optdsl.Parameter(np.ones(3, half))
    optimizer = load("flux/descent", target)(eta=0.5)
    optdsl.update(optimizer, p, np.ones(3, half))
    assert (p.data == 0.5).all()
