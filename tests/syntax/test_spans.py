"""Every node of the surface tree knows exactly where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optdsl import bundled
from optdsl.source import SourceFile
from optdsl.syntax import ast
from optdsl.syntax.parser import parse

from .support import expression, stripped

LEAVES = st.sampled_from(["a", "m'", "β₁", "1", "2.5e-3", "inf", "true", "λ′"])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from([" + ", "-", "*", " / ", "^", " < ", " == ", " and ", " or ", "·", " ≤ "])
    return st.one_of(
        st.builds("({}){}({})".format, inner, operators, inner),
        st.builds("-({})".format, inner),
        st.builds("not ({})".format, inner),
        st.builds("f( {} ,{})".format, inner, inner),
        st.builds("√({})".format, inner),
        st.builds("({})²".format, inner),
        st.builds("(if {} then {}\n  else {})".format, inner, inner, inner),
        st.builds("(if {} then {} elif {} then {} else {})".format, inner, inner, inner, inner, inner),
        st.builds("(  {} # why\n )".format, inner),
    )


EXPRESSIONS = st.recursive(LEAVES, _larger, max_leaves=12)


def nodes(node: ast.Expression) -> Iterator[ast.Expression]:
    """Yield every expression in a tree."""
    yield node
    match node:
        case ast.Operation(_, parts) | ast.Call(_, parts):
            for part in parts:
                yield from nodes(part)
        case ast.Conditional(condition, chosen, other):
            for part in (condition, chosen, other):
                yield from nodes(part)
        case _:
            pass


def check_spans(source: SourceFile, tree: ast.Rule) -> int:
    """Read the text of every span again and compare; return how many there were."""
    count = 0
    for equation in tree.equations:
        assert source.snippet(equation.name.span)[0] == source.snippet(equation.span)[0]
        for node in nodes(equation.value):
            text = source.snippet(node.span)
            if text.startswith("elif"):
                text = text[2:]
            if text[0] in "⁰¹²³⁴⁵⁶⁷⁸⁹":
                assert isinstance(node, ast.Literal)
            else:
                assert stripped(expression(f"({text})")) == stripped(node)
            count += 1
    return count


@given(EXPRESSIONS)
@settings(deadline=None)
def test_the_text_of_a_span_is_the_node(text: str) -> None:
    source = SourceFile("case.opt", f"rule R(x, g)\nupdate\n  x' = {text}\n")
    tree, problems = parse(source)
    assert not problems
    assert source.snippet(tree.equations[0].value.span) == text
    assert check_spans(source, tree) >= 1


@pytest.mark.parametrize("name", bundled.names())
def test_the_spans_of_the_bundled_rules(name: str) -> None:
    path = bundled.path(name)
    assert isinstance(path, Path)
    source = SourceFile(name, path.read_text(encoding="utf-8"))
    tree, problems = parse(source)
    assert not problems
    made_from_another = tree.header is not None and tree.header.base is not None
    assert check_spans(source, tree) > 3 or made_from_another
    for span, name in [(entry.span, entry.name.text) for entry in tree.hypers] + [
        (entry.span, entry.name.text) for entry in tree.states
    ]:
        assert source.snippet(span).startswith(name)
