"""There are enough cited tests, each cites well-formed threads, and the documentation has a place for its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from .elsewhere import MODULES, THREAD, address, catalogue, elsewhere

ROOT = Path(__file__).resolve().parents[2]


def test_fifty_bug_classes_are_guarded_against() -> None:
    cited = catalogue()
    assert len(cited) >= 50
    assert len({cited.threads[0] for cited in cited}) >= 50, "tests of the same thread are one bug class"
    assert len({cited.test for cited in cited}) == len(cited), "two tests have one name"


def test_the_reliability_page_has_the_numbers() -> None:
    cited = catalogue()
    said = f"{len(cited)} tests cite {len({thread for each in cited for thread in each.threads})} threads."
    assert said in (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_module_of_this_folder_is_in_the_table() -> None:
    here = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert here - {"citations", "found", "inputs"} == set(MODULES)
    assert {cited.module for cited in catalogue()} == set(MODULES)


def test_what_is_said_fits_a_table() -> None:
    for cited in catalogue():
        assert cited.promise.endswith("."), cited
        assert cited.story.endswith("."), cited
        assert "|" not in cited.promise + cited.story, cited
        assert not THREAD.search(cited.promise + cited.story), f"{cited.test} names its thread twice"


def test_the_page_has_a_heading_for_every_module() -> None:
    page = (ROOT / "docs" / "elsewhere.md").read_text(encoding="utf-8")
    assert [f"## {heading}\n\n<!-- {name} -->" in page for name, heading in MODULES.items()] == [True] * len(MODULES)


def test_malformed_citations_are_refused() -> None:
    for wrong in ("pytorch#1", "https://github.com/a/b/issues/1", "a/b#", "CVE-20-1", ""):
        with pytest.raises(ValueError, match="neither"):
            address(wrong)

    def undocumented() -> None:
        """One paragraph."""

    with pytest.raises(ValueError, match="two paragraphs"):
        elsewhere("a/b#1")(undocumented)
