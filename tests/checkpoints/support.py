"""Checkpoints made by hand, honest and not, and what tells whether an optimizer has been touched."""

from __future__ import annotations

import hashlib
import io
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.runtime import container
from optdsl.runtime.checkpoint import CHECKSUM, DOCUMENT, checksum
from optdsl.runtime.optimizer import Optimizer
from tests.runtime.handmade import Adam

Array = npt.NDArray[Any]


def trained(steps: int = 2) -> tuple[dict[str, Array], Optimizer]:
    """Return parameters and an optimizer that has made some steps."""
    params: dict[str, Array] = {"W": np.ones((2, 3)), "b": np.ones(2, np.float32), "frozen": np.ones(1)}
    opt = Adam(params)
    for step in range(steps):
        chance = np.random.default_rng(step)
        opt.step({"W": chance.normal(size=(2, 3)), "b": chance.normal(size=2).astype(np.float32), "frozen": None})
    return params, opt


def fingerprint(params: Mapping[str, Array], opt: Optimizer) -> str:
    """Return a hash of every byte a loaded file could change."""
    digest = hashlib.sha256()

    def add(*parts: object) -> None:
        digest.update(repr(parts).encode())

    for name, value in params.items():
        add(name, value.dtype, value.shape, value.tobytes(), opt.step_count(name))
    for name, states in opt.state.items():
        for state, array in states.items():
            add(name, state, array.dtype, array.shape, array.tobytes())
    add([dict(group) | {"params": len(group["params"])} for group in opt.param_groups])
    add(opt.clip_norm, opt.clip_value, opt.nonfinite, opt.skipped, opt.defaults)
    return digest.hexdigest()


@dataclass
class Parts:
    """What a checkpoint consists of, to be changed and put together again."""

    document: dict[str, Any]
    tensors: dict[str, Array]

    def packed(self) -> bytes:
        """Return a file with a checksum that fits, as only somebody who means harm would make it."""
        return packed(json.dumps(self.document), self.tensors)


def packed(text: str, tensors: Mapping[str, Array], **metadata: str) -> bytes:
    """Return a file of a document, whatever that says, and tensors."""
    file = io.BytesIO()
    container.write(file, tensors, {DOCUMENT: text, CHECKSUM: checksum(text, tensors), **metadata})
    return file.getvalue()


def parts_of(content: bytes) -> Parts:
    """Take a checkpoint apart."""
    metadata, tensors = container.read(io.BytesIO(content), len(content))
    return Parts(json.loads(metadata[DOCUMENT]), tensors)


def split(content: bytes) -> tuple[bytes, bytes]:
    """Return a file's header and its data."""
    (length,) = struct.unpack_from("<Q", content)
    return content[8 : 8 + length], content[8 + length :]


def joined(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a file of a header, whatever that says, and data."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def reworded(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """Return what changes a file's header and leaves the rest."""

    def forge(honest: bytes) -> bytes:
        header, data = split(honest)
        entries = json.loads(header)
        changed = change(entries)
        return joined(json.dumps(entries if changed is None else changed).encode(), data)

    return forge


def saved(folder: Path) -> bytes:
    """Return an honest checkpoint."""
    path = folder / "honest.safetensors"
    trained(3)[1].save(path)
    return path.read_bytes()
