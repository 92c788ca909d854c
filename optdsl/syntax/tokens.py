"""The tokens of one entry as the formatter moves them about: with the line each stands on, and the comments between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from lark import Token

from optdsl.syntax.parser import lark

OPENING = frozenset({"LPAR", "LSQB"})
CLOSING = frozenset({"RPAR", "RSQB"})
ENDS_OF_VALUE = frozenset({
    "NAME", "NUMBER", "TRUE", "FALSE", "INF", "PRIME", "SUPERSCRIPT", "RPAR", "RSQB", "STRING",
})  # fmt: skip
_TIGHT = frozenset({"TIMES", "DIVIDE", "POWER"})
_CLINGING = CLOSING | {"COMMA", "COLON", "PRIME", "SUPERSCRIPT"} | _TIGHT

BEFORE_DOC = "   "
BEFORE_COMMENT = "  "


@dataclass(frozen=True, slots=True)
class Piece:
    """A token: its terminal, its text, and the number of its line, counted from the entry's first."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: its tokens in order, and by line number the comments that stand between them."""

    pieces: tuple[Piece, ...]
    comments: dict[int, str]

    @property
    def is_broken(self) -> bool:
        """Whether the entry stands on several lines."""
        return self.pieces[0].line != self.pieces[-1].line

    def joined(self) -> Entry:
        """Return the entry on one line; only for one without comments."""
        return Entry(tuple(Piece(piece.kind, piece.text, 0) for piece in self.pieces), {})


def read_entry(text: str, start: str) -> Entry:
    """Return the tokens and comments of an entry that is known to be well formed; `start` is its start symbol."""
    parser = lark(start == "claim_line").parse_interactive(text, start=start)
    tokens: Iterator[Token] = parser.lexer_thread.lex(parser.parser_state)  # type: ignore[no-untyped-call]
    pieces, comments, line, end = [], {}, 0, 0
    for token in tokens:
        for between in re.finditer(r"#[^\n]*|\n", text[end : token.start_pos]):
            if between.group() == "\n":
                line += 1
            else:
                comments[line] = between.group().rstrip()
        end = token.end_pos or 0
        pieces.append(Piece(token.type, str(token), line))
    return Entry(tuple(pieces), comments)


def find(pieces: Sequence[Piece], kind: str) -> int:
    """Return the place of the first token of a kind outside brackets, or the number of tokens."""
    depth = 0
    for index, piece in enumerate(pieces):
        if depth == 0 and piece.kind == kind:
            return index
        depth += depth_change(piece)
    return len(pieces)


def depth_change(piece: Piece) -> int:
    """Return 1 for an opening bracket, -1 for a closing one, else 0."""
    return (piece.kind in OPENING) - (piece.kind in CLOSING)


def one_line(pieces: Sequence[Piece]) -> str:
    """Return tokens with the blanks that belong between them, all on one line."""
    return "".join(blank + piece.text for blank, piece in zip(_blanks(pieces), pieces, strict=True))


def broken_lines(entry: Entry, indent: int) -> list[str]:
    """Return an entry over the lines its author broke it into, each indented by the brackets that are open there."""
    last = entry.pieces[-1].line
    rows: list[list[tuple[str, Piece]]] = [[] for _ in range(last + 1)]
    for blank, piece in zip(_blanks(entry.pieces), entry.pieces, strict=True):
        rows[piece.line].append((blank if rows[piece.line] else "", piece))
    lines, depth = [], 0
    for number, row in enumerate(rows):
        closed = sum(1 for _ in takewhile(lambda part: part[1].kind in CLOSING, row))
        parts = ["".join(blank + piece.text for blank, piece in row)] if row else []
        parts += [entry.comments[number]] if number in entry.comments else []
        if parts:
            lines.append(" " * (indent + 2 * (depth - closed)) + BEFORE_COMMENT.join(parts))
        depth += sum(depth_change(piece) for _, piece in row)
    return lines


def _blanks(pieces: Sequence[Piece]) -> Iterator[str]:
    """Yield the blanks before each token."""
    before: Piece | None = None
    clings = True
    depth = 0
    header = bool(pieces) and pieces[0].kind == "RULE"
    for piece in pieces:
        depth += depth_change(piece)
        option = piece.kind == "EQUALS" and depth > 0 and not header
        sign = piece.kind == "MINUS" and (before is None or before.kind not in ENDS_OF_VALUE)
        call = piece.kind == "LPAR" and before is not None and before.kind == "NAME"
        if piece.kind == "STRING" and before is not None and before.kind not in ("CITE", "FAMILY", "STRING"):
            yield BEFORE_DOC
        else:
            yield "" if clings or call or option or piece.kind in _CLINGING else " "
        clings = sign or option or piece.kind in OPENING or piece.kind in _TIGHT or piece.kind == "ROOT"
        before = piece
