"""What a step means: the same on every target, and what the option or the paper says."""

from __future__ import annotations

import numpy as np
import pytest

import optdsl

from .elsewhere import elsewhere
from .support import Array, adam_move, normal


def walked(rule: str, target: str, sign: float = 1.0, **options: object) -> tuple[Array, dict[str, Array]]:
    """Return a parameter and its states after some steps along gradients, or against them."""
    x = normal(3, 5)
    opt = optdsl.load(rule, target=target)({"W": x}, **options)
    for k in range(1, 6):
        opt.step({"W": sign * normal(3, 5, seed=k)})
    return x, dict(opt.state["W"])


@elsewhere("pytorch/pytorch#78807")
def test_the_maximum_of_amsgrad_is_kept(target: str) -> None:
    """The largest second moment so far is a state: it stays when gradients become small, and the step divides by it.

    One of two implementations computed the maximum for the step and forgot it afterwards.
    """
    x = np.zeros(1)
    opt = optdsl.load("adam", target=target)({"W": x}, lr=1.0, amsgrad=True, beta1=0.0, beta2=0.5, eps=0.0)
    opt.step({"W": np.array([8.0])})
    for t in range(2, 30):
        x[...] = 0.0
        opt.step({"W": np.array([2.0**-t])})
        assert opt.state["W"]["vmax"].tolist() == [32.0]
        np.testing.assert_allclose(-x, 2.0**-t / np.sqrt(32.0 / (1 - 0.5**t)), rtol=1e-12)


@pytest.mark.parametrize(
    "options", [{"maximize": True}, {"clip_norm": 0.5}, {"clip_value": 0.1}, {"nonfinite": "skip"}]
)
@elsewhere("pytorch/pytorch#92706")
def test_gradients_are_never_changed(options: dict[str, object], target: str) -> None:
    """A step reads gradients and leaves every byte of them as it was, whatever the options.

    A faster implementation negated and decayed gradients in place, and callers who used them again saw others.
    """
    gradients = {"W": normal(3, 5), "b": np.array(2.0)}
    before = {name: value.tobytes() for name, value in gradients.items()}
    opt = optdsl.load("adamw", target=target)({"W": normal(3, 5, seed=1), "b": np.array(1.0)}, **options)
    for _ in range(3):
        opt.step(gradients)
    assert {name: value.tobytes() for name, value in gradients.items()} == before


@elsewhere("pytorch/pytorch#12218")
def test_decay_does_not_go_into_the_callers_gradient(target: str) -> None:
    """With an L2 penalty a second step with the same gradient array decays once, not once more for each step before.

    One optimizer added the penalty to the caller's gradient in place, another to a copy.
    """
    x, g = np.array([1.0]), np.array([0.0])
    opt = optdsl.load("sgd", target=target)([x], lr=0.5, weight_decay=0.5)
    for _ in range(3):
        opt.step([g])
    assert (x.tolist(), g.tolist()) == ([0.75**3], [0.0])


@pytest.mark.parametrize("rule", ["adam", "lamb", "novograd", "adabelief"])
@elsewhere("kozistr/pytorch_optimizer#528")
def test_maximize_negates_once(rule: str, target: str) -> None:
    """maximize=True is bit for bit the descent along the negated gradients, in rules of several passes too.

    A rule that went over its gradients twice negated them in place in both passes, and descended after all.
    """
    climbed, states = walked(rule, target, maximize=True)
    descended, expected = walked(rule, target, sign=-1.0)
    np.testing.assert_array_equal(climbed, descended)
    np.testing.assert_equal(states, expected)


@pytest.mark.parametrize("rule", ["sgd", "asgd", "padam", "rmsprop", "adadelta", "lion", "radam", "rprop", "yogi"])
@elsewhere("kozistr/pytorch_optimizer#527")
def test_maximize_is_not_ignored(rule: str) -> None:
    """Every rule has the option, and it turns the first step round.

    Seven optimizers took and documented the option and did nothing with it.
    """
    Rule = optdsl.load(rule, target="numpy")
    down, up = np.full(4, 2.0), np.full(4, 2.0)
    g = normal(4, seed=5)
    Rule([down], lr=0.01).step([g])
    Rule([up], lr=0.01, maximize=True).step([g])
    assert (np.sign(down - 2.0) == -np.sign(up - 2.0)).all()
    assert (down != 2.0).all()


@elsewhere("pytorch/pytorch#81859", "pytorch/pytorch#46480")
def test_climbing_is_no_negative_rate(target: str) -> None:
    """Climbing negates the gradient, so that momentum gathers what is climbed along, and weight decay still decays.

    Climbing negated the learning rate instead, which left momentum with the wrong sign once both were used; tests saw
    the loss go the right way and passed.
    """
    x = np.zeros(2)
    opt = optdsl.load("sgd", target=target)({"W": x}, lr=1.0, momentum=0.5, maximize=True)
    opt.step({"W": np.array([1.0, -2.0])})
    assert opt.state["W"]["b"].tolist() == [-1.0, 2.0]
    opt.step({"W": np.zeros(2)})
    assert x.tolist() == [1.5, -3.0]
    shrunk = np.array([8.0])
    optdsl.load("adamw", target=target)([shrunk], lr=0.5, weight_decay=0.5, maximize=True).step([np.zeros(1)])
    assert shrunk.tolist() == [6.0]


@elsewhere("pytorch/pytorch#126854")
def test_a_schedule_does_not_compound(target: str) -> None:
    """A schedule gives the value of a step from the step's number alone; a constant one stays what it is.

    A factor was applied in place to the learning rate, which the scheduler held for the initial one: half, a quarter,
    an eighth.
    """
    x = np.zeros(1)
    opt = optdsl.load("sgd", target=target)([x], lr=lambda t: 0.5 * float(np.float64(1.0)))
    for _ in range(10):
        opt.step([np.ones(1)])
    assert x.tolist() == [-5.0]


@elsewhere("pytorch/pytorch#163103", "pytorch/pytorch#163120")
def test_an_array_given_for_a_number_is_not_held_on_to(target: str) -> None:
    """An option given as a 0-d array is read once; writing to it later changes no group, and groups share nothing.

    A learning rate given as a tensor stood in several places at once, and what one scheduler wrote there all saw.
    """
    rate = np.array(0.5)
    x, y = np.zeros(1), np.zeros(1)
    opt = optdsl.load("sgd", target=target)([{"params": [x]}, {"params": [y]}], lr=rate)
    rate[...] = 100.0
    opt.param_groups[1]["lr"] = 0.25
    opt.step([np.ones(1), np.ones(1)])
    assert (opt.defaults["lr"], opt.param_groups[0]["lr"], x[0], y[0]) == (0.5, 0.5, -0.5, -0.25)


@elsewhere("bitsandbytes-foundation/bitsandbytes#2010", "stanford-cs336/assignment1-basics#54")
def test_decoupled_decay_takes_the_old_parameter(target: str) -> None:
    """AdamW takes decay and update off the same old parameter: neither is a share of the other, on any target.

    Some implementations in one library decayed before the update and some after it, which decays the update as well.
    """
    x = np.array([3.0, -1.5])
    opt = optdsl.load("adamw", target=target)([x], lr=0.25, weight_decay=0.5)
    opt.step([np.array([0.125, 2.0])])
    move = [adam_move(g, 1, 0.25, 0.9, 0.999, 1e-8) for g in (0.125, 2.0)]
    np.testing.assert_allclose(x, [3.0 - 0.25 * 0.5 * 3.0 - move[0], -1.5 + 0.25 * 0.5 * 1.5 - move[1]], rtol=1e-12)


@elsewhere("bitsandbytes-foundation/bitsandbytes#1992", "bitsandbytes-foundation/bitsandbytes#2001")
def test_lions_sign_does_not_see_the_decay(target: str) -> None:
    """In Lion the sign is taken of gradient and momentum alone; the decay acts on the parameter.

    The decay was added to the gradient before its sign was taken, where it could turn the step round.
    """
    x = np.array([100.0, -100.0, 100.0])
    optdsl.load("lion", target=target)([x], lr=0.5, weight_decay=0.01).step([np.array([1e-3, 1e-3, -1e-3])])
    np.testing.assert_allclose(x, [100.0 - 0.5 * (1 + 1.0), -100.0 - 0.5 * (1 - 1.0), 100.0 - 0.5 * (-1 + 1.0)])


@elsewhere("huggingface/pytorch-image-models#2750")
def test_element_types_side_by_side_are_each_stepped_once(target: str) -> None:
    """float32 and float64 parameters of one optimizer are each decayed and stepped once.

    Decay was applied to the whole list once for every group of equal element types.
    """
    single, double = np.array([1.0], np.float32), np.array([1.0])
    opt = optdsl.load("sgdw", target=target)([single, double], lr=1.0, weight_decay=0.25)
    opt.step([np.zeros(1, np.float32), np.zeros(1)])
    assert (single.tolist(), double.tolist()) == ([0.75], [0.75])
    opt.step([np.ones(1, np.float32), np.ones(1)])
    assert (single.tolist(), double.tolist()) == ([0.75 * 0.75 - 1], [0.75 * 0.75 - 1])


@elsewhere("tensorflow/tensorflow#9047", "tensorflow/tensorflow#35102")
def test_adams_eps_joins_the_corrected_root(target: str) -> None:
    """Adam divides by sqrt(v/(1 - beta2^t)) + eps; the eps isn't scaled by the correction.

    An implementation corrected the learning rate instead, which scales eps by a factor that the paper doesn't have.
    """
    x = np.zeros(1)
    opt = optdsl.load("adam", target=target)([x], lr=1.0, eps=0.5)
    opt.step([np.array([1.0])])
    np.testing.assert_allclose(x, -1.0 / (1.0 + 0.5), rtol=1e-12)


@elsewhere("pytorch/pytorch#41597", "thu-ml/tianshou#395")
def test_a_shared_parameter_gets_its_gradient_once(target: str) -> None:
    """Parameters shared by two parts of a model are named once, and a refusal changes nothing that was there before.

    A list made of the parameters of two networks held the shared ones twice; they were stepped twice, with a warning.
    """
    shared, own = np.ones(3), np.ones(2)
    Adam = optdsl.load("adam", target=target)
    with pytest.raises(ValueError, match=r"'critic\.shared'"):
        Adam({"actor": {"shared": shared, "own": own}, "critic": {"shared": shared}})
    opt = Adam({"actor": {"shared": shared, "own": own}}, lr=0.5)
    opt.step({"actor": {"shared": np.ones(3), "own": np.ones(2)}})
    np.testing.assert_allclose(shared, 0.5, rtol=1e-6)
