"""All that must hold for one rule: every oracle of the compiler tester."""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from optdsl.ir.kernel import Program
from optdsl.ir.nodes import Rule
from optdsl.passes.options import with_options
from optdsl.pipeline import analyse, as_written, kernels, rule_of
from optdsl.source import SourceFile
from optdsl.syntax.format import formatted

from . import paths
from .compiled import classes, stepper
from .judge import drawn, findings, variant_at
from .points import course

DTYPES = (np.float64, np.float32)
POINTS = 4
MOST = 3
"""Failures of one oracle that are reported."""


@dataclass(frozen=True)
class Failure:
    """What didn't hold: the oracle that says so, and where."""

    oracle: str
    detail: str

    def __str__(self) -> str:
        return f"{self.oracle}: {self.detail}"


@dataclass
class Report:
    """What became of one rule. `finite` is the share of results that were finite, special inputs left out."""

    failures: list[Failure] = field(default_factory=list)
    finite: float = 1.0
    exact: bool = False
    simplified: bool = False
    rejected: bool = False


def try_rule(text: str, inputs: int, dtypes: tuple[Any, ...] = DTYPES, *, large: bool = False) -> Report:
    """Try a rule by every oracle.

    Args:
        text: The rule.
        inputs: Seed of the numbers it is tried with.
        dtypes: Element types to run it in.
        large: Also step a tensor that is worth two threads.
    """
    report = Report()
    try:
        for failure in _failures(text, inputs, dtypes, large, report):
            if sum(known.oracle == failure.oracle for known in report.failures) < MOST:
                report.failures.append(failure)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # any error of the compiler is a finding, and so is a clock that rings elsewhere
        report.failures.append(Failure("crash", _place(error)))
    return report


def _place(error: BaseException) -> str:
    """Return an error and where in the package it was raised, without line numbers, which change."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "optdsl" in frame.filename]
    where = f" in {Path(frames[-1].filename).name}, {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{where}: {str(error)[:200]}"


def _failures(text: str, inputs: int, dtypes: tuple[Any, ...], large: bool, report: Report) -> Iterator[Failure]:
    source = SourceFile("fuzz.opt", text)
    analysed = analyse(source)
    if analysed.rule is None:
        yield Failure("refused", analysed.errors[0].message)
        return
    yield from formats(source, analysed.rule, unicode=inputs % 4 > 1)
    rule = with_options(analysed.rule)
    program = kernels(rule)
    report.simplified = program.kernels != as_written(rule)
    report.rejected = bool(program.rejected)
    report.exact = paths.promised(rule)
    chances = {dtype: random.Random(f"{inputs} {np.dtype(dtype)}") for dtype in dtypes}
    courses = {dtype: course(rule, chances[dtype], dtype) for dtype in dtypes}
    points = {dtype: drawn(rule, inputs, POINTS, found) for dtype, found in courses.items()}
    hypers = [at.hypers for some in points.values() for at in some] + [found.hypers for found in courses.values()]
    with TemporaryDirectory(prefix="optdsl-fuzz-") as folder:
        made = classes(program, Path(folder), dtypes, {variant_at(program, given) for given in hypers})
        others = {target: stepper(one, program) for target, one in made.items()}
        shares = []
        for dtype in dtypes:
            wrong = findings(program, points[dtype], dtypes=(dtype,), others=others)
            yield from (Failure("simplified" if one.by == "simplified" else "digits", str(one)) for one in wrong)
            walk = paths.Walk(program, made, chances[dtype], courses[dtype], dtype, Path(folder))
            yield from (Failure(oracle, detail) for oracle, detail in walk.differences())
            if large:
                yield from (Failure("threads", detail) for detail in walk.threads())
            shares.append(walk.finite)
        report.finite = float(np.mean(shares))


def formats(source: SourceFile, rule: Rule, *, unicode: bool) -> Iterator[Failure]:
    """A rule formatted, in ASCII or in mathematical signs, is the same rule, and formats to itself."""
    text, problems = formatted(source, unicode=unicode)
    again, _ = formatted(SourceFile(source.name, text), unicode=unicode)
    signs = " in mathematical signs" * unicode
    if problems:
        yield Failure("format", f"{problems[0].message}{signs}")
    elif rule_of(SourceFile(source.name, text)) != rule:
        yield Failure("format", f"another rule once formatted{signs}")
    elif again != text:
        yield Failure("format", f"formatted twice it is another text{signs}")


__all__ = ["DTYPES", "Failure", "Program", "Report", "try_rule"]
