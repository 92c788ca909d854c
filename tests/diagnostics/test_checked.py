"""The other findings as their author reads them: warnings, claims, and rules made from others.

`checked/` holds rules by themselves, `made/` those made from rules beside them; a case is called after its slug.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from optdsl import bundled, explain, pipeline
from optdsl.diagnostics import CompileError, render
from optdsl.pipeline import Checked
from optdsl.source import SourceFile

HERE = Path(__file__).parent
CASES = [path for folder in ("checked", "made") for path in sorted((HERE / folder).glob("*.opt"))]
CASES = [path for path in CASES if path.stem.startswith(explain.slugs())]
ONLY_COMPILED = {"transform-alone"}
"""Slugs of what `check` accepts."""


def slug_of(case: Path) -> str:
    """Return the slug that the name of a case starts with."""
    return max((slug for slug in explain.slugs() if case.stem.startswith(slug)), key=len)


def stable(text: str) -> str:
    """Return a rendering without what differs between machines: where rules are, how far a proof got in its time."""
    return re.sub(r"[\d,]+ points", "N points", text.replace(str(bundled.folder()), "RULES"))


@pytest.fixture
def checked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """What is found in the case `request.param`, looked at from its own folder."""
    case: Path = request.param
    monkeypatch.chdir(case.parent)
    return pipeline.check(SourceFile(case.name, case.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("case", "checked"), [(case, case) for case in CASES], indirect=["checked"], ids=[case.stem for case in CASES]
)
def test_the_rendering_is_the_golden_one(case: Path, checked: Checked, golden: Callable[[Path, str], None]) -> None:
    text = render(checked.source, checked.problems) + "\n"
    golden(case.with_suffix(".err"), stable(text))
    assert {problem.slug for problem in checked.problems} == {slug_of(case)}


@pytest.mark.parametrize("slug", sorted(ONLY_COMPILED))
def test_what_only_a_target_refuses(slug: str, golden: Callable[[Path, str], None]) -> None:
    case = HERE / "compiled" / f"{slug}.opt"
    source = SourceFile(case.name, case.read_text(encoding="utf-8"))
    assert pipeline.check(source).problems == ()
    with pytest.raises(CompileError) as caught:
        pipeline.compile_source(source, "numpy", "case")
    golden(case.with_suffix(".err"), render(caught.value.source, caught.value.problems) + "\n")


def test_every_finding_has_a_golden_case() -> None:
    cases = [*HERE.glob("*.err"), *HERE.glob("*/*.err")]
    assert {slug for slug in explain.slugs() if not any(case.stem.startswith(slug) for case in cases)} == set()
    assert len(cases) >= 60
    assert {case.stem for folder in ("checked", "made") for case in (HERE / folder).glob("*.err")} == {
        case.stem for case in CASES
    }


@pytest.mark.parametrize(
    ("case", "checked"), [(case, case) for case in CASES], indirect=["checked"], ids=[case.stem for case in CASES]
)
def test_a_fix_removes_its_finding(case: Path, checked: Checked) -> None:
    text = case.read_text(encoding="utf-8")
    for problem in checked.problems:
        if problem.fix is not None and problem.fix.span[1] <= len(text):
            mended = text[: problem.fix.span[0]] + problem.fix.text + text[problem.fix.span[1] :]
            after = pipeline.check(SourceFile(case.name, mended)).problems
            assert problem.message not in [each.message for each in after]
