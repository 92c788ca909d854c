"""Small faults in the text of C: each changes one token, or leaves a statement out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .python_faults import Fault

CHANGES = tuple(
    (re.compile(pattern), other)
    for pattern, other in (
        (r"(?<![<-])<(?![<=])", "<="), (r"<=", "<"), (r"(?<![->])>(?![>=])", ">="), (r">=", ">"), (r"==", "!="),
        (r"!=", "=="), (r"&&", "||"), (r"\|\|", "&&"), (r" \+ ", " - "), (r" - ", " + "), (r" \* (?=\w)", " + "),
        (r" / ", " * "), (r" % ", " / "), (r" \+= ", " -= "), (r"\b0\.0\b", "1.0"), (r"(?<![\w.])0(?![\w.])", "1"),
        (r"(?<![\w.])1(?![\w.])", "2"), (r"-INFINITY", "0.0"),
        (r"^\s+(?:[\w>.-]+(?:\[[^]]*\])? [-+*|]?= [^;{}]*|\w+\([^;{}]*\)|continue|return);$", ""),
    )
)  # fmt: skip
"""What is looked for in a line, and what takes its place."""

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_OPENING = re.compile(r"^(?:static|int|enum|typedef)\b.*?(\w+)\(")


def faults(text: str) -> Iterator[Fault]:
    """Yield every fault of a C file, comments and what is included left alone."""
    number, function = 0, "the sizes"
    for place, line in enumerate(_without_comments(text).split("\n"), 1):
        opening = _OPENING.match(line)
        function = opening[1] if opening else function
        if line.startswith(("#", "typedef")):
            continue
        for pattern, other in CHANGES:
            for found in pattern.finditer(line):
                after = line[: found.start()] + other + line[found.end() :]
                yield Fault(number, function, place, " ".join(line.split()), " ".join(after.split()))
                number += 1


def with_fault(text: str, fault: Fault) -> str:
    """Return a C file with one of its faults."""
    lines = _without_comments(text).split("\n")
    for candidate in faults(text):
        if candidate.number == fault.number:
            lines[candidate.line - 1] = candidate.after
            return "\n".join(lines)
    raise ValueError(f"there is no fault {fault.number}")


def _without_comments(text: str) -> str:
    """Return a C file with empty lines for its comments, but for those that divide it."""
    return _COMMENT.sub(lambda found: found[0] if "----" in found[0] else re.sub(r"[^\n]+", "", found[0]), text)
