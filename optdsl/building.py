"""From a rule's text to the files of a target, through the cache: what loading and compiling have in common."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from optdsl import bases
from optdsl.runtime import cache, toolchain
from optdsl.source import SourceFile
from optdsl.version import __version__

COMPILER = ("", "algebra", "ir", "passes", "resolve", "syntax", "targets")
"""The parts of the package that generated files depend on."""


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


def contents(source: SourceFile, stem: str, target: str, exact: bool) -> dict[str, bytes]:
    """Return the files that a rule is compiled to, from the cache where it has them, else made and put into it.

    Raises CompileError for a rule with errors, ToolchainError where its library can't be built, OSError where there is
    no place to build it in.
    """
    name = key(source, stem, target, exact)
    found = cache.contents(name)
    if found is not None:
        return found
    generated = texts(source, stem, target, exact)
    try:
        with cache.building() as folder:
            write(folder, generated, target, stem)
            cache.publish(folder, name)
        found = cache.contents(name)
    except OSError:
        pass  # no cache, or no room in it
    return _made_elsewhere(generated, target, stem) if found is None else found


def _made_elsewhere(generated: Mapping[str, str], target: str, stem: str) -> dict[str, bytes]:
    """Return the files built in a temporary folder."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="optdsl-") as name:
        return {path.name: path.read_bytes() for path in sorted(write(Path(name), generated, target, stem))}


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
            toolchain.build(building / f"{stem}.c", building / f"lib{stem}.so")
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
