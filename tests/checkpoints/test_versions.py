"""Checkpoints of every format there has been are read, and training goes on from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optdsl.runtime.checkpoint import CHECKSUM, DOCUMENT
from optdsl.runtime.statedict import FORMAT

from .record import END, FOLDER, PAUSE, SCENARIOS, Array, advance, in_hex, made, parameters, states_in_hex
from .support import packed, parts_of

FILES = sorted(FOLDER.glob("format-*.safetensors"))


def name_of(file: Path) -> str:
    return file.stem.split("-", 2)[2]


def format_of(file: Path) -> int:
    return int(file.stem.split("-", 2)[1])


def recorded(file: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    return record


def from_hex(texts: Mapping[str, str]) -> dict[str, Array]:
    """Return parameters with the elements that were written down."""
    return {
        name: np.frombuffer(bytes.fromhex(texts[name]), like.dtype).reshape(like.shape).copy()
        for name, like in parameters().items()
    }


def test_every_format_has_its_files() -> None:
    assert {(format_of(file), name_of(file)) for file in FILES} == {
        (number, name) for number in range(1, FORMAT + 1) for name in SCENARIOS
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files_are_what_they_say(file: Path) -> None:
    assert parts_of(file.read_bytes()).document["format"] == format_of(file)
    assert (CHECKSUM.encode() in file.read_bytes()) == (format_of(file) > 1)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_training_goes_on_from_a_file_of_an_earlier_version(file: Path, target: str) -> None:
    record = recorded(file)
    params = from_hex(record["saved"]["parameters"])
    opt = made(name_of(file), params, target)
    opt.load(file)
    assert states_in_hex(opt) == record["saved"]["state"]
    assert {name: opt.step_count(name) for name in params} == record["steps"]
    advance(opt, params, PAUSE, END)
    if opt.clip_norm is None or target == "numpy":
        assert {"parameters": in_hex(params), "state": states_in_hex(opt)} == record["end"]
    else:  # a norm over all gradients is added up in another order there
        for name, value in from_hex(record["end"]["parameters"]).items():
            np.testing.assert_allclose(params[name], value, rtol=1e-6 if value.itemsize == 4 else 1e-14)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_an_earlier_version_wrote_is_written_as_now(file: Path, tmp_path: Path) -> None:
    opt = made(name_of(file), parameters(), "numpy")
    opt.load(file)
    opt.save(tmp_path / "now")
    now = file.with_name(f"format-{FORMAT}-{name_of(file)}.safetensors")
    assert (tmp_path / "now").read_bytes() == now.read_bytes()


def test_a_dictionary_of_an_earlier_version_is_read() -> None:
    opt = made("adam", parameters(), "numpy")
    advance(opt, parameters(), 0, 1)
    document = {**opt.state_dict(), "format": 1}
    other = made("adam", parameters(), "numpy")
    other.load_state_dict(document)
    np.testing.assert_equal(other.state_dict(), opt.state_dict())


def test_a_file_of_a_later_version_says_so(tmp_path: Path) -> None:
    """Whatever else it may have, down to another checksum."""
    parts = parts_of(FILES[-1].read_bytes())
    parts.document |= {"format": FORMAT + 1, "kept since": "then"}
    path = tmp_path / "later"
    path.write_bytes(packed(json.dumps(parts.document), parts.tensors, **{CHECKSUM: "of another kind"}))
    with pytest.raises(ValueError, match=rf"later: .*format {FORMAT + 1}, of a newer optdsl.*: update optdsl"):
        made(name_of(FILES[-1]), parameters(), "numpy").load(path)


def test_a_checksum_counts_whatever_the_format(tmp_path: Path) -> None:
    parts = parts_of(FILES[0].read_bytes())
    assert parts.document["format"] == 1
    path = tmp_path / "a"
    path.write_bytes(packed(json.dumps(parts.document), parts.tensors, **{CHECKSUM: "0" * 64}))
    with pytest.raises(ValueError, match="its checksum doesn't fit"):
        made(name_of(FILES[0]), parameters(), "numpy").load(path)
    path.write_bytes(packed(json.dumps(parts.document), parts.tensors))
    made(name_of(FILES[0]), parameters(), "numpy").load(path)
    assert DOCUMENT.encode() in path.read_bytes()
