"""What is worked on for one file is bounded in all: the checks, the claims, the search for cheaper forms."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from optdsl import checks, pipeline
from optdsl.algebra import propose
from optdsl.algebra.limits import clock
from optdsl.diagnostics import Problem
from optdsl.ir.kernel import Program
from optdsl.ir.nodes import Apply, Expr, Op, Rate, Ref, Role, Rule, Symbol, number
from optdsl.passes import improve
from optdsl.passes.improve import Effort
from optdsl.passes.simplify import without_idle
from optdsl.pipeline import as_written, kernels, rule_of
from optdsl.show import kernel
from optdsl.source import SourceFile

TEXT = """\
rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
  a = 0.9 in [0, 1)
state
  m = 0
update
  m' = ema(m, g, a)
  x' = x - lr*(m'/(1 - a^t))
claim
  still when lr = 0
  still when lr = 0 and a = 0.5
"""
SOURCE = SourceFile("r.opt", TEXT)


def test_claims_without_time_are_unproved() -> None:
    assert not [problem for problem in pipeline.check(SOURCE).problems if problem.slug == "unproved-claim"]
    left = [problem for problem in pipeline.check(SOURCE, seconds=0).problems if problem.slug == "unproved-claim"]
    assert len(left) == 2
    assert all("not looked into" in problem.label for problem in left)


@dataclass(frozen=True, kw_only=True)
class Seen(Problem):
    slug: ClassVar[str] = "seen"

    @property
    def message(self) -> str:
        return "seen"


def test_checks_end_with_their_time_and_keep_what_they_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(rule: Rule) -> Iterator[Problem]:
        yield Seen(span=(0, 1))
        while True:
            pass

    monkeypatch.setattr(checks, "checks", lambda: {"a": endless, "b": endless})
    start = clock()
    found = checks.run(rule_of(SOURCE), 0.1)
    assert [problem.slug for problem in found] == ["seen", "seen"]
    assert clock() - start < 5
    slugs = [problem.slug for problem in pipeline.check(SOURCE, seconds=0.2).problems]
    assert slugs.count("seen") == 2
    assert "unproved-claim" in slugs, "the checks took the time of the claims, too"


def test_without_effort_the_author_s_form_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = rule_of(SOURCE)
    assert kernels(rule).kernels != as_written(rule)
    assert not kernels(rule).reason
    monkeypatch.setattr(pipeline, "Effort", lambda: Effort(0))
    program: Program = kernels(rule)
    assert program.kernels == as_written(rule)
    assert "too large" in program.reason
    assert "too large" in kernel(SOURCE, rule, exact=False)


def test_effort_is_spent_once() -> None:
    effort = Effort(10)
    assert effort.affords(4)
    assert effort.affords(5)
    assert not effort.affords(2)
    assert not effort.affords(1)


def test_what_is_proposed_takes_its_time_together(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Ref(Symbol(Role.OLD, "x", Rate.ELEMENT))
    square: Expr = Apply(Op.ADD, (Apply(Op.MUL, (x, x)), x))
    assert propose.Proposer()(square, [])
    monkeypatch.setattr(propose, "TOGETHER", 0.0)
    assert not propose.Proposer()(square, [])


def test_a_deep_scalar_is_gone_through_once() -> None:
    part: Expr = Ref(Symbol(Role.HYPER, "a", Rate.CONST))
    expr = part
    for _ in range(90):
        expr = Apply(Op.ADD, (expr, part))
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += 1
        assert calls < 100_000, "more calls than any walk of 180 parts takes"

    sys.setprofile(count)
    try:
        assert without_idle(Apply(Op.ADD, (expr, number(0)))) == expr
    finally:
        sys.setprofile(None)


def test_the_budget_of_the_search_is_far_above_what_rules_take(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from optdsl import bundled
    from optdsl.source import read

    path = bundled.path(rule)
    assert path is not None
    used: list[Effort] = []

    def made() -> Effort:
        used.append(Effort())
        return used[-1]

    monkeypatch.setattr(pipeline, "Effort", made)
    kernels(rule_of(read(path)))
    assert improve.WORK - used[0].left < improve.WORK / 4
