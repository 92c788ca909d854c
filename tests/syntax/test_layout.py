"""Lines, sections, comments, docs and cites."""

from __future__ import annotations

import pytest

from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Rule
from optdsl.source import SourceFile
from optdsl.syntax.layout import comments, logical_lines
from optdsl.syntax.parser import parse

from .support import RULE, analysed, slugs

FULL = """\
# before the rule
rule R(x, g) "Short."  # on its line
  # inside
  "Longer."
  cite "A 2020" "arXiv:1"
  cite "B # 2021"

hyper  # a section
  lr = 0.1 in [0, inf) "rate # not a comment"  # a comment
  flag = true
  beta1 = 0.9
  beta2 = 1 - (1 - beta1)/10
  alias betas = (beta1, beta2) "both"
state
  m = 0 "moment"
  h: bf16 = lr
  n: scalar = 1
  b = 0 when flag "optional"
def twice(a) = 2*a "double"
  # between
def half(a) = (
  a/2)
update
  m' = (m +   # first
        g     # second
       )
  h' = h
  n' = n
  b' = b + g "doc"
  x' = x - twice(lr*(
    m' + half(
      g)))
# the end"""


@pytest.fixture(scope="module")
def full() -> Rule:
    """The rule above."""
    checked = analysed(FULL)
    assert checked.rule is not None, checked.problems
    return checked.rule


def test_docs_and_cites(full: Rule) -> None:
    assert full.doc == "Short. Longer."
    assert full.cites == (("A 2020", "arXiv:1"), ("B # 2021",))
    assert [hyper.doc for hyper in full.hypers] == ["rate # not a comment", "", "", ""]
    assert [state.doc for state in full.states] == ["moment", "", "", "optional"]


def test_declarations(full: Rule) -> None:
    assert full.name == "R"
    assert full.aliases == (("betas", ("beta1", "beta2")),)
    assert full.hypers[0].interval == Interval(0.0, float("inf"), low_closed=True, high_closed=False)
    assert [(state.scalar, state.storage) for state in full.states] == [
        (False, None), (False, "bf16"), (True, None), (False, None),
    ]  # fmt: skip
    assert [state.when is not None for state in full.states] == [False, False, False, True]


def test_an_equation_keeps_its_text_on_one_line_without_comments(full: Rule) -> None:
    assert [equation.text for equation in full.equations] == [
        "m' = (m + g )", "h' = h", "n' = n", 'b\' = b + g "doc"', "x' = x - twice(lr*( m' + half( g)))",
    ]  # fmt: skip


def test_comments_are_kept_with_their_places() -> None:
    source = SourceFile("case.opt", FULL)
    found = comments(source)
    assert [comment.text for comment in found][:3] == ["# before the rule", "# on its line", "# inside"]
    assert all(source.snippet(comment.span).rstrip() == comment.text for comment in found)
    assert not any("not a comment" in comment.text and comment.text.startswith("# not") for comment in found)
    assert len(found) == 9


def test_an_open_bracket_continues_a_line() -> None:
    source = SourceFile("case.opt", "update\n  a = (1 +\n  2)\n  b = 3\n")
    assert [source.snippet(line.span) for line in logical_lines(source)] == ["update", "a = (1 +\n  2)", "b = 3"]


def test_a_bracket_left_open_does_not_swallow_the_file() -> None:
    assert slugs(RULE.replace("0.1", "(0.1")) == ["syntax"]
    assert slugs("rule R(x, g)\nhyper\n  lr = 0.1\nstate\n  m = (0\nupdate\n  m' = m\n  x' = x - lr*gg\n") == [
        "syntax",
        "undefined-name",
    ]


@pytest.mark.parametrize(
    "text",
    [
        RULE.replace("\n", "\r\n"),
        "\ufeff" + RULE,
        RULE.rstrip("\n"),
        RULE + "\n\n   \n",
        RULE.replace("\n", "  # why\n"),
        RULE.replace("  ", "\t"),
        RULE.replace("  ", ""),
        RULE.replace("= 0.1", "=0.1in[0,1]"),
        "# first\n\n\n" + RULE,
    ],
    ids=["crlf", "bom", "no-last-line-end", "blank-end", "comments", "tabs", "flush", "tight", "leading-comment"],
)
def test_the_same_rule_laid_out_otherwise(text: str) -> None:
    plain = analysed(RULE).rule
    other = analysed(text).rule
    assert plain is not None
    assert other is not None
    assert [equation.value for equation in other.equations] == [equation.value for equation in plain.equations]


def test_places_are_right_after_a_byte_order_mark() -> None:
    checked = analysed("\ufeffrule R(x, gg gg)\n")
    assert checked.source.position(checked.problems[0].span[0]) == (1, 14)


def test_a_section_may_be_empty_of_nothing_but_update() -> None:
    assert slugs("rule R(x, g)\nhyper\nstate\nupdate\n  x' = x - g\n") == []


def test_the_tree_knows_what_broken_lines_would_define() -> None:
    tree, problems = parse(SourceFile("case.opt", "rule R(x, g)\nhyper\n  λ = 1 +\nupdate\n  x' = x - λ*g\n"))
    assert len(problems) == 1
    assert "lam" in tree.broken
