"""The compiler turns every loop over elements into vector instructions."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest

from optdsl import bundled
from optdsl.ir.nodes import TRANSCENDENTAL, Op
from optdsl.pipeline import compile_source
from optdsl.runtime import toolchain
from optdsl.source import SourceFile

from .support import calls_function, rule_named

LOOP = "for (int64_t i = run; i < run + length; ++i) {"
"""Over all elements of a part of a tensor, or over a run of them that are clipped first or whose reductions are added
up."""
LEFT_ALONE = {"adamp": 2, "sgdp": 2, "timm/adamp": 2}
"""Loops that gcc 12 gives up: the last ones, of each type, choose twice by scalars among values of rows."""
REMARK = re.compile(r"rule\.c:(\d+):\d+: optimized: loop vectorized")


@pytest.fixture(scope="module")
def gcc() -> toolchain.Compiler:
    """Return the compiler, where it is one whose remarks can be read."""
    try:
        compiler = toolchain.find_compiler()
    except toolchain.ToolchainError:
        pytest.skip("no C compiler works here")
    macros = subprocess.run(
        [*compiler.command, "-dM", "-E", "-"], input="", capture_output=True, text=True, check=True
    ).stdout
    if "__clang__" in macros or "__GNUC__" not in macros:
        pytest.skip("the compiler isn't gcc, whose remarks this reads")
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip(f"remarks were learned on x86-64, not on {platform.machine()}")
    return compiler


def vectorised(code: str, compiler: toolchain.Compiler, folder: Path) -> dict[int, bool]:
    """Return for the line of each loop over elements whether the compiler vectorised it."""
    lines = [line for line in code.split("\n") if not line.startswith("#line")]
    path = folder / "rule.c"
    path.write_text("\n".join(lines), encoding="utf-8")
    command = [
        *compiler.command,
        *toolchain.FLAGS,
        "-fopt-info-vec-optimized",
        "-fno-ipa-icf",  # of two loops that are the same, nothing would be said of the second
        "-o",
        str(folder / "rule.so"),
        str(path),
        "-lm",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    found = {int(line) for line in REMARK.findall(said)}
    return {number: number in found for number, line in enumerate(lines, start=1) if line.strip() == LOOP}


def test_loops_are_vectorised(rule: str, gcc: toolchain.Compiler, tmp_path: Path) -> None:
    """Every loop of every variant and element type of a bundled rule is."""
    if calls_function(rule_named(rule), TRANSCENDENTAL - {Op.CBRT}):
        pytest.skip("calls a function of C's library for each element, which gcc doesn't vectorise")
    path = bundled.path(rule)
    assert path is not None
    code = compile_source(SourceFile(str(path), path.read_text(encoding="utf-8")), "c", "rule")["rule.c"]
    loops = vectorised(code, gcc, tmp_path)
    assert len(loops) == len(re.findall(r"static void phase_\d+_\d+_f(?:32|64)\(", code)) >= 2
    assert sum(not done for done in loops.values()) == LEFT_ALONE.get(rule, 0)


def test_memory_is_passed_over_once(rule: str) -> None:
    """Without reductions there is one loop, for all elements, and every loop reads and writes an array at most once."""
    path = bundled.path(rule)
    assert path is not None
    code = compile_source(SourceFile(str(path), path.read_text(encoding="utf-8")), "c", "rule")["rule.c"]
    assert "PHASES = 1," in code or "REDUCTIONS = 1," in code
    loops = re.split(r"static void phase_\d+_\d+_f\d\d\(", code)[1:]
    for loop in loops:
        touched = re.findall(r"\b(\w+_at)\[i\]( = )?|= (?:\(\w+\))?(\w+_run)\[i - run\]", loop.partition("\n}\n")[0])
        assert len(touched) == len(set(touched)), touched
        assert any(writes for _, writes, _ in touched) or "REDUCTIONS = 1," in code


def test_the_measure_can_fail(gcc: toolchain.Compiler, tmp_path: Path) -> None:
    """A loop that calls a function of the C library isn't vectorised, and is seen not to be."""
    text = "rule R(x, g)\nupdate\n  x' = x - exp(g)\n"
    code = compile_source(SourceFile("rule.opt", text), "c", "rule")["rule.c"]
    # The other loop of each type is that of the average, which follows.
    assert list(vectorised(code, gcc, tmp_path).values()) == [False, True, False, True]
