"""The compiler tester sees what is wrong: each oracle is given something to find."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings

from optdsl.pipeline import analyse
from optdsl.runtime import checkpoint
from optdsl.source import SourceFile

from . import __main__ as command
from . import compiled, found, paths, trial
from .generate import rule_text
from .reduce import shrink
from .strategy import rules
from .trial import Failure, try_rule
from .workers import Job, results

RULE = """rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
state
  v = 1
update
  v' = 0.9*v + g*g
  x' = x - lr*g/(sqrt(v') + 1e-8) + t*abs(v)
view ahead = x - v
"""


def seen(text: str = RULE, *, large: bool = False) -> set[str]:
    """Return the oracles by which a rule fails."""
    return {failure.oracle for failure in try_rule(text, 1, (np.float32,), large=large).failures}


def test_a_rule_that_is_right_passes(both_targets: None) -> None:
    report = try_rule(RULE, 1, large=True)
    assert report.failures == []
    assert report.exact
    assert report.finite > 0.9


def test_wrong_c_is_seen(both_targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As different bits, and as digits that aren't there."""
    shortened = compiled.shortened
    monkeypatch.setattr(compiled, "shortened", lambda *args: shortened(*args).replace("sqrtf(", "(1 + 1e-3f) * sqrtf("))
    assert seen() == {"targets", "digits", "resume"}


def test_wrong_signs_of_zeros_are_seen(both_targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As bits alone."""
    wrong, shortened = ("fabsf(v_)", "(v_ == 0 ? -0.0f : fabsf(v_))"), compiled.shortened
    monkeypatch.setattr(compiled, "shortened", lambda *args: shortened(*args).replace(*wrong))
    assert seen("rule R(x, g)\nstate\n  v = 0\nupdate\n  v' = abs(v)*g\n  x' = x - g\n") == {"targets", "resume"}


def test_another_meaning_is_seen(both_targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: Any) -> tuple[Any, Any]:
        x, states = paths_run(*args)
        return x + 1, states

    paths_run = paths.run
    monkeypatch.setattr(paths, "run", wrong)
    assert seen() == {"meaning"}


def test_a_lost_step_count_is_seen(both_targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that doesn't bring back what was saved."""
    read: Callable[[Any], dict[str, Any]] = checkpoint.read

    def forgetful(path: Any) -> dict[str, Any]:
        document = read(path)
        return {**document, "steps": dict.fromkeys(document["steps"], 1)}

    monkeypatch.setattr(checkpoint, "read", forgetful)
    assert seen() == {"resume"}


def test_a_wrong_view_is_seen(both_targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "view_of", lambda *args: args[4] + 1)
    assert seen() == {"view"}


def test_formatting_that_changes_a_rule_is_seen(both_targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "formatted", lambda source, unicode: (source.text.replace("0.9", "0.8"), []))
    assert seen() == {"format"}
    monkeypatch.setattr(trial, "formatted", lambda source, unicode: (source.text + "\n", []))
    assert seen() == {"format"}


def test_threads_that_matter_are_seen(both_targets: None, monkeypatch: pytest.MonkeyPatch) -> None:
    shortened = compiled.shortened
    changed = ("static void phase_0_0_f32(", "static int64_t seen;\nstatic void phase_0_0_f32(")
    first = ("const float lr_ =", "if (lo > seen) seen = lo;\n    const float lr_ = (float)(seen > 0) +")

    def of_place(*args: Any) -> str:
        text = shortened(*args).replace(*changed, 1)
        return text.replace(*first, 1)

    assert seen(large=True) == set()
    monkeypatch.setattr(compiled, "shortened", of_place)
    assert "threads" in seen(large=True)


def test_an_error_of_the_compiler_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rule: Any) -> Any:
        raise KeyError("lr")

    monkeypatch.setattr(trial, "kernels", broken)
    (failure,) = try_rule(RULE, 1).failures
    assert failure.oracle == "crash"
    assert failure.detail.startswith("KeyError")
    assert seen("rule R(x, g)\nupdate\n  x' = y\n") == {"refused"}


@dataclass(frozen=True)
class Dies(Job):
    """A rule whose process is killed."""

    def run(self) -> trial.Report:
        os.kill(os.getpid(), signal.SIGSEGV)
        return trial.Report()


@dataclass(frozen=True)
class Hangs(Job):
    """A rule that never ends."""

    def run(self) -> trial.Report:
        while True:
            pass


@dataclass(frozen=True)
class Passes(Job):
    """A rule that is right."""

    def run(self) -> trial.Report:
        return trial.Report()


def test_a_process_that_dies_is_not_the_end() -> None:
    """Nor is one that never ends; both are findings."""
    jobs = [Dies(1, 0), Hangs(1, 1, seconds=1), Passes(1, 2)]
    reports = {job.number: report for job, report in results(iter(jobs), 1, float("inf"))}
    assert [failure.oracle for number in range(3) for failure in reports[number].failures] == ["crash", "hang"]
    assert str(int(signal.SIGSEGV)) in reports[0].failures[0].detail


def test_rules_are_made_small() -> None:
    """To the lines that matter."""
    text = next(text for text in (rule_text(7, k) for k in range(200)) if "cbrt(" in text and text.count("\n") > 20)
    small = shrink(text, lambda other: "cbrt(" in other)
    assert small in [f"rule Fuzz(x, g)\nupdate\n  x' = cbrt({value})\n" for value in ("g", "x", 0, 1, 2)]


def test_what_is_found_is_kept(tmp_path: Path) -> None:
    """With what was wrong and the numbers it was wrong with."""
    path = found.keep(tmp_path, "name", "rule R(x, g)\nupdate\n  x' = g\n", Failure("targets", "a\nb"), Job(3, 21))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# targets: a b\n")
    assert found.inputs(text) == 21
    assert analyse(SourceFile("name.opt", text)).errors == []
    assert list(found.files(tmp_path)) == [path]


def test_the_command(both_targets: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It tries the rules it is asked for, and says so."""
    words = ["--count", "2", "--seed", "1", "--start", "5", "--json", str(tmp_path / "summary.json")]
    assert command.main([*words, "--keep", str(tmp_path)]) == 0
    assert "2 rules of seed 1 from 5" in capsys.readouterr().out
    assert '"failed": []' in (tmp_path / "summary.json").read_text(encoding="utf-8")


@given(rules())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_rule_drawn_is_right(text: str) -> None:
    """Well-typed, and the same rule once formatted."""
    source = SourceFile("fuzz.opt", text)
    rule = analyse(source).rule
    assert rule is not None
    assert [failure for unicode in (False, True) for failure in trial.formats(source, rule, unicode=unicode)] == []


def test_rules_drawn_become_small() -> None:
    """Hypothesis makes them small by itself."""
    small = find(rules(), lambda text: "cbrt(" in text, settings=settings(max_examples=500, database=None))
    assert small.count("\n") <= 20
