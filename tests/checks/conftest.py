"""Reading rules for the tests of the checks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optdsl.checks import run
from optdsl.diagnostics import Problem
from optdsl.ir.nodes import Rule
from optdsl.resolve import resolve
from optdsl.source import SourceFile
from optdsl.syntax.parser import parse

Find = Callable[[str, str], list[Problem]]


def rule_of(text: str) -> Rule:
    """Return the rule a text means."""
    source = SourceFile("r.opt", text)
    tree, problems = parse(source)
    rule, more = resolve(source, tree)
    assert rule is not None, [problem.message for problem in (*problems, *more)]
    return rule


@pytest.fixture
def find() -> Find:
    """Return a function from a rule's text and a slug to the findings of that slug."""
    return lambda text, slug: [problem for problem in run(rule_of(text)) if problem.slug == slug]


@pytest.fixture
def findings() -> Callable[[str], list[Problem]]:
    """Return a function from a rule's text to all its findings."""
    return lambda text: run(rule_of(text))


@pytest.fixture
def load() -> Callable[[str], Rule]:
    """Return a function from a rule's text to the rule."""
    return rule_of
