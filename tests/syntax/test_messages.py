"""What is said where a line goes wrong: in every state of the parsers, for every token that can't stand there.

`states.txt` lists the states, each with a line that leads into it and what is expected there. `pytest --update-golden`
writes it anew; read the difference before keeping it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optdsl.diagnostics import Problem
from optdsl.source import SourceFile, Span
from optdsl.syntax.builder import Stop
from optdsl.syntax.errors import FOREIGN, FOREIGN_ASSIGNMENT, WORDS, SyntaxProblem, expected_words
from optdsl.syntax.explain_claims import EXAMPLES
from optdsl.syntax.parser import parse_line

from .states import (
    END,
    NEVER_ASKED_FOR,
    Example,
    Refused,
    accepted,
    examples,
    feed,
    stack_after,
    starts,
    table_of,
    terminals,
)
from .states import written as text_of
from .support import RULE

VALUES = {"IF", "NOT", "MINUS", "NUMBER", "TRUE", "FALSE", "INF", "INFINITY", "NAME", "LPAR", "ROOT"}
OPERATORS = {"OR", "AND", "COMPARISON", "PLUS", "MINUS", "TIMES", "DIVIDE", "REMAINDER", "POWER", "LPAR"}
NOT_OFFERED = {"PRIME", "SUPERSCRIPT"}
"""Signs that can follow nearly every name: to offer them would say nothing."""

WITHOUT_EXPECTATION = (
    "this bracket",
    "this doc string",
    "comparisons can't",
    "`if` can't",
    "a claim can't start",
    "`**`",
)


def mistake(start: str, text: str) -> Problem | None:
    """Return what is said about a line, or None where nothing is wrong."""
    try:
        parse_line(SourceFile("case.opt", text), start, Span(0, len(text)))
    except Stop as stop:
        return stop.problem
    return None


def refused(example: Example) -> list[str]:
    """Return the terminals that can't follow an example, its end among them if the line isn't whole."""
    return [kind for kind in terminals(example.claims) if kind not in accepted(example.claims, stack_after(example))]


@pytest.mark.parametrize("claims", [False, True], ids=["lines", "claims"])
def test_every_state_has_an_example(claims: bool) -> None:
    """No state is missing but those of the start symbol that no line is read with."""
    table = table_of(claims)
    reached: set[int] = set()
    for example in examples(claims):
        stack = stack_after(example)
        reached.add(stack[-1])
        for kind in terminals(claims):
            trial = list(stack)
            try:
                reached |= set(feed(claims, trial, kind))
            except Refused:
                reached |= {trial[-1]}
    unused = set(table.states) - reached
    first = table.start_states[NEVER_ASKED_FOR]
    assert unused == {first, *(what for _, what in table.states[first].values())}
    assert {example.state for example in examples(claims)} <= reached
    assert len(reached) > 150


@pytest.mark.parametrize("claims", [False, True], ids=["lines", "claims"])
def test_every_state_has_words_for_every_token_that_cannot_stand_there(claims: bool) -> None:
    count = 0
    for example in examples(claims):
        for kind in refused(example):
            text = text_of(claims, (*example.kinds, kind))
            if not text:
                continue  # an empty line is no entry
            problem = mistake(example.start, text)
            assert isinstance(problem, SyntaxProblem), text
            said = problem.message.startswith(WITHOUT_EXPECTATION)
            assert said or "expected " in problem.message + problem.label or problem.help, text
            assert "expected or" not in problem.label, text
            assert 0 <= problem.span[0] < problem.span[1] <= len(text)
            count += 1
    assert count > 4_500


@pytest.mark.parametrize("claims", [False, True], ids=["lines", "claims"])
def test_what_is_expected_is_all_that_can_stand_there_and_nothing_else(claims: bool) -> None:
    for example in examples(claims):
        taken = accepted(claims, stack_after(example))
        said = expected_words(taken, example.start)
        words = {kind: "`when`" if claims and kind == "WHEN" else WORDS[kind] for kind in taken}
        for kind in taken - NOT_OFFERED:
            covered = ("a value" in said and kind in VALUES) or ("an operator" in said and kind in OPERATORS)
            after_a_root = "`(`, a number or a name" in said and kind in VALUES - {"IF", "NOT", "MINUS"}
            assert covered or after_a_root or words[kind] in said, (example.text, kind)
        offered = said.replace(" or ", ", ").split(", ")
        known = {*words.values(), "a value", "an operator"}
        assert set(offered) <= known, example.text
        assert "a value" not in offered or taken >= {"NUMBER", "NAME", "LPAR", "MINUS"}
        assert "an operator" not in offered or "PLUS" in taken


@pytest.mark.parametrize("claims", [False, True], ids=["lines", "claims"])
def test_a_line_that_is_taken_has_no_message(claims: bool) -> None:
    whole = [each for each in examples(claims) if END in accepted(claims, stack_after(each))]
    assert len(whole) > 30
    for example in whole:
        problem = mistake(example.start, example.text)
        assert problem is None, (example.text, problem)


def test_the_states_are_the_golden_ones(golden: Callable[[Path, str], None]) -> None:
    lines = []
    for claims in (False, True):
        seen = set()
        for example in sorted(examples(claims), key=lambda each: (starts(claims).index(each.start), each.kinds)):
            said = expected_words(accepted(claims, stack_after(example)), example.start)
            if (example.start, said) not in seen:
                seen.add((example.start, said))
                end = mistake(example.start, example.text) if example.text else None
                lines.append(f"{example.start.removesuffix('_line')}: {example.text}".rstrip())
                lines.append(f"    expected {said}")
                lines += [f"    and then nothing: {end.message}{f'; {end.help}' if end.help else ''}"] if end else []
    golden(Path(__file__).with_name("states.txt"), "\n".join(lines) + "\n")


CLAIMS = {
    "equal Adam": ("a claim can't start with `equal`", "did you mean `equals`?", "", "equals"),
    "converges": ("a claim can't start with `converges`", "", "a claim starts with `equals`, `invariant`, `desc", None),
    "x' = x - g": ("a claim can't start with `x`", "", "a claim starts with", None),
    "equals Adam when eps == 0": ("unexpected `==`", "expected `=`", "`when lr = 0 and", "="),
    "equals Adam when eps > 0": ("unexpected `>`", "expected `=`", "`when lr = 0 and", None),
    "equals Adam when nesterov": ("the line ends too early: expected `=`", "", "`equals Adam when weight_decay", None),
    "still when not nesterov": ("unexpected `not`", "expected a name", "`when lr = 0 and", None),
    "invariant g = c*g": ("unexpected `=`", "expected `->`", "`g -> c*g`", "->"),
    "invariant g -> c*g, x -> x": ("unexpected `,`", "", "joined by `and`", " and"),
    "invariant g -> c*g for c = 1": ("unexpected `=`", "expected a comparison", "`for c > 0`", None),
    "invariant g -> c*g for 0 < c": ("unexpected `<`", "expected `steps`", "`for c > 0`", None),
    "invariant g -> c*g when eps = 0 for c > 0": ("unexpected `c`", "expected a number", "before `when`", None),
    "equals Adam for 4": ("the line ends too early: expected `steps`", "", "`for 4 steps`", None),
    "equals Adam for four steps": ("unexpected `four`", "expected a number", "`for 4 steps`", None),
    "equals Adam when lr = 0 when eps = 0": ("unexpected `when`", "", "joined by `and`", "and"),
    "equals Adam when lr = 0 eps = 0": ("unexpected `eps`", "", "joined by `and`", None),
    "equals Adam when lr = 0 with eps = 0": ("unexpected `with`", "", "before `when`", None),
    "equals Adam for 2 steps when lr = 0": ("unexpected `when`", "the end", "stands before `for", None),
    "still for 2 steps": ("unexpected `for`", "", "only `equals` and `invariant`", None),
    "still lr = 0": ("unexpected `lr`", "expected `when`", "`still when lr = 0`", None),
    "equals Adam, SGD": ("unexpected `,`", "", "`equals Adam when weight_decay = 0`", None),
    'still "doc"': ("a claim has no doc string", "", "starts with `#`", None),
    "still when steps = 4": ("`steps` is a word of the section `claim` and can't be a name in it", "", "another", None),
    "still when if = 4": ("`if` is a word of the language and can't be a name", "", "another name", None),
    "still when a = (1": ("this bracket is never closed", "opened here", "`)`", None),
    "still when a = 1)": ("this bracket closes nothing", "", "", None),
    "still when a = if b then c else d": ("`if` can't follow an operator", "brackets", "in brackets", None),
    "still when a = 2 ** 3": ("`**` is not an operator of the language", "`^`", "", "^"),
}
"""Claims and what is said of them: the message, a part of the mark, a part of the help, the replacement."""


@pytest.mark.parametrize("text", CLAIMS)
def test_claims(text: str) -> None:
    message, mark, help_, replacement = CLAIMS[text]
    problem = mistake("claim_line", text)
    assert isinstance(problem, SyntaxProblem)
    assert problem.message == message
    assert mark in problem.label
    assert help_ in problem.help
    assert problem.replacement == replacement
    if replacement is not None:
        start, end = problem.span
        assert mistake("claim_line", text[:start] + replacement + text[end:]) is None


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_examples_of_claims_are_claims(kind: str) -> None:
    assert EXAMPLES[kind].split()[0] == kind
    assert mistake("claim_line", EXAMPLES[kind]) is None


@pytest.mark.parametrize("sign", [*FOREIGN, *sorted(FOREIGN_ASSIGNMENT), "//"])
def test_a_sign_of_another_language_is_named(sign: str) -> None:
    problem = mistake("equation_line", f"x' = x {sign} g")
    assert problem is not None
    assert f"`{sign}`" in problem.message
    assert problem.help


def test_an_arrow_outside_claims_is_no_operator() -> None:
    problem = mistake("equation_line", "x -> x - g")
    assert problem is not None
    assert problem.message == "`->` is not an operator of the language"
    assert "write an equation" in problem.help


@pytest.mark.parametrize("start", starts(False))
def test_the_advice_on_a_line_is_such_a_line(start: str) -> None:
    from optdsl.syntax.explain import _LINES

    if start == "doc_line":
        assert start not in _LINES
        return
    written = _LINES[start].split("`")[1]
    assert mistake(start, written) is None
    assert RULE
