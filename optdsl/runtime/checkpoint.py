"""Checkpoint files: a state dictionary in safetensors format.

Every state is a tensor called "<parameter>.<state>"; the rest is JSON under "optdsl" in the header's metadata.
Nothing in a file is ever executed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from optdsl.runtime.statedict import mapping, same_keys

METADATA = "optdsl"
"""The key of the JSON document in a file's header."""


def write(path: str | os.PathLike[str], document: Mapping[str, Any]) -> None:
    """Write a state dictionary to a file, which is either the old one or the new one whole at every moment.

    The bytes depend on the dictionary alone. Raises OSError where the folder can't be written to.
    """
    from safetensors.numpy import save  # only files need it

    states = document["state"].items()
    tensors = {f"{name}.{state}": array for name, arrays in states for state, array in arrays.items()}
    names = {name: list(arrays) for name, arrays in states}
    # One key alone: the library writes several in no fixed order.
    data = save(tensors, metadata={METADATA: json.dumps({**document, "state": names}, separators=(",", ":"))})
    # A link keeps pointing where it points.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:100]}.{os.urandom(8).hex()}.tmp")
    try:
        # Opened by hand for the permissions every new file gets; tempfile's are for the owner alone.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder last through a power failure, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems can't sync a folder; the file itself is safe
    finally:
        os.close(descriptor)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the state dictionary in a file. Raises ValueError naming the file for a malformed one, else OSError."""
    from safetensors import SafetensorError, safe_open

    name = os.fspath(path)
    with open(path, "rb"):  # so that a file that can't be opened says why in the system's words
        pass
    try:
        with safe_open(name, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, ValueError, TypeError, KeyError, OSError) as error:
        raise ValueError(f"{name}: not a safetensors file that can be read ({error})") from error
    if METADATA not in metadata:
        raise ValueError(f"{name}: a safetensors file, but not an optimizer's checkpoint")
    try:
        document = json.loads(metadata[METADATA])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: its header's {METADATA!r} entry is not JSON ({error})") from error
    try:
        return _assemble(document, tensors)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _assemble(document: Any, tensors: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    document = dict(mapping(document, "checkpoint"))
    listed: dict[str, dict[str, Any]] = {}
    expected = []
    for name, states in mapping(document.get("state"), "state").items():
        if not isinstance(states, list) or not all(isinstance(state, str) for state in states):
            raise ValueError(f"state of {name!r} is not a list of names")
        expected += [f"{name}.{state}" for state in states]
        listed[name] = {state: tensors.get(f"{name}.{state}") for state in states}
    same_keys(tensors, expected, "tensors")
    return {**document, "state": listed}
