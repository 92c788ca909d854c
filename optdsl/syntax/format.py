"""The canonical layout of a `.opt` file.

Nothing an author wrote is lost: comments, spellings of numbers and redundant brackets stay. What is settled is blanks,
indentation, columns, empty lines, and the spelling of names and signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from optdsl.diagnostics import Problem
from optdsl.source import SourceFile, Span
from optdsl.syntax.columns import INDENT, Row, in_columns, with_comments
from optdsl.syntax.errors import TooComplex
from optdsl.syntax.layout import SECTIONS, logical_lines
from optdsl.syntax.parser import LARGEST_SOURCE, LINES, parse
from optdsl.syntax.respell import to_ascii, to_unicode
from optdsl.syntax.tokens import Entry, Piece, broken_lines, one_line, read_entry

ONE_LINERS = ("def", "view")
"""Keywords that open a line with all that belongs to it; such lines make a block without a line above them."""

LONGEST_LINE = 100
"""Characters up to which an entry that stands on several lines is joined, in ASCII and without its doc string."""

_COMMENT = re.compile(r"#[^\n]*")
_REST_OF_LINE = re.compile(r"[^\S\n]*(#[^\n]*)?")


@dataclass(frozen=True, slots=True)
class _Item:
    """An entry, a section keyword or a comment. `kind` is a section, a start symbol or `comment`."""

    kind: str
    row: Row
    indented: bool = False


@dataclass(slots=True)
class _Block:
    """What stands between empty lines: the header, a section, the functions, or comments at the end of the file.

    `top` begins in column 1: comments, then the line that opens the block. `rows` are the lines below.
    """

    kind: str
    top: list[Row]
    rows: list[Row] = field(default_factory=list)


def formatted(source: SourceFile, *, unicode: bool = False) -> tuple[str, list[Problem]]:
    """Return the text of a rule in its canonical layout; where it has syntax errors, its text as it is, and these.

    Names and signs are written in ASCII, or under `unicode` as Greek letters and mathematical signs. The result
    formats to itself, and stands for the same tree with the same comments.
    """
    _, problems = parse(source)
    if problems:
        return source.text, problems
    items = list(_items(source, unicode))
    text = "\n\n".join("\n".join(_lines(block)) for block in _blocks(items)) + "\n"
    if len(text) > LARGEST_SOURCE:
        what = f"this file would have {len(text):,} characters in its canonical layout"
        return source.text, [TooComplex(span=Span(0, 0), what=what, limit=f"{LARGEST_SOURCE:,}")]
    if _words(items) != _words(_items(SourceFile(source.name, text), unicode)):
        raise RuntimeError(f"formatting {source.name} would change what it says, so it is left as it was")
    return text, []


def _words(items: Iterable[_Item]) -> list[tuple[str, ...]]:
    """Return what no layout may change: the tokens and comments of each entry."""
    words = []
    for item in items:
        pieces, comments = (item.row.entry.pieces, item.row.entry.comments) if item.row.entry else ((), {})
        tokens = [f"{piece.kind} {piece.text}" for piece in pieces]
        words.append((item.kind, *tokens, *comments.values(), item.row.comment))
    return words


def _items(source: SourceFile, unicode: bool) -> Iterator[_Item]:
    """Yield what a well-formed file is made of, in order."""
    section, end = "", source.extent(0).start
    for line in logical_lines(source):
        for match in _COMMENT.finditer(source.text, end, line.span.start):
            yield _comment(source, end, match)
            end = match.end()
        blank = _is_empty_line_between(source, end, line.span.start)
        text = source.snippet(line.span)
        rest = _REST_OF_LINE.match(source.text, line.span.end)
        comment, end = ((rest[1] or "").rstrip(), rest.end()) if rest else ("", line.span.end)
        kind = _kind(text, section)
        if kind in SECTIONS:
            section = kind
            yield _Item(kind, Row(Entry((Piece("SECTION", text, 0),), {}), comment, blank))
            continue
        entry, doc = _entry(text, kind, unicode), None
        if kind == "rule_line" and entry.pieces[-1].kind == "STRING":
            entry, doc = replace(entry, pieces=entry.pieces[:-1]), replace(entry.pieces[-1], line=0)
        yield _Item(kind, Row(entry, comment, blank))
        if doc:
            yield _Item("doc_line", Row(Entry((doc,), {}), "", blank=False))
    for match in _COMMENT.finditer(source.text, end, source.extent(0).end):
        yield _comment(source, end, match)
        end = match.end()


def _comment(source: SourceFile, end: int, match: re.Match[str]) -> _Item:
    """Return a comment with a line to itself; `end` is where what stands above it ends."""
    row = Row(None, match.group().rstrip(), _is_empty_line_between(source, end, match.start()))
    return _Item("comment", row, indented=source.position(match.start()).column > 1)


def _is_empty_line_between(source: SourceFile, start: int, end: int) -> bool:
    return source.text.count("\n", start, end) > 1


def _kind(text: str, section: str) -> str:
    """Return the section a line opens, or the start symbol it is read with."""
    if text in SECTIONS:
        return text
    first = re.match(r"[a-z]*", text)
    word = first.group() if first else ""
    if word in ("rule", *ONE_LINERS):
        return f"{word}_line"
    if section == "":
        return f"{word}_line" if word in ("cite", "family") else "doc_line"
    return "alias_line" if section == "hyper" and word == "alias" else LINES[section]


def _entry(text: str, start: str, unicode: bool) -> Entry:
    """Return an entry respelt, and on one line where that is short enough and no comment is in the way.

    The length is that in ASCII, so that both spellings have the same lines.
    """
    entry = read_entry(text, start)
    entry = replace(entry, pieces=tuple(to_ascii(entry.pieces)))
    without_doc = [piece for piece in entry.pieces if piece.kind != "STRING"]
    if not entry.comments and INDENT + len(one_line(without_doc)) <= LONGEST_LINE:
        entry = entry.joined()
    return replace(entry, pieces=tuple(to_unicode(entry.pieces))) if unicode else entry


def _blocks(items: Iterable[_Item]) -> list[_Block]:
    """Divide a file into blocks.

    Comments before a block stand above it, unless they are indented: such comments end the block before.
    """
    blocks: list[_Block] = []
    waiting: list[_Item] = []
    for item in items:
        defined = _stands_alone(item.kind)
        if item.kind == "comment":
            waiting.append(item)
        elif item.kind in ("rule_line", *SECTIONS) or (defined and blocks[-1].kind != item.kind):
            above = _divided(blocks, waiting)
            blocks.append(_Block(item.kind, [*above, item.row]))
            waiting = []
        else:
            to = blocks[-1].top if defined else blocks[-1].rows
            to += [each.row for each in (*waiting, item)]
            waiting = []
    above = _divided(blocks, waiting)
    return [*blocks, _Block("end", above)] if above else blocks


def _stands_alone(kind: str) -> bool:
    return kind.removesuffix("_line") in ONE_LINERS


def _divided(blocks: list[_Block], waiting: list[_Item]) -> list[Row]:
    """Give the comments that are indented to the last block, and return the others."""
    if not blocks or _stands_alone(blocks[-1].kind):
        return [item.row for item in waiting]
    ending = list(takewhile(lambda item: item.indented, waiting))
    blocks[-1].rows += [item.row for item in ending]
    return [item.row for item in waiting[len(ending) :]]


def _lines(block: _Block) -> Iterator[str]:
    """Yield the lines of a block, without empty lines at its start and below the line that opens it."""
    yield from _plain(_without_blank(block.top), 0)
    if block.kind == "rule_line":
        yield from _plain(_without_blank(block.rows, everywhere=True), INDENT)
    elif block.kind == "claim":
        yield from _plain(_without_blank(block.rows), INDENT)
    else:
        yield from in_columns(_without_blank(block.rows))


def _plain(rows: Sequence[Row], indent: int) -> Iterator[str]:
    """Yield the lines of rows that have no columns."""
    texts = [broken_lines(row.entry, indent) if row.entry else [" " * indent + row.comment] for row in rows]
    return with_comments(rows, texts)


def _without_blank(rows: Sequence[Row], everywhere: bool = False) -> list[Row]:
    """Return rows without an empty line before the first, or before any entry."""
    return [
        replace(row, blank=row.blank and index > 0 and not (everywhere and row.entry)) for index, row in enumerate(rows)
    ]
