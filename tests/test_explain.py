"""The pages of the findings, and the verb that shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import optdsl
from optdsl import explain, pipeline
from optdsl.cli import main
from optdsl.diagnostics import CompileError, Problem
from optdsl.source import SourceFile

ROOT = Path(optdsl.__file__).parent


def kinds() -> dict[str, type[Any]]:
    """Return every kind of finding that the package has, by its slug."""

    def below(kind: type[Any]) -> Iterator[type[Any]]:
        for child in kind.__subclasses__():
            yield child
            yield from below(child)

    for path in sorted(ROOT.rglob("*.py")):
        if "(Problem)" in path.read_text(encoding="utf-8"):
            import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
    return {kind.slug: kind for kind in below(Problem) if kind.__module__.startswith("optdsl.")}


KINDS = kinds()


def found(slug: str, text: str) -> list[Problem]:
    """Return the findings in a text; what only a target refuses is found by compiling."""
    source = SourceFile("example.opt", text)
    problems = list(pipeline.check(source).problems)
    if slug == "transform-alone" and not problems:
        try:
            pipeline.compile_source(source, "numpy", "example")
        except CompileError as error:
            return list(error.problems)
    return problems


def test_every_finding_has_a_page_and_every_page_a_finding() -> None:
    assert sorted(KINDS) == list(explain.slugs())
    assert len(KINDS) >= 30


@pytest.mark.parametrize("slug", explain.slugs())
def test_a_page_says_the_severity_that_the_finding_has(slug: str) -> None:
    assert explain.page(slug).severity == KINDS[slug].severity == explain.severity_of(slug)


@pytest.mark.parametrize("slug", explain.slugs())
def test_the_failing_example_has_this_finding_and_no_other(slug: str) -> None:
    problems = found(slug, explain.page(slug).failing)
    assert {problem.slug for problem in problems} == {slug}, [problem.message for problem in problems]


@pytest.mark.parametrize("slug", explain.slugs())
def test_the_mended_example_has_no_finding(slug: str) -> None:
    problems = found(slug, explain.page(slug).mended)
    assert problems == [], [problem.message for problem in problems]


@pytest.mark.parametrize("slug", explain.slugs())
def test_a_page_is_short_and_well_formed(slug: str) -> None:
    page = explain.page(slug)
    lines = page.markdown.splitlines()
    assert 15 <= len(lines) <= 50
    assert max(map(len, lines)) <= 132
    assert len(page.statement) <= 80
    assert 60 <= len(page.summary) <= 1_000
    assert page.failing != page.mended
    assert page.markdown.count("```") == 4


def test_an_unknown_slug_is_wrong_usage_with_a_hint() -> None:
    result = CliRunner().invoke(main, ["explain", "unused_hypr"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "optdsl: there is no finding `unused_hypr`; did you mean `unused-hyper`?\n"
    assert "lists them all" in CliRunner().invoke(main, ["explain", "zzz"]).stderr
    assert explain.severity_of("unused_hypr") is None


def test_a_page_in_a_pipe_is_plain_text() -> None:
    result = CliRunner().invoke(main, ["explain", "unused-hyper"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:4] == ["unused-hyper", "============", "", "Warning: nothing reads a hyperparameter."]
    assert "    rule Descent(x, g)" in lines
    assert "```" not in result.stdout
    assert "\x1b" not in result.stdout


def test_a_page_on_a_terminal_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from optdsl import terminal

    written: list[str] = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("rich.console.Console.print", lambda _, shown, **__: written.append(shown.markup))
    terminal.show_page(explain.page("unused-hyper").markdown)
    assert written == [explain.page("unused-hyper").markdown]


def test_without_a_slug_all_are_listed() -> None:
    result = CliRunner().invoke(main, ["explain"])
    assert result.exit_code == 0
    rows = [re.split(r"  +", line) for line in result.stdout.splitlines()]
    assert rows[0] == ["finding", "severity", "what it says"]
    assert [row[0] for row in rows[1:]] == list(explain.slugs())
    assert rows[1 + explain.slugs().index("ascends")] == ["ascends", "warning", "the first step goes up the gradient"]
