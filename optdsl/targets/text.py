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


def equation_line(rule: Rule, number: int) -> int:
    """Return the line of the rule's file that holds an equation."""
    span = rule.equations[number].span
    return rule.text.count("\n", 0, span[0]) + 1 if span is not None else 1
