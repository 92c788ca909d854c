"""Finding a C compiler and building a library with it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from optdsl.runtime import cache as disk

if TYPE_CHECKING:
    import subprocess

Library = TypeVar("Library")

FLAGS = (
    "-std=c11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
    "-fno-unswitch-loops", "-fno-thread-jumps", "-fPIC", "-shared", "-pthread", "-fno-builtin-pow",
    "-fno-builtin-cbrt", "-fno-builtin-exp", "-fno-builtin-expm1", "-fno-builtin-log", "-fno-builtin-log1p",
    "-fno-builtin-sin", "-fno-builtin-cos", "-fno-builtin-tanh",
)  # fmt: skip
"""Strict floating point: never `-ffast-math` or anything that implies it, which would flush subnormals to zero in the
whole process. `CFLAGS` of the environment is not read for the same reason. Loops are not unswitched: a scalar condition
is decided before the loop and costs a blend in it, which memory hides, while a copy of the loop for every combination
of conditions takes a second to compile. Nor are jumps threaded: gcc would tell every way through nested conditions
apart before it turns them into blends, and make half as many instructions again of those in Rprop. Functions of the
library aren't built in: a compiler that knows `cbrt` computes `cbrt(0.1)` itself, and rounds otherwise than the library
does, which Python's scalars are computed by."""

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
        import shlex

        return shlex.join(self.command)


def _commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield where each candidate comes from, and its command, in the order they are tried."""
    for variable in ("OPTDSL_CC", "CC"):
        value = os.environ.get(variable, "").strip()
        if value:
            import shlex

            yield variable, tuple(shlex.split(value))
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
    version = _remembered(entry)
    if version is None:
        try:
            version = _ask(command)
        except ToolchainError as error:
            return f"{command[0]} ({origin}): {error}"
        if entry is not None:
            disk.remember(entry, _ANSWER, version)
    return Compiler(command, version, origin)


def _ask(command: tuple[str, ...]) -> str:
    """Return what a compiler calls itself. Raises ToolchainError where it doesn't answer."""
    import subprocess

    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, timeout=20, check=False, text=True, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(str(error)) from None
    if done.returncode != 0:
        raise ToolchainError(f"`--version` failed with exit status {done.returncode}")
    first = done.stdout.strip().split("\n")[0] if done.stdout.strip() else "unknown version"
    return first[:200]


def _which(command: str, path: str) -> str | None:
    """Return the file of a command, as `shutil.which` does, which takes longer to import than to run."""
    if os.name != "posix":
        import shutil

        return shutil.which(command, path=path)
    folders = [""] if os.sep in command else path.split(os.pathsep)
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


def _remembered(entry: str | None) -> str | None:
    """Return what a compiler called itself the last time it was asked."""
    found = None if entry is None else disk.contents(entry)
    return None if found is None else found[_ANSWER].decode()


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
    import subprocess

    source, library = source.absolute(), library.absolute()
    compiler = find_compiler()
    headers = [f"-I{folder}" for folder in includes]
    command = [*compiler.command, *FLAGS, *headers, "-o", str(library), source.name, "-lm"]
    environment = {key: value for key, value in os.environ.items() if key not in ("CFLAGS", "CPPFLAGS", "LDFLAGS")}
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
            cwd=source.parent, process_group=0 if os.name == "posix" else -1,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=TIMEOUT)
            except BaseException:
                _stop(process)
                raise
    except subprocess.TimeoutExpired:
        library.unlink(missing_ok=True)
        raise ToolchainError(f"{compiler.name} took longer than {TIMEOUT:.0f} seconds") from None
    except OSError as error:
        raise ToolchainError(f"{compiler.name} can't be started: {error}") from None
    if process.returncode != 0 or not library.exists():
        library.unlink(missing_ok=True)
        raise ToolchainError(f"{compiler.name} failed with exit status {process.returncode}: {_cause(output)}")


def library(
    text: str, name: str, load: Callable[[str], Library], includes: Sequence[Path] = (), **parts: str
) -> Library:
    """Return a library of C text, loaded from the cache or built into it, else from a folder that is gone afterwards.

    Args:
        text: The whole C file.
        name: What to call it.
        load: Loads the library from its path.
        includes: Folders of headers.
        parts: What else goes into it: values that it has to be built anew for.

    Raises ToolchainError where it can't be built, OSError where it can't be loaded.
    """
    key = disk.key(text=text, flags=" ".join(FLAGS), processor=disk.processor(), **parts)
    entry = disk.lookup(key)
    if entry is not None:
        return load(str(entry / f"lib{name}.so"))

    def made(folder: Path) -> None:
        (folder / f"{name}.c").write_text(text, encoding="utf-8")
        build(folder / f"{name}.c", folder / f"lib{name}.so", includes)

    try:
        with disk.building() as folder:
            made(folder)
            return load(str(disk.publish(folder, key) / f"lib{name}.so"))
    except disk.CacheUnusable:
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="optdsl-") as outside:
            made(Path(outside))
            return load(str(Path(outside) / f"lib{name}.so"))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a compiler with all that it has started, leaving it a moment to remove its temporary files."""
    import signal
    import subprocess

    if os.name != "posix":
        process.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _cause(output: bytes) -> str:
    """Return the line of a compiler's output that says what went wrong."""
    lines = [line.strip() for line in output[:20_000].decode(errors="replace").split("\n") if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "it said nothing")[:300]
