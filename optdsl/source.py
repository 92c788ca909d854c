"""Source text and places in it."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
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
    """The text of a rule and the name to show for it (a path, `<stdin>` or `<string>`).

    A rule made from another has the texts of both, one after the other, so that a span by itself tells which file it is
    in: `later` says where each further file begins and what it is called. `given` are names of other rules in the first
    text, with the paths of the files they stand for; every other name is looked for beside the file.
    """

    name: str
    text: str
    later: tuple[tuple[int, str], ...] = ()
    given: tuple[tuple[str, str], ...] = ()

    def followed_by(self, other: SourceFile) -> SourceFile:
        """Return this text with another file after it. Spans of this one keep their meaning."""
        start = len(self.text) + 1
        further = ((start + begin, name) for begin, name in other.later)
        later = (*self.later, (start, other.name), *further)
        return SourceFile(self.name, f"{self.text}\n{other.text}", later, self.given)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(start for start, _ in self.later)]

    def _file(self, offset: int) -> int:
        return bisect_right(self._starts, offset) - 1

    def file(self, offset: int) -> str:
        """Return the name of the file that an offset lies in."""
        number = self._file(offset)
        return self.later[number - 1][1] if number > 0 else self.name

    def extent(self, number: int) -> Span:
        """Return where the text of a file stands, counted from 0, without its byte order mark."""
        start = self._starts[number]
        end = self._starts[number + 1] - 1 if number + 1 < len(self._starts) else len(self.text)
        return Span(start + self.text.startswith(MARK, start), end)

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(index + 1 for index, character in enumerate(self.text) if character == "\n")]

    def position(self, offset: int) -> Position:
        """Return the line and column of an offset, in its own file."""
        number = self._file(offset)
        offset = max(offset, self.extent(number).start)
        line = bisect_right(self._line_starts, offset)
        first = bisect_right(self._line_starts, self._starts[number])
        start = max(self._line_starts[line - 1], self.extent(number).start if line == first else 0)
        return Position(line - first + 1, offset - start + 1)

    def line(self, offset: int) -> str:
        """Return the text of the line that holds an offset, without its end."""
        line = bisect_right(self._line_starts, offset)
        start = self._line_starts[line - 1]
        start += start in self._starts and self.text.startswith(MARK, start)
        end = self._line_starts[line] - 1 if line < len(self._line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r")

    def snippet(self, span: tuple[int, int]) -> str:
        """Return the text of a span."""
        return self.text[span[0] : span[1]]


MOST_BYTES = 1 << 20
"""Bytes of a file that are read: more than any rule has, and little enough for what isn't one."""


PATIENCE = 10.0
"""Seconds for which a named pipe may be silent."""


def read(path: Path) -> SourceFile:
    """Return a file under its path. Raises OSError, or ValueError where it isn't UTF-8.

    Of a file without end, such as a device, the beginning is read; it is refused later for its length. A pipe that
    nobody writes into is given up: TimeoutError.
    """
    with open(path, "rb", opener=_open) as file:
        if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            data = _from_pipe(file.fileno(), str(path))
        else:
            os.set_blocking(file.fileno(), True)  # terminals and other devices
            data = file.read(MOST_BYTES)
    return SourceFile(str(path), decode(data, str(path)))


def _open(path: str, flags: int) -> int:
    """Open a file; a pipe without waiting until somebody writes into it, for that may be never."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _from_pipe(pipe: int, name: str) -> bytes:
    """Return what comes through a pipe, until those who write close it."""
    import select  # which files have no need of

    data = b""
    while len(data) < MOST_BYTES:
        if not select.select([pipe], [], [], PATIENCE)[0]:
            raise TimeoutError(errno.ETIMEDOUT, f"a pipe that nobody wrote into for {PATIENCE:g} s", name)
        part = os.read(pipe, MOST_BYTES - len(data))
        if not part:
            break
        data += part
    return data


def decode(data: bytes, name: str) -> str:
    """Return the text in some bytes, with Unix line ends. Raises ValueError where they aren't UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        # Where only the beginning was read, it may end within a character.
        text = decoder.decode(data, final=len(data) < MOST_BYTES)
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}") from None
    return text.removeprefix(MARK).replace("\r\n", "\n")
