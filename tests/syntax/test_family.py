"""The line `family "NAME"` below `rule`."""

from __future__ import annotations

from pathlib import Path

import pytest

import optdsl
from optdsl import pipeline
from optdsl.ir.nodes import Rule
from optdsl.source import SourceFile
from optdsl.syntax.format import formatted

from .support import analysed

TEXT = "rule R(x, g)\n  {}\nhyper\n  lr = 0.1 in [0, inf)\nupdate\n  x' = x - lr*g\n"


def rule(text: str, name: str = "case.opt") -> Rule:
    return pipeline.rule_of(SourceFile(name, text))


@pytest.mark.parametrize(
    ("line", "family"), [('family "Adam"', "Adam"), ('family "  two words " # why', "two words"), ("", "")]
)
def test_a_rule_has_a_family_or_none(line: str, family: str) -> None:
    assert rule(TEXT.format(line)).family == family


def test_it_stands_anywhere_below_the_header() -> None:
    first, last = 'family "F"\n  "Words."\n  cite "A"', '"Words."\n  cite "A"\n  family "F"'
    assert rule(TEXT.format(first)) == rule(TEXT.format(last))
    assert rule(TEXT.format(first)).doc == "Words."


@pytest.mark.parametrize(
    ("lines", "message", "mend"),
    [
        ('family "A"\n  family "B"', "a rule has one family", "leave one of the two out"),
        ('family ""', "this family has no name", 'write it as in `family "Adam"`, or leave it out'),
        ("family Adam", "unexpected `Adam`", 'a family is given as in `family "Adam"`'),
        ('family "A" "B"', "unexpected doc string", ""),
        ("family", "the line ends too early: expected a doc string", 'a family is given as in `family "Adam"`'),
    ],
)
def test_what_is_wrong_with_it_is_said(lines: str, message: str, mend: str) -> None:
    (problem,) = analysed(TEXT.format(lines)).problems
    assert (problem.slug, problem.message) == ("syntax", message)
    assert mend in f"{problem.label}; {problem.help}"


def test_it_is_a_word_of_the_language() -> None:
    (problem, *_) = analysed("rule R(x, g)\nhyper\n  family = 1\nupdate\n  x' = x - family*g\n").problems
    assert problem.message == "`family` is a word of the language and can't be a name"


def test_a_rule_made_from_another_has_its_family_unless_it_names_one(tmp_path: Path) -> None:
    (tmp_path / "base.opt").write_text(TEXT.format('family "F"').replace("R(", "Base("), encoding="utf-8")
    for own, family in (("", "F"), ('\n  family "G"', "G")):
        path = tmp_path / "own.opt"
        path.write_text(f"rule Own(x, g) from Base{own}\n", encoding="utf-8")
        assert rule(path.read_text(encoding="utf-8"), str(path)).family == family


def test_a_chain_has_the_family_of_the_rule_that_steps() -> None:
    assert rule("rule R(x, g) = clip_value |> adam\n").family == "Adam"


@pytest.mark.parametrize("unicode", [False, True])
def test_its_canonical_layout(unicode: bool) -> None:
    text, problems = formatted(SourceFile("case.opt", TEXT.format('   family    "F"# why')), unicode=unicode)
    assert not problems
    assert text.split("\n")[1] == '  family "F"  # why'


def test_the_class_knows_it() -> None:
    assert optdsl.loads(TEXT.format('family "F"'), target="numpy").rule.family == "F"
    assert optdsl.loads(TEXT.format(""), target="numpy").rule.family == ""
