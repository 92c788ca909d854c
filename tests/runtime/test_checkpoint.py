"""State dictionaries and checkpoint files: exact, by name, all or nothing, and never half written."""

from __future__ import annotations

import copy
import json
import os
import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from optdsl.runtime.checkpoint import CHECKSUM, DOCUMENT, checksum
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.rule import RuleInfo
from optdsl.runtime.schedules import Constant, Warmup

from .handmade import SGD, Adam, Mixed


def trained(steps: int = 3, **options: Any) -> tuple[dict[str, Any], Optimizer]:
    params = {"W": np.ones((2, 3)), "b": np.ones(2, np.float32), "frozen": np.ones(1)}
    opt = Adam(params, **options)
    continue_training(params, opt, steps)
    return params, opt


def continue_training(params: dict[str, Any], opt: Optimizer, steps: int) -> None:
    for k in range(steps):
        rng = np.random.default_rng(k)
        opt.step({"W": rng.normal(size=(2, 3)), "b": rng.normal(size=2).astype(np.float32), "frozen": None})


def snapshot(opt: Optimizer) -> Any:
    return opt.state_dict()


def test_the_layout_of_a_state_dictionary() -> None:
    _, opt = trained(betas=(0.5, 0.75), clip_norm=2.0)
    d = opt.state_dict()
    assert list(d) == ["format", "rule", "digest", "options", "skipped", "param_groups", "steps", "state"]
    assert (d["format"], d["rule"], d["digest"], d["skipped"]) == (2, "Adam", "a" * 64, 0)
    assert d["options"] == {"clip_norm": 2.0, "clip_value": None, "nonfinite": "propagate"}
    assert d["steps"] == {"W": 3, "b": 3, "frozen": 0}
    assert d["param_groups"] == [
        {"params": ["W", "b", "frozen"], "lr": 1e-3, "beta1": 0.5, "beta2": 0.75, "eps": 1e-8, "amsgrad": False,
         "maximize": False}
    ]  # fmt: skip
    assert {name: list(states) for name, states in d["state"].items()} == {"W": ["m", "v"], "b": ["m", "v"]}
    assert d["state"]["W"]["m"] is not opt.state["W"]["m"]
    json.dumps({**d, "state": None})


@pytest.mark.parametrize("through", ["dictionary", "file"])
def test_training_goes_on_bit_for_bit(through: str, tmp_path: Path) -> None:
    params, opt = trained(lr=0.1, amsgrad=True)
    twins = copy.deepcopy(params)
    twin = Adam(twins)
    if through == "file":
        opt.save(tmp_path / "a.safetensors")
        twin.load(tmp_path / "a.safetensors")
    else:
        twin.load_state_dict(opt.state_dict())
    for each, of in ((params, opt), (twins, twin)):
        continue_training(each, of, 4)
    np.testing.assert_equal(twins, params)
    np.testing.assert_equal(snapshot(twin), snapshot(opt))
    assert twin.state["b"]["m"].dtype == np.float32


def test_scalar_states_and_counts_are_exact(tmp_path: Path) -> None:
    x = np.ones(2, np.float32)
    opt = Mixed(x)
    opt.step(np.ones(2, np.float32))
    opt.state["0"]["prod"][...] = 0.1
    d = opt.state_dict()
    d["steps"]["0"] = 2**53 - 1
    opt.load_state_dict(d)
    opt.save(tmp_path / "c")
    other = Mixed(np.ones(2, np.float32))
    other.load(tmp_path / "c")
    assert other.step_count("0") == 2**53 - 1
    assert other.state["0"]["prod"] == 0.1
    assert other.state["0"]["prod"].dtype == np.float64


@pytest.mark.parametrize("count", [2**8, 2**11, 2**24, 2**31 - 1, 2**31, 2**32])
def test_counts_go_on_past_every_boundary(count: int) -> None:
    x = np.ones(1, np.float32)
    seen: list[int] = []

    def rate(t: int) -> float:
        seen.append(t)
        return 0.0

    opt = SGD(x, lr=rate)
    d = opt.state_dict()
    d["steps"]["0"], d["state"]["0"] = count, {}
    opt.load_state_dict(d)
    for _ in range(2):
        opt.step(np.ones(1, np.float32))
    assert opt.step_count("0") == count + 2
    assert seen[-2:] == [count + 1, count + 2]


def test_schedules_are_kept_from_the_optimizer_that_loads() -> None:
    def made(lr: Any) -> tuple[Any, Optimizer]:
        x = np.zeros(1)
        return x, SGD(x, lr=lr)

    _, opt = made(Warmup(Constant(1.0), 1))
    opt.step(np.ones(1))
    d = opt.state_dict()
    assert d["param_groups"][0]["lr"] == {
        "schedule": "Warmup(after=Constant(value=1.0), steps=1, start=0.0)",
    }
    y, other = made(lambda t: 0.25)
    other.load_state_dict(d)
    other.step(np.ones(1))
    assert y[0] == -0.25
    assert " at 0x" not in str(other.state_dict()["param_groups"])
    _, plain = made(0.5)
    with pytest.raises(ValueError, match="lr had the schedule Warmup"):
        plain.load_state_dict(d)


def replaced(*path: Any, by: Any) -> Any:
    def change(d: Any) -> None:
        for key in path[:-1]:
            d = d[key]
        d[path[-1]] = by

    return change


def without(*path: Any) -> Any:
    def change(d: Any) -> None:
        for key in path[:-1]:
            d = d[key]
        del d[path[-1]]

    return change


BAD = [
    (replaced("rule", by="Lion"), "of the rule 'Lion', not 'Adam'"),
    (replaced("digest", by="0"), "has changed.*strict=False"),
    (replaced("format", by=3), "format 3, of a newer optdsl; this version reads up to 2"),
    (replaced("format", by=0), "format 0; expected a number from 1 to 2"),
    (replaced("format", by=True), "format True; expected"),
    (replaced("format", by=1.0), "format 1.0; expected"),
    (without("format"), "which has a 'format'"),
    (replaced("extra", by=1), "unknown 'extra'"),
    (without("steps"), "missing 'steps'"),
    (replaced("skipped", by=-1), "skipped = -1"),
    (replaced("options", "clip_norm", by=-1), "clip_norm = -1 is outside"),
    (replaced("options", "nonfinite", by="no"), "none of 'propagate'"),
    (without("options", "clip_norm"), "missing 'clip_norm'"),
    (replaced("param_groups", by=[]), "expected 1, got 0"),
    (replaced("param_groups", by=None), "expected 1"),
    (replaced("param_groups", 0, by=[]), "expected a mapping"),
    (replaced("param_groups", 0, "lr", by=-1.0), "lr = -1 is outside"),
    (without("param_groups", 0, "beta1"), "missing 'beta1'"),
    (replaced("param_groups", 0, "momentum", by=1.0), "unknown 'momentum'"),
    (replaced("param_groups", 0, "params", by=["W", "b"]), "missing 'frozen'"),
    (replaced("param_groups", 0, "params", by=["W", "b", "frozen", "W"]), "listed twice"),
    (replaced("param_groups", 0, "params", by=[[]]), "not a list of names"),
    (replaced("steps", "W", by=-1), "steps of 'W' is -1"),
    (replaced("steps", "W", by=3.0), "steps of 'W' is 3.0"),
    (replaced("steps", "W", by=True), "steps of 'W' is True"),
    (replaced("steps", "W", by=2**60), "2.53"),
    (without("steps", "W"), "missing 'W'"),
    (without("state", "W"), "missing 'W'"),
    (replaced("state", "Q", by={}), "unknown 'Q'"),
    (replaced("state", "W", by=None), "expected a mapping"),
    (without("state", "W", "m"), "state of 'W': missing 'm'"),
    (replaced("state", "W", "vmax", by=np.zeros((2, 3))), "unknown 'vmax'"),
    (replaced("state", "W", "m", by=np.zeros((3, 2))), r"'m' has shape \(3, 2\); expected \(2, 3\)"),
    (replaced("state", "W", "m", by=np.zeros((2, 3), np.float32)), "'m' is float32; expected float64"),
    (replaced("state", "b", "m", by=np.zeros(2)), "'m' is float64; expected float32"),
    (replaced("state", "W", "m", by=[1.0]), "expected an array"),
    (replaced("param_groups", 0, "amsgrad", by=True), "missing 'vmax'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_bad_state_dictionary_changes_nothing(change: Any, message: str) -> None:
    _, opt = trained()
    d = opt.state_dict()
    change(d)
    params, other = trained(1)
    before, kept = snapshot(other), copy.deepcopy(params)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(d)
    np.testing.assert_equal(snapshot(other), before)
    np.testing.assert_equal(params, kept)
    continue_training(params, other, 1)


def test_swapped_parameters_of_one_shape_are_told_apart_by_name() -> None:
    a, b = np.ones(2), np.ones(2)
    opt = Adam({"a": a, "b": b})
    opt.step({"a": np.ones(2), "b": np.full(2, 5.0)})
    other = Adam({"b": b, "a": a})
    other.load_state_dict(opt.state_dict())
    np.testing.assert_array_equal(other.state["b"]["m"], opt.state["b"]["m"])


def test_a_changed_rule_loads_with_a_warning_where_asked_for() -> None:
    _, opt = trained()
    d = opt.state_dict()
    d["digest"] = "0"
    _, other = trained(0)
    with pytest.warns(UserWarning, match="text of the rule Adam has changed"):
        other.load_state_dict(d, strict=False)
    assert other.step_count("W") == 3


def test_a_state_dictionary_is_a_mapping() -> None:
    with pytest.raises(TypeError, match="takes a mapping, got a list"):
        trained()[1].load_state_dict([])  # type: ignore[arg-type]


def test_loading_takes_copies() -> None:
    _, opt = trained()
    d = opt.state_dict()
    _, other = trained(0)
    other.load_state_dict(d)
    d["state"]["W"]["m"][...] = 99.0
    assert (other.state["W"]["m"] != 99.0).all()


def test_a_parameter_without_state_goes_back_to_none() -> None:
    _, fresh = trained(0)
    params, opt = trained(2)
    opt.load_state_dict(fresh.state_dict())
    assert len(opt.state) == 0
    continue_training(params, opt, 1)
    assert opt.step_count("W") == 1


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trained(clip_norm=1.0)[1].save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    tensors = load_file(tmp_path / "a")
    assert sorted(tensors) == ["W.m", "W.v", "b.m", "b.v"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    trained()[1].save(tmp_path / "a")
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_link_keeps_pointing_where_it_points(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "latest"
    link.symlink_to(tmp_path / "folder" / "real")
    trained()[1].save(link)
    assert link.is_symlink()
    trained(0)[1].load(tmp_path / "folder" / "real")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    trained()[1].save(path)
    old = path.read_bytes()

    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space left"):
        trained(5)[1].save(path)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a"]


def test_the_file_is_on_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def recording(name: str) -> Any:
        original = getattr(os, name)

        def call(*args: Any) -> Any:
            order.append(name)
            return original(*args)

        return call

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, recording(name))
    trained()[1].save(tmp_path / "a")
    assert order == ["fsync", "replace", "fsync"]


def test_a_missing_file_or_folder_is_an_os_error(tmp_path: Path) -> None:
    _, opt = trained()
    with pytest.raises(FileNotFoundError):
        opt.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        opt.save(tmp_path / "none" / "a")


def header(document: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(document)) + document + body


MALFORMED = {
    "empty": b"",
    "short": b"\x01",
    "text": b"not a checkpoint at all",
    "huge header": struct.pack("<Q", 2**62) + b"{}",
    "no metadata": header(b"{}"),
    "metadata not JSON": header(json.dumps({"__metadata__": {"optdsl": "{"}}).encode()),
    "metadata a list": header(json.dumps({"__metadata__": {"optdsl": "[]"}}).encode()),
    "state a list": header(json.dumps({"__metadata__": {"optdsl": '{"state": []}'}}).encode()),
    "state names": header(json.dumps({"__metadata__": {"optdsl": '{"state": {"W": "m"}}'}}).encode()),
    "state missing": header(json.dumps({"__metadata__": {"optdsl": '{"state": {"W": ["m"]}}'}}).encode()),
    "nested without end": header(json.dumps({"__metadata__": {"optdsl": "[" * 100_000}}).encode()),
    "tensor past the end": header(b'{"W.m":{"dtype":"F64","shape":[1000000],"data_offsets":[0,8000000]}}', b"12"),
    "pickle": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_file_is_named_and_changes_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(MALFORMED[kind])
    _, opt = trained()
    before = snapshot(opt)
    with pytest.raises(ValueError, match=r"broken\.safetensors: "):
        opt.load(path)
    np.testing.assert_equal(snapshot(opt), before)


def test_a_file_of_another_optimizer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sgd"
    SGD({"W": np.ones((2, 3))}).save(path)
    with pytest.raises(ValueError, match="sgd: state dictionary is of the rule 'SGD', not 'Adam'"):
        trained()[1].load(path)
    save_file({"x": np.ones(1)}, path)
    with pytest.raises(ValueError, match="not an optimizer's checkpoint"):
        trained()[1].load(path)


def test_a_stray_tensor_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    _, opt = trained()
    opt.save(path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = {**load_file(path), "stray": np.ones(1)}
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="its checksum doesn't fit"):
        opt.load(path)
    metadata[CHECKSUM] = checksum(metadata[DOCUMENT], tensors)
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="unknown 'stray'"):
        opt.load(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_file_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a"
    trained()[1].save(path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    _, opt = trained(1)
    before = snapshot(opt)
    problem = refusal(opt, path)
    if problem is None:  # the damage changed nothing that is said
        np.testing.assert_equal(snapshot(opt), snapshot(trained()[1]))
    else:
        assert problem.startswith(f"{path}: ")
        np.testing.assert_equal(snapshot(opt), before)


def refusal(opt: Optimizer, path: Path) -> str | None:
    try:
        opt.load(path)
    except ValueError as error:
        return str(error)
    return None


def test_a_rule_without_a_digest_still_checks_its_name() -> None:
    class Plain(SGD):
        rule = RuleInfo("Plain", SGD.rule.hypers, SGD.rule.states, ())

    opt = Plain(np.ones(1))
    opt.load_state_dict(opt.state_dict())
    with pytest.raises(ValueError, match="of the rule 'SGD', not 'Plain'"):
        opt.load_state_dict(SGD(np.ones(1)).state_dict())
