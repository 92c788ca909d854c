"""Finding a C compiler and building a library with it."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from optdsl.runtime import cache as disk

Library = TypeVar("Library")

FLAGS = (
    "-std=c11", "-O3", "-fno-fast-math", "-fno-unsafe-math-optimizations", "-march=native", "-fno-math-errno",
    "-fno-trapping-math", "-ffp-contract=off", "-fno-unswitch-loops", "-fno-thread-jumps", "-fPIC", "-shared",
    "-pthread", "-nostartfiles", "-fno-builtin-pow", "-fno-builtin-cbrt", "-fno-builtin-exp", "-fno-builtin-expm1",
    "-fno-builtin-log", "-fno-builtin-log1p", "-fno-builtin-sin", "-fno-builtin-cos", "-fno-builtin-tanh",
)  # fmt: skip
"""Strict floating point: never `-ffast-math` or anything that implies it, which would flush subnormals to zero in the
whole process. It is taken back where `CC` asks for it, `CFLAGS` of the environment is not read, and the start-up code
that does the flushing, which a script may ask for after these, is left out with all other.

Loops are not unswitched: a scalar condition is decided before the loop and costs a blend in it, which memory hides,
while a copy of the loop for every combination of conditions takes a second to compile. Nor are jumps threaded: gcc
would tell every way through nested conditions apart before it turns them into blends, and make half as many
instructions again of those in Rprop.

Functions of the library aren't built in: a compiler that knows `cbrt` computes `cbrt(0.1)` itself, and rounds otherwise
than the library does, which Python's scalars are computed by."""

STRICT = Path(__file__).with_name("strict.h")
"""What a compiler reads before a C file, and fails at where it has been told to be loose nevertheless."""

_IGNORED = (
    "CFLAGS", "CPPFLAGS", "LDFLAGS", "CCC_OVERRIDE_OPTIONS", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES",
    "GCC_COMPARE_DEBUG",
)  # fmt: skip
"""Variables that would change what a compiler does, or have it write files elsewhere."""


class ToolchainError(RuntimeError):
    """No compiler works here, or one failed; the message names it and what it said."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler: the command that starts it and what it calls itself."""

    command: tuple[str, ...]
    version: str
    origin: str
    file: str
    """The program that the command was found to be."""

    @property
    def started(self) -> tuple[str, ...]:
        """The command with the program it was found to be, whatever the current folder is."""
        return (self.file, *self.command[1:])

    @property
    def name(self) -> str:
        """The command as it would be typed."""
        import shlex

        return shlex.join(self.command)


def _commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield where each candidate comes from, and its command, in the order they are tried."""
    for variable in ("OPTDSL_CC", "CC"):
        value = os.environ.get(variable, "").strip()
        if value:
            import shlex

            try:
                words = tuple(shlex.split(value))
            except ValueError as error:
                raise ToolchainError(f"{variable} is {value!r}: {error}") from None
            yield variable, words
            if variable == "OPTDSL_CC":
                return
    for name in ("cc", "gcc", "clang"):
        yield "PATH", (name,)
    from importlib.util import find_spec

    if find_spec("ziglang") is not None:
        yield "the extra `zig`", (sys.executable, "-m", "ziglang", "cc")


@cache
def _probe(command: tuple[str, ...], origin: str, path: str) -> Compiler | str:
    """Return the compiler behind a command, or why it can't be used. `path` is the PATH it was looked for on."""
    file = _which(command[0], path)
    if file is None:
        return f"{command[0]} ({origin}): not found"
    entry = _entry(command, file)
    try:
        version = (
            _ask((file, *command[1:]))
            if entry is None
            else disk.remembered(entry, _ANSWER, lambda: _ask((file, *command[1:])))
        )
    except ToolchainError as error:
        return f"{command[0]} ({origin}): {error}"
    return Compiler(command, version, origin, file)


def _ask(command: tuple[str, ...]) -> str:
    """Return what a compiler calls itself. Raises ToolchainError where it doesn't answer."""
    from optdsl.runtime import process  # which a library in the cache has no need of

    seconds = min(timeout(), 20.0)
    try:
        status, said = process.run((*command, "--version"), seconds, os.sep, errors=False)
    except process.TookTooLong:
        raise ToolchainError(f"`--version` took longer than {seconds:g} seconds") from None
    except OSError as error:
        raise ToolchainError(f"can't be started: {error.strerror or error}") from None
    if status != 0:
        raise ToolchainError(f"`--version` {_ending(status)}")
    return (said.decode(errors="replace").strip() or "unknown version").split("\n")[0][:200]


def _which(command: str, path: str) -> str | None:
    """Return the file of a command, as `shutil.which` does, which takes longer to import than to run.

    The current folder, in which strangers' files may lie, is not searched, even where PATH has it.
    """
    if os.name != "posix":
        import shutil

        return shutil.which(command, path=path)
    folders = [os.getcwd()] if os.sep in command else filter(os.path.isabs, path.split(os.pathsep))
    files = (os.path.join(folder, command) for folder in folders)
    return next((file for file in files if os.path.isfile(file) and os.access(file, os.X_OK)), None)


_COMPILERS = re.compile(r"(?:[\w.+]+-)*(?:cc|gcc|clang)(?:-[\d.]+)?")
"""Names of programs that are compilers themselves, and not what starts one."""

_ANSWER = "version.txt"


def _entry(command: tuple[str, ...], file: str) -> str | None:
    """Return the name of the cache entry for what a compiler calls itself, or None where that is asked each time.

    The file that is run in the end stands for the compiler: once it changes, it has another entry. What can start
    another compiler tomorrow, though its own file stays the same, is always asked: a script, a wrapper such as ccache,
    and Apple's `cc`, which follows the developer tools that are chosen.
    """
    if sys.platform == "darwin":
        return None
    try:
        real = os.path.realpath(file)
        with open(real, "rb") as program:
            state = os.fstat(program.fileno())
            if _COMPILERS.fullmatch(os.path.basename(real)) is None or program.read(2) == b"#!":
                return None
    except OSError:
        return None
    stamp = f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino} {state.st_dev}"
    return disk.key(kind="compiler", command="\0".join(command), file=file, real=real, stamp=stamp)


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


def timeout() -> float:
    """Return how many seconds a compiler may take: `OPTDSL_CC_TIMEOUT`, else 120. Raises ToolchainError."""
    asked = os.environ.get("OPTDSL_CC_TIMEOUT", "").strip() or "120"
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", asked, re.ASCII) is None or float(asked) == 0.0:
        raise ToolchainError(f"OPTDSL_CC_TIMEOUT is {asked!r}; expected seconds, such as 60")
    return float(asked)


def build(source: Path, library: Path, includes: Sequence[Path] = (), functions: Sequence[str] = ()) -> None:
    """Build a shared library from a C file in the same folder, with folders of headers, and see that it can be loaded.

    Raises ToolchainError, also where the library lacks one of some functions; OSError where there is no room for it.
    Leaves no half-written library.
    """
    compiled(source, library, includes)
    try:
        _try(library, find_compiler(), functions)
    except BaseException:
        library.unlink(missing_ok=True)
        raise


def compiled(source: Path, library: Path, includes: Sequence[Path] = ()) -> None:
    """Run the compiler as `build` does, which see, but load nothing of what it makes."""
    from optdsl.runtime import process

    compiler = find_compiler()
    headers = [f"-include{STRICT}", *(f"-I{folder}" for folder in includes)]
    command = [*compiler.started, *FLAGS, *headers, "-o", library.name, source.name, "-lm"]
    # What the compiler writes for itself goes beside the library, and away with it should it be killed.
    environment = {name: value for name, value in os.environ.items() if name not in _IGNORED}
    environment |= {"TMPDIR": os.curdir, "LC_ALL": "C"}
    seconds = timeout()
    try:
        status, said = process.run(command, seconds, str(source.parent), environment)
    except process.TookTooLong:
        library.unlink(missing_ok=True)
        raise ToolchainError(f"{compiler.name} took longer than {seconds:g} seconds (OPTDSL_CC_TIMEOUT)") from None
    except OSError as error:
        raise ToolchainError(f"{compiler.name} can't be started: {error.strerror or error}") from None
    if status != 0:
        library.unlink(missing_ok=True)
        _expect_room(said)
        raise ToolchainError(f"{compiler.name} {_ending(status)}: {_cause(said)}")


def _try(library: Path, compiler: Compiler, functions: Sequence[str]) -> None:
    """Load what a compiler made. Raises ToolchainError for what isn't a library that runs here."""
    import ctypes

    from optdsl.runtime import elf

    if not library.is_file():
        raise ToolchainError(f"{compiler.name} ended without an error, but made no library")
    fault = elf.fault(library)
    if fault is not None:
        raise ToolchainError(f"{compiler.name} made something that is not a library for this machine: {fault}")
    try:
        loaded = ctypes.CDLL(str(library.absolute()))
    except OSError as error:
        raise ToolchainError(f"the library that {compiler.name} made can't be loaded: {error}") from None
    missing = [name for name in functions if not hasattr(loaded, name)]
    if missing:
        raise ToolchainError(f"{compiler.name} made a library without the function {missing[0]}")


def library(
    text: str, name: str, load: Callable[[str], Library], includes: Sequence[Path] = (),
    functions: Sequence[str] = (), **parts: str,
) -> Library:  # fmt: skip
    """Return a library of C text, loaded from the cache or built into it, else from a folder that is gone afterwards.

    Args:
        text: The whole C file.
        name: What to call it.
        load: Loads the library from its path.
        includes: Folders of headers.
        functions: What it must have.
        parts: What else goes into it: values that it has to be built anew for.

    Raises ToolchainError where it can't be built, OSError where it can't be loaded.
    """
    key = disk.key(text=text, flags=" ".join(FLAGS), processor=disk.processor(), **parts)

    def made(folder: Path) -> list[str]:
        build(folder / f"{name}.c", folder / f"lib{name}.so", includes, functions)
        return [f"lib{name}.so"]

    def loaded(entry: disk.Entry) -> Library:
        return load(os.path.join(entry.folder, f"lib{name}.so"))

    try:
        return disk.obtain(key, lambda: {f"{name}.c": text}, loaded, made, timeout())
    except disk.CacheUnusable as error:
        raise ToolchainError(f"there is no place to build a library in: {error}") from error


def _ending(status: int) -> str:
    """Return how a program ended, from its exit status."""
    if status >= 0:
        return f"failed with exit status {status}"
    import signal

    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _expect_room(said: bytes) -> None:
    """Raise OSError where a compiler failed because it couldn't write its files."""
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG):
        if os.strerror(number).encode() in said:
            raise OSError(number, os.strerror(number))


def _cause(said: bytes) -> str:
    """Return the line of a compiler's output that says what went wrong."""
    lines = [line.strip() for line in said[:20_000].decode(errors="replace").split("\n") if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it said nothing")[:300]
