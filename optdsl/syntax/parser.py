"""From text to the surface tree, one line at a time, so that every mistake in a file is reported together."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

from lark import Lark, TextSlice, Token, UnexpectedToken
from lark.common import LexerConf
from lark.lexer import BasicLexer

from optdsl.diagnostics import Problem, closest
from optdsl.source import SourceFile, Span
from optdsl.syntax import ast
from optdsl.syntax.builder import Builder, Stop
from optdsl.syntax.errors import SyntaxProblem, TooComplex
from optdsl.syntax.explain import explain
from optdsl.syntax.layout import SECTIONS, Line, comments, hidden_characters, logical_lines
from optdsl.syntax.names import spell

LARGEST_SOURCE = 65_536
"""Characters in a file."""
MOST_LINES = 400
"""Entries in a file."""

LONGEST_READ_TWICE = 2_000
"""Characters of a line that is read a second time to say all that could stand where it goes wrong."""

STARTS = (
    "rule_line", "doc_line", "cite_line", "family_line", "hyper_line", "alias_line", "state_line", "def_line",
    "equation_line", "view_line", "foreign_line",
)  # fmt: skip

LINES = {"hyper": "hyper_line", "state": "state_line", "update": "equation_line", "claim": "claim_line"}
"""The start symbol for the lines of each section."""

_DEFINED = re.compile(r"[^\W\d]\w*\s*['′’]?\s*=(?!=)")


def parse(source: SourceFile, file: int = 0) -> tuple[ast.Rule, list[Problem]]:
    """Return the surface tree of a file and everything in it that can't be read.

    `file` is the number of the file in a source of several; places count from the start of the first.
    """
    rule = ast.Rule()
    start, end = source.extent(file)
    if end - start > LARGEST_SOURCE:
        what = "this file has too many characters"
        return rule, [TooComplex(span=Span(start, start), what=what, limit=f"{LARGEST_SOURCE:,}")]
    rule.comments = comments(source, file)
    reader = _Reader(source, rule)
    for count, line in enumerate(logical_lines(source, file)):
        if count == MOST_LINES:
            reader.problems.append(
                TooComplex(span=line.span, what="this file is too long", limit=f"{MOST_LINES} entries")
            )
            rule.header = None
            break
        if reader.read(line):
            break
    else:
        reader.finish(start)
    for span, where, clean in hidden_characters(source, file):
        text = f"this {where} holds a character that can't be seen, U+{ord(source.text[span.start]):04X}"
        advice = "remove it: it could hide what this file says"
        reader.problems.append(SyntaxProblem(span=span, text=text, advice=advice, replacement=clean))
    return rule, reader.problems


class _Reader:
    """Goes through the lines of a file and keeps track of the section."""

    ORDER = ("", "rule", "hyper", "state", "def", "update", "view", "claim")

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
            self._problem(
                Span(line.span.start, line.span.start + 4),
                "a file holds one rule",
                "this is the second",
                "move it to a file of its own",
            )
            return True
        elif first in ("rule", "def", "view") and not _DEFINED.match(text):
            self.lost = False
            self._open(first, Span(line.span.start, line.span.start + len(first)))
            if line.column > 1:
                self._indented(first, line)
            self._parse(f"{first}_line", line)
        elif self.lost:
            pass  # one finding for all these lines is enough
        elif self.section in ("", "rule"):
            self._preamble(text, first, line)
        elif self.section == "def":
            self._lost(line, "write `update` in column 1 above the equations")
        elif self.section == "view":
            self._lost(line, "each view is a line `view NAME = ...`; `claim` in column 1 stands above claims")
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
            self._problem(
                place, f"unexpected `:` after `{first}`", "", "a section keyword stands alone on its line", ""
            )
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
        elif first in ("cite", "family"):
            self._parse(f"{first}_line", line)
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
            self._parse(LINES[self.section], line)

    def _open(self, section: str, span: Span) -> None:
        """Begin a section, and say so if it may not stand here."""
        misplaced = [name for name in self.sections if self.ORDER.index(name) > self.ORDER.index(section)]
        if section in self.sections and section not in ("def", "view"):
            advice = f"move these lines up to the first `{section}`"
            self._problem(span, f"the section `{section}` stands twice", "this is the second", advice)
        elif self.section == "" and section != "rule":
            advice = "start the file with a line such as `rule MyRule(x, g)`"
            self._problem(span, "expected `rule` before anything else", "", advice)
        elif misplaced and section != "rule":
            advice = "the order is `rule`, `hyper`, `state`, `def`, `update`, `view`, `claim`"
            self._problem(span, f"`{section}` must stand before `{misplaced[0]}`", "", advice)
        elif self.rule.header is not None and self.rule.header.components and section in ("state", "def", "update"):
            advice = "it takes these from its components: write a transform, in a file of its own, and put its name in"
            self._problem(span, f"a chain has no section `{section}`", "", advice)
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
        except Stop as stop:
            known = {problem.message for problem in self.problems}
            if not (stop.problem.message.endswith("can't be a name") and stop.problem.message in known):
                self.problems.append(stop.problem)
            name = re.match(r"(?:(?:def|view)\s+)?([^\W\d]\w*)", self.source.snippet(line.span))
            if name:
                self.rule.broken.add(spell(name.group(1)))
            return
        match node:
            case ast.Header():
                self.rule.header, self.rule.doc = node, node.doc
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
            case ast.ViewEntry():
                self.rule.views.append(node)
            case ast.ClaimEntry():
                self.rule.claims.append(node)
            case ast.Family():
                self._family(node)
            case str():
                self.rule.doc = f"{self.rule.doc} {node}".strip()
            case tuple():
                self.rule.cites.append(node)

    def _family(self, node: ast.Family) -> None:
        if self.rule.family is not None:
            self._problem(node.span, "a rule has one family", "this is the second", "leave one of the two out")
        elif not node.text:
            self._problem(node.span, "this family has no name", "", 'write it as in `family "Adam"`, or leave it out')
        else:
            self.rule.family = node

    def finish(self, start: int) -> None:
        """Note what a whole file lacks, which begins at `start`."""
        if "rule" not in self.sections and not self.problems:
            advice = "start with a line such as `rule MyRule(x, g)`; `optdsl new NAME` writes a whole file"
            self.problems.append(SyntaxProblem(span=Span(start, start), text="this file holds no rule", advice=advice))
        elif "rule" in self.sections and "update" not in self.sections and not self._made_from_another():
            if any(type(problem) is SyntaxProblem and "section" in problem.text for problem in self.problems):
                return
            advice = "write `update` in column 1 and the equations below it"
            span = self.sections["rule"]
            self._problem(span, "this rule has no section `update`", "", advice)

    def _made_from_another(self) -> bool:
        """Return whether the equations can come from another rule; a header that can't be read may say so."""
        header = self.rule.header
        return header is None or header.base is not None or bool(header.components)


class _Lexer(BasicLexer):
    """Lark's lexer but for its search for terminals that collide, half a second where the package for it is installed.

    `tests/syntax/test_grammar.py` makes that search.
    """

    def __init__(self, conf: LexerConf, comparator: object = None) -> None:
        conf.skip_validation = True
        super().__init__(conf, comparator)


@cache
def lark(claims: bool) -> Lark:
    """Return the parser of the lines of claims, or that of all other lines."""
    grammar = "\n".join(
        files("optdsl.syntax").joinpath(name).read_text(encoding="utf-8")
        for name in (("grammar.lark", "claims.lark") if claims else ("grammar.lark",))
    )
    starts = ["claim_line", "foreign_line"] if claims else list(STARTS)
    return Lark(
        grammar, parser="lalr", lexer="basic", start=starts, maybe_placeholders=True, transformer=Builder(),
        _plugins={"BasicLexer": _Lexer},
    )  # fmt: skip


def parse_line(source: SourceFile, start: str, span: Span) -> Any:
    """Return the node of one line; raise `Stop` with the problem where it can't be read."""
    text = TextSlice(source.text, span.start, span.end)
    try:
        return lark(start == "claim_line").parse(text, start=start)
    except UnexpectedToken as error:
        short = span.end - span.start <= LONGEST_READ_TWICE
        accepted = _accepted(start, text, error.token) if short else set(error.accepts or error.expected)
        raise Stop(explain(source, start, span, error.token, accepted)) from None


def _accepted(start: str, text: TextSlice[str], wrong: Token) -> set[str]:
    """Return the terminals that can stand in the place of a token.

    At the mistake the parser has finished what stood before the token, and no longer knows how it could have gone on.
    """
    state = lark(start == "claim_line").parse_interactive(text, start=start)
    for token in state.lexer_thread.lex(state.parser_state):  # type: ignore[no-untyped-call]
        if token.start_pos == wrong.start_pos and wrong.type != "$END":
            break
        state.feed_token(token)
    return set(state.accepts())  # type: ignore[no-untyped-call]
