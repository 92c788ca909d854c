"""Compilers that are missing, fail, hang, talk too much or make garbage; and disks that take nothing."""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
from click.testing import CliRunner

import optdsl
from optdsl import building, loading
from optdsl.cli import main
from optdsl.runtime import private, toolchain

from . import compiles, support

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the compilers are shell scripts")

SCRIPT = """#!/bin/sh
case "$*" in *--version*) echo fake 1.0; exit;; esac
for word; do case "$before" in -o) library=$word;; esac; before=$word; done
: > "$TMPDIR/ccAAAA.s"
{body}
"""


@pytest.fixture(scope="module", autouse=True)
def generated() -> None:
    """Generate the files once for all processes that are forked from this one."""
    for target in ("numpy", "c"):
        support.generated(support.RULE, target)
        support.generated(support.OTHER, target)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library of the rule, as a compiler that works makes it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "rule.c").write_text(support.generated(support.RULE, "c")["rule.c"], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTDSL_CC", support.compiler())
        toolchain.build(folder / "rule.c", folder / "librule.so", functions=building.FUNCTIONS)
    return folder / "librule.so"


def copied(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[Path, Path], str]:
    """Return what writes a script that hands out a changed library."""

    def write(folder: Path, whole: Path) -> str:
        (folder / "garbage").write_bytes(change(bytearray(whole.read_bytes())))
        return f'cat "{folder}/garbage" > "$library"'

    return write


def other_machine(data: bytearray) -> bytearray:
    data[18:20] = b"\xf3\x00" if data[18] != 0xF3 else b"\xb7\x00"
    return data


def without_functions(data: bytearray) -> bytes:
    return bytes(data).replace(b"optdsl_step", b"optdsl_stop")


FAULTS: dict[str, tuple[str | Callable[[Path, Path], str], str]] = {
    "fails": ("echo 'rule.c:7: error: no such thing'; exit 4", "failed with exit status 4: rule.c:7: error: no such"),
    "fails in silence": ("exit 1", "failed with exit status 1: it said nothing"),
    "hangs": ("sleep 300", r"took longer than 8 seconds (OPTDSL_CC_TIMEOUT)"),
    "hangs with a child that holds the pipe": ("sleep 300 & wait", "took longer than 8 seconds"),
    "is ended by a signal": ("kill -SEGV $$", "was ended by SIGSEGV"),
    "makes nothing": ("exit 0", "ended without an error, but made no library"),
    "makes an empty file": (': > "$library"', "not a library for this machine: an empty file"),
    "makes a text": ('cat "$0" "$0" > "$library"', "not a library for this machine: not an ELF file"),
    "makes a pipe": ('mkfifo "$library"', "made no library"),
    "cuts its library short": (
        copied(lambda data: data[: len(data) // 2]),
        "not a library for this machine: cut short",
    ),
    "cuts off the last byte": (copied(lambda data: data[:-1]), "not a library for this machine: cut short"),
    "builds for another machine": (copied(other_machine), "made for another processor"),
    "leaves a function out": (copied(without_functions), "made a library without the function optdsl_step"),
    "has no room": ("echo 'error: x.s: No space left on device'; exit 1", "No space left on device"),
}
"""What a compiler does, and what is said of it."""


def attempts(folder: Path, environment: dict[str, str], prepare: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Load the rule for each target and compile it on the command line, in a process of its own.

    It has 20 seconds of the processor for the four of them.

    Returns for each target the parameter after a step, or an error, and the warnings; for `command` the exit status and
    what was printed on standard error; and the growth of its memory in bytes.
    """
    (folder / "rule.opt").write_text(support.RULE, encoding="utf-8")
    (folder / "temporary").mkdir()
    said = folder / "said"

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        support.generated_before()
        prepare()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found: dict[str, Any] = {}
        for target in ("numpy", "auto", "c"):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    optimizer = loading.load_source(
                        optdsl.source.SourceFile("rule.opt", support.RULE), "rule", target, False
                    )
                    x = np.ones(2)
                    optimizer([x]).step([np.ones(2)])
                    outcome: object = x.tolist()
                except optdsl.ToolchainError as error:
                    outcome = str(error)
            found[target] = [outcome, [str(warning.message) for warning in caught]]
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            words = ["compile", str(folder / "rule.opt"), "-t", "c", "-o", str(folder / "out")]
            result = CliRunner().invoke(main, words)
        found["command"] = [result.exit_code, result.stderr]
        found["memory"] = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        with said.open("w", encoding="utf-8") as file:
            json.dump(found, file)

    environment = {"OPTDSL_CACHE_DIR": str(folder / "cache"), "TMPDIR": str(folder / "temporary"), **environment}
    status = support.ended(support.forked(work, environment, folder / "log"), 300)
    assert status == 0, (folder / "log").read_text(encoding="utf-8") if (folder / "log").exists() else status
    found: dict[str, Any] = json.loads(said.read_text(encoding="utf-8"))
    return found


def script(folder: Path, body: str, name: str = "fake-cc") -> str:
    """Write a compiler and return the command that starts it."""
    path = folder / name
    path.write_text(SCRIPT.format(body=body), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("name", FAULTS)
def test_a_compiler_that_doesnt_work_is_named_and_done_without(name: str, tmp_path: Path, whole: Path) -> None:
    body, cause = FAULTS[name]
    command = script(tmp_path, body if isinstance(body, str) else body(tmp_path, whole))
    # Long enough for a busy machine to answer what it is.
    found = attempts(tmp_path, {"OPTDSL_CC": command, "OPTDSL_CC_TIMEOUT": "8" if "hangs" in name else "600"})
    assert found["numpy"] == [support.ANSWER, []]
    answer, said = found["auto"]
    assert answer == support.ANSWER
    assert any(line.startswith("running on NumPy, because no C library could be built: ") for line in said)
    assert any(cause in line for line in said)
    assert cause in found["c"][0]
    assert found["command"][0] == 3
    assert cause in found["command"][1]
    assert "Traceback" not in found["command"][1]
    assert compiles.debris(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "cause"),
    [
        ("no-such-compiler", "no-such-compiler (OPTDSL_CC): not found"),
        ("{folder}", "not found"),
        ("{folder}/hangs", "`--version` took longer than 0.5 seconds"),
        ("{folder}/fails", "`--version` failed with exit status 3"),
        ("{folder}/broken", "can't be started"),
        ("'unclosed", 'OPTDSL_CC is "\'unclosed": No closing quotation'),
    ],
)
def test_without_a_compiler_all_runs_on_numpy(command: str, cause: str, tmp_path: Path) -> None:
    for name, body in {
        "hangs": "#!/bin/sh\nsleep 300",
        "fails": "#!/bin/sh\nexit 3",
        "broken": "#!/no/such/shell",
    }.items():
        (tmp_path / name).write_text(f"{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    seconds = "0.5" if "hangs" in command else "20"
    found = attempts(tmp_path, {"OPTDSL_CC": command.format(folder=tmp_path), "OPTDSL_CC_TIMEOUT": seconds})
    assert found["numpy"] == found["auto"] == [support.ANSWER, []]
    assert cause in found["c"][0]
    assert found["command"][0] == 3
    assert cause in found["command"][1]
    assert compiles.debris(tmp_path) == []


def test_a_compiler_that_never_stops_talking_takes_no_memory(tmp_path: Path) -> None:
    command = script(tmp_path, "echo error: the first line; yes | head -c 100000000; exit 1")
    found = attempts(tmp_path, {"OPTDSL_CC": command})
    assert "error: the first line" in found["c"][0]
    assert found["memory"] < 30e6


def test_what_outlives_its_compiler_is_not_waited_for(tmp_path: Path, whole: Path) -> None:
    """A server that a compiler starts may keep its output open."""
    body = f'cat "{whole}" > "$library"; setsid sleep 30 & echo $! > "{tmp_path}/server"'
    found = attempts(tmp_path, {"OPTDSL_CC": script(tmp_path, body), "OPTDSL_CC_TIMEOUT": "600"})
    with suppress(ProcessLookupError):
        os.kill(int((tmp_path / "server").read_text(encoding="utf-8")), signal.SIGKILL)
    assert found["c"][0] == support.ANSWER
    assert found["command"][0] == 0


@pytest.mark.parametrize("name", ["with spaces", 'it\'s "quoted"', "$(touch ran)"])
def test_any_name_of_a_compiler_is_taken_as_it_is(name: str, tmp_path: Path, whole: Path) -> None:
    import shlex

    command = script(tmp_path, f'[ "$1" = -extra ] && cat "{whole}" > "$library"', name)
    build = tmp_path / "build"
    build.mkdir()
    (build / "rule.c").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTDSL_CC", f"{shlex.quote(command)} -extra")
        toolchain.build(build / "rule.c", build / "librule.so")
    assert (build / "librule.so").read_bytes() == whole.read_bytes()
    assert not list(tmp_path.rglob("ran"))


def out_of_room(*_: object) -> None:
    raise OSError(28, os.strerror(28))


def no_home(*_: object, **__: object) -> str:
    return "~/.cache/optdsl"


def patched(*patches: tuple[object, str, object]) -> Callable[[], None]:
    """Return what changes attributes for good, in a process of its own."""

    def apply() -> None:
        for owner, name, value in patches:
            setattr(owner, name, value)

    return apply


def small_files() -> None:
    """Let no file be longer than a block, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))


DISKS: dict[str, tuple[dict[str, str], Callable[[], None], str]] = {
    "no room": ({}, patched((private, "write", out_of_room)), "can't be written to: No space left on device"),
    "no long files": ({}, small_files, "can't be written to: File too large"),
    "a folder that can't be made": (
        {"OPTDSL_CACHE_DIR": "/proc/none/cache"},
        patched(),
        "can't be opened: No such file",
    ),
    "no home": (
        {"OPTDSL_CACHE_DIR": ""},
        patched((platformdirs, "user_cache_dir", no_home)),
        "is not an absolute path",
    ),
    "a folder that depends on where one is": ({"OPTDSL_CACHE_DIR": "here"}, patched(), "is not an absolute path"),
    "a size nobody can read": ({"OPTDSL_CACHE_SIZE": "much"}, patched(), "OPTDSL_CACHE_SIZE is 'much'; expected bytes"),
}


@pytest.mark.parametrize("name", DISKS)
def test_a_cache_that_takes_nothing_is_named_and_done_without(name: str, tmp_path: Path, both_targets: None) -> None:
    environment, prepare, cause = DISKS[name]
    found = attempts(tmp_path, environment, prepare)
    assert found["numpy"][0] == found["auto"][0] == support.ANSWER
    assert cause in found["numpy"][1][0]
    assert found["numpy"][1][0].endswith("; rules are compiled again in each process")
    if name in ("no room", "no long files"):  # nor is there anywhere else
        assert "there is no place to build a library in" in found["c"][0] or "No space" in found["c"][0]
        assert found["command"][0] == 3
    else:
        assert found["c"][0] == support.ANSWER
        assert found["command"][0] == 0
    assert "Traceback" not in found["command"][1]


def test_ctrl_c_ends_a_compile_with_all_that_it_started(tmp_path: Path) -> None:
    command = script(
        tmp_path, f'sleep 300 & echo $! > "{tmp_path}/begun"; mv "{tmp_path}/begun" "{tmp_path}/started"; wait'
    )
    environment = compiles.environment_in(tmp_path)
    process = support.forked(support.answer, {**environment, "OPTDSL_CC": command}, tmp_path / "log")
    until = time.monotonic() + 120
    while not (tmp_path / "started").exists() and time.monotonic() < until:
        time.sleep(0.01)
    child = int((tmp_path / "started").read_text(encoding="utf-8"))
    os.kill(process, signal.SIGINT)
    assert support.ended(process, 60) == 1
    assert "KeyboardInterrupt" in (tmp_path / "log").read_text(encoding="utf-8")
    assert not alive(child)
    assert compiles.debris(tmp_path) == []


def alive(process: int) -> bool:
    """Return whether a process runs, a second long: one that has ended may wait for somebody to take note of it."""
    state = Path(f"/proc/{process}/stat")
    for _ in range(100):
        try:
            if state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.01)
    return True


LOOSE = ["-Ofast", "-ffast-math", "-funsafe-math-optimizations", "-ffp-contract=fast", "-fassociative-math -O0"]


@pytest.mark.parametrize("flags", LOOSE)
def test_flags_of_a_compiler_dont_loosen_arithmetic(
    flags: str, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is the same to the byte, and no start-up code flushes subnormals in the whole process."""
    monkeypatch.setenv("CC", f"{support.compiler()} {flags}")
    monkeypatch.delenv("OPTDSL_CC", raising=False)
    for name in ("CFLAGS", "CPPFLAGS", "LDFLAGS", "CCC_OVERRIDE_OPTIONS"):
        monkeypatch.setenv(name, flags)
    monkeypatch.setenv("DEPENDENCIES_OUTPUT", str(tmp_path / "written"))
    (tmp_path / "rule.c").write_bytes(whole.with_name("rule.c").read_bytes())
    toolchain.build(tmp_path / "rule.c", tmp_path / "librule.so")
    assert (tmp_path / "librule.so").read_bytes() == whole.read_bytes()
    assert (np.array([2e-40], np.float32) * np.float32(0.5)).item() != 0.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["librule.so", "rule.c"]


def test_flags_that_a_script_adds_dont_flush_subnormals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler takes ours for what it compiles, but the linker took the last for what it starts."""
    (tmp_path / "cc").write_text(f'#!/bin/sh\nexec {support.compiler()} "$@" -Ofast\n', encoding="utf-8")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("OPTDSL_CC", str(tmp_path / "cc"))
    monkeypatch.setenv("OPTDSL_CACHE_DIR", str(tmp_path / "cache"))
    start = np.tile(np.array([2e-40, 1e-45, -0.0, 1.0, 0.1, -3e38, np.inf, np.nan], np.float32), 5)
    after = {}
    for target in ("numpy", "c"):
        x = start.copy()
        optdsl.loads(support.RULE, target)([x]).step([start * np.float32(0.3)])
        after[target] = x.view(np.uint32).tolist()
    assert (np.array([2e-40], np.float32) * np.float32(0.5)).item() != 0.0
    assert after["c"] == after["numpy"]


@pytest.mark.parametrize("flags", ["-ffast-math", "-ffinite-math-only", "-mfpmath=387"])
def test_flags_that_a_script_adds_are_refused(
    flags: str, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come after ours, and so would count."""
    if flags == "-mfpmath=387" and platform.machine() != "x86_64":
        pytest.skip("only x86 has a processor of its own for 80 bits")
    (tmp_path / "cc").write_text(f'#!/bin/sh\nexec {support.compiler()} "$@" {flags}\n', encoding="utf-8")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("OPTDSL_CC", str(tmp_path / "cc"))
    (tmp_path / "rule.c").write_bytes(whole.with_name("rule.c").read_bytes())
    with pytest.raises(optdsl.ToolchainError, match=r"the compiler .*, which optdsl must not"):
        toolchain.build(tmp_path / "rule.c", tmp_path / "librule.so")


def test_a_killed_compile_is_done_again(both_targets: None) -> None:
    """As `python -m tests.faults compiles` does it, a few times."""
    outcomes = list(compiles.kill(3, 1, staged=True))
    assert [outcome.problems for outcome in outcomes] == [[]] * 3


def test_cold_processes_compile_once(tmp_path: Path, both_targets: None) -> None:
    """As `python -m tests.faults cold` does it, with fewer."""
    from . import cold

    outcome = cold.start(tmp_path, 6)
    assert (outcome.right, outcome.problems) == (6, [])
    assert sorted(outcome.built) == ["libgather.so", "librule.so"]
