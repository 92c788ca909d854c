"""Comments that silence warnings, and those that silence nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from optdsl import allow, pipeline
from optdsl.checks.ascends import Ascends
from optdsl.checks.unused_hyper import UnusedHyper
from optdsl.diagnostics import Fix, Problem
from optdsl.problems import UndefinedName
from optdsl.source import SourceFile
from optdsl.syntax.errors import SyntaxProblem
from optdsl.syntax.parser import parse


def source(hyper: str = "  idle = 1", update: str = "  x' = x + g", above: str = "") -> SourceFile:
    return SourceFile("a.opt", f"{above}rule A(x, g)\nhyper\n{hyper}\nupdate\n{update}\n")


def idle(text: SourceFile, name: str = "idle") -> Problem:
    """Return a warning about a hyperparameter."""
    start = text.text.index(f"{name} =")
    return UnusedHyper(span=(start, start + len(name)), name=name)


def climbing(text: SourceFile) -> Problem:
    """Return a warning about the equation of the parameter."""
    start = text.text.index("x' =")
    return Ascends(
        span=(start, len(text.text) - 1), parameter="x", gradient="g", t=1, g=1, before=0, after=1, setting="",
        always=True, one_sided=False,
    )  # fmt: skip


def undefined(text: SourceFile) -> Problem:
    """Return an error in the first hyperparameter."""
    start = text.text.index("idle")
    return UndefinedName(span=(start, start + 4), name="idle", wanted="", suggestion=None)


def applied(text: SourceFile, *problems: Problem) -> list[Problem]:
    tree, _ = parse(text)
    return allow.apply(text, tree, problems)


def mended(text: SourceFile, fix: Fix | None) -> str:
    assert fix is not None
    return text.text[: fix.span[0]] + fix.text + text.text[fix.span[1] :]


@pytest.mark.parametrize(
    "hyper",
    [
        "  idle = 1  # allow: unused-hyper",
        "  idle = 1  # allow: unused-hyper  kept for callers of the old name",
        "  idle = 1  # allow: unused-hyper - kept, for callers",
        "  idle = 1  # allow: unused-hyper — kept",
        "  idle = 1  #allow:unused-hyper",
        "  idle = 1  ## allow : unused-hyper",
        "  # allow: unused-hyper\n  idle = 1",
        "  # allow: unused-hyper\n\n  # another comment\n  idle = 1",
        "  idle = (1  # allow: unused-hyper\n    + 2)",
        "  idle = (1\n    # allow: unused-hyper\n    + 2)",
        "  idle = (1\n    + 2)  # allow: unused-hyper",
    ],
)
def test_a_comment_silences_the_warnings_of_its_entry(hyper: str) -> None:
    text = source(hyper)
    assert applied(text, idle(text)) == []


@pytest.mark.parametrize(
    "hyper",
    [
        "  idle = 1\n  # allow: unused-hyper",
        "  # allow: unused-hyper\n  lr = 1\n  idle = 1",
        "  lr = 1  # allow: unused-hyper\n  idle = 1",
        "  idle = 1\n  lr = 1  # allow: unused-hyper",
    ],
)
def test_a_comment_elsewhere_silences_nothing_and_is_found(hyper: str) -> None:
    text = source(hyper)
    warning, unused = applied(text, idle(text))
    assert warning == idle(text)
    assert (unused.slug, unused.severity) == ("unused-allow", "warning")
    assert unused.message == "`allow: unused-hyper` silences nothing"
    assert text.snippet(unused.span) == "unused-hyper"
    assert "allow" not in mended(text, unused.fix)


def test_one_comment_for_several_findings() -> None:
    text = source(update="  # allow: ascends, unused-hyper\n  x' = x + g")
    kept = applied(text, climbing(text))
    assert [problem.message for problem in kept] == ["`allow: unused-hyper` silences nothing"]
    assert "# allow: ascends\n" in mended(text, kept[0].fix)
    text = source(update="  x' = x + g  # allow: unused-hyper , ascends on purpose")
    kept = applied(text, climbing(text))
    assert [problem.message for problem in kept] == ["`allow: unused-hyper` silences nothing"]
    assert "# allow: ascends on purpose\n" in mended(text, kept[0].fix)


def test_one_slug_for_all_findings_of_its_kind_in_an_entry() -> None:
    text = source("  # allow: unused-hyper\n  idle = 1")
    assert applied(text, idle(text), idle(text)) == []


def test_only_the_slug_that_is_named() -> None:
    text = source("  idle = 1  # allow: ascends")
    assert [problem.slug for problem in applied(text, idle(text))] == ["unused-hyper", "unused-allow"]


def test_an_unknown_slug_is_found_with_what_was_meant() -> None:
    text = source("  idle = 1  # allow: unused_hyper")
    warning, unused = applied(text, idle(text))
    assert warning.slug == "unused-hyper"
    assert unused.message == "there is no finding `unused_hyper` to allow"
    assert unused.help == "did you mean `unused-hyper`?"
    assert mended(text, unused.fix) == source("  idle = 1  # allow: unused-hyper").text
    (unused,) = applied(source("  idle = 1  # allow: everything"))
    assert "`optdsl explain` lists the slugs" in unused.help
    assert unused.fix is None


def test_an_allow_that_names_nothing_is_found() -> None:
    text = source("  idle = 1  # allow: - whatever")
    (unused,) = applied(text)
    assert unused.message == "`allow:` names no finding"
    assert text.snippet(unused.span) == "# allow:"


def test_an_error_is_not_silenced() -> None:
    text = source("  idle = 1  # allow: undefined-name")
    error, unused = applied(text, undefined(text))
    assert error.slug == "undefined-name"
    assert unused.message == "`undefined-name` is an error, and errors can't be silenced"


def test_beside_errors_an_idle_comment_is_let_be() -> None:
    text = source("  idle = 1  # allow: unused-hyper")
    assert [problem.slug for problem in applied(text, undefined(text))] == ["undefined-name"]


def test_beside_syntax_errors_no_comment_is_found() -> None:
    text = source("  idle = 1  # allow: nonsense")
    problem = SyntaxProblem(span=(0, 1), text="unreadable")
    assert applied(text, problem) == [problem]


def test_ordinary_comments_mean_nothing() -> None:
    text = source("  idle = 1  # we allow: unused-hyper\n  # allowed: ascends")
    assert applied(text, idle(text)) == [idle(text)]


def test_a_doc_string_is_no_comment() -> None:
    text = source('  idle = 1 "# allow: unused-hyper"')
    assert applied(text, idle(text)) == [idle(text)]


def test_comments_of_a_base_silence_there_and_are_not_found() -> None:
    derived = source("  idle = 1  # allow: unused-hyper")
    base = SourceFile(
        "b.opt", "rule B(x, g)\nhyper\n  lazy = 2  # allow: unused-hyper\nupdate\n  x' = x # allow: ascends\n"
    )
    both = derived.followed_by(base)
    tree, _ = parse(both)
    tree.comments += parse(both, 1)[0].comments
    lazy = both.text.index("lazy")
    inherited = UnusedHyper(span=(lazy, lazy + 4), name="lazy")
    assert allow.apply(both, tree, [idle(derived), inherited]) == []
    (unused,) = allow.apply(both, tree, [inherited])
    assert both.file(unused.span[0]) == "a.opt"


def test_the_last_comment_of_a_file_counts_for_no_entry_of_the_next() -> None:
    derived = SourceFile("a.opt", "rule A(x, g)\nupdate\n  x' = x\n  # allow: unused-hyper")
    both = derived.followed_by(SourceFile("b.opt", "lazy = 2\n"))
    tree, _ = parse(both)
    lazy = both.text.index("lazy")
    problem = UnusedHyper(span=(lazy, lazy + 4), name="lazy")
    assert [kept.slug for kept in allow.apply(both, tree, [problem])] == ["unused-hyper", "unused-allow"]


def test_an_allow_for_what_nobody_looked_for_is_let_be() -> None:
    text = (
        "rule R(x, g)\nhyper\n  lr = 1 in [0, inf)\nupdate\n  x' = x - lr*g  # allow: ascends\n"
        "claim\n  descends  # allow: unproved-claim\n"
    )
    source = SourceFile("r.opt", text)
    assert [problem.message for problem in pipeline.check(source).problems] == [
        "`allow: ascends` silences nothing", "`allow: unproved-claim` silences nothing",
    ]  # fmt: skip
    assert [problem.message for problem in pipeline.check(source, prove=False).problems] == [
        "`allow: ascends` silences nothing"
    ]


def test_an_allow_at_the_header_counts_for_what_was_taken_over(tmp_path: Path) -> None:
    base = (
        "rule Steep(x, g)\nhyper\n  lr = 1 in [0, inf)\n  eps = 1 in [0, inf)\nupdate\n  x' = x - lr*g/(abs(g) + eps)\n"
    )
    (tmp_path / "steep.opt").write_text(base, encoding="utf-8")
    path = tmp_path / "flat.opt"
    for comment, expected in (("", ["nonfinite-at-zero-gradient"]), ("  # allow: nonfinite-at-zero-gradient", [])):
        text = f"rule Flat(x, g) from Steep{comment}\nhyper\n  eps = 0\n"
        path.write_text(text, encoding="utf-8")
        assert [problem.slug for problem in pipeline.check(SourceFile(str(path), text)).problems] == expected


def test_what_a_base_leaves_unused_is_no_finding() -> None:
    text = "rule Plain(x, g) from Adam\nupdate\n  m' = m\n  v' = v\n  vmax' = vmax\n  x' = x - lr*g\n"
    assert pipeline.check(SourceFile("plain.opt", text)).problems == ()
