"""Compiling and the cache: what is half written, planted, locked or made for another processor is never loaded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import runpy
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from optdsl import building
from optdsl.runtime import cache, toolchain
from optdsl.source import SourceFile

from .elsewhere import elsewhere
from .support import ROOT, python

RULE = "rule Tiny(x, g)\nhyper\n  lr = 0.5 in [0, inf)\nupdate\n  x' = x - lr*g\n"
STEP = f"""
import numpy as np, optdsl
x = np.ones(2)
optdsl.loads({RULE!r}, target=TARGET)([x]).step([np.ones(2)])
print(x.tolist())
"""
RIGHT = "[0.5, 0.5]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where a cache of the test's own is going to be."""
    return tmp_path / "cache"


def load(target: str, folder: Path, **environment: str) -> None:
    """Load and step the rule in a process of its own; its answer must be right and its output clean."""
    done = python(STEP.replace("TARGET", repr(target)), {"OPTDSL_CACHE_DIR": str(folder), **environment})
    assert (done.stdout, done.stderr, done.returncode) == (RIGHT, "", 0)


def slow_compiler(folder: Path) -> Path:
    """Make a compiler that says its number and hangs until there is a file `go` beside it."""
    real = toolchain.find_compiler().command
    script = folder / "slow-cc"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *-shared*)\n  if ! [ -e {folder}/go ]; then echo $$ > {folder}/pid; sleep 100; fi;;\n'
        f'esac\nexec {" ".join(real)} "$@"\n'
    )  # fmt: skip
    script.chmod(0o755)
    return script


def stopped_in_a_compile(folder: Path, tmp_path: Path, how: signal.Signals) -> int:
    """Stop a process while its compiler hangs, return its exit status, and let compilers work from then on."""
    script = slow_compiler(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPTDSL_CACHE_DIR": str(folder), "OPTDSL_CC": str(script)}
    # A shell's background job ignores SIGINT, and so do its children unless they say otherwise.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = heard + STEP.replace("TARGET", "'c'")
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 600
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith("\n"):
            assert process.poll() is None, "it ended before the compiler was asked"
            assert time.monotonic() < deadline, "the compiler was never asked"
            time.sleep(0.01)
        process.send_signal(how)
        process.wait(600)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    (tmp_path / "go").touch()
    return process.returncode


@elsewhere("pytorch/pytorch#189245", "pytorch/pytorch#190543")
def test_a_process_killed_in_a_compile_blocks_nobody(both_targets: None, folder: Path, tmp_path: Path) -> None:
    """After a SIGKILL in the middle of a compile the next process compiles at once and is right.

    A builder made a lock file and removed it when it was done; killed before, it left every later process waiting for
    ever.
    """
    assert stopped_in_a_compile(folder, tmp_path, signal.SIGKILL) == -signal.SIGKILL
    load("c", folder, OPTDSL_CC=str(tmp_path / "slow-cc"))


@elsewhere("Akuli/jou#873")
def test_what_an_interrupt_leaves_is_not_used_again(both_targets: None, folder: Path, tmp_path: Path) -> None:
    """Ctrl-C in a compile ends the process and leaves no entry, no folder and no object file behind.

    An interrupted compile left half an object file, which the next one took for whole.
    """
    assert stopped_in_a_compile(folder, tmp_path, signal.SIGINT) != 0
    left = [path for path in folder.rglob("*") if path.suffix in {".so", ".o", ".c"} or path.name.startswith(".build")]
    assert left == []
    load("c", folder, OPTDSL_CC=str(tmp_path / "slow-cc"))


@elsewhere("numba/numba#10434", "numba/numba#10656")
def test_a_truncated_entry_is_compiled_again(target: str, folder: Path) -> None:
    """Files of the cache that are cut short or emptied count as missing, whichever they are.

    A cache file that a crash had cut short raised an error about its end at every later start.
    """
    load(target, folder)
    for part, path in enumerate(sorted(path for path in folder.rglob("*") if path.is_file())):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 * (part % 2)])
    load(target, folder)


def plant(folder: Path, marker: Path) -> Path:
    """Put code into the cached module of the rule, with hashes to match, and return a file with that code."""
    planted = f"open({str(marker)!r}, 'w').close()\n"
    modules = [path for path in folder.rglob("*.py") if b"Tiny" in path.read_bytes()]
    assert len(modules) == 1
    old = modules[0].read_bytes()
    new = old + planted.encode()
    modules[0].write_bytes(new)
    for path in modules[0].parent.iterdir():
        before, after = (hashlib.sha256(text).hexdigest().encode() for text in (old, new))
        path.write_bytes(path.read_bytes().replace(before, after))
    alone = marker.with_name("planted.py")
    alone.write_text(planted, encoding="utf-8")
    return alone


@elsewhere("gmboquet/mixle#331", "rubocop/rubocop#4336")
def test_a_cache_that_others_can_write_to_is_not_used(folder: Path, tmp_path: Path) -> None:
    """Code that somebody put into a cache folder open to others isn't loaded, though its hashes are right.

    Generated modules were imported from a folder under /tmp that every user could write to, whoever had put them there.
    """
    load("numpy", folder)
    marker = tmp_path / "ran"
    planted = plant(folder, marker)
    folder.chmod(0o777)
    done = python(STEP.replace("TARGET", "'numpy'"), {"OPTDSL_CACHE_DIR": str(folder)})
    assert done.stdout == RIGHT
    assert not marker.exists()
    runpy.run_path(str(planted))
    assert marker.exists(), "what was planted would have shown"


@elsewhere("inducer/pycuda#54")
def test_a_cache_folder_that_is_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """A link in place of the cache folder is not followed: nothing is read or written where it points.

    Cache files had names that others could predict; a link put there first made a program write wherever it pointed.
    """
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)
    done = python(STEP.replace("TARGET", "'numpy'"), {"OPTDSL_CACHE_DIR": str(folder)})
    assert done.stdout == RIGHT
    assert list(target.iterdir()) == []


@elsewhere("lark-parser/lark#1628", "OSIPI/osipy#171")
def test_nothing_is_unpickled_and_the_temporary_folder_stays_empty(folder: Path, tmp_path: Path) -> None:
    """Reading a rule unpickles nothing and opens no file in the folder for temporary files.

    A parser generator kept its tables pickled under a predictable name in the shared folder for temporary files, and
    ran what anybody had put there.
    """
    (tmp_path / "tmp").mkdir()
    watched = f"""
import sys
seen = []
def hook(event, arguments):
    if event == "pickle.find_class" or (event == "open" and str(arguments[0]).startswith({str(tmp_path / "tmp")!r})):
        seen.append((event, arguments))
sys.addaudithook(hook)
{STEP.replace("TARGET", "'numpy'")}
print(seen, "lark" in sys.modules)
"""
    done = python(watched, {"OPTDSL_CACHE_DIR": str(folder), "TMPDIR": str(tmp_path / "tmp")})
    assert done.stdout == f"{RIGHT}[] True\n", done.stderr


@elsewhere("CVE-2025-69872", "grantjenks/python-diskcache#357")
def test_the_cache_is_for_its_owner_and_holds_no_pickles(target: str, folder: Path) -> None:
    """The cache folder is made for its owner alone, whatever the umask, and holds texts and libraries.

    A cache of pickled objects in a folder open to others ran what they had put into it.
    """
    done = python(f"import os; os.umask(0)\n{STEP}".replace("TARGET", repr(target)), {"OPTDSL_CACHE_DIR": str(folder)})
    assert done.stdout == RIGHT, done.stderr
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        if path.is_file() and path.read_bytes()[:4] != b"\x7fELF":
            assert path.read_bytes().isascii(), f"{path.name} is no text"


@elsewhere("MFlowCode/MFC#1277", "ggml-org/llama.cpp#25275", "llvm/llvm-project#196477")
def test_code_for_another_processor_is_another_entry(both_targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled for one kind of processor isn't found on another; NumPy code is the same on all.

    Objects built with -march=native came from a cache that machines of different kinds shared, and died of an illegal
    instruction.
    """
    source = SourceFile("tiny.opt", RULE)
    here = {target: building.key(source, "tiny", target, False) for target in ("c", "numpy")}
    monkeypatch.setattr(cache, "processor", lambda: "another")
    there = {target: building.key(source, "tiny", target, False) for target in ("c", "numpy")}
    assert here["c"] != there["c"]
    assert here["numpy"] == there["numpy"]


@elsewhere("ModelCloud/GPTQModel#3015")
def test_processes_that_compile_at_once_are_all_right(folder: Path) -> None:
    """Several processes that need the same rule at the same moment, with nothing cached, all get the right answer.

    Processes on one machine shared a build folder and could wait for each other without end.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPTDSL_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", STEP.replace("TARGET", "'numpy'")]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate(timeout=600) for process in processes] == [(RIGHT, "")] * 3


@elsewhere("oven-sh/bun#40705")
def test_without_a_home_nothing_is_left_in_a_shared_folder(tmp_path: Path) -> None:
    """Where there is no place for a cache, rules load without one, and nothing stays in the folder for temporary files.

    A cache that had no home directory to go to went to a place under /tmp that others can guess.
    """
    (tmp_path / "tmp").mkdir()
    (tmp_path / "home").touch()
    missing = {"OPTDSL_CACHE_DIR": None, "XDG_CACHE_HOME": None, "HOME": str(tmp_path / "home")}
    done = python(STEP.replace("TARGET", "'numpy'"), {**missing, "TMPDIR": str(tmp_path / "tmp")})
    assert done.stdout == RIGHT, done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (tmp_path / "home").read_bytes() == b""
