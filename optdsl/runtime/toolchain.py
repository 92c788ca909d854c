"""Finding a C compiler and building a library with it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

FLAGS = (
    "-std=c11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
    "-fno-unswitch-loops", "-fPIC", "-shared", "-pthread",
)  # fmt: skip
"""Strict floating point: never `-ffast-math` or anything that implies it, which would flush subnormals to zero in the
whole process. `CFLAGS` of the environment is not read for the same reason. Loops are not unswitched: a scalar condition
is decided before the loop and costs a blend in it, which memory hides, while a copy of the loop for every combination
of conditions takes a second to compile."""

TIMEOUT = 120.0
"""Seconds a compiler may take."""


class ToolchainError(RuntimeError):
    """No compiler works here, or one failed; the message names it and what it said."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler: the command that starts it and what it calls itself."""

    command: tuple[str, ...]
    version: str
    origin: str

    @property
    def name(self) -> str:
        """The command as it would be typed."""
        return shlex.join(self.command)


def _commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield where each candidate comes from, and its command, in the order they are tried."""
    for variable in ("OPTDSL_CC", "CC"):
        value = os.environ.get(variable, "").strip()
        if value:
            yield variable, tuple(shlex.split(value))
            if variable == "OPTDSL_CC":
                return
    for name in ("cc", "gcc", "clang"):
        yield "PATH", (name,)
    if find_spec("ziglang") is not None:
        yield "the extra `zig`", (sys.executable, "-m", "ziglang", "cc")


@cache
def _probe(command: tuple[str, ...], origin: str, path: str) -> Compiler | str:
    """Return the compiler behind a command, or why it can't be used. `path` is the PATH it was looked for on."""
    if shutil.which(command[0], path=path) is None:
        return f"{command[0]} ({origin}): not found"
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, timeout=20, check=False, text=True, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]} ({origin}): {error}"
    if done.returncode != 0:
        return f"{command[0]} ({origin}): `--version` failed with exit status {done.returncode}"
    first = done.stdout.strip().split("\n")[0] if done.stdout.strip() else "unknown version"
    return Compiler(command, first[:200], origin)


def find_compiler() -> Compiler:
    """Return the first compiler that answers: `OPTDSL_CC`, `CC`, `cc`, `gcc`, `clang`, then ziglang.

    Where `OPTDSL_CC` is set, nothing else is tried. Raises ToolchainError naming everything that was tried.
    """
    tried = []
    for origin, command in _commands():
        found = _probe(command, origin, os.environ.get("PATH", os.defpath))
        if isinstance(found, Compiler):
            return found
        tried.append(found)
    raise ToolchainError("no C compiler was found; tried " + "; ".join(tried))


def build(source: Path, library: Path, includes: Sequence[Path] = ()) -> None:
    """Build a shared library from a C file, with folders of headers.

    Raises ToolchainError; leaves no half-written library.
    """
    source, library = source.absolute(), library.absolute()
    compiler = find_compiler()
    headers = [f"-I{folder}" for folder in includes]
    command = [*compiler.command, *FLAGS, *headers, "-o", str(library), str(source), "-lm"]
    environment = {key: value for key, value in os.environ.items() if key not in ("CFLAGS", "CPPFLAGS", "LDFLAGS")}
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
            cwd=source.parent,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=TIMEOUT)
            except BaseException:
                process.kill()
                raise
    except subprocess.TimeoutExpired:
        library.unlink(missing_ok=True)
        raise ToolchainError(f"{compiler.name} took longer than {TIMEOUT:.0f} seconds") from None
    except OSError as error:
        raise ToolchainError(f"{compiler.name} can't be started: {error}") from None
    if process.returncode != 0 or not library.exists():
        library.unlink(missing_ok=True)
        raise ToolchainError(f"{compiler.name} failed with exit status {process.returncode}: {_cause(output)}")


def _cause(output: bytes) -> str:
    """Return the line of a compiler's output that says what went wrong."""
    lines = [line.strip() for line in output[:20_000].decode(errors="replace").split("\n") if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it said nothing")[:300]
