"""Every finding of the front end, as its author reads it: `case.opt` beside `case.err`.

`pytest --update-golden` writes the `.err` files anew; read the difference before keeping it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from optdsl import problems
from optdsl.diagnostics import Fix, Problem, render
from optdsl.pipeline import Checked, analyse
from optdsl.source import SourceFile
from optdsl.syntax import errors

CASES = sorted(Path(__file__).parent.glob("*.opt"))
SLUGS = {kind.slug for kind in Problem.__subclasses__() if kind.__module__ in (problems.__name__, errors.__name__)}


def read(case: Path) -> SourceFile:
    """Return a case with its line ends and its byte order mark as they are on disk."""
    return SourceFile(case.name, case.read_bytes().decode("utf-8"))


def found_in(text: str) -> Checked:
    return analyse(SourceFile("case.opt", text))


def applied(text: str, fix: Fix) -> str:
    return text[: fix.span[0]] + fix.text + text[fix.span[1] :]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_rendering_is_the_golden_one(case: Path, golden: Callable[[Path, str], None]) -> None:
    source = read(case)
    golden(case.with_suffix(".err"), render(source, analyse(source).problems) + "\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_is_refused_for_what_its_name_says(case: Path) -> None:
    checked = analyse(read(case))
    slugs = {problem.slug for problem in checked.problems}
    assert checked.rule is None
    named = [slug for slug in SLUGS if case.stem.startswith(slug)]
    assert slugs == set(named) or case.stem.startswith(("display-", "unicode-")) or case.stem == "syntax-three-mistakes"


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 45
    assert {golden.stem for golden in Path(__file__).parent.glob("*.err")} == {case.stem for case in CASES}


@pytest.mark.parametrize("slug", sorted(SLUGS))
def test_every_slug_of_the_front_end_has_a_case(slug: str) -> None:
    assert any(problem.slug == slug for case in CASES for problem in analyse(read(case)).problems)


def test_the_slugs_are_those_of_the_language() -> None:
    named = {
        "syntax", "undefined-name", "duplicate-name", "reserved-name", "missing-equation", "not-a-state", "wrong-kind",
        "cyclic-definition", "wrong-argument-count", "unknown-function", "scalar-from-element", "default-out-of-range",
        "unknown-argument",
        "bad-interval", "not-constant", "absent-state", "too-complex", "unknown-base", "bad-chain",
    }  # fmt: skip
    assert named == SLUGS


FIXES = [
    pytest.param(case, number, id=f"{case.stem}-{number}")
    for case in CASES
    for number, problem in enumerate(analyse(read(case)).problems)
    if problem.fix is not None
]


@pytest.mark.parametrize(("case", "number"), FIXES)
def test_a_fix_removes_its_finding(case: Path, number: int) -> None:
    source = read(case)
    before = analyse(source).problems
    problem = before[number]
    assert problem.fix is not None
    after = found_in(applied(source.text, problem.fix)).problems

    def count(problems: tuple[Problem, ...]) -> int:
        return Counter((each.slug, each.message) for each in problems)[problem.slug, problem.message]

    assert count(after) < count(before)
    assert len(after) <= len(before) or case.stem == "syntax-smart-quotes"  # the other quote is wrong, too


def test_many_kinds_of_findings_offer_a_fix() -> None:
    assert {problem.slug for case in CASES for problem in analyse(read(case)).problems if problem.fix} >= {
        "syntax", "undefined-name", "duplicate-name", "not-a-state", "unknown-function",
    }  # fmt: skip


def test_one_mistake_is_one_finding() -> None:
    """Every line of a case holds one mistake; no finding follows from another."""
    exceptions = {"display-control", "not-a-state-hyper", "undefined-name-in-function"}
    for case in CASES:
        source = read(case)
        lines = Counter(source.position(problem.span[0]).line for problem in analyse(source).problems)
        assert max(lines.values()) == 1 or case.stem in exceptions, case.stem


def test_a_file_with_three_mistakes_has_three_findings_in_their_places() -> None:
    source = read(Path(__file__).parent / "syntax-three-mistakes.opt")
    places = [(problem.slug, *source.position(problem.span[0])) for problem in analyse(source).problems]
    assert sorted(places, key=lambda place: place[1:]) == [
        ("undefined-name", 13, 8), ("syntax", 14, 13), ("undefined-name", 15, 30),
    ]  # fmt: skip
