"""What `optdsl check` and `optdsl compile` do with one file: values in and out, which processes can send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from optdsl import building
from optdsl.runtime import cache
from optdsl.source import SourceFile

if TYPE_CHECKING:
    from optdsl.diagnostics import Problem


@dataclass(frozen=True)
class Found:
    """What was found in a file; `source` has the files it is made from, too."""

    source: SourceFile
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> list[Problem]:
        """The findings that keep the rule from being compiled."""
        return [problem for problem in self.problems if problem.severity == "error"]


class Job(NamedTuple):
    """A rule to compile and what to make of it."""

    source: SourceFile
    stem: str
    target: str
    exact: bool


def check(source: SourceFile, seconds: float | None = None) -> Found:
    """Look for what is wrong in a file, and prove or refute its claims, in `seconds` of processor time."""
    from optdsl import pipeline

    checked = pipeline.check(source, seconds=seconds)
    return Found(checked.source, checked.problems)


CHECKER = (*building.COMPILER, "checks", "pages")
"""The parts of the package that findings depend on."""

_CLEAN = "clean.txt"


def check_once(source: SourceFile) -> Found:
    """Look for what is wrong in a file but for its claims. One without findings is remembered, and not read again."""
    parts = building.text_of(source)
    name = cache.key(kind="clean", checker=building.generator(CHECKER), **parts)
    if cache.contents(name) is not None:
        return Found(source, ())
    from optdsl import pipeline

    checked = pipeline.check(source, prove=False)
    if not checked.problems:
        cache.remember(name, _CLEAN, f"no findings in {parts['file']}\n")
    return Found(checked.source, checked.problems)


def compile_(job: Job) -> dict[str, bytes]:
    """Return the files that a rule is compiled to. Errors are those of `building.contents`."""
    return building.contents(*job)
