"""From what the parser reduces to nodes of the surface tree."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from lark import Token, Transformer

from optdsl.diagnostics import Problem
from optdsl.source import Span
from optdsl.syntax import ast
from optdsl.syntax.errors import LETTERS, SyntaxProblem, TooComplex
from optdsl.syntax.explain import place_of
from optdsl.syntax.names import SPELLINGS, SUPERSCRIPTS, is_valid, spell

LONGEST_NUMBER = 80
"""Characters in a literal."""
LARGEST_EXPONENT = 400
"""Power of ten in a literal."""
MOST_STEPS = 16
"""Steps a claim can be about: each is written out in symbols."""
DEEPEST = 100
"""Operations nested in one expression, a chain of additions counted one by one."""


class Stop(Exception):
    """A problem found while a tree is built."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def _cover(children: list[Any]) -> Span:
    """Return the span from the first to the last of some tokens and nodes."""
    spans = [place_of(child) if isinstance(child, Token) else child.span for child in children if child is not None]
    return Span(spans[0].start, spans[-1].end)


class Builder(Transformer[Token, Any]):
    """Builds nodes as the parser reduces, so that no tree is ever walked recursively."""

    def _depth(self, children: list[Any], *parts: Any) -> int:
        depth: int = 1 + max(part.depth for part in parts)
        if depth > DEEPEST:
            advice = "name a part of it: an intermediate is a line `name = ...` of its own"
            raise Stop(
                TooComplex(
                    span=_cover(children), what="this expression nests too deep", limit=f"{DEEPEST} operations",
                    advice=advice,
                )
            )  # fmt: skip
        return depth

    def name(self, children: list[Any]) -> ast.Name:
        return self._name(children[0])

    def _name(self, token: Token) -> ast.Name:
        text = spell(str(token))
        if not is_valid(text):
            raise Stop(
                SyntaxProblem(
                    span=place_of(token), text=f"`{token}` can't be a name", advice=LETTERS,
                )
            )  # fmt: skip
        return ast.Name(text, place_of(token))

    def number(self, children: list[Any]) -> ast.Literal:
        token = children[0]
        if len(token) > LONGEST_NUMBER:
            limit = f"{LONGEST_NUMBER} characters"
            raise Stop(TooComplex(span=place_of(token), what="this number is too long", limit=limit))
        exponent = int(re.split("[eE]", token)[1]) if "e" in token.lower() else 0
        if exponent < -LARGEST_EXPONENT:
            raise Stop(
                TooComplex(span=place_of(token), what="this number is too small", limit=f"1e-{LARGEST_EXPONENT}")
            )
        value = Fraction(str(token)) if exponent <= LARGEST_EXPONENT else Fraction(10) ** LARGEST_EXPONENT
        if value > sys.float_info.max:
            raise Stop(TooComplex(span=place_of(token), what="this number is too large", limit="about 1.8e308"))
        return ast.Literal(value, str(token), place_of(token))

    def constant(self, children: list[Any]) -> ast.Literal:
        token = children[0]
        value = float("inf") if token.type.startswith("INF") else token.type == "TRUE"
        return ast.Literal(value, str(token), place_of(token))

    def variable(self, children: list[Any]) -> ast.Variable:
        name = self._name(children[0])
        return ast.Variable(name.text, children[1] is not None, _cover(children))

    def call(self, children: list[Any]) -> ast.Call:
        given = [child for child in children[1:] if child is not None and not isinstance(child, Token)]
        options = tuple(child for child in given if isinstance(child, ast.Given))
        arguments = tuple(child for child in given if not isinstance(child, ast.Given))
        for before, after in pairwise(given):
            if isinstance(before, ast.Given) and not isinstance(after, ast.Given):
                text = "an argument with a name stands behind those without"
                raise Stop(SyntaxProblem(span=after.span, text=text, mark="this has no name", advice=""))
        depth = self._depth(children, *arguments) if arguments else 1
        return ast.Call(self._name(children[0]), arguments, _cover(children), depth, options)

    def group(self, children: list[Any]) -> Any:
        return replace(children[1], span=_cover(children))

    def otherwise(self, children: list[Any]) -> Any:
        return children[1]

    def prefix(self, children: list[Any]) -> ast.Operation:
        operator = "neg" if children[0].type == "MINUS" else "not"
        return ast.Operation(operator, (children[1],), _cover(children), self._depth(children, children[1]))

    def binary(self, children: list[Any]) -> ast.Operation:
        left, token, right = children
        operator = SPELLINGS.get(str(token), str(token))
        return ast.Operation(operator, (left, right), _cover(children), self._depth(children, left, right))

    def superscript(self, children: list[Any]) -> ast.Operation:
        base, token = children
        digits = str(token).translate(SUPERSCRIPTS)
        if len(digits) > 3:
            raise Stop(TooComplex(span=place_of(token), what="this power is too large", limit="999"))
        power = ast.Literal(Fraction(digits), digits, place_of(token))
        return ast.Operation("^", (base, power), _cover(children), self._depth(children, base))

    def square_root(self, children: list[Any]) -> ast.Call:
        token, argument = children
        name = ast.Name("sqrt", place_of(token))
        return ast.Call(name, (argument,), _cover(children), self._depth(children, argument))

    def conditional(self, children: list[Any]) -> ast.Conditional:
        _, condition, _, chosen, other = children
        depth = self._depth(children, condition, chosen, other)
        return ast.Conditional(condition, chosen, other, _cover(children), depth)

    def interval(self, children: list[Any]) -> ast.IntervalNode:
        opening, low, _, high, closing = children
        return ast.IntervalNode(low, high, opening == "[", closing == "]", _cover(children))

    def rule_line(self, children: list[Any]) -> ast.Header:
        _, name, _, parameter, _, gradient, _, made_of, doc = children
        base = made_of if isinstance(made_of, ast.Name) else None
        components = made_of if isinstance(made_of, tuple) else ()
        return ast.Header(name, parameter, gradient, base, _text(doc), _place(children), components)

    def base(self, children: list[Any]) -> ast.Name:
        name: ast.Name = children[1]
        return name

    def chain(self, children: list[Any]) -> tuple[ast.Component, ...]:
        return tuple(child for child in children if isinstance(child, ast.Component))

    def component(self, children: list[Any]) -> ast.Component:
        given = tuple(child for child in children if isinstance(child, ast.Given))
        return ast.Component(children[0], given, _cover(children))

    def path(self, children: list[Any]) -> ast.Name:
        names = [child.text for child in children if isinstance(child, ast.Name)]
        return ast.Name("/".join(names), _cover(children))

    def given(self, children: list[Any]) -> ast.Given:
        return ast.Given(children[0], children[2], _cover(children))

    def doc_line(self, children: list[Any]) -> str:
        return _text(children[0])

    def cite_line(self, children: list[Any]) -> tuple[str, ...]:
        return tuple(_text(child) for child in children[1:])

    def family_line(self, children: list[Any]) -> ast.Family:
        return ast.Family(_text(children[1]), _cover(children))

    def hyper_line(self, children: list[Any]) -> ast.HyperEntry:
        name, _, default, _, interval, doc = children
        return ast.HyperEntry(name, default, interval, _text(doc), _cover(children))

    def alias_line(self, children: list[Any]) -> ast.AliasEntry:
        names = [child for child in children if isinstance(child, ast.Name)]
        return ast.AliasEntry(names[0], tuple(names[1:]), _cover(children))

    def state_line(self, children: list[Any]) -> ast.StateEntry:
        name, _, kind, _, init, _, when, doc = children
        return ast.StateEntry(name, kind, init, when, _text(doc), _cover(children))

    def def_line(self, children: list[Any]) -> ast.DefEntry:
        names = [child for child in children if isinstance(child, ast.Name)]
        body = next(child for child in children if hasattr(child, "depth"))
        return ast.DefEntry(names[0], tuple(names[1:]), body, _cover(children))

    def equation_line(self, children: list[Any]) -> ast.EquationEntry:
        name, prime, _, value, _ = children
        return ast.EquationEntry(name, prime is not None, value, _cover(children))

    def view_line(self, children: list[Any]) -> ast.ViewEntry:
        _, name, _, value, doc = children
        return ast.ViewEntry(name, value, _text(doc), _cover(children))

    def setting(self, children: list[Any]) -> ast.Setting:
        return ast.Setting(children[0], children[2], _cover(children))

    change = setting

    def bound(self, children: list[Any]) -> ast.Bound:
        name, token, value = children
        return ast.Bound(name, SPELLINGS.get(str(token), str(token)), value, _cover(children))

    def settings(self, children: list[Any]) -> tuple[Any, ...]:
        return tuple(child for child in children if not isinstance(child, Token))

    changes = bounds = settings

    def equals(self, children: list[Any]) -> ast.ClaimEntry:
        _, other, _, given, _, when, _, steps, _ = children
        return ast.ClaimEntry(
            "equals", _place(children), when or (), self._steps(steps), other=other, given=given or ()
        )

    def invariant(self, children: list[Any]) -> ast.ClaimEntry:
        _, changes, _, bounds, _, when, _, steps, _ = children
        return ast.ClaimEntry(
            "invariant", _place(children), when or (), self._steps(steps), changes=changes, bounds=bounds or ()
        )

    def descends(self, children: list[Any]) -> ast.ClaimEntry:
        return ast.ClaimEntry(str(children[0]), _place(children), children[2] or ())

    still = descends

    def claim_line(self, children: list[Any]) -> ast.ClaimEntry:
        entry: ast.ClaimEntry = children[0]
        return entry

    def _steps(self, token: Token | None) -> ast.Literal | None:
        if token is None:
            return None
        literal = self.number([token])
        if literal.value not in range(1, MOST_STEPS + 1):
            text = f"a claim is about 1 to {MOST_STEPS} steps"
            advice = "leave `for N steps` out for 4"
            raise Stop(SyntaxProblem(span=literal.span, text=text, mark="not a number of steps", advice=advice))
        return literal


def _place(children: list[Any]) -> Span:
    """Return the span of a claim, whose parts are tokens, nodes and tuples of nodes."""
    return _cover([part for child in children for part in (child if isinstance(child, tuple) else (child,))])


def _text(token: Token | None) -> str:
    return "" if token is None else str(token)[1:-1].strip()
