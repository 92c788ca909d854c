"""From a rule's text to the files of a target, through the cache: what loading and compiling have in common."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from optdsl import bases
from optdsl.runtime import cache, toolchain
from optdsl.source import SourceFile
from optdsl.version import __version__

Result = TypeVar("Result")

COMPILER = ("", "algebra", "ir", "passes", "resolve", "syntax", "targets")
"""The parts of the package that generated files depend on."""

FUNCTIONS = ("optdsl_step", "optdsl_squares", "optdsl_strange", "optdsl_convert_with")
"""What the library of a rule has, as `runtime/c_kernel.py` calls it."""


@functools.cache
def generator(parts: tuple[str, ...] = COMPILER) -> str:
    """Return what tells one state of parts of the package from another: their version, sizes and times of files.

    A contributor who changes a pass or a target is so never served code made before.
    """
    package = Path(__file__).parent
    lines = [__version__]
    for folder in parts:
        for entry in sorted(os.scandir(package / folder), key=lambda entry: entry.name):
            if entry.is_file():
                state = entry.stat()
                lines.append(f"{folder}/{entry.name} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def text_of(source: SourceFile) -> dict[str, str]:
    """Return what a rule's own part in a key of the cache is: its text, those it is made from, and its file's name."""
    return {"text": "\0".join([source.text, *bases.texts(source)]), "file": Path(source.name).name}


def key(source: SourceFile, stem: str, target: str, exact: bool) -> str:
    """Return the name of the cache entry of a rule's files. Raises ToolchainError where a compiler is missing."""
    parts = {**text_of(source), "stem": stem, "target": target, "exact": str(exact), "generator": generator()}
    if target == "c":
        compiler = toolchain.find_compiler()
        parts |= {"compiler": f"{compiler.command} {compiler.version}", "flags": " ".join(toolchain.FLAGS)}
        parts |= {"processor": cache.processor()}
    return cache.key(**parts)


def texts(source: SourceFile, stem: str, target: str, exact: bool) -> dict[str, str]:
    """Return the text of each generated file; CompileError for a rule with errors."""
    from optdsl import pipeline

    return pipeline.compile_source(source, target, stem, exact=exact)


def obtain(
    source: SourceFile, stem: str, target: str, exact: bool, load: Callable[[cache.Entry], Result]
) -> Result:  # fmt: skip
    """Return what is loaded from the files of a rule, from the cache where it has them, else made and put into it.

    Raises CompileError for a rule with errors, ToolchainError where its library can't be built, and what `load` raises.
    """

    def library(folder: Path) -> list[str]:
        build(folder, stem)
        return [f"lib{stem}.so"]

    generate = functools.partial(texts, source, stem, target, exact)
    name = key(source, stem, target, exact)
    if target != "c":
        return cache.obtain(name, generate, load)
    try:
        return cache.obtain(name, generate, load, library, toolchain.timeout())
    except cache.CacheUnusable as error:
        raise toolchain.ToolchainError(f"there is no place to build a library in: {error}") from error
    except OSError as error:
        raise toolchain.ToolchainError(f"a library can't be loaded: {error}") from error


def contents(source: SourceFile, stem: str, target: str, exact: bool) -> dict[str, bytes]:
    """Return the files that a rule is compiled to. See `obtain`."""
    return obtain(source, stem, target, exact, lambda entry: dict(entry.files))


def build(folder: Path, stem: str) -> None:
    """Build the library of a rule from its C file in a folder. Errors are those of `toolchain.build`."""
    toolchain.build(folder / f"{stem}.c", folder / f"lib{stem}.so", functions=FUNCTIONS)


def write(folder: Path, files: Mapping[str, str], target: str, stem: str) -> list[Path]:
    """Write generated files into a folder, and for C build the library; return the paths written.

    Files appear when all of them are whole, and replace older ones. Raises OSError, or ToolchainError where the library
    can't be built.
    """
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix=".writing-", dir=folder) as name:
        building = Path(name)
        for file, text in files.items():
            (building / file).write_text(text, encoding="utf-8")
        if target == "c":
            build(building, stem)
        made = [building / file for file in files]
        made += [path for path in building.iterdir() if path not in made]
        return [path.replace(folder / path.name) for path in made]


def place(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, libraries last, and return their paths. Files appear as in `write`. Raises OSError."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix=".writing-", dir=folder) as name:
        made = []
        for file in sorted(files, key=lambda file: (file.endswith(".so"), file)):
            path = Path(name) / file
            path.write_bytes(files[file])
            if file.endswith(".so"):
                mode = path.stat().st_mode
                path.chmod(mode | (mode & 0o444) >> 2)  # what may be read may be run, as linkers leave it
            made.append(path)
        return [path.replace(folder / path.name) for path in made]
