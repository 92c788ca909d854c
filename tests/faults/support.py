"""Processes that compile a rule, forked from one that has the compiler loaded, so that they take little time."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

import optdsl
from optdsl import building, jobs, pipeline
from optdsl.runtime import gather, toolchain
from optdsl.source import SourceFile

RULE = "rule Tiny(x, g)\nhyper\n  lr = 0.5 in [0, inf)\nstate\n  m = 0\nupdate\n  m' = m + g\n  x' = x - lr*m'\n"
ANSWER = [0.5, 0.5]
OTHER = RULE.replace("lr = 0.5", "lr = 0.25")


def preload() -> None:
    """Load what compiling takes, once for all processes that are forked from this one."""
    generated(RULE, "c")


@functools.cache
def generated(text: str, target: str) -> dict[str, str]:
    """Return the files that a rule is compiled to."""
    return pipeline.compile_source(SourceFile("rule.opt", text), target, "rule", exact=False)


def generated_before() -> None:
    """Have the files of the rules here at hand, where what is tested begins after them. For a process of its own."""
    building.texts = lambda source, stem, target, exact: generated(source.text, target)
    jobs.check_once = lambda source: jobs.Found(source, ())


def answer(target: str = "c", text: str = RULE, how: Literal["error", "ignore"] = "error") -> list[float]:
    """Return the parameter after one step of a rule. `how` is what a warning is taken for."""
    with warnings.catch_warnings():
        warnings.simplefilter(how)
        optimizer = optdsl.loads(text, target)
    x = np.ones(2)
    optimizer([x]).step([np.ones(2)])
    return x.tolist()


def forked(work: Callable[[], object], environment: dict[str, str], log: Path) -> int:
    """Start a process that does something under an environment and return its number; it fails where that raises.

    It leads a group of its own, and has loaded no rule of C nor the gatherer yet.
    """
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.setpgid(0, 0)
        os.environ.update(environment)
        gather.function.cache_clear()
        toolchain._probe.cache_clear()
        tempfile.tempdir = None
        for name in [name for name in sys.modules if name.startswith("optdsl_rules.")]:
            del sys.modules[name]
        work()
        status = 0
    except BaseException:
        log.write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(status)


def ended(process: int, seconds: float) -> int | None:
    """Return the exit status of a process, negative where a signal ended it; None where it takes longer than that."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def descendants(process: int) -> list[int]:
    """Return the processes that one has started, and those that they have started."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = parents.get(process, [])
    for child in found:
        found = [*found, *parents.get(child, [])] if child in parents else found
    return found


STAGED = """#!/bin/sh
[ "$1" = --version ] && echo staged 1.0 && exit
for word; do
    case "$before" in -o) library=$word;; esac
    case "$word" in *.c) source=$word;; esac
    before=$word
done
kept={folder}/$(cksum < "$source" | tr ' ' -)
if [ ! -e "$kept" ]; then {compiler} "$@" && cp "$library" "$kept" && rm "$library"; fi
: > "$TMPDIR/cc$$.s"
sleep 0.1
head -c 5000 "$kept" > "$library"
sleep 0.1
cat "$kept" > "$library"
rm "$TMPDIR/cc$$.s"
"""


def staged(folder: Path) -> str:
    """Write a compiler that hands out in pieces, over a fifth of a second, what another made; return its file."""
    script = folder / "staged-cc"
    script.write_text(STAGED.format(folder=folder, compiler=compiler()), encoding="utf-8")
    script.chmod(0o755)
    return str(script)


def compiler() -> str:
    """Return the file of a C compiler. Raises LookupError where there is none."""
    for name in ("gcc", "cc", "clang"):
        found = shutil.which(name)
        if found:
            return found
    raise LookupError("no C compiler on this machine")
