"""Files that have suffered: a bit turned in every byte, every length, and documents with anything in them."""

from __future__ import annotations

import copy
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optdsl.runtime import container

from .support import fingerprint, joined, packed, parts_of, saved, trained


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(tmp_path_factory.mktemp("honest"))


def test_a_turned_bit_is_noticed_in_every_byte(honest: bytes, tmp_path: Path) -> None:
    """The file is refused with nothing changed, or says the same as before."""
    path = tmp_path / "a"
    params, opt = trained(1)
    before = fingerprint(params, opt)
    meant = fingerprint(params, trained(3)[1])
    chance = random.Random(1)
    refused = 0
    for position in range(len(honest)):
        content = bytearray(honest)
        content[position] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            opt.load(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 - there are a thousand
            refused += 1
        else:
            assert fingerprint(params, opt) == meant, position
            params, opt = trained(1)
    assert fingerprint(params, opt) == before
    assert refused > 0.99 * len(honest)


def test_every_shorter_and_some_longer_files_are_refused(honest: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a"
    params, opt = trained(1)
    before = fingerprint(params, opt)
    for content in (*(honest[:length] for length in range(len(honest))), honest + b"\0", honest + b" ", honest * 2):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a: "):
            opt.load(path)
    assert fingerprint(params, opt) == before
    path.write_bytes(honest)
    opt.load(path)


@pytest.mark.parametrize("by", [-1, -8, -100, 1])
def test_a_file_that_changes_its_size_while_it_is_read(by: int, honest: bytes) -> None:
    changed = honest[:by] if by < 0 else honest + b"\0" * by
    with pytest.raises(ValueError, match="it grew" if by > 0 else "it was cut short"):
        container.read(io.BytesIO(changed), len(honest))


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to everything in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(way for key, item in items for way in paths_of(item, (*path, key)))]


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.sampled_from([0, 1, 2, 3, -1, 2**53, 2**53 + 1, 10**400, 1e308, -0.0])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=5), st.sampled_from(["W", "b", "m", "lr", "skip"])),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=6,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_whatever_a_document_says_is_taken_whole_or_refused(honest: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Something is put anywhere, or taken out; the checksum fits. What was taken over can be stepped and saved."""
    parts = parts_of(honest)
    document = copy.deepcopy(parts.document)
    for _ in range(data.draw(st.integers(1, 3))):
        way = data.draw(st.sampled_from([way for way in paths_of(document) if way]))
        at: Any = document
        for key in way[:-1]:
            at = at[key]
        if data.draw(st.integers(0, 4)):
            at[way[-1]] = data.draw(VALUES)
        else:
            del at[way[-1]]
    path = tmp_path / "a"
    path.write_bytes(packed(json.dumps(document), parts.tensors))
    params, opt = trained(1)
    before = fingerprint(params, opt)
    try:
        opt.load(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - whether it raises is what is drawn
        assert fingerprint(params, opt) == before
        return
    with np.errstate(all="ignore"):
        gradients = {"W": np.ones((2, 3)), "b": np.ones(2, np.float32), "frozen": None}
        if max(opt.step_count(name) for name in params) < 2**53:
            opt.step(gradients)
    opt.save(path)
    trained(0)[1].load(path)


LAYOUTS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.one_of(st.sampled_from(["F64", "F32", "F16", "BF16", "I8", ""]), VALUES),
        "shape": st.one_of(st.lists(NUMBERS, max_size=4), VALUES),
        "data_offsets": st.one_of(st.lists(NUMBERS, min_size=2, max_size=2), VALUES),
    },
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(names=st.dictionaries(st.text(max_size=4), st.one_of(LAYOUTS, VALUES), max_size=4), data=st.binary(max_size=64))
def test_whatever_a_header_says_is_read_or_refused(names: dict[str, Any], data: bytes) -> None:
    content = joined(json.dumps(names).encode(), data)
    try:
        _, tensors = container.read(io.BytesIO(content), len(content))
    except ValueError:
        return
    assert sum(array.nbytes for array in tensors.values()) == len(data)
