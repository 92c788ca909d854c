"""The lines of a section in columns: names, `=`, intervals, doc strings, comments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optdsl.syntax.tokens import BEFORE_COMMENT, BEFORE_DOC, Entry, broken_lines, find, one_line

INDENT = 2
BEFORE_INTERVAL = "  "
WIDEST_NAME = 48
WIDEST = 100
"""Characters that a column is moved aside for. What is wider sticks out and doesn't push the others away."""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry with the comment at its end, or a comment that has a line to itself (no entry).

    `blank` says that an empty line stands before it.
    """

    entry: Entry | None
    comment: str
    blank: bool


@dataclass(frozen=True, slots=True)
class _Cells:
    """An entry cut into columns, `name = value interval doc`.

    All behind `=` is in `value` and `more`, the lines below, for an entry on several lines. One with a type and an
    `alias` are `odd`: they stand in the columns of the others, if they are short enough.
    """

    name: str
    odd: bool
    value: str
    interval: str = ""
    doc: str = ""
    more: tuple[str, ...] = ()


def in_columns(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the lines of the entries and comments of a section `hyper`, `state` or `update`."""
    cells = [_cut(row.entry) for row in rows if row.entry]
    regular = [not each.odd for each in cells]
    fitting = [INDENT + len(each.name) <= WIDEST_NAME and not each.more for each in cells]
    plain = [
        not each.odd and fits and (each.interval != "" or each.doc != "" or " " not in each.value)
        for each, fits in zip(cells, fitting, strict=True)
    ]
    described = [fits and each.doc != "" for each, fits in zip(cells, fitting, strict=True)]
    texts = [" " * INDENT + each.name for each in cells]
    texts = _column(texts, [f"= {each.value}" for each in cells], " ", regular, WIDEST_NAME)
    texts = _column(texts, [each.interval for each in cells], BEFORE_INTERVAL, plain)
    texts = _column(texts, [each.doc for each in cells], BEFORE_DOC, described)
    entries = iter([[text, *each.more] for text, each in zip(texts, cells, strict=True)])
    return with_comments(rows, [next(entries) if row.entry else [" " * INDENT + row.comment] for row in rows])


def _column(texts: list[str], cells: list[str], gap: str, counted: list[bool], widest: int = WIDEST) -> list[str]:
    """Add a column to lines, behind the longest of those that are counted."""
    lengths = [len(text) for text, counts in zip(texts, counted, strict=True) if counts]
    width = max((length for length in lengths if length <= widest), default=0)
    return [f"{text:<{width}}{gap}{cell}" if cell else text for text, cell in zip(texts, cells, strict=True)]


def with_comments(rows: Sequence[Row], texts: Sequence[list[str]]) -> Iterator[str]:
    """Yield the lines of rows, with the comments at their ends and the empty lines between them.

    Comments on lines one below the other stand in a column.
    """
    for row, lines, place in zip(rows, texts, _places(rows, texts), strict=True):
        if row.blank:
            yield ""
        yield from lines[:-1]
        commented = row.entry is not None and row.comment
        yield f"{lines[-1]:<{place}}{BEFORE_COMMENT}{row.comment}" if commented else lines[-1]


def _places(rows: Sequence[Row], texts: Sequence[list[str]]) -> list[int]:
    """Return how long each line is made before the comment at its end."""
    places = [0] * len(rows)
    run: list[int] = []
    for index, row in enumerate(rows):
        commented = row.entry is not None and row.comment != "" and len(texts[index]) == 1
        if not commented or row.blank:
            run = []
        if commented and len(texts[index][0]) <= WIDEST:
            run.append(index)
            for at in run:
                places[at] = max(places[at], len(texts[index][0]))
            places[index] = places[run[0]]
    return places


def _cut(entry: Entry) -> _Cells:
    pieces = entry.pieces
    equals = find(pieces, "EQUALS")
    name, odd = one_line(pieces[:equals]), any(piece.kind in ("ALIAS", "COLON") for piece in pieces[:equals])
    if entry.is_broken:
        first, *more = broken_lines(Entry(pieces[equals + 1 :], entry.comments), INDENT)
        return _Cells(name, odd, first.lstrip(), more=tuple(more))
    last = len(pieces) - (pieces[-1].kind == "STRING")
    interval = min(find(pieces, "IN"), last)
    return _Cells(
        name,
        odd,
        value=one_line(pieces[equals + 1 : interval]),
        interval=one_line(pieces[interval:last]),
        doc=pieces[-1].text if last < len(pieces) else "",
    )
