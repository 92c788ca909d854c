"""Files meant to do harm: none runs anything, takes more memory than it has bytes to show for, or is half believed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import marshal
import os
import pickle
import re
import signal
import socket
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from optdsl.runtime import container

from .support import Parts, fingerprint, joined, packed, parts_of, reworded, saved, split, trained

SLACK = 256 << 10
"""Bytes beside those that go by the size of a file: modules, messages, objects."""

Forge = Callable[[bytes], bytes]


def entry(dtype: str, shape: Any, *offsets: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def places(**entries: Any) -> Forge:
    """Return what makes a header say this of its arrays, and keeps the rest of the file."""
    return reworded(lambda header: {"__metadata__": header["__metadata__"], **entries})


def first(**changes: Any) -> Forge:
    """Return what changes the entry of the array W.m, of six float64 numbers."""
    return reworded(lambda header: header["W.m"].update(changes))


def header_text(text: str) -> Forge:
    return lambda honest: joined(text.encode("utf-8", "surrogatepass"), split(honest)[1])


LAYOUTS: dict[str, Forge] = {
    "nothing": lambda honest: b"",
    "seven bytes": lambda honest: honest[:7],
    "a length alone": lambda honest: honest[:8],
    "a header of 2^63 bytes": lambda honest: joined(*split(honest), length=2**63),
    "a header of 2^64 - 1 bytes": lambda honest: joined(*split(honest), length=2**64 - 1),
    "a header longer than the file": lambda honest: joined(*split(honest), length=len(honest)),
    "a header of no bytes": lambda honest: joined(b"", split(honest)[1]),
    "a header that is a list": header_text("[]"),
    "a header that is null": header_text("null"),
    "a header in UTF-16": lambda honest: joined(split(honest)[0].decode().encode("utf-16"), split(honest)[1]),
    "a header in no encoding": lambda honest: joined(b'{"\xff\xfe":{}}', split(honest)[1]),
    "a lone surrogate as it is": header_text('{"\ud800":{}}'),
    "arrays nested 100,000 deep": header_text('{"a":' + "[" * 100_000),
    "objects nested 100,000 deep": header_text('{"a":' * 100_000),
    "NaN": header_text('{"W.m":{"dtype":"F64","shape":[2,3],"data_offsets":[NaN,48]}}'),
    "1e999": header_text('{"W.m":{"dtype":"F64","shape":[2,3],"data_offsets":[0,1e999]}}'),
    "a number of 4,000 digits": header_text(
        '{"W.m":{"dtype":"F64","shape":[2,3],"data_offsets":[0,' + "9" * 4000 + "]}}"
    ),
    "a number of 100,000 digits": header_text('{"W.m":{"dtype":"F64","shape":[' + "9" * 100_000 + "]}}"),
    "a shape of 10,000 large numbers": first(shape=[2**62] * 10_000),
    "a key twice": lambda honest: joined(
        split(honest)[0].replace(b'"b.m":', b'"W.m":', 1), split(honest)[1]
    ),
    "metadata of numbers": reworded(lambda header: header.update(__metadata__={"optdsl": 1})),
    "metadata that is text": reworded(lambda header: header.update(__metadata__="optdsl")),
    "no metadata": reworded(lambda header: header.pop("__metadata__") and None),
    "negative offsets": first(data_offsets=[-48, 0]),
    "offsets the wrong way round": first(data_offsets=[48, 0]),
    "offsets past the end": first(data_offsets=[2**40, 2**40 + 48]),
    "three offsets": first(data_offsets=[0, 48, 96]),
    "offsets of floats": first(data_offsets=[0.0, 48.0]),
    "offsets of truth values": first(data_offsets=[False, 48]),
    "overlapping arrays": reworded(lambda header: header["W.v"].update(data_offsets=header["W.m"]["data_offsets"])),
    "a hole between arrays": places(**{"W.m": entry("F64", [2, 3], 0, 48), "W.v": entry("F64", [2, 3], 56, 104)}),
    "bytes that belong to no array": lambda honest: honest + b"\0" * 8,
    "a terabyte": first(shape=[2**37], data_offsets=[0, 2**40]),
    "a product that overflows to 0": first(shape=[2**32, 2**32], data_offsets=[0, 0]),
    "a product that overflows to the size": first(shape=[2**61 + 6], data_offsets=[0, 48]),
    "a negative shape": first(shape=[-2, -3]),
    "nothing along one axis, too much along another": places(**{"W.m": entry("F64", [0, 2**62, 2**62], 0, 0)}),
    "a shape of 65 axes": first(shape=[1] * 64 + [6]),
    "a shape of 10,000 axes": first(shape=[1] * 10_000),
    "a shape that is a number": first(shape=6),
    "a shape of text": first(shape=["2", "3"]),
    "objects": first(dtype="O"),
    "integers": first(dtype="I64"),
    "a type that is a list": first(dtype=["F64"]),
    "a type of half the width": first(dtype="F32"),
    "an entry with more to it": first(pickle="gASVAAAA"),
    "an entry with less": reworded(lambda header: header["W.m"].pop("dtype") and None),
    "an entry that is a list": reworded(lambda header: header.update({"W.m": ["F64", [2, 3], [0, 48]]})),
    "a name of a megabyte": header_text('{"' + "n" * (1 << 20) + '":0}'),
}  # fmt: skip


def document(change: Callable[[Parts], Any]) -> Forge:
    """Return what forges a checkpoint, with a checksum that fits."""

    def forge(honest: bytes) -> bytes:
        parts = parts_of(honest)
        change(parts)
        return parts.packed()

    return forge


def said(*path: Any, value: Any) -> Forge:
    """Return what puts a value into the document of a checkpoint."""

    def change(parts: Parts) -> None:
        at: Any = parts.document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return document(change)


def text(change: Callable[[str], str]) -> Forge:
    """Return what changes the text of the document, JSON or not."""

    def forge(honest: bytes) -> bytes:
        parts = parts_of(honest)
        before = json.dumps(parts.document)
        after = change(before)
        assert after != before
        return packed(after, parts.tensors)

    return forge


def swapped(parts: Parts) -> None:
    parts.tensors["W.m"], parts.tensors["b.m"] = parts.tensors["b.m"], parts.tensors["W.m"]


def renamed(parts: Parts) -> None:
    state, steps = parts.document["state"], parts.document["steps"]
    state["../W"], steps["../W"] = state.pop("W"), steps.pop("W")
    parts.tensors = {name.replace("W", "../W"): array for name, array in parts.tensors.items()}


def forgotten(parts: Parts) -> None:
    del parts.document["state"]["W"], parts.tensors["W.m"], parts.tensors["W.v"]


def without_checksum(honest: bytes) -> bytes:
    return reworded(lambda header: header["__metadata__"].pop("sha256") and None)(honest)


def other_numbers(honest: bytes) -> bytes:
    header, data = split(honest)
    return joined(header, data[48:96] + data[:48] + data[96:])


DOCUMENTS: dict[str, Forge] = {
    "no checksum": without_checksum,
    "states swapped under the checksum": other_numbers,
    "a checksum of nothing": reworded(lambda header: header["__metadata__"].update(sha256="")),
    "a checksum in capitals": reworded(lambda h: h["__metadata__"].update(sha256=h["__metadata__"]["sha256"].upper())),
    "no document": lambda honest: packed("", parts_of(honest).tensors),
    "a document that is a list": lambda honest: packed("[]", parts_of(honest).tensors),
    "a document nested 100,000 deep": lambda honest: packed("[" * 100_000, parts_of(honest).tensors),
    "a document with a key twice": text(lambda t: t.replace('"skipped": 0', '"skipped": 0, "skipped": 0')),
    "a number of 5,000 digits": text(lambda t: t.replace('"skipped": 0', '"skipped": ' + "1" * 5000)),
    "a number of 4,000 digits": text(lambda t: t.replace('"lr": 0.001', '"lr": ' + "1" * 4000)),
    "a rate of 1e999": text(lambda t: t.replace('"lr": 0.001', '"lr": 1e999')),
    "a rate that is NaN": text(lambda t: t.replace('"lr": 0.001', '"lr": NaN')),
    "a rate below its interval": said("param_groups", 0, "lr", value=-1e-3),
    "a decay at the end of its interval": said("param_groups", 0, "beta1", value=1.0),
    "a rate that is text": said("param_groups", 0, "lr", value="__import__('os').system('true')"),
    "a rate that is a list": said("param_groups", 0, "lr", value=[0.001]),
    "a rate that is true": said("param_groups", 0, "lr", value=True),
    "a rate that is null": said("param_groups", 0, "lr", value=None),
    "a schedule in words": said("param_groups", 0, "lr", value={"schedule": "lambda t: exit()"}),
    "a switch that is a number": said("param_groups", 0, "amsgrad", value=1),
    "a switch whose state is missing": said("param_groups", 0, "amsgrad", value=True),
    "two groups": document(lambda parts: parts.document["param_groups"].append(parts.document["param_groups"][0])),
    "groups that are a mapping": said("param_groups", value={"0": {}}),
    "a group of other parameters": said("param_groups", 0, "params", value=["b", "W", "0"]),
    "a group of lists": said("param_groups", 0, "params", value=[["W"], ["b"], ["frozen"]]),
    "another rule": said("rule", value="SGD"),
    "a rule that is a list": said("rule", value=["Adam"]),
    "a rule of another text": said("digest", value="0" * 64),
    "the format of the future": said("format", value=10**9),
    "a format of text": said("format", value="1"),
    "a format that is true": said("format", value=True),
    "an earlier format that never was": said("format", value=0),
    "an unknown key": said("__class__", value="os.system"),
    "a limit below 0": said("options", "clip_norm", value=-1.0),
    "a limit that is text": said("options", "clip_value", value="1"),
    "an unknown answer to infinities": said("options", "nonfinite", value=["skip"]),
    "options that are null": said("options", value=None),
    "fewer than no skipped steps": said("skipped", value=-1),
    "half a skipped step": said("skipped", value=0.5),
    "a negative count of steps": said("steps", "W", value=-1),
    "a count of steps that is a float": said("steps", "W", value=3.0),
    "a count of steps that is true": said("steps", "W", value=True),
    "a count of steps past 2^53": said("steps", "W", value=2**53 + 1),
    "a count of steps without end": said("steps", "W", value=10**400),
    "no count of steps": document(lambda parts: parts.document["steps"].pop("frozen") and None),
    "a state that isn't there": document(lambda parts: parts.document["state"]["W"].append("vmax")),
    "a state nobody names": document(lambda parts: parts.tensors.update({"W.vmax": np.zeros((2, 3))})),
    "a state of the wrong shape": document(lambda parts: parts.tensors.update({"W.m": np.zeros((3, 2))})),
    "a state of the wrong type": document(lambda parts: parts.tensors.update({"b.m": np.zeros(2)})),
    "a state of half precision": document(lambda parts: parts.tensors.update({"b.m": np.zeros(2, np.float16)})),
    "states of two parameters swapped": document(swapped),
    "a parameter called ../W": document(renamed),
    "states listed as text": said("state", "W", value="mv"),
    "states listed as numbers": said("state", "W", value=[0, 1]),
    "a parameter with a step and no state": document(forgotten),
    "a name with NUL and escapes": document(
        lambda parts: parts.document["steps"].update({"\0\x1b[2J\ud800\u202e{0.__class__}%n": 1})
    ),
    "a name of a megabyte": said("n" * (1 << 20), value=0),
}  # fmt: skip


# What other programs would run. A marker file tells whether it has been.


class Payload:
    """Writes the marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.write_text, (self.marker, "ran")


def pickled(marker: Path, protocol: int = 4) -> bytes:
    return pickle.dumps({"state": Payload(marker)}, protocol)


def in_numpy(marker: Path, compressed: bool) -> bytes:
    file = io.BytesIO()
    array = np.array([Payload(marker)], object)
    if compressed:
        np.savez_compressed(file, state=array)
    else:
        np.save(file, array)
    return file.getvalue()


def zipped(marker: Path) -> bytes:
    """Return a zip file as torch lays one out."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(marker, 2))
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def tarred(marker: Path) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("pickle")
        member.size = len(pickled(marker))
        archive.addfile(member, io.BytesIO(pickled(marker)))
    return file.getvalue()


def code(marker: Path) -> str:
    return f"__import__('pathlib').Path({str(marker)!r}).write_text('ran')"


def as_array(content: bytes) -> np.ndarray[Any, Any]:
    return np.frombuffer(content + b"\0" * (-len(content) % 8), np.float64)


def document_of(text: str) -> Forge:
    return lambda honest: packed(text, parts_of(honest).tensors)


PROGRAMS: dict[str, Callable[[Path, bytes], bytes]] = {
    **{f"a pickle of protocol {p}": lambda marker, honest, p=p: pickled(marker, p) for p in range(6)},  # type: ignore[misc]
    "a pickle after the file": lambda marker, honest: honest + pickled(marker),
    "a pickle before the file": lambda marker, honest: pickled(marker) + honest,
    "a pickle as the header": lambda marker, honest: joined(pickled(marker), split(honest)[1]),
    "a pickle as a state": lambda marker, honest: packed(
        json.dumps(parts_of(honest).document), {**parts_of(honest).tensors, "W.m": as_array(pickled(marker))}
    ),
    "a pickle as the document": lambda marker, honest: document_of(pickled(marker, 0).decode("latin-1"))(honest),
    "torch's zip file": lambda marker, honest: zipped(marker),
    "torch's tar file": lambda marker, honest: tarred(marker),
    "an npz of objects": lambda marker, honest: in_numpy(marker, compressed=True),
    "an npy of objects": lambda marker, honest: in_numpy(marker, compressed=False),
    "a pickle under gzip": lambda marker, honest: gzip.compress(pickled(marker)),
    "a pickle under zlib": lambda marker, honest: zlib.compress(pickled(marker)),
    "a pickle under bzip2": lambda marker, honest: bz2.compress(pickled(marker)),
    "Python": lambda marker, honest: code(marker).encode(),
    "Python as the document": lambda marker, honest: document_of(code(marker))(honest),
    "Python, compiled": lambda marker, honest: marshal.dumps(compile(code(marker), "x", "exec")),
    "a shell script": lambda marker, honest: f"#!/bin/sh\necho ran > '{marker}'\n".encode(),
    "YAML that calls": lambda marker, honest: f'!!python/object/apply:os.system ["touch {marker}"]\n'.encode(),
    "JSON that asks for a class": lambda marker, honest: document_of(
        json.dumps({"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [f"touch {marker}"]}]})
    )(honest),
}  # fmt: skip


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return saved(tmp_path_factory.mktemp("honest"))


def refusal(path: Path | str, size: int) -> str:
    """Load a file, which must be refused by name, in little memory and with nothing changed; return what was said."""
    params, opt = trained()
    before = fingerprint(params, opt)
    with pytest.raises((ValueError, OSError), match="safetensors"):
        opt.load("warm.safetensors")
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, OSError), match=re.escape(os.fspath(path))) as caught:
            opt.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert fingerprint(params, opt) == before
    assert peak <= 4 * size + SLACK, f"{peak} bytes for a file of {size}"
    message = str(caught.value)
    assert message.isprintable(), message
    return message


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_lying_layout_is_refused(kind: str, honest: bytes, tmp_path: Path) -> None:
    path = tmp_path / "forged.safetensors"
    content = LAYOUTS[kind](honest)
    assert content != honest
    path.write_bytes(content)
    assert "checksum" not in refusal(path, len(content)), "the layout itself should have been refused"


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_lying_document_is_refused(kind: str, honest: bytes, tmp_path: Path) -> None:
    path = tmp_path / "forged.safetensors"
    content = DOCUMENTS[kind](honest)
    path.write_bytes(content)
    message = refusal(path, len(content))
    assert ("checksum" in message) == ("checksum" in kind), message


def test_what_is_forged_with_nothing_changed_is_believed(honest: bytes, tmp_path: Path) -> None:
    """Without this, the forgeries above could all be refused for what they have in common."""
    path = tmp_path / "forged.safetensors"
    for forge in (document(lambda parts: None), reworded(lambda header: None), places_as_they_are):
        path.write_bytes(forge(honest))
        opt = trained()[1]
        opt.load(path)
        np.testing.assert_equal(opt.state_dict(), trained(3)[1].state_dict())


def places_as_they_are(honest: bytes) -> bytes:
    header = json.loads(split(honest)[0])
    return places(**{name: given for name, given in header.items() if name != "__metadata__"})(honest)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_nothing_in_a_file_is_run(kind: str, honest: bytes, tmp_path: Path) -> None:
    path, marker = tmp_path / "forged.safetensors", tmp_path / "marker"
    content = PROGRAMS[kind](marker, honest)
    path.write_bytes(content)
    refusal(path, len(content))
    assert not marker.exists()


def test_the_payload_would_have_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    def ran() -> bool:
        happened = marker.exists()
        marker.unlink(missing_ok=True)
        return happened

    for protocol in range(6):
        pickle.loads(pickled(marker, protocol))
        assert ran()
    with zipfile.ZipFile(io.BytesIO(zipped(marker))) as archive:
        pickle.loads(archive.read("archive/data.pkl"))
    assert ran()
    np.load(io.BytesIO(in_numpy(marker, compressed=False)), allow_pickle=True)
    assert ran()
    exec(code(marker))
    assert ran()


# What isn't a file at all.


@pytest.fixture
def watched() -> Iterator[None]:
    """Fail a test that waits, and doesn't come back by itself."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


THINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "Is a directory"),
    "a pipe nobody writes to": (a_pipe, "not a regular file"),
    "a socket": (a_socket, "No such device or address"),
    "a link to itself": (lambda path: path.symlink_to(path), "Too many levels"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "a link to zeros without end": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "a link to this process's memory": (lambda path: path.symlink_to("/proc/self/mem"), "a safetensors file"),
    "a file of the system without a size": (lambda path: path.symlink_to("/proc/cpuinfo"), "it has 0 bytes"),
}


@pytest.mark.parametrize("kind", THINGS)
def test_what_is_no_file_is_refused(kind: str, tmp_path: Path, watched: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "thing.safetensors"
    make, message = THINGS[kind]
    make(path)
    assert message in refusal(path, 0)


def test_what_a_header_says_in_many_words_takes_no_more_than_that(tmp_path: Path) -> None:
    """Objects of Python are larger than their JSON, by a factor that no file can change."""
    path = tmp_path / "wordy.safetensors"
    for text in (",".join(f'"{i:x}":0' for i in range(20_000)), '"a":[' + "[]," * 100_000 + "0]"):
        content = joined(b"{" + text.encode() + b"}")
        path.write_bytes(content)
        refusal(path, 8 * len(content))


def test_a_header_longer_than_any_is_not_read(tmp_path: Path) -> None:
    """A file with a hole costs nothing to make, and says it has 200 MB."""
    path = tmp_path / "sparse.safetensors"
    path.write_bytes(joined(b"{", length=container.LONGEST + 1))
    os.truncate(path, 200_000_000)
    refusal(path, 0)


def test_no_header_is_written_that_would_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "LONGEST", 600)
    with pytest.raises(ValueError, match=r"a header of \d+ bytes, more than the 600"):
        saved(tmp_path)
    assert list(tmp_path.iterdir()) == []
