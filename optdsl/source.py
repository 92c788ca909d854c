"""Source text and places in it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

MARK = "\ufeff"
"""The byte order mark some editors put before a text. It belongs to no line."""


class Span(NamedTuple):
    """A stretch of source text: offsets of its first character and one past its last."""

    start: int
    end: int


class Position(NamedTuple):
    """A line and a column, both counted from 1, in characters."""

    line: int
    column: int


@dataclass(frozen=True)
class SourceFile:
    """The text of a rule and the name to show for it (a path, `<stdin>` or `<string>`)."""

    name: str
    text: str

    @cached_property
    def _line_starts(self) -> list[int]:
        return [
            int(self.text.startswith(MARK)),
            *(index + 1 for index, character in enumerate(self.text) if character == "\n"),
        ]

    def position(self, offset: int) -> Position:
        """Return the line and column of an offset."""
        offset = max(offset, self._line_starts[0])
        line = bisect_right(self._line_starts, offset)
        return Position(line, offset - self._line_starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """Return the text of a line (counted from 1) without its end."""
        start = self._line_starts[number - 1]
        end = self._line_starts[number] - 1 if number < len(self._line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r")

    def snippet(self, span: tuple[int, int]) -> str:
        """Return the text of a span."""
        return self.text[span[0] : span[1]]
