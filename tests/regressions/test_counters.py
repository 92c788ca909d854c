"""Step counts: exact, one for each parameter, kept in checkpoints, and never a reason for an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl.schedules import Linear

from .elsewhere import elsewhere
from .support import adam_move, at, normal

BIASED = """
rule Biased(x, g)
state
  m = 0
update
  m' = ema(m, g, 0.9)
  x' = x - debias(m', 0.9)
view eval = debias(m, 0.9)
"""


def check_adam_at(count: int, beta2: float, target: str) -> None:
    """Step Adam from a count on, and compare with the paper's formula at the next one."""
    x = np.array([1.0, -2.0])
    opt = at(optdsl.load("adam", target=target)({"W": x}, lr=0.5, beta2=beta2), count)
    opt.step({"W": np.array([0.25, -3.0])})
    t = count + 1
    expected = [1.0 - adam_move(0.25, t, 0.5, 0.9, beta2, 1e-8), -2.0 - adam_move(-3.0, t, 0.5, 0.9, beta2, 1e-8)]
    np.testing.assert_allclose(x, expected, rtol=1e-12)
    assert opt.step_count("W") == t


@pytest.mark.parametrize("count", [254, 255, 256, 257, 2047, 2048, 2049])
@elsewhere("pytorch/ao#4915")
def test_the_count_passes_what_16_bits_can_hold(count: int, target: str) -> None:
    """The step after the 256th is the 257th, and bias corrections go on towards 1.

    The counter of a low-bit Adam took the default element type; in bfloat16 it stayed at 256, and denominators stayed
    twice too large.
    """
    check_adam_at(count, 0.999, target)


@pytest.mark.parametrize("count", [2**24 - 1, 2**24, 2**24 + 1])
@elsewhere("pytorch/pytorch#173901")
def test_a_loaded_count_is_no_float32(count: int, target: str, tmp_path: Path) -> None:
    """Counts are integers, in memory and in checkpoints, exact past 2^24.

    Loading a state dictionary made the counter float32, which can't tell 2^24 from 2^24 + 1.
    """
    check_adam_at(count, 1 - 1e-8, target)
    Adam = optdsl.load("adam", target=target)
    saved = at(Adam({"W": np.ones(2)}), count)
    saved.save(tmp_path / "a.safetensors")
    loaded = Adam({"W": np.ones(2)})
    loaded.load(tmp_path / "a.safetensors")
    loaded.step({"W": np.ones(2)})
    assert loaded.step_count("W") == count + 1


@pytest.mark.parametrize("count", [2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1, 2**32])
@elsewhere("SlopDotCash/asi#334")
def test_the_count_does_not_wrap(count: int, target: str) -> None:
    """Counts pass 2^31 and 2^32 and stay positive.

    A 32-bit counter became negative after 2,147,483,647 steps; the bias correction was switched off, and a parameter
    could become NaN.
    """
    check_adam_at(count, 1 - 1e-10, target)


@elsewhere("Unity-Technologies/ml-agents#4605")
def test_schedules_go_on_past_two_billion_steps(target: str) -> None:
    """A schedule is given the exact step number and has a value at every one, however late.

    Training stopped with errors about NaN once it had made over two billion steps.
    """
    asked: list[int] = []
    linear = Linear(1.0, 0.0, 2**33)

    def rate(t: int) -> float:
        asked.append(t)
        return linear(t)

    x = np.ones(2)
    opt = at(optdsl.load("sgd", target=target)({"W": x}, lr=rate), 2**32)
    asked.clear()
    opt.step({"W": np.ones(2)})
    assert set(asked) == {2**32 + 1}
    np.testing.assert_allclose(x, 1.0 - 0.5, rtol=1e-9)


@elsewhere("tensorflow/tensorflow#35444")
def test_the_first_step_is_step_1(target: str) -> None:
    """The step number is 1 at the first step, so that Adam's first step is lr*g/(abs(g) + eps).

    A report had the counter raised before it was read, so that the first step was corrected as if it were the second.
    """
    x = np.zeros(3)
    g = np.array([4.0, -0.5, 1e-3])
    optdsl.load("adam", target=target)(x, lr=0.125, eps=1e-3).step(g)
    np.testing.assert_allclose(x, -0.125 * g / (np.abs(g) + 1e-3), rtol=1e-12)


@elsewhere("flashlight/flashlight#143")
def test_all_parameters_of_a_step_see_the_same_count(target: str) -> None:
    """Equal parameters with equal gradients stay equal, bit for bit, wherever they stand in the list.

    One counter was raised inside the loop over parameters, and each parameter's bias was corrected for another step.
    """
    start, gradients = normal(5), [normal(5, seed=k) for k in range(1, 8)]
    parameters = [start.copy() for _ in range(4)]
    opt = optdsl.load("adam", target=target)(parameters, lr=0.1)
    for gradient in gradients:
        opt.step([gradient.copy() for _ in parameters])
    assert {parameter.tobytes() for parameter in parameters} == {parameters[0].tobytes()}
    alone = start.copy()
    single = optdsl.load("adam", target=target)(alone, lr=0.1)
    for gradient in gradients:
        single.step(gradient)
    np.testing.assert_array_equal(parameters[3], alone)


@elsewhere("NVIDIA/TransformerEngine#3318", "NVIDIA/TransformerEngine#1986")
def test_a_parameter_without_elements_counts_its_steps(target: str, tmp_path: Path) -> None:
    """A group whose parameters have no elements on this machine counts steps and saves its counts like any other.

    Groups that were empty on some machines were passed over before their counter was raised; who resumed from such a
    machine's checkpoint corrected the bias for a step long past.
    """
    Adam = optdsl.load("adam", target=target)

    def made() -> tuple[optdsl.Optimizer, list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]]:
        arrays = [np.ones(3), np.ones((0, 4))]
        return Adam([{"params": {"W": arrays[0]}}, {"params": {"norm": arrays[1]}, "lr": 0.1}]), arrays

    opt, _ = made()
    for _ in range(5):
        opt.step([{"W": np.ones(3)}, {"norm": np.ones((0, 4))}])
    opt.save(tmp_path / "a.safetensors")
    resumed, _ = made()
    resumed.load(tmp_path / "a.safetensors")
    assert (resumed.step_count("W"), resumed.step_count("norm")) == (5, 5)


@elsewhere("deepspeedai/DeepSpeed#8471")
def test_a_parameter_without_gradient_keeps_its_own_count(target: str) -> None:
    """A parameter that gets no gradient now and then ends with the bits it would have had by itself.

    One counter served all tensors of an element type, that of the last active one; where a gradient was missing, the
    others were corrected for its count. Mixed element types advanced it twice a step.
    """
    Adam = optdsl.load("adam", target=target)
    start = {"W": normal(7), "b": normal(3, seed=1), "half": normal(4, seed=2, dtype="float32")}
    present = {"W": [1, 1, 1, 1, 1, 1], "b": [1, 0, 0, 1, 1, 0], "half": [0, 1, 1, 0, 1, 1]}
    together = {name: value.copy() for name, value in start.items()}
    opt = Adam(together, lr=0.1)
    for k in range(6):
        opt.step({n: normal(*v.shape, seed=k, dtype=str(v.dtype)) if present[n][k] else None for n, v in start.items()})
    for name, value in start.items():
        alone = value.copy()
        single = Adam(alone, lr=0.1)
        for k in range(6):
            if present[name][k]:
                single.step(normal(*value.shape, seed=k, dtype=str(value.dtype)))
        np.testing.assert_array_equal(together[name], alone)
        assert opt.step_count(name) == sum(present[name])


@elsewhere("deepspeedai/DeepSpeed#7859", "deepspeedai/DeepSpeed#7982")
def test_corrections_do_not_depend_on_the_way_to_a_step(target: str) -> None:
    """What is corrected at step t depends on t alone: counted there, jumped there, or stepped piece by piece.

    Powers of the decay rates were kept as running products in one place and computed anew in another, so that updates
    of one step differed in their last bits with the order of the calls.
    """
    Adam = optdsl.load("adam", target=target)
    counted, jumped, pieces = np.ones(5), np.ones(5), [np.ones(2), np.ones(3)]
    opt = Adam({"W": counted}, lr=0.0)
    for _ in range(1000):
        opt.step({"W": np.zeros(5)})
    leaping = at(Adam({"W": jumped}), 1000)
    parts = at(Adam(pieces), 1000)
    opt.param_groups[0]["lr"] = 1e-3
    g = normal(5, seed=3)
    opt.step({"W": g})
    leaping.step({"W": g})
    parts.step([g[:2].copy(), g[2:].copy()])
    np.testing.assert_array_equal(jumped, counted)
    np.testing.assert_array_equal(np.concatenate(pieces), counted)


@elsewhere("keras-team/keras#13027", "tensorflow/tensorflow#48947")
def test_counts_are_part_of_a_checkpoint(target: str, tmp_path: Path) -> None:
    """A resumed run sees the step numbers of the interrupted one, in equations and in schedules.

    Optimizers saved their moments but not how many steps they had made, so that decay and corrections began anew.
    """
    Adam = optdsl.load("adam", target=target)
    schedule = Linear(1.0, 0.0, 8)
    whole, begun = np.ones(4), np.ones(4)
    uninterrupted, first = Adam({"W": whole}, lr=schedule), Adam({"W": begun}, lr=schedule)
    for k in range(6):
        uninterrupted.step({"W": normal(4, seed=k)})
    for k in range(3):
        first.step({"W": normal(4, seed=k)})
    first.save(tmp_path / "a.safetensors")
    second = Adam({"W": begun}, lr=schedule)
    second.load(tmp_path / "a.safetensors")
    for k in range(3, 6):
        second.step({"W": normal(4, seed=k)})
    np.testing.assert_array_equal(begun, whole)


@elsewhere("chainer/chainer#2388")
def test_late_corrections_are_1_and_no_error(target: str) -> None:
    """Once the power of a decay rate is below the smallest float64, the correction is 1 and the step an ordinary one.

    The power was computed by a function that raises where its result is out of range; Adam stopped late in training.
    """
    check_adam_at(10**6, 0.5, target)
    check_adam_at(2**53 - 1, 0.999, target)


@elsewhere("chainer/chainer#3214")
def test_nothing_divides_by_zero_before_the_first_step(target: str) -> None:
    """Options, views and state dictionaries can be asked for before any step; a view is then the parameter itself.

    Reading the learning rate before the first step divided by 1 - beta^0.
    """
    x = np.array([2.0, 3.0])
    opt = optdsl.loads(BIASED, target=target)({"W": x})
    opt.init_state()
    assert opt.state_dict()["steps"] == {"W": 0}
    assert opt.view()["W"].tolist() == [2.0, 3.0]
    opt.step({"W": np.ones(2)})
    assert opt.view()["W"].tolist() == [1.0, 1.0]
