"""Findings about a rule and the one place that renders them.

A finding is a frozen dataclass with typed fields; its class gives the slug and the severity, its properties the words.
In full it looks like this:

    error[undefined-name]: `beta3` is not defined
      --> adam.opt:14:12
       |
    14 |   m' = beta3*m + (1 - beta1)*g
       |        ^^^^^ not a hyperparameter, state or intermediate
       |
       = help: did you mean `beta1`?
"""

from __future__ import annotations

import json
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar, Literal

from optdsl.source import SourceFile

Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True)
class Fix:
    """A replacement of a span that mends a finding."""

    span: tuple[int, int]
    text: str


@dataclass(frozen=True, kw_only=True)
class Note:
    """A second place that belongs to a finding."""

    span: tuple[int, int]
    label: str


@dataclass(frozen=True, kw_only=True)
class Problem(ABC):
    """One finding. Subclasses name the slug and fill the words."""

    slug: ClassVar[str]
    severity: ClassVar[Severity] = "error"
    span: tuple[int, int]

    @property
    @abstractmethod
    def message(self) -> str:
        """What is wrong, in one line."""

    @property
    def label(self) -> str:
        """What to write beside the carets; may be empty."""
        return ""

    @property
    def notes(self) -> tuple[Note, ...]:
        """Other places that matter."""
        return ()

    @property
    def help(self) -> str:
        """How to mend it; may be empty."""
        return ""

    @property
    def fix(self) -> Fix | None:
        """The replacement that mends it, where there is exactly one."""
        return None


class CompileError(Exception):
    """A rule that can't be compiled, with all that was found in it."""

    def __init__(self, source: SourceFile, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n" + render(source, [problem for problem in problems if problem.severity == "error"]))


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate a misspelt name most likely meant, or None."""
    known = sorted(set(candidates))
    folded = {candidate.lower(): candidate for candidate in known}
    if name.lower() in folded:
        return folded[name.lower()]
    matches = get_close_matches(name, known, n=3, cutoff=0.6)
    letters = [match for match in matches if sorted(match.lower()) == sorted(name.lower())]  # two of them swapped
    return next(iter([*letters, *matches]), None)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return findings in the order of their places."""
    return sorted(problems, key=lambda problem: (problem.span, problem.slug, problem.message))


def render(source: SourceFile, problems: Iterable[Problem], color: bool = False) -> str:
    """Return findings in full, with source lines and carets, separated by empty lines."""
    return "\n\n".join(_full(source, problem, _Paint(color)) for problem in in_order(problems))


def render_concise(source: SourceFile, problems: Iterable[Problem]) -> str:
    """Return findings one a line, as `file:line:column: severity[slug]: message`."""
    lines = []
    for problem in in_order(problems):
        line, column = source.position(problem.span[0])
        place = f"{_visible(source.file(problem.span[0]))}:{line}:{column}"
        lines.append(f"{place}: {problem.severity}[{problem.slug}]: {_visible(problem.message)}")
    return "\n".join(lines)


def as_records(source: SourceFile, problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Return findings as JSON objects."""
    records: list[dict[str, object]] = []
    for problem in in_order(problems):
        start, end = source.position(problem.span[0]), source.position(problem.span[1])
        fix = problem.fix
        records.append(
            {
                "slug": problem.slug,
                "severity": problem.severity,
                "message": problem.message,
                "file": source.file(problem.span[0]),
                "line": start.line,
                "column": start.column,
                "end_line": end.line,
                "end_column": end.column,
                "help": problem.help or None,
                "fix": None if fix is None else _fix_record(source, fix),
            }
        )
    return records


def _fix_record(source: SourceFile, fix: Fix) -> dict[str, object]:
    start, end = source.position(fix.span[0]), source.position(fix.span[1])
    return {
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
        "text": fix.text,
    }


def render_json(records: Sequence[dict[str, object]]) -> str:
    """Return records as a JSON list."""
    return json.dumps(list(records), indent=2, ensure_ascii=False)


class _Paint:
    """Terminal colours, or none."""

    CODES: ClassVar[dict[str, str]] = {"error": "1;31", "warning": "1;33", "frame": "1;34", "bold": "1", "help": "1;36"}

    def __init__(self, color: bool) -> None:
        self.color = color

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{self.CODES[style]}m{text}\x1b[0m" if self.color and text else text


def _full(source: SourceFile, problem: Problem, paint: _Paint) -> str:
    home = source.file(problem.span[0])
    places = [(problem.span, problem.label, True), *((note.span, note.label, False) for note in problem.notes)]
    places.sort(key=lambda place: (source.file(place[0][0]) != home, source.position(place[0][0]).line))
    gutter = len(str(max(source.position(span[0]).line for span, _, _ in places)))
    start = source.position(problem.span[0])
    bar = paint("frame", f"{' ' * gutter} |")
    title = paint(problem.severity, f"{problem.severity}[{problem.slug}]") + paint(
        "bold", f": {_visible(problem.message)}"
    )
    arrow = paint("frame", f"{' ' * gutter}-->")
    lines = [title, f"{arrow} {_visible(home)}:{start.line}:{start.column}", bar]
    above, file = 0, home
    for span, label, primary in places:
        place, here = source.position(span[0]), source.file(span[0])
        if here != file:
            lines += [bar, f"{paint('frame', ' ' * gutter + ':::')} {_visible(here)}:{place.line}:{place.column}", bar]
            above, file = 0, here
        if above and place.line > above + 1:
            lines.append(paint("frame", "..."))
        excerpt = _excerpt(source, span, label, primary, problem.severity, gutter, paint)
        lines += excerpt[1:] if place.line == above else excerpt
        above = place.line
    remarks = [("help", problem.help)] if problem.help else []
    if home != source.name:
        remarks.insert(0, ("note", f"{source.name} is made from this rule"))
    for index, (word, text) in enumerate(remarks):
        lines += [bar] if index == 0 else []
        for number, line in enumerate(text.split("\n")):
            lead = f"{paint('frame', ' ' * gutter + ' =')} {paint('help', word)}: "
            lines.append((lead if number == 0 else " " * (gutter + 9)) + _visible(line))
    return "\n".join(line.rstrip() for line in lines)


WIDTH = 160
"""Longest piece of a source line shown, in characters."""


def _excerpt(
    source: SourceFile, span: tuple[int, int], label: str, primary: bool, severity: str, gutter: int, paint: _Paint
) -> list[str]:
    """Return a source line and the carets below it; a span over several lines is marked on its first."""
    start, end = source.position(span[0]), source.position(span[1])
    text = source.line(span[0])
    last = end.column if end.line == start.line else len(text) + 1
    first = max(0, start.column - 1 - WIDTH // 2) if len(text) > WIDTH else 0
    shown = text[first : first + WIDTH]
    lead, tail = "..." if first else "", "..." if first + WIDTH < len(text) else ""
    before = lead + _visible(text[first : start.column - 1])
    marked = _visible(text[start.column - 1 : min(last - 1, first + WIDTH)])
    mark = ("^" if primary else "-") * max(1, _columns(marked))
    pointer = f"{' ' * _columns(before)}{mark} {_visible(label)}".rstrip()
    return [
        f"{paint('frame', f'{start.line:>{gutter}} |')} {lead}{_visible(shown)}{tail}",
        f"{paint('frame', ' ' * gutter + ' |')} {paint(severity if primary else 'frame', pointer)}",
    ]


def _visible(text: str) -> str:
    """Return text safe to print: tabs as spaces, control and direction characters as their escapes."""
    parts = []
    for character in text:
        if character == "\t":
            parts.append("    ")
        elif unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            parts.append(f"\\u{ord(character):04x}")
        else:
            parts.append(character)
    return "".join(parts)


def _columns(text: str) -> int:
    """Return the width of text on a terminal."""
    wide = sum(1 for character in text if unicodedata.east_asian_width(character) in ("W", "F"))
    marks = sum(1 for character in text if unicodedata.category(character) in ("Mn", "Me"))
    return len(text) + wide - marks
