"""The layout of safetensors files: the length of a header, the header in JSON, the bytes of one array after another.

Nothing in a file is ever executed, and nothing in it is believed: what it says of its sizes is checked against the size
it has before memory is asked for. The library of that name reads no bfloat16 into NumPy, takes the last of two equal
keys for the only one, and holds a whole file in memory to write it; what both write, the other reads.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from optdsl.ir.storage import storage_type
from optdsl.runtime.wording import kind

Array = npt.NDArray[Any]

METADATA = "__metadata__"
"""The key of the header that isn't an array."""

CODES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}
"""What element types are called in a header."""

LONGEST = 1 << 25
"""Bytes a header may have: a quarter of a million arrays. What it says takes up to 32 times as much in memory."""

MOST_AXES = 64
"""Axes an array can have in NumPy."""


def parse(text: str, constants: bool = False) -> Any:
    """Return what JSON text says; ValueError where it isn't JSON, nests too deep, or gives a key twice.

    Args:
        text: The text.
        constants: Whether infinities and NaN, which JSON doesn't have, may stand as Python writes them.
    """

    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=None if constants else refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} is given twice")
    return result


def raw(array: Array) -> Array:
    """Return the elements of an array in the order of a file: C order, little-endian. No copy where they lie so."""
    width = array.dtype.itemsize
    return np.ascontiguousarray(array).reshape(-1).view(f"=u{width}").astype(f"<u{width}", copy=False)


def entry(array: Array) -> dict[str, Any]:
    """Return what a header says of an array, its place apart."""
    return {"dtype": CODES[array.dtype.name], "shape": list(array.shape)}


def write(file: BinaryIO, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write a file. What is written depends on the values of the arguments alone; no array is copied.

    Raises OSError as the file does, ValueError where there are too many arrays.
    """
    # The wide ones first keep all of them aligned.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name in order:
        start, end = end, end + tensors[name].nbytes
        header[name] = {**entry(tensors[name]), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST:
        raise ValueError(f"names and shapes make a header of {len(text)} bytes, more than the {LONGEST} that are read")
    file.write(struct.pack("<Q", len(text)) + text)
    for name in order:
        file.write(raw(tensors[name]).data)


def read(file: BinaryIO, size: int) -> tuple[dict[str, str], dict[str, Array]]:
    """Return a file's metadata and arrays.

    Args:
        file: The file, at its beginning.
        size: How many bytes it has.

    Raises:
        ValueError: Not such a file, or one that isn't whole.
        OSError: As the file does.
    """
    header, length = _read_header(file, size)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"{METADATA} is not a mapping of text")
    places = sorted((_place(name, given) for name, given in header.items()), key=lambda place: (place.start, place.end))
    end = 0
    for place in places:
        if place.start != end:
            raise ValueError(
                f"{place.name!r} begins at byte {place.start} of the data; the one before it ends at {end}"
            )
        end = place.end
    if 8 + length + end != size:
        raise ValueError(f"its header tells of {8 + length + end} bytes; it has {size}")
    tensors = {place.name: place.read(file) for place in places}
    if file.read(1):
        raise ValueError("it grew while it was read")
    return metadata, {name: tensors[name] for name in header}


def _read_header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    if size < 8:
        raise ValueError(f"not a safetensors file: it has {size} bytes")
    (length,) = struct.unpack("<Q", _take(file, 8))
    if length > min(size - 8, LONGEST):
        raise ValueError(f"not a whole safetensors file: a header of {length} bytes doesn't fit into {size}")
    try:
        header = parse(_take(file, length).decode())
    except ValueError as error:
        raise ValueError(f"not a safetensors file: its header can't be read ({error})") from error
    if not isinstance(header, dict):
        raise ValueError(f"not a safetensors file: its header is {kind(header)}")
    return header, length


def _take(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise ValueError("it was cut short while it was read")
    return data


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the data an array lies."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int

    def read(self, file: BinaryIO) -> Array:
        width = self.dtype.itemsize
        words = np.empty((self.end - self.start) // width, f"<u{width}")
        # Not by `readinto(words)`: an empty array has no buffer to read into.
        if words.size and file.readinto(words.data.cast("B")) != words.nbytes:  # type: ignore[attr-defined]
            raise ValueError("it was cut short while it was read")
        try:
            return words.astype(f"=u{width}", copy=False).view(self.dtype).reshape(self.shape)
        except ValueError as error:  # no elements along one axis, more than there can be along another
            raise ValueError(f"{self.name!r} has a shape no array can have: {error}") from error


def _place(name: str, given: Any) -> _Place:
    """Return where an array lies, by a header's entry. Raises ValueError where that contradicts itself."""
    if not isinstance(given, dict) or given.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the entry of {name!r} is not of a dtype, a shape and data_offsets")
    code, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
    if not isinstance(code, str) or code not in CODES.values():
        raise ValueError(f"{name!r} is of the type {code!r}; states are {', '.join(CODES.values())}")
    if not _counts(shape) or len(shape) > MOST_AXES:
        raise ValueError(f"{name!r} has the shape {shape!r}")
    if not _counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{name!r} has the data_offsets {offsets!r}")
    dtype = storage_type(code.lower())
    if offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name!r} of shape {shape!r} and type {code} doesn't fit its data_offsets {offsets!r}")
    return _Place(name, dtype, tuple(shape), *offsets)


def _counts(value: Any) -> bool:
    """Return whether this is a list of counts that fit 64 bits."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)
