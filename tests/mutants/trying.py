"""Faults tried one by one against the tests that run the function they are in, all in processes forked from one."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from optdsl import bundled

from . import c_faults, python_faults
from .grafting import NotGrafted, forget, graft, graft_skeleton, remembering
from .python_faults import Fault

ROOT = Path(__file__).resolve().parents[2]

SKELETON = "optdsl/targets/skeleton.c"
CACHE = "OPTDSL_CACHE_DIR"

RULES = frozenset(
    {"adam", "sgd", "lamb", "rprop", "nadam", "lion", "adagrad", "adamp", "asgd", "novograd", "adammini", "flux/adam"}
)
"""Of tests that are there for each bundled rule, those of these rules are run."""

SURVIVED, KILLED, UNUSABLE = 0, 1, 3


@dataclass(frozen=True)
class Mutant:
    """A fault of a file, named by its path from the root of the repository."""

    path: str
    fault: Fault

    @property
    def key(self) -> str:
        """What tells it from others as long as its function has that line."""
        return f"{self.path} {self.fault.key}"


@dataclass
class Ran:
    """What a test ran: the seconds of processor time it took and the functions that it went through."""

    seconds: float
    functions: set[str]


def mutants_of(path: str) -> list[Mutant]:
    """Return the faults of a file."""
    text = (ROOT / path).read_text(encoding="utf-8")
    made = c_faults.faults(text) if path.endswith(".c") else python_faults.faults(text)
    return [Mutant(path, fault) for fault in made]


class Trials:
    """A plugin of pytest that tries faults with the tests that were collected, in place of running these."""

    def __init__(
        self, mutants: Sequence[Mutant], jobs: int, most: float, told: Callable[[Mutant, str], None] = lambda *_: None
    ) -> None:
        self.mutants = mutants
        self.jobs = jobs
        self.most = most
        self.told = told
        self.ran: dict[str, Ran] = {}
        self.failing: list[str] = []
        self.outcomes: dict[Mutant, str] = {}
        self.failed = False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            raise pytest.UsageError(f"{report.nodeid} can't be collected: {report.longrepr}")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        names = set(bundled.names()) - RULES
        items[:] = [item for item in items if not names & _parameters(item) and not item.get_closest_marker("slow")]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        _import_everything()
        self.caches = remembering()
        gc.collect()
        gc.freeze()  # so that processes share what there is
        self._learn(session.items)
        self.items = {item.nodeid: item for item in session.items}
        waiting, running = list(reversed(self.mutants)), dict[int, tuple[Mutant, float, str]]()
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                tests = self._tests_of(mutant)
                if not tests:
                    self._note(mutant, "not run by any test")
                    continue
                folder = tempfile.mkdtemp(prefix="optdsl-mutant-")
                child = _fork(functools.partial(self._try, mutant, tests, folder))
                running[child] = mutant, time.monotonic(), folder
            if running:
                self._wait(running)
        return True

    # Which test runs what

    def _learn(self, items: Sequence[pytest.Item]) -> None:
        """Run each test once, as it is, and note what it runs; one that fails is of no use."""
        with tempfile.TemporaryDirectory(prefix="optdsl-mutants-") as name:
            folder = Path(name)
            parts = [items[first :: self.jobs] for first in range(self.jobs)]
            children = [
                _fork(functools.partial(self._learn_part, part, folder / f"{number}.json"))
                for number, part in enumerate(parts)
            ]
            for child in children:
                os.waitpid(child, 0)
            for number in range(len(parts)):
                for nodeid, (seconds, failed, functions) in json.loads((folder / f"{number}.json").read_text()).items():
                    if failed:
                        self.failing.append(nodeid)
                    else:
                        self.ran[nodeid] = Ran(seconds, set(functions))

    def _learn_part(self, items: Sequence[pytest.Item], report: Path) -> int:
        learnt: dict[str, Any] = {}
        with tempfile.TemporaryDirectory(prefix="optdsl-mutants-") as folder:
            os.environ[CACHE] = folder
            for number, item in enumerate(items):
                forget(self.caches)
                os.environ[CACHE] = f"{folder}/{number}"
                self.failed, start = False, time.process_time()
                with _Watch() as watch:
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                children = resource.getrusage(resource.RUSAGE_CHILDREN)
                spent = time.process_time() + children.ru_utime + children.ru_stime - start
                learnt[item.nodeid] = spent, self.failed, sorted(watch.functions)
        report.write_text(json.dumps(learnt), encoding="utf-8")
        return 0

    def _tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a fault's function, the quickest first, as many as there is time for."""
        function, path = mutant.fault.function, mutant.path
        anywhere = function.isupper() or path.endswith(".c")
        place = "optdsl/targets/c.py" if path.endswith(".c") else path

        def runs(functions: set[str]) -> bool:
            if anywhere:
                return any(one.startswith(f"{place} ") for one in functions)
            return f"{path} {function}" in functions

        found = [(ran.seconds, nodeid) for nodeid, ran in self.ran.items() if runs(ran.functions)]
        chosen: list[str] = []
        total = 0.0
        for seconds, nodeid in sorted(found):
            total += seconds
            if chosen and total > self.most:
                break
            chosen.append(nodeid)
        return chosen

    # One fault

    def _try(self, mutant: Mutant, tests: Sequence[str], folder: str) -> int:
        """Run tests with a fault until one fails, in a process of its own."""
        limit = int(20 + 4 * sum(self.ran[nodeid].seconds for nodeid in tests))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        os.environ[CACHE] = folder
        text = (ROOT / mutant.path).read_text(encoding="utf-8")
        if mutant.path.endswith(".c"):
            graft_skeleton(c_faults.with_fault(text, mutant.fault))
        else:
            module = importlib.import_module(
                mutant.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            )
            try:
                graft(module, python_faults.with_fault(text, mutant.fault), mutant.fault)
            except NotGrafted:
                return UNUSABLE
            except Exception:
                return KILLED  # whoever imports the module would see it
        forget(self.caches)
        items = [self.items[nodeid] for nodeid in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return KILLED
        return SURVIVED

    def _wait(self, running: dict[int, tuple[Mutant, float, str]]) -> None:
        """Wait for one of the processes, and end those that wait for something themselves."""
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            for number, (_, begun, _) in running.items():
                if time.monotonic() - begun > 900:
                    os.kill(number, signal.SIGKILL)
            time.sleep(0.05)
            return
        mutant, _, folder = running.pop(child)
        shutil.rmtree(folder, ignore_errors=True)
        code = os.waitstatus_to_exitcode(status)
        names = {SURVIVED: "survived", KILLED: "killed", UNUSABLE: "unusable"}  # by a signal: a limit, or a crash
        self._note(mutant, names.get(code, "killed: stopped" if code < 0 else "killed: broke off"))

    def _note(self, mutant: Mutant, outcome: str) -> None:
        self.outcomes[mutant] = outcome
        self.told(mutant, outcome)


class _Watch:
    """Notes the functions of the package that are called."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    def __enter__(self) -> _Watch:
        threading.settrace(self._called)
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _called(self, frame: FrameType, event: str, argument: object) -> None:
        self.codes.add(frame.f_code)

    @property
    def functions(self) -> set[str]:
        """The functions by the file they are in."""
        names = set()
        for code in self.codes:
            if code.co_filename.startswith(f"{ROOT}/optdsl/"):
                path = code.co_filename.removeprefix(f"{ROOT}/")
                parts = [part for part in code.co_qualname.split(".") if not part.startswith("<")]
                names |= {f"{path} {'.'.join(parts[: end + 1])}" for end in range(len(parts))}
        return names


def _parameters(item: pytest.Item) -> set[str]:
    callspec = getattr(item, "callspec", None)
    return {value for value in callspec.params.values() if isinstance(value, str)} if callspec else set()


def _import_everything() -> None:
    """Import what tests would import in each process anew."""
    from hypothesis import settings

    settings.register_profile("mutants", deadline=None, database=None, derandomize=True)
    settings.load_profile("mutants")
    for package in ("algebra", "checks", "ir", "passes", "resolve", "runtime", "syntax", "targets", "."):
        for path in sorted((ROOT / "optdsl" / package).glob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if path.stem != "__main__":
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)


def _fork(work: Callable[[], int]) -> int:
    """Do some work in a process of its own that prints nothing, and return its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 4
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        code = work()
    finally:
        os._exit(code)


def tried(
    mutants: Sequence[Mutant], tests: Sequence[str], jobs: int, most: float, told: Callable[[Mutant, str], None]
) -> Trials:
    """Try faults against the tests in some files; return what came of it."""
    trials = Trials(mutants, jobs, most, told)
    options = ["-o", "addopts=", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:terminal", "-s"]
    status = pytest.main([*options, *(str(ROOT / test) for test in tests)], plugins=[trials])
    if status not in (0, 5):
        raise RuntimeError(f"pytest ended with status {status}")
    return trials
