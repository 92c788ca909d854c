"""What is fuzzed: each target takes bytes, and raises where a promise is broken."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from optdsl import bundled, pipeline
from optdsl.diagnostics import as_records, render, render_json
from optdsl.source import SourceFile, decode
from optdsl.syntax import layout
from optdsl.syntax.format import formatted
from optdsl.syntax.parser import parse
from tests.runtime.handmade import Adam
from tests.syntax.support import shape

Target = Callable[[bytes], None]


class Broken(AssertionError):
    """A promise that an input breaks."""


def _text(data: bytes) -> str | None:
    """Return the text in some bytes as the program reads it; None where it refuses it with a word."""
    try:
        return decode(data, "case.opt")
    except ValueError as error:
        if "is not UTF-8" not in str(error):
            raise
        return None


def lexer(data: bytes) -> None:
    """Lines don't overlap, stand in the text and in order; so do comments and characters that can't be seen."""
    text = _text(data)
    if text is None:
        return
    source = SourceFile("case.opt", text)
    end = 0
    for line in layout.logical_lines(source):
        if not end <= line.span.start < line.span.end <= len(text):
            raise Broken(f"the line {line.span} after {end}")
        end = line.span.end
    for comment in layout.comments(source):
        if not source.snippet(comment.span).startswith(comment.text):
            raise Broken(f"the comment {comment.span}")
    for span, _, clean in layout.hidden_characters(source):
        if not 0 <= span.start < span.end <= len(text) or len(clean) >= span.end - span.start:
            raise Broken(f"the hidden characters {span}")


def parser(data: bytes) -> None:
    """A text is a rule or has findings, which lie inside of it and can be shown in every form."""
    text = _text(data)
    if text is None:
        return
    checked = pipeline.analyse(SourceFile("case.opt", text))
    if (checked.rule is None) != bool(checked.errors):
        raise Broken("neither a rule nor an error, or both")
    for problem in checked.problems:
        start, end = problem.span
        if not 0 <= start <= end <= len(checked.source.text) or not problem.message:
            raise Broken(f"the finding {problem}")
    render(checked.source, checked.problems)
    render_json(as_records(checked.source, checked.problems))


def formatter(data: bytes) -> None:
    """The canonical layout says the same, is its own canonical layout, and the other spelling leads back to it."""
    text = _text(data)
    if text is None:
        return
    tree, problems = parse(SourceFile("case.opt", text))
    if problems:
        return
    plain, wrong = formatted(SourceFile("case.opt", text))
    signs, also = formatted(SourceFile("case.opt", text), unicode=True)
    if wrong or also:
        if {problem.slug for problem in (*wrong, *also)} != {"too-complex"}:
            raise Broken("a well-formed text has no layout")
        return
    for spelling in (plain, signs):
        again, problems = parse(SourceFile("case.opt", spelling))
        if problems or shape(again) != shape(tree):
            raise Broken(f"the layout says something else:\n{spelling}")
        if formatted(SourceFile("case.opt", spelling))[0] != plain:
            raise Broken(f"the layout has another layout:\n{spelling}")


def checkpoint(data: bytes) -> None:
    """A file is loaded whole, or refused by ValueError or OSError; then no bit of the optimizer has changed."""
    optimizer, before, path = _optimizer()
    path.write_bytes(data)
    try:
        optimizer.load(path)
    except (ValueError, OSError):
        if _bytes(optimizer.state_dict()) != before:
            raise Broken("a file was refused, and the optimizer changed") from None
        return
    _optimizer.cache_clear()


@cache
def _optimizer() -> tuple[Any, bytes, Path]:
    optimizer = _trained()
    path = Path(tempfile.mkdtemp(prefix="optdsl-fuzz-")) / "case.safetensors"
    return optimizer, _bytes(optimizer.state_dict()), path


def _trained() -> Any:
    parameters = {"W": np.ones((2, 3)), "b": np.ones(2, np.float32)}
    optimizer = Adam(parameters)
    optimizer.step({"W": np.full((2, 3), 0.5), "b": np.full(2, -0.25, np.float32)})
    return optimizer


def _bytes(document: Any) -> bytes:
    """Return a state dictionary as bytes that are the same only for the same bits."""
    if isinstance(document, dict):
        return b"{" + b",".join(repr(key).encode() + b":" + _bytes(value) for key, value in document.items()) + b"}"
    if isinstance(document, list):
        return b"[" + b",".join(map(_bytes, document)) + b"]"
    if isinstance(document, np.ndarray):
        return f"{document.dtype} {document.shape} ".encode() + document.tobytes()
    return repr(document).encode()


TARGETS: dict[str, Target] = {"lexer": lexer, "parser": parser, "formatter": formatter, "checkpoint": checkpoint}


def seeds(target: str) -> Iterator[bytes]:
    """Yield inputs to begin with: every bundled rule, or saved checkpoints."""
    if target != "checkpoint":
        for name in bundled.files():
            path = bundled.path(name)
            assert path is not None
            yield path.read_bytes()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.safetensors"
        optimizer = _trained()
        optimizer.save(path)
        yield path.read_bytes()
        optimizer.param_groups[0]["lr"] = 0.5
        optimizer.save(path)
        yield path.read_bytes()


def words(target: str) -> list[bytes]:
    """Return what inputs are made of, for a fuzzer to put in."""
    if target == "checkpoint":
        return [
            b'"optdsl"',
            b'"state"',
            b'"steps"',
            b'"format"',
            b"__metadata__",
            b'"dtype"',
            b'"F64"',
            b'"BF16"',
            b'"shape"',
            b'"data_offsets"',
            b"NaN",
            b"1e999",
            b"null",
            b"[]",
            b"{}",
            b'\\"',
            b"W.m",
        ]
    keywords = (
        "rule R(x, g)",
        "hyper",
        "state",
        "update",
        "def ",
        "view ",
        "claim",
        " from ",
        " in ",
        " when ",
        "if ",
        " then ",
        " else ",
        " elif ",
        "not ",
        " and ",
        " or ",
        "inf",
        "x' = ",
        "|>",
        "equals ",
        "invariant ",
        " -> ",
        " for ",
        " with ",
        "√",
        "²",
        "β₁",
        "# allow: ",
        "axes=rest",
        "norm(",
        '"',
        "∈",
        "′",
    )
    return [word.encode() for word in keywords]


def kept() -> Path:
    """Return the folder of inputs that broke a promise once, or come near to it: files `TARGET-NAME`."""
    return Path(__file__).resolve().parent.parent / "regressions" / "inputs"


def stem(path: str | os.PathLike[str]) -> str:
    """Return the target that a kept input is for."""
    return Path(path).name.partition("-")[0]
