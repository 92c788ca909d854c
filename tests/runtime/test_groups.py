"""Options: names understood, values checked before they take effect, groups changed while training."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from optdsl.runtime.groups import ParamGroup
from optdsl.runtime.numpy_kernel import NumpyPlan
from optdsl.runtime.optimizer import Optimizer

from .handmade import SGD, Adam, Mixed


def one(rule: type[Optimizer] = Adam, **options: Any) -> tuple[Any, ParamGroup]:
    opt = rule([np.ones(2)], **options)
    return opt, opt.param_groups[0]


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lr": -1}, ValueError, r"lr = -1 is outside \[0, inf\)"),
    ({"lr": -0.5}, ValueError, r"lr = -0.5 is outside \[0, inf\)"),
    ({"lr": inf}, ValueError, r"lr = inf is outside \[0, inf\)"),
    ({"lr": nan}, ValueError, r"lr is NaN; expected a number in \[0, inf\)"),
    ({"beta1": 1.0}, ValueError, r"beta1 = 1 is outside \[0, 1\)"),
    ({"betas": (0.9, 2)}, ValueError, r"beta2 = 2 is outside \[0, 1\)"),
    ({"betas": (0.9,)}, ValueError, r"betas takes 2 values \(beta1, beta2\); got 1"),
    ({"betas": 0.9}, TypeError, "betas takes a tuple"),
    ({"lr": "0.1"}, TypeError, "lr takes a number"),
    ({"lr": True}, TypeError, "lr takes a number"),
    ({"lr": None}, TypeError, "lr takes a number"),
    ({"lr": 1j}, TypeError, "lr takes a number"),
    ({"lr": np.ones(1)}, TypeError, r"lr takes one number; got an array of shape \(1,\)"),
    ({"lr": 10**400}, ValueError, "too large"),
    ({"amsgrad": 1}, TypeError, "amsgrad takes True or False"),
    ({"amsgrad": 0.0}, TypeError, "amsgrad takes True or False"),
    ({"maximize": 1}, TypeError, "maximize takes True or False"),
    ({"betta1": 0.5}, TypeError, "Adam has no option 'betta1'; did you mean 'beta1'"),
    ({"learning": 0.5}, TypeError, "Adam has no option 'learning'"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_a_bad_option_is_refused_when_building(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Adam([np.ones(2)], **options)


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_a_bad_option_is_refused_in_a_group(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Adam([{"params": np.ones(2), **options}])


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_a_bad_change_is_refused_and_nothing_changes(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    _, group = one()
    before = dict(group)
    for name, value in options.items():
        with pytest.raises(error, match=message):
            group[name] = value
    with pytest.raises(error, match=message):
        group.update({"eps": 0.5, **options})
    assert dict(group) == before


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(2), np.array(0.25), Fraction(1, 2)])
def test_every_kind_of_real_number_is_taken(value: Any) -> None:
    _, group = one(lr=value)
    assert group["lr"] == float(value)
    assert type(group["lr"]) is float


def test_an_array_given_as_lr_is_not_an_alias() -> None:
    lr = np.array(0.5)
    _, group = one(lr=lr)
    lr[...] = -3.0
    assert group["lr"] == 0.5


def test_aliases_are_read_and_set_as_tuples() -> None:
    _, group = one(betas=(0.5, 0.75))
    assert (group["beta1"], group["beta2"]) == (0.5, 0.75)
    group["betas"] = 0.25, 0.5
    assert group["betas"] == (0.25, 0.5)
    assert group["beta1"] == 0.25
    assert "betas" in group
    assert "betas" not in list(group)
    assert one(betas=None)[1]["betas"] == (0.9, 0.999)
    with pytest.raises(TypeError, match="beta1 is given twice"):
        one(betas=(0.5, 0.5), beta1=0.5)


def test_groups_behave_like_dictionaries() -> None:
    opt, group = one()
    assert list(group) == ["params", "lr", "beta1", "beta2", "eps", "amsgrad", "maximize"]
    assert len(group) == 7
    assert group.setdefault("lr", 5) == 1e-3
    assert group.get("momentum") is None
    assert repr(group).startswith("ParamGroup({'params': [array([1., 1.])], 'lr': 0.001")
    with pytest.raises(KeyError, match="did you mean 'eps'"):
        group["epps"]
    with pytest.raises(TypeError, match="can't be removed"):
        del group["lr"]
    with pytest.raises(TypeError, match="add_param_group"):
        group["params"] = []
    with pytest.raises(TypeError, match=r"set opt\.clip_norm"):
        group["clip_norm"] = 1.0
    group["params"].clear()
    assert len(opt.param_groups[0]["params"]) == 1


def test_keywords_are_typed_with_an_underscore() -> None:
    _, group = one(Mixed, lambda_=0.75)
    assert group["lambda"] == group["lambda_"] == 0.75
    group["lambda_"] = 0.5
    assert group["lambda"] == 0.5
    assert one(Mixed, **{"lambda": 0.125})[1]["lambda"] == 0.125
    with pytest.raises(TypeError, match="lambda is given twice"):
        one(Mixed, lambda_=1.0, **{"lambda": 1.0})


def test_a_default_may_depend_on_another_hyperparameter() -> None:
    assert one(Mixed, lr=3.0)[1]["double"] == 6.0
    assert one(Mixed, lr=3.0, double=1.0)[1]["double"] == 1.0
    assert one(Mixed, lr=lambda t: 10.0 * t)[1]["double"] == 20.0


def test_a_change_acts_from_the_next_step_on() -> None:
    x = np.zeros(1)
    opt = SGD([x], lr=1.0)
    opt.step([np.ones(1)])
    opt.param_groups[0]["lr"] = 0.25
    opt.step([np.ones(1)])
    assert x[0] == -1.25


def test_a_state_comes_and_goes_with_its_condition() -> None:
    x, y = np.zeros(2), np.zeros(2)
    opt = SGD([x, y], lr=1.0)
    opt.step([np.ones(2), None])
    assert dict(opt.state["0"]) == {}
    opt.param_groups[0]["momentum"] = 0.5
    assert opt.state["0"]["b"].tolist() == [0.0, 0.0]
    assert "1" not in opt.state
    opt.step([np.ones(2), np.ones(2)])
    assert opt.state["0"]["b"].tolist() == [1.0, 1.0]
    opt.param_groups[0]["momentum"] = 0.0
    assert dict(opt.state["0"]) == {}
    opt.step([np.ones(2), np.ones(2)])
    assert x.tolist() == [-3.0, -3.0]


def test_states_that_stay_keep_their_values() -> None:
    opt = Adam([np.zeros(2)])
    opt.step([np.ones(2)])
    m = opt.state["0"]["m"]
    opt.param_groups[0]["amsgrad"] = True
    assert opt.state["0"]["m"] is m
    assert opt.state["0"]["vmax"].tolist() == [0.0, 0.0]


def test_scalar_states_keep_their_values_too() -> None:
    opt = Mixed([np.zeros(2)])
    opt.step([np.ones(2)])
    opt.param_groups[0]["lambda"] = 2.0
    assert list(opt.state["0"]) == ["z", "prod", "step", "extra"]
    assert opt.state["0"]["prod"] == 0.5
    opt.step([np.ones(2)])
    assert opt.state["0"]["prod"] == 0.25


def test_maximize_may_differ_between_groups() -> None:
    x, y = np.zeros(1), np.zeros(1)
    opt = Adam([{"params": [x], "maximize": True}, {"params": [y]}], lr=0.5)
    opt.step([np.ones(1), np.ones(1)])
    assert x[0] == -y[0] > 0
    assert opt.param_groups[0]["maximize"] is True
    opt.param_groups[0]["maximize"] = False
    opt.step([np.ones(1), None])
    assert x[0] < 0.5


def test_a_rules_own_maximize_is_the_only_one() -> None:
    x = np.zeros(1)
    opt = SGD([x], lr=1.0, maximize=True)
    opt.step([np.ones(1)])
    assert x[0] == 1.0
    assert list(opt.param_groups[0]) == ["params", "lr", "momentum", "maximize"]


def test_a_schedule_sees_each_parameters_own_step() -> None:
    x, y = np.zeros(1), np.zeros(1)
    calls: list[int] = []

    def schedule(t: int) -> float:
        calls.append(t)
        return 10.0**-t

    opt = SGD([x, y], lr=schedule)
    assert opt.param_groups[0]["lr"] is schedule
    opt.step([np.ones(1), None])
    opt.step([np.ones(1), np.ones(1)])
    assert x[0] == -(0.1 + 0.01)
    assert y[0] == -0.1
    assert calls == [1, 2, 1]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1.0, ValueError, r"lr = -1 at step 2 is outside \[0, inf\)"),
        (nan, ValueError, "lr at step 2 is NaN"),
        ("x", TypeError, "lr at step 2 takes a number"),
    ],
)
def test_a_schedules_value_is_checked_before_anything_changes(value: Any, error: type[Exception], message: str) -> None:
    x, y = np.zeros(1), np.zeros(1)
    opt = SGD([{"params": [x], "lr": 1.0}, {"params": [y], "lr": lambda t: 1.0 if t == 1 else value}])
    opt.step([np.ones(1), np.ones(1)])
    with pytest.raises(error, match=message):
        opt.step([np.ones(1), np.ones(1)])
    assert (x[0], y[0], opt.step_count("0")) == (-1.0, -1.0, 1)


def test_states_come_and_go_with_a_schedule() -> None:
    x = np.zeros(1)
    opt = SGD([x], lr=1.0, momentum=lambda t: 0.5 if t in (2, 3) else 0.0)
    alive = []
    for _ in range(4):
        opt.step([np.ones(1)])
        alive.append(sorted(opt.state["0"]))
    assert alive == [[], ["b"], ["b"], []]
    assert x[0] == -(1 + 1 + 1.5 + 1), "the buffer starts at 0 when it comes into being"


def test_a_step_that_fails_brings_back_the_states_a_schedule_took() -> None:
    x = np.zeros(1)
    opt = SGD([x], lr=1.0, momentum=lambda t: 0.5 if t == 1 else 0.0)
    opt.step([np.ones(1)])
    buffer = opt.state["0"]["b"].copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NumpyPlan, "run", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            opt.step([np.ones(1)])
    assert opt.state["0"]["b"] == buffer
    assert (x[0], opt.step_count("0")) == (-1.0, 1)


def test_a_truth_value_may_have_a_schedule_that_keeps_the_states() -> None:
    x = np.zeros(1)
    opt = SGD([x], lr=1.0, maximize=lambda t: t == 2)
    opt.step([np.ones(1)])
    opt.step([np.ones(1)])
    assert x[0] == 0.0


def test_a_schedule_that_raises_changes_nothing() -> None:
    x = np.zeros(1)
    opt = SGD([x], lr=lambda t: 1 / (t - 1))
    with pytest.raises(ZeroDivisionError):
        opt.step([np.ones(1)])
    assert (x[0], len(opt.state)) == (0.0, 0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"clip_norm": -1}, ValueError, r"clip_norm = -1 is outside \[0, inf\]"),
        ({"clip_value": nan}, ValueError, "clip_value"),
        ({"clip_norm": "1"}, TypeError, "clip_norm takes a number"),
        ({"nonfinite": "skipp"}, ValueError, "did you mean 'skip'"),
    ],
)
def test_options_of_the_optimizer_are_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    opt, _ = one()
    with pytest.raises(error, match=message):
        one(**options)
    for name, value in options.items():
        before = getattr(opt, name)
        with pytest.raises(error, match=message):
            setattr(opt, name, value)
        assert getattr(opt, name) == before
    with pytest.raises(TypeError, match="option of the whole optimizer"):
        Adam([{"params": np.ones(1), **options}])
