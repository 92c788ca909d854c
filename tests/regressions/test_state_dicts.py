"""Checkpoints: nothing changes its type, nothing goes to another parameter, nothing is lost or half taken over."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optdsl
from optdsl.runtime.parameter import Parameter

from .elsewhere import elsewhere
from .support import Array, everything, normal, python

SHAPES = {"W": (2, 3), "b": (3,), "c": (3,)}
ACCUMULATING = "rule Sum(x, g)\nstate\n  s = 0\nupdate\n  s' = s + g\n  x' = x - s'\n"


def trained(target: str, *names: str, dtype: str = "float32", rule: str = "adam") -> tuple[dict[str, Array], Any]:
    """Return parameters in the order of the names, and an optimizer that has stepped each along its own gradients."""
    params = {name: normal(*SHAPES[name], dtype=dtype) for name in names or SHAPES}
    opt = optdsl.load(rule, target=target)(params, lr=0.1)
    for k in range(3):
        opt.step({name: normal(*SHAPES[name], seed=10 * k + ord(name), dtype=dtype) for name in params})
    return params, opt


def refuses(target: str, change: Callable[[dict[str, Any]], object], match: str, rule: str = "adam") -> None:
    """Check that a changed state dictionary is refused, and that nothing of the optimizer has changed."""
    _, source = trained(target, rule=rule)
    document = source.state_dict()
    change(document)
    params, opt = trained(target, rule=rule)
    before = everything(opt, *params.values())
    with pytest.raises(ValueError, match=match):
        opt.load_state_dict(document)
    assert everything(opt, *params.values()) == before


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@elsewhere("pytorch/pytorch#43706")
def test_loading_never_changes_the_type_of_a_state(dtype: str, target: str) -> None:
    """A state of another element type than the optimizer's is refused, with parameter, state and both types named.

    States were cast to the type of their parameter as they were loaded; moments kept in a wider type lost their digits.
    """

    def cast(document: dict[str, Any]) -> None:
        document["state"]["W"]["m"] = document["state"]["W"]["m"].astype(dtype)

    refuses(target, cast, rf"state of 'W': 'm' is {dtype}; expected float32")


@elsewhere("pytorch/pytorch#1489")
def test_states_go_by_name_and_not_by_position(target: str) -> None:
    """A model whose parameters are listed in another order takes its own states, also where the shapes are the same.

    States were matched by position, so that after a reordering one layer went on with the moments of another.
    """
    params, opt = trained(target, "W", "b", "c")
    turned, other = trained(target, "c", "b", "W")
    for name, value in params.items():
        turned[name][...] = value
    other.load_state_dict(opt.state_dict())
    assert opt.state["b"]["m"].tolist() != opt.state["c"]["m"].tolist()
    for each, of in ((params, opt), (turned, other)):
        of.step({name: normal(*SHAPES[name], seed=99, dtype="float32") for name in each})
    for name, value in params.items():
        np.testing.assert_array_equal(turned[name], value)


@elsewhere("pytorch/pytorch#6031")
def test_parameters_without_an_order_are_refused(target: str) -> None:
    """A set of parameters is refused, because positions in it name nothing.

    A set came out in another order in every process, and a checkpoint's states went to parameters at random.
    """
    with pytest.raises(TypeError, match=r"set, which has no order.*a list or a mapping"):
        optdsl.load("adam", target=target)({Parameter(np.ones(2)), Parameter(np.ones(3))})


@elsewhere("facebookresearch/fairscale#380")
def test_the_order_inside_a_state_dictionary_means_nothing(target: str) -> None:
    """Entries of a state dictionary may come in any order.

    States were put back in the order in which they happened to be stored, which wasn't that of the groups.
    """
    _, opt = trained(target)
    document = opt.state_dict()
    for part in ("steps", "state"):
        document[part] = dict(reversed(document[part].items()))
    document["state"] = {name: dict(reversed(states.items())) for name, states in document["state"].items()}
    document["param_groups"][0]["params"].reverse()
    _, other = trained(target)
    other.load_state_dict(dict(reversed(document.items())))
    np.testing.assert_equal(other.state_dict()["state"], opt.state_dict()["state"])


@elsewhere("tensorflow/tensorflow#44670", "keras-team/tf-keras#70", "tensorflow/tensorflow#53064")
def test_states_that_are_missing_are_not_made_anew(target: str) -> None:
    """A parameter that has made steps and has no states in the state dictionary is an error.

    Loading a model gave it a fresh optimizer without a word, and training went on with moments of zero.
    """
    refuses(target, lambda document: document["state"].pop("b"), r"state: missing 'b'")
    refuses(target, lambda document: document["state"]["b"].pop("v"), r"missing 'v'")


@elsewhere("X-LANCE/text2sql-lgesql#18")
def test_a_state_of_another_shape_is_refused_when_it_is_loaded(target: str) -> None:
    """Shapes are compared when a checkpoint is loaded; one that would broadcast is refused, too.

    States went to other parameters, which showed as an error about sizes in the middle of the next step, or not at all.
    """
    for wrong in (np.zeros((3, 2), np.float32), np.zeros((1, 3), np.float32), np.zeros((), np.float32)):
        refuses(target, partial(_with_moment, wrong), r"state of 'W': 'm' has shape")


def _with_moment(moment: Any, document: dict[str, Any]) -> None:
    document["state"]["W"].update(m=moment)


@elsewhere("pytorch/pytorch#7499")
def test_the_states_of_another_rule_are_refused(target: str) -> None:
    """A checkpoint names its rule, and another rule's optimizer refuses it.

    Loading Adam's state into SGD worked, and the next step failed because a group had no momentum.
    """
    _, adam = trained(target)
    params, sgd = trained(target, rule="sgd")
    before = everything(sgd, *params.values())
    with pytest.raises(ValueError, match="is of the rule 'Adam', not 'SGD'"):
        sgd.load_state_dict(adam.state_dict())
    assert everything(sgd, *params.values()) == before


@elsewhere("facebookresearch/fairseq#1908")
def test_a_rule_of_the_same_name_is_told_by_its_text(target: str) -> None:
    """Two rules of one name and with states of one name are different rules, which a checkpoint tells apart.

    A check compared the name of a wrapper around the optimizer, which was the same whatever it wrapped.
    """
    one, other = optdsl.loads(ACCUMULATING, target=target), optdsl.loads(ACCUMULATING.replace("s + g", "s - g"), target)
    x = np.ones(2)
    opt = one(x)
    opt.step(np.ones(2))
    with pytest.raises(ValueError, match="text of the rule Sum has changed"):
        other(np.ones(2)).load_state_dict(opt.state_dict())


@elsewhere("NVIDIA/apex#577")
def test_options_that_are_missing_or_unknown_are_named(target: str) -> None:
    """A state dictionary without one of the rule's options, or with another, is refused, and the option is named.

    A fused Adam took a plain Adam's state and failed at the next step, for want of an option of its own.
    """
    refuses(target, lambda document: document["param_groups"][0].pop("beta2"), r"missing 'beta2'")
    refuses(target, lambda document: document["param_groups"][0].update(fused=True), r"unknown 'fused'")


@elsewhere("Lightning-AI/pytorch-lightning#688", "Lightning-AI/pytorch-lightning#19970")
def test_a_checkpoint_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, target: str) -> None:
    """Where a new checkpoint can't be written to its end, the old one is there as it was, and nothing beside it.

    Files were written in place: a process killed at the wrong moment left neither the old nor the new. It was mended
    once and came back with a rewrite.
    """
    code = f"""
import resource, signal, numpy as np, optdsl
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
opt = optdsl.load("adam", target={target!r})({{"W": np.ones(50_000)}})
opt.step({{"W": np.ones(50_000)}})
opt.save("a.safetensors")
opt.step({{"W": np.ones(50_000)}})
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    opt.save("a.safetensors")
except OSError as error:
    print("refused")
"""
    done = python(code, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr
    assert os.listdir(tmp_path) == ["a.safetensors"]
    opt = optdsl.load("adam", target=target)({"W": np.ones(50_000)})
    opt.load(tmp_path / "a.safetensors")
    assert opt.step_count("W") == 1


@elsewhere("CVE-2025-32434", "CVE-2026-24747")
def test_loading_a_checkpoint_runs_nothing(tmp_path: Path, target: str) -> None:
    """A checkpoint is data: pickled code in its place is refused by the file's name and not run.

    A loader that was to read weights alone could be made to run code that a file brought along.
    """
    ran = tmp_path / "ran"

    class Planted:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return open, (str(ran), "w")

    planted = tmp_path / "planted.safetensors"
    planted.write_bytes(pickle.dumps(Planted()))
    _, opt = trained(target)
    with pytest.raises(ValueError, match=r"planted\.safetensors"):
        opt.load(planted)
    assert not ran.exists()
    pickle.loads(planted.read_bytes()).close()
    assert ran.exists(), "what was planted would have shown"


@elsewhere("vllm-project/speculators#899")
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(tmp_path: Path, target: str, dtype: np.dtype[Any]) -> None:
    """Interrupted, saved, loaded and gone on with, training ends with the bits that it would have had anyway.

    Moments were saved in fewer digits than they were kept in, and the resumed run was another.
    """
    whole, uninterrupted = trained(target, dtype=dtype.name)
    _, saved = trained(target, dtype=dtype.name)
    saved.save(tmp_path / "a.safetensors")
    parts, _ = trained(target, dtype=dtype.name)
    resumed = optdsl.load("adam", target=target)(parts, lr=0.1)
    resumed.load(tmp_path / "a.safetensors")
    for k in range(3):
        gradients = {name: normal(*shape, seed=50 + k, dtype=dtype.name) for name, shape in SHAPES.items()}
        uninterrupted.step(gradients)
        resumed.step(gradients)
    assert [parts[name].tobytes() for name in SHAPES] == [whole[name].tobytes() for name in SHAPES]
    np.testing.assert_equal(resumed.state_dict(), uninterrupted.state_dict())
