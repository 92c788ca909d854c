"""From text to the surface tree, one line at a time, so that every mistake in a file is reported together."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import replace
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, TextSlice, Token, Transformer, UnexpectedToken

from optdsl.diagnostics import Problem, closest
from optdsl.source import SourceFile, Span
from optdsl.syntax import ast
from optdsl.syntax.errors import FOREIGN, FOREIGN_ASSIGNMENT, STRAYS, SyntaxProblem, TooComplex, expected_words
from optdsl.syntax.layout import SECTIONS, Line, comments, hidden_characters, logical_lines
from optdsl.syntax.names import KEYWORDS, SPELLINGS, SUPERSCRIPTS, is_valid, spell

LARGEST_SOURCE = 65_536
"""Characters in a file."""
LONGEST_NUMBER = 80
"""Characters in a literal."""
LARGEST_EXPONENT = 400
"""Power of ten in a literal."""
DEEPEST = 100
"""Operations nested in one expression, a chain of additions counted one by one."""
MOST_LINES = 400
"""Entries in a file."""

STARTS = (
    "rule_line", "doc_line", "cite_line", "hyper_line", "alias_line", "state_line", "def_line", "equation_line",
    "foreign_line",
)  # fmt: skip


_DEFINED = re.compile(r"[^\W\d]\w*\s*['′’]?\s*=(?!=)")


class _Stop(Exception):
    """A problem found while a tree is built."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def parse(source: SourceFile) -> tuple[ast.Rule, list[Problem]]:
    """Return the surface tree of a file and everything in it that can't be read."""
    rule = ast.Rule()
    if len(source.text) > LARGEST_SOURCE:
        what = f"this file has {len(source.text):,} characters"
        return rule, [TooComplex(span=Span(0, 0), what=what, limit=f"{LARGEST_SOURCE:,}")]
    rule.comments = comments(source)
    reader = _Reader(source, rule)
    for count, line in enumerate(logical_lines(source)):
        if count == MOST_LINES:
            reader.problems.append(TooComplex(span=line.span, what="this file is too long", limit=f"{MOST_LINES} entries"))
            rule.header = None
            break
        if reader.read(line):
            break
    else:
        reader.finish()
    for span, where, clean in hidden_characters(source):
        text = f"this {where} holds a character that can't be seen, U+{ord(source.text[span.start]):04X}"
        advice = "remove it: it could hide what this file says"
        reader.problems.append(SyntaxProblem(span=span, text=text, advice=advice, replacement=clean))
    return rule, reader.problems


class _Reader:
    """Goes through the lines of a file and keeps track of the section."""

    ORDER = ("", "rule", "hyper", "state", "def", "update", "claim")

    def __init__(self, source: SourceFile, rule: ast.Rule) -> None:
        self.source = source
        self.rule = rule
        self.section = ""
        self.sections: dict[str, Span] = {}
        self.problems: list[Problem] = []
        self.lost = False

    def read(self, line: Line) -> bool:
        """Read one entry into the rule, or note why it can't be. Return whether the rest is not worth reading."""
        text = self.source.snippet(line.span)
        word = re.match(r"[A-Za-z]*", text)
        first = word.group() if word else ""
        if self._keyword(text, first, line):
            self.lost = False
        elif first == "rule" and "rule" in self.sections:
            self._problem(Span(line.span.start, line.span.start + 4), "a file holds one rule", "this is the second", "move it to a file of its own")  # fmt: skip
            return True
        elif first in ("rule", "def") and not _DEFINED.match(text):
            self.lost = False
            self._open(first, Span(line.span.start, line.span.start + len(first)))
            if line.column > 1:
                self._indented(first, line)
            self._parse(f"{first}_line", line)
        elif self.lost or self.section == "claim":
            pass  # one finding for all these lines is enough
        elif self.section in ("", "rule"):
            self._preamble(text, first, line)
        elif self.section == "def":
            self._lost(line, "write `update` in column 1 above the equations")
        else:
            self._entry(first, line)
        return False

    def _keyword(self, text: str, first: str, line: Line) -> bool:
        """Open the section a line names, well written or nearly so; return whether it names one."""
        if text in SECTIONS:
            self._open(text, line.span)
            if line.column > 1:
                self._indented(text, line)
            return True
        end = line.span.start + len(first)
        if first in SECTIONS and text[len(first) :].strip() == ":":
            self._open(first, Span(line.span.start, end))
            place = Span(line.span.end - 1, line.span.end)
            self._problem(place, f"unexpected `:` after `{first}`", "", "a section keyword stands alone on its line", "")
            return True
        if first in SECTIONS and line.column == 1 and not _DEFINED.match(text):
            self._open(first, Span(line.span.start, end))
            rest = self.source.text[end : line.span.start + len(text.partition("\n")[0])]
            place = Span(end + len(rest) - len(rest.lstrip()), line.span.start + len(text.partition("\n")[0]))
            advice = f"write it below `{first}`, on a line of its own"
            self._problem(place, f"`{first}` opens a section and stands alone on its line", "", advice)
            name = re.match(r"\s*([^\W\d]\w*)", rest)
            if name:
                self.rule.broken.add(spell(name.group(1)))
            return True
        bare = re.fullmatch(r"([A-Za-z]+)[ \t]*:?", text)
        near = closest(bare[1], SECTIONS) if bare and line.column == 1 and self.section else None
        if bare is None or near is None or near == "claim":
            return False
        self._open(near, Span(line.span.start, end))
        self._problem(line.span, f"there is no section `{bare[1]}`", "", f"did you mean `{near}`?", near)
        return True

    def _indented(self, word: str, line: Line) -> None:
        span = Span(line.span.start, line.span.start + len(word))
        blank = Span(line.span.start - line.column + 1, line.span.start)
        self.problems.append(SyntaxProblem(
            span=span, text=f"the keyword `{word}` must start in column 1", mark="indented",
            advice="remove the blanks before it", replacement="", mended=blank,
        ))  # fmt: skip

    def _lost(self, line: Line, advice: str) -> None:
        """Report the first of some lines that stand outside every section."""
        self._problem(line.span, "this line belongs to no section", "", advice)
        self.lost = True

    def _preamble(self, text: str, first: str, line: Line) -> None:
        if self.section == "":
            advice = "a file starts with a line such as `rule MyRule(x, g)`"
            self._problem(line.span, "expected `rule` before anything else", "this stands before the rule", advice)
            self.section, self.lost = "rule", True
        elif first == "cite":
            self._parse("cite_line", line)
        elif text.startswith('"'):
            self._parse("doc_line", line)
        else:
            name = _DEFINED.match(text)
            primed = name is not None and text[: name.end()].rstrip("= \t")[-1] in "'′’"
            self._lost(line, f"write `{'update' if primed else 'hyper`, `state` or `update'}` in column 1 above it")

    def _entry(self, first: str, line: Line) -> None:
        if self.section == "hyper" and first == "alias":
            self._parse("alias_line", line)
        else:
            self._parse({"hyper": "hyper_line", "state": "state_line", "update": "equation_line"}[self.section], line)

    def _open(self, section: str, span: Span) -> None:
        """Begin a section, and say so if it may not stand here."""
        misplaced = [name for name in self.sections if self.ORDER.index(name) > self.ORDER.index(section)]
        if section in self.sections and section != "def":
            advice = f"move these lines up to the first `{section}`"
            self._problem(span, f"the section `{section}` stands twice", "this is the second", advice)
        elif self.section == "" and section != "rule":
            advice = "start the file with a line such as `rule MyRule(x, g)`"
            self._problem(span, "expected `rule` before anything else", "", advice)
        elif misplaced and section != "rule":
            advice = "the order is `rule`, `hyper`, `state`, `def`, `update`"
            self._problem(span, f"`{section}` must stand before `{misplaced[0]}`", "", advice)
        elif section == "claim":
            self._problem(span, "claims are not supported yet", "", "remove the section `claim`")
        if section == "update":
            self.rule.update = span
        self.sections.setdefault(section, span)
        self.section = section

    def _problem(self, span: Span, text: str, mark: str = "", advice: str = "", replacement: str | None = None) -> None:
        first_line = self.source.text.find("\n", span.start, span.end)
        shown = Span(span.start, first_line) if first_line >= 0 else span
        self.problems.append(SyntaxProblem(span=shown, text=text, mark=mark, advice=advice, replacement=replacement))

    def _parse(self, start: str, line: Line) -> None:
        try:
            node = parse_line(self.source, start, line.span)
        except _Stop as stop:
            known = {problem.message for problem in self.problems}
            if not (stop.problem.message.endswith("can't be a name") and stop.problem.message in known):
                self.problems.append(stop.problem)
            name = re.match(r"(?:def\s+)?([^\W\d]\w*)", self.source.snippet(line.span))
            if name:
                self.rule.broken.add(spell(name.group(1)))
            return
        match node:
            case ast.Header():
                self.rule.header, self.rule.doc = node, node.doc
                if node.base is not None:
                    text = "rules made from another rule are not supported yet"
                    self._problem(node.base.span, text, "", "copy the equations of the base into this file")
            case ast.HyperEntry():
                self.rule.hypers.append(node)
            case ast.AliasEntry():
                self.rule.aliases.append(node)
            case ast.StateEntry():
                self.rule.states.append(node)
            case ast.DefEntry():
                self.rule.defs.append(node)
            case ast.EquationEntry():
                self.rule.equations.append(node)
            case str():
                self.rule.doc = f"{self.rule.doc} {node}".strip()
            case tuple():
                self.rule.cites.append(node)

    def finish(self) -> None:
        """Note what a whole file lacks."""
        if "rule" not in self.sections and not self.problems:
            advice = "start with a line such as `rule MyRule(x, g)`; `optdsl new NAME` writes a whole file"
            self.problems.append(SyntaxProblem(span=Span(0, 0), text="this file holds no rule", advice=advice))
        elif "rule" in self.sections and "update" not in self.sections:
            if any(type(problem) is SyntaxProblem and "section" in problem.text for problem in self.problems):
                return
            advice = "write `update` in column 1 and the equations below it"
            span = self.sections["rule"]
            self._problem(span, "this rule has no section `update`", "", advice)


@cache
def _lark() -> Lark:
    grammar = files("optdsl.syntax").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(
        grammar, parser="lalr", lexer="basic", start=list(STARTS), maybe_placeholders=True, transformer=_Builder(),
    )  # fmt: skip


def parse_line(source: SourceFile, start: str, span: Span) -> Any:
    """Return the node of one line; raise `_Stop` with the problem where it can't be read."""
    try:
        return _lark().parse(TextSlice(source.text, span.start, span.end), start=start)
    except UnexpectedToken as error:
        raise _Stop(_explain(source, start, span, error)) from None


def _explain(source: SourceFile, start: str, span: Span, error: UnexpectedToken) -> Problem:
    """Turn the parser's state into words."""
    token, accepted = error.token, set(error.accepts or error.expected)
    expected = expected_words(accepted)
    if token.type == "$END":
        opened = _open_bracket(source, span)
        if opened is not None:
            closing = "`)`" if source.text[opened] == "(" else "`]` or `)`"
            return SyntaxProblem(
                span=Span(opened, opened + 1), text="this bracket is never closed", mark="opened here",
                advice=f"close it with {closing}",
            )  # fmt: skip
        end, advice = Span(span.end - 1, span.end), ""
        if "THEN" in accepted or "ELSE" in accepted:
            advice = "a choice is written `if condition then a else b`"
        elif start == "rule_line":
            advice = _HEADER
        return SyntaxProblem(span=end, text=f"the line ends too early: expected {expected}", mark="after this", advice=advice)
    place = _place(token)
    text = str(token)
    if token.type == "FOREIGN":
        return _foreign(place, text, "NAME" in accepted)
    if token.type == "EQUALS" and "COMPARISON" in accepted:
        return SyntaxProblem(
            span=place, text="`=` defines a name and can't stand inside an expression", mark="expected `==`",
            advice="compare with `==`", replacement="==",
        )  # fmt: skip
    if token.type == "STRAY":
        return _stray(place, text, expected, "NAME" in accepted)
    if token.type == "RPAR" and _unopened(source, span, place):
        return SyntaxProblem(span=place, text="this bracket closes nothing", mark="no bracket is open here")
    if token.type == "IF" and "LPAR" in accepted:
        advice = "write the choice in brackets: `(if condition then a else b)`"
        return SyntaxProblem(span=place, text="`if` can't follow an operator", mark="needs brackets", advice=advice)
    if text in KEYWORDS and "NAME" in accepted and not {"LPAR", "RPAR"} & accepted:
        what = f"`{text}` is a word of the language and can't be a name"
        return SyntaxProblem(span=place, text=what, mark=f"expected {expected}", advice="choose another name")
    if token.type == "COMPARISON" and "AND" in accepted:
        advice = "write both comparisons and join them: `a < b and b < c`"
        return SyntaxProblem(span=place, text="comparisons can't be chained", mark="second comparison", advice=advice)
    advice, replacement = _advice(start, token, accepted)
    mark = f"expected {expected}"
    shown = f"`{text}`" if token.type != "STRING" else "doc string"
    return SyntaxProblem(span=place, text=f"unexpected {shown}", mark=mark, advice=advice, replacement=replacement)


_LETTERS = "names are made of Latin and Greek letters, digits and `_`"
_HEADER = "a rule starts with its name, its parameter and its gradient: `rule MyRule(x, g)`"


def _advice(start: str, token: Token, accepted: set[str]) -> tuple[str, str | None]:
    """Return how to mend an unexpected token, and what to write for it if that is all."""
    text = str(token)
    if text == "==" and "EQUALS" in accepted:
        return "a definition is written with `=`", "="
    if text == "elseif" and "ELIF" in accepted:
        return "write `elif`", "elif"
    if text not in KEYWORDS and text.lower() in {word.lower() for word in accepted} & KEYWORDS:
        return f"write `{text.lower()}`", text.lower()
    if token.type in ("THEN", "ELIF", "ELSE") or "THEN" in accepted or "ELSE" in accepted:
        return "a choice is written `if condition then a else b`", None
    if token.type in ("NAME", "NUMBER", "LPAR") and "TIMES" in accepted:
        return "write `*` between two factors", None
    if token.type == "PRIME" and start in ("hyper_line", "state_line") and "EQUALS" in accepted:
        what = "a hyperparameter never changes" if start == "hyper_line" else "a state is declared without a prime"
        return what, ""
    if token.type == "PRIME" and "EQUALS" in accepted:
        return "one prime means the value after the step", ""
    if token.type == "PRIME" and "STRING" in accepted:
        return "a doc string stands in double quotes", None
    if token.type == "PLUS":
        return "a number has no `+` before it", ""
    if token.type in ("IN", "ELEMENT_OF", "WHEN") and start in ("hyper_line", "state_line"):
        if (start == "hyper_line") == (token.type != "WHEN"):
            return f"`{text}` stands before the doc string", None
        return ("`when` belongs to a state" if token.type == "WHEN" else "only a hyperparameter has an interval"), None
    if start == "hyper_line" and ("RSQB" in accepted or "LSQB" in accepted or "RPAR" not in accepted and "COMMA" in accepted):
        return "an interval is written `[0, 1)`: `[ ]` for a closed end, `( )` for an open one, `inf` for no bound", None
    return {"rule_line": _HEADER, "alias_line": "an alias is written `alias betas = (beta1, beta2)`"}.get(start, ""), None


def _foreign(place: Span, text: str, first: bool) -> SyntaxProblem:
    if text == "//":
        advice = "a comment starts with `#`" + ("" if first else "; a division is written `/`")
        return SyntaxProblem(span=place, text="unexpected `//`", advice=advice, replacement="#" if first else None)
    if text in FOREIGN_ASSIGNMENT:
        advice = "write an equation: the new value on the left with a prime, such as `m' = m + g`"
        return SyntaxProblem(span=place, text=f"`{text}` is not an operator of the language", advice=advice)
    ours, advice = FOREIGN[text]
    return SyntaxProblem(
        span=place, text=f"`{text}` is not an operator of the language", mark=f"did you mean `{ours}`?", advice=advice,
        replacement=ours,
    )  # fmt: skip


def _stray(place: Span, text: str, expected: str, name: bool) -> SyntaxProblem:
    if text == '"':
        return SyntaxProblem(span=place, text="this doc string is never closed", advice='close it with `"` on the same line')
    shown = text if text.isprintable() and not unicodedata.combining(text) else f"U+{ord(text):04X}"
    plain = unicodedata.normalize("NFKC", text)
    if text in STRAYS:
        ours, advice = STRAYS[text]
        replacement = ours or ("" if text == ";" else None)
    elif plain != text and plain.isascii() and plain.isprintable():
        replacement, advice = plain, f"this only looks like `{plain}`"
    else:
        replacement, advice = None, "" if text.isascii() or not name else _LETTERS
    return SyntaxProblem(
        span=place, text=f"unexpected character `{shown}`", mark=f"expected {expected}", advice=advice,
        replacement=replacement,
    )  # fmt: skip


def _unopened(source: SourceFile, span: Span, place: Span) -> bool:
    """Return whether no bracket of the line is open before a place."""
    return _open_bracket(source, Span(span.start, place.start)) is None


def _open_bracket(source: SourceFile, span: Span) -> int | None:
    """Return the place of the innermost bracket that isn't closed."""
    stack: list[int] = []
    for match in re.finditer(r'"[^"\n]*"?|#[^\n]*|[()\[\]]', source.snippet(span)):
        if match.group() in "([":
            stack.append(span.start + match.start())
        elif match.group() in ")]" and stack:
            stack.pop()
    return stack[-1] if stack else None


def _place(token: Token) -> Span:
    return Span(token.start_pos or 0, token.end_pos or 0)


def _cover(children: list[Any]) -> Span:
    """Return the span from the first to the last of some tokens and nodes."""
    spans = [_place(child) if isinstance(child, Token) else child.span for child in children if child is not None]
    return Span(spans[0].start, spans[-1].end)


class _Builder(Transformer[Token, Any]):
    """Builds nodes as the parser reduces, so that no tree is ever walked recursively."""

    def _depth(self, children: list[Any], *parts: Any) -> int:
        depth = 1 + max(part.depth for part in parts)
        if depth > DEEPEST:
            advice = "name a part of it: an intermediate is a line `name = ...` of its own"
            raise _Stop(
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
            raise _Stop(
                SyntaxProblem(
                    span=_place(token), text=f"`{token}` can't be a name", advice=_LETTERS,
                )
            )  # fmt: skip
        return ast.Name(text, _place(token))

    def number(self, children: list[Any]) -> ast.Literal:
        token = children[0]
        if len(token) > LONGEST_NUMBER:
            limit = f"{LONGEST_NUMBER} characters"
            raise _Stop(TooComplex(span=_place(token), what="this number is too long", limit=limit))
        exponent = int(re.split("[eE]", token)[1]) if "e" in token.lower() else 0
        if exponent < -LARGEST_EXPONENT:
            raise _Stop(TooComplex(span=_place(token), what="this number is too small", limit=f"1e-{LARGEST_EXPONENT}"))
        value = Fraction(str(token)) if exponent <= LARGEST_EXPONENT else Fraction(10) ** LARGEST_EXPONENT
        if value > sys.float_info.max:
            raise _Stop(TooComplex(span=_place(token), what="this number is too large", limit="about 1.8e308"))
        return ast.Literal(value, str(token), _place(token))

    def constant(self, children: list[Any]) -> ast.Literal:
        token = children[0]
        value = float("inf") if token.type.startswith("INF") else token.type == "TRUE"
        return ast.Literal(value, str(token), _place(token))

    def variable(self, children: list[Any]) -> ast.Variable:
        name = self._name(children[0])
        return ast.Variable(name.text, children[1] is not None, _cover(children))

    def call(self, children: list[Any]) -> ast.Call:
        arguments = tuple(child for child in children[1:] if child is not None and not isinstance(child, Token))
        depth = self._depth(children, *arguments) if arguments else 1
        return ast.Call(self._name(children[0]), arguments, _cover(children), depth)

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
            raise _Stop(TooComplex(span=_place(token), what="this power is too large", limit="999"))
        power = ast.Literal(Fraction(digits), digits, _place(token))
        return ast.Operation("^", (base, power), _cover(children), self._depth(children, base))

    def square_root(self, children: list[Any]) -> ast.Call:
        token, argument = children
        name = ast.Name("sqrt", _place(token))
        return ast.Call(name, (argument,), _cover(children), self._depth(children, argument))

    def conditional(self, children: list[Any]) -> ast.Conditional:
        _, condition, _, chosen, other = children
        depth = self._depth(children, condition, chosen, other)
        return ast.Conditional(condition, chosen, other, _cover(children), depth)

    def interval(self, children: list[Any]) -> ast.IntervalNode:
        opening, low, _, high, closing = children
        return ast.IntervalNode(low, high, opening == "[", closing == "]", _cover(children))

    def rule_line(self, children: list[Any]) -> ast.Header:
        _, name, _, parameter, _, gradient, _, _, base, doc = children
        return ast.Header(name, parameter, gradient, base, _text(doc), _cover(children))

    def doc_line(self, children: list[Any]) -> str:
        return _text(children[0])

    def cite_line(self, children: list[Any]) -> tuple[str, ...]:
        return tuple(_text(child) for child in children[1:])

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


def _text(token: Token | None) -> str:
    return "" if token is None else str(token)[1:-1].strip()
