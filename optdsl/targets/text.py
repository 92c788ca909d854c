"""What every printer of code needs: names that can't collide, an indenting writer, quoted equations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from optdsl.ir.nodes import Rule


class Names:
    """Gives each thing an identifier of its own, as near to the author's name as it can be."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self.taken = set(reserved)
        self.given: dict[object, str] = {}

    def of(self, key: object, wanted: str) -> str:
        """Return the identifier of `key`, choosing one like `wanted` the first time."""
        if key not in self.given:
            name, suffix = wanted, 1
            while name in self.taken:
                suffix += 1
                name = f"{wanted}_" if suffix == 2 else f"{wanted}_{suffix}"
            self.taken.add(name)
            self.given[key] = name
        return self.given[key]


class Writer:
    """Lines of code with indentation."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.lines.append("    " * self.depth + text if text else "")

    @contextmanager
    def block(self, opening: str, closing: str = "") -> Iterator[None]:
        """Write lines one level deeper, between two others."""
        self.line(opening)
        self.depth += 1
        yield
        self.depth -= 1
        if closing:
            self.line(closing)

    def text(self) -> str:
        """Return everything written."""
        return "\n".join(self.lines) + "\n"


def one_line(text: str) -> str:
    """Return text on one line, with nothing in it that a reader can't see."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def file_name(path: str) -> str:
    """Return a path without its folders, so that generated text is the same everywhere."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def equation_place(rule: Rule, number: int) -> tuple[str, int]:
    """Return the name of the file and the line that hold an equation."""
    span = rule.equations[number].span
    file, line = rule.place(span[0]) if span is not None else (rule.source, 1)
    return file_name(file), line
