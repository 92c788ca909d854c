"""Checkpoint files: a state dictionary in safetensors format.

Every state is a tensor called "<parameter>.<state>"; the rest is JSON under "optdsl" in the header's metadata, where
the names of the states stand in place of their arrays. From format 2 on there is "sha256" beside it, over all of that:
it tells a damaged file, not a forged one, so that everything is checked as if it weren't there.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy.typing as npt

from optdsl.runtime import container, statedict
from optdsl.runtime.clipping import Limits
from optdsl.runtime.replacing import replacing
from optdsl.runtime.statedict import mapping, same_keys
from optdsl.runtime.store import Store

FilePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

DOCUMENT = "optdsl"
"""The key of the JSON document in a file's metadata."""

CHECKSUM = "sha256"
"""The key of the checksum."""

LONGEST_MESSAGE = 1000
"""Characters of an error message: what a file says could be of any length."""


def save(path: FilePath, store: Store, limits: Limits, skipped: int) -> None:
    """Write a checkpoint, which is either the old one or the new one whole at every moment.

    The bytes depend on the optimizer alone. Nothing of a parameter's size is allocated. Raises as `replacing` does.
    """
    document = statedict.describe(store, limits, skipped)
    states = document["state"].items()
    tensors = {f"{name}.{state}": array for name, arrays in states for state, array in arrays.items()}
    names = {name: list(arrays) for name, arrays in states}
    text = json.dumps({**document, "state": names}, separators=(",", ":"))
    with replacing(path) as file:
        container.write(file, tensors, {DOCUMENT: text, CHECKSUM: checksum(text, tensors)})


def checksum(text: str, tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the SHA-256, in hex, of a document and its tensors, in whatever order they lie in a file."""
    digest = hashlib.sha256(text.encode(errors="surrogatepass"))
    for name in sorted(tensors):
        head = json.dumps([name, *container.entry(tensors[name]).values()])
        digest.update(f"\n{head}\n".encode())
        digest.update(container.raw(tensors[name]).data)
    return digest.hexdigest()


def load(path: FilePath, store: Store, limits: Limits, strict: bool) -> int:
    """Take a checkpoint over, all of it or nothing, and return its count of skipped steps.

    Raises ValueError naming the file for a malformed one and for one that doesn't fit, else OSError.
    """
    try:
        with _opened(path) as file:
            document = read(file)
        return statedict.restore(store, limits, document, strict, fresh=True, stacklevel=5)
    except (ValueError, TypeError) as error:
        message = str(error)
        if len(message) > LONGEST_MESSAGE:
            message = message[:LONGEST_MESSAGE] + "…"
        raise ValueError(f"{os.fsdecode(path)}: {message}") from error


@contextmanager
def _opened(path: FilePath) -> Iterator[BinaryIO]:
    """Open a regular file, and nothing that waits or never ends."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(path))
        raise ValueError("not a regular file")
    with open(descriptor, "rb") as file:
        yield file


def read(file: BinaryIO) -> dict[str, Any]:
    """Return the state dictionary in an open file, with arrays of its own. Raises ValueError for a malformed one."""
    metadata, tensors = container.read(file, os.fstat(file.fileno()).st_size)
    if DOCUMENT not in metadata:
        raise ValueError("a safetensors file, but not an optimizer's checkpoint")
    try:
        document = dict(mapping(container.parse(metadata[DOCUMENT], constants=True), "checkpoint"))
    except ValueError as error:
        raise ValueError(f"its header's {DOCUMENT!r} entry can't be read ({error})") from error
    if statedict.format_of(document) > 1 or CHECKSUM in metadata:
        found = checksum(metadata[DOCUMENT], tensors)
        if metadata.get(CHECKSUM) != found:
            raise ValueError("its checksum doesn't fit what is in it, so it has been damaged or changed since")
    return _assemble(document, tensors)


def _assemble(document: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    listed: dict[str, dict[str, Any]] = {}
    expected = []
    for name, states in mapping(document.get("state"), "state").items():
        if not isinstance(states, list) or not all(isinstance(state, str) for state in states):
            raise ValueError(f"state of {name!r} is not a list of names")
        expected += [f"{name}.{state}" for state in states]
        listed[name] = {state: tensors.get(f"{name}.{state}") for state in states}
    same_keys(tensors, expected, "tensors")
    return {**document, "state": listed}
