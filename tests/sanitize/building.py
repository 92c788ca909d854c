"""Building generated C with a sanitizer, and starting Python beside it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from optdsl import building
from optdsl.runtime import toolchain

from .cases import Case

ROOT = Path(__file__).resolve().parents[2]

UNDEFINED = (
    "-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
)  # fmt: skip
"""Division by zero of floats is left out: IEEE 754 says what it gives, and rules rely on it."""


OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}
"""The environment in which the first finding ends a process."""


@dataclass(frozen=True)
class Sanitizer:
    """A way to build, and what the process that loads such a library must be started with.

    `preload` is the library that has to be in the process before Python is; "" where it may come later.
    """

    name: str
    flags: tuple[str, ...]
    preload: str = ""
    fixed_addresses: bool = False

    def flags_over(self, flags: Sequence[str]) -> tuple[str, ...]:
        """Return the toolchain's flags with the sanitizer's; optimised little, so that nothing is merged away."""
        return (*(flag for flag in flags if flag != "-O3"), "-O1", "-g", *self.flags)

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command that starts Python; at fixed addresses where the shadow memory needs them."""
        return [*(("setarch", "-R") if self.fixed_addresses else ()), sys.executable, *arguments]

    def environment(self) -> dict[str, str]:
        """Return the environment of such a process."""
        own = {"PYTHONPATH": str(ROOT), "OPTDSL_NUM_THREADS": "3"}
        return {**os.environ, **own, **OPTIONS} | ({"LD_PRELOAD": _library(self.preload)} if self.preload else {})

    def trouble(self, folder: Path) -> str:
        """Return why the sanitizer can't be used here; "" where it can."""
        try:
            with self.building():
                (folder / "probe.c").write_text("int probe(int *of) { return of[0]; }\n", encoding="utf-8")
                toolchain.compiled(folder / "probe.c", folder / "libprobe.so")
        except toolchain.ToolchainError as error:
            return f"the compiler here can't build for the {self.name} sanitizer: {error}"
        script = f"import ctypes; ctypes.CDLL({str(folder / 'libprobe.so')!r}).probe"
        try:
            done = subprocess.run(
                self.command(["-c", script]), env=self.environment(), capture_output=True, text=True, timeout=120,
                check=False,
            )  # fmt: skip
        except OSError as error:
            return f"Python can't be started under the {self.name} sanitizer: {error}"
        last = done.stderr.strip().split("\n")[-1]
        return f"Python doesn't start under the {self.name} sanitizer: {last}" if done.returncode else ""

    @contextmanager
    def building(self) -> Iterator[None]:
        """Have the toolchain build with the sanitizer."""
        flags = toolchain.FLAGS
        vars(toolchain)["FLAGS"] = self.flags_over(flags)
        try:
            yield
        finally:
            vars(toolchain)["FLAGS"] = flags


SANITIZERS: Mapping[str, Sanitizer] = {
    "address": Sanitizer("address", ("-fsanitize=address", *UNDEFINED[1:]), "libasan.so"),
    "undefined": Sanitizer("undefined", UNDEFINED),
    "both": Sanitizer("address and undefined", ("-fsanitize=address", *UNDEFINED), "libasan.so"),
    "thread": Sanitizer("thread", ("-fsanitize=thread",), "libtsan.so", fixed_addresses=True),
}


WORTH = ("WORTH = 262144,", "WORTH = 4096,")
"""What is replaced in every C file, so that small tensors are shared out among threads, too."""


@functools.cache
def _library(name: str) -> str:
    """Return the path of a library of the compiler's own."""
    command = [*toolchain.find_compiler().command, f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def texts(case: Case) -> dict[str, str]:
    """Return the files of a rule for C."""
    return building.texts(case.source, case.stem, "c", case.exact)


def build(folder: Path, how: str, case: Case, plants: Iterable[tuple[str, str]] = ()) -> None:
    """Write a rule's module and its library, built for one of the sanitizers, into a folder.

    `plants` are pairs of what is to be replaced in the C file and by what, everywhere: faults of ours, to see that they
    are found. ValueError for one that isn't there.
    """
    made = texts(case)
    for old, new in (WORTH, *plants):
        if old not in made[f"{case.stem}.c"]:
            raise ValueError(f"{old!r} isn't in the C file of {case.stem}")
        made[f"{case.stem}.c"] = made[f"{case.stem}.c"].replace(old, new)
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    with SANITIZERS[how].building():  # such a library can't be loaded here, to see whether it is one
        toolchain.compiled(folder / f"{case.stem}.c", folder / f"lib{case.stem}.so")
