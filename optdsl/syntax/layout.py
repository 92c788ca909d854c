"""The lines and sections of a `.opt` file, found before any line is parsed.

A line ends an entry unless a bracket is open. Section keywords start in column 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from optdsl.source import SourceFile, Span
from optdsl.syntax.ast import Comment

SECTIONS = ("hyper", "state", "update", "claim")
"""Keywords that stand alone on a line and open a section."""

_TOKENS = re.compile(r'(?P<string>"[^"\n]*"?)|(?P<comment>#[^\n]*)|(?P<open>[(\[])|(?P<close>[)\]])|(?P<newline>\n)')
_HIDDEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_OPENER = re.compile(
    r"(?:(?:rule|def|view)\b|(?:hyper|state|update|claim)[ \t\r]*:?[ \t\r]*(?:#[^\n]*)?$)", re.MULTILINE
)
_DEFINITION = re.compile(r"[ \t]*\w+(['′’])?[ \t]*=(?!=)")


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: its place, without surrounding blanks and comments, and the end of its first physical line."""

    span: Span
    column: int


def comments(source: SourceFile, file: int = 0) -> list[Comment]:
    """Return the comments of a file, in order."""
    found = (match for match in _TOKENS.finditer(source.text, *source.extent(file)) if match["comment"])
    return [Comment(match["comment"].rstrip(), Span(*match.span())) for match in found]


def hidden_characters(source: SourceFile, file: int = 0) -> Iterator[tuple[Span, str, str]]:
    """Yield where comments and strings hold characters that a reader can't see: controls, and changes of direction.

    Each place comes with the word for what holds it and with its text without such characters. Elsewhere the parser
    finds them.
    """
    for match in _TOKENS.finditer(source.text, *source.extent(file)):
        if match["string"] or match["comment"]:
            text = match.group().rstrip("\r")
            places = [hidden.span() for hidden in _HIDDEN.finditer(text)]
            if places:
                start, end = places[0][0], places[-1][1]
                clean = _HIDDEN.sub("", text[start:end])
                yield (
                    Span(match.start() + start, match.start() + end),
                    "comment" if match["comment"] else "doc string",
                    clean,
                )


def logical_lines(source: SourceFile, file: int = 0) -> Iterator[Line]:
    """Yield the entries of a file, the first unless another that follows it is asked for.

    A bracket left open doesn't swallow the file: a section keyword in column 1, or a line that starts a definition,
    begins a new entry all the same. What follows a comma or an opening bracket is an argument with a name.
    """
    text, (start, end), depth = source.text, source.extent(file), 0
    seen, last = start, ""
    for match in _TOKENS.finditer(text, start, end):
        if match["comment"] or match["newline"]:
            last = text[seen : match.start()].rstrip()[-1:] or last
            seen = match.end()
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth = max(0, depth - 1)
        elif match["newline"]:
            rest = match.end()
            defined = _DEFINITION.match(text, rest)
            if defined and last in ("(", ",") and not defined[1]:
                defined = None
            if depth == 0 or _OPENER.match(text, rest) or defined:
                yield from _line(source, start, match.start())
                start, depth = rest, 0
    yield from _line(source, start, end)


def _line(source: SourceFile, start: int, end: int) -> Iterator[Line]:
    text = source.text
    last = start
    for match in re.finditer(r'"[^"\n]*"?|#[^\n]*|\S', text[start:end]):
        if not match.group().startswith("#"):
            last = start + match.end()
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    while first < last and text[first] == "#":
        line_end = text.find("\n", first)
        first = line_end + 1 + len(text[line_end + 1 : end]) - len(text[line_end + 1 : end].lstrip())
    if first < last:
        yield Line(Span(first, last), source.position(first).column)
