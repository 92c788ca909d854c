"""Comments that silence warnings: `# allow: SLUG, SLUG  reason`.

Such a comment counts for the entry whose line it stands on, and on a line of its own for the entry below it. One that
silences nothing is a finding itself, so that none stays behind to hide the next mistake.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from optdsl import explain
from optdsl.diagnostics import Fix, Problem, Severity, closest
from optdsl.source import SourceFile, Span
from optdsl.syntax import ast
from optdsl.syntax.layout import logical_lines

_ALLOW = re.compile(r"#+[ \t]*allow[ \t]*:")
_SLUG = re.compile(r"[ \t]*(?P<slug>[\w-]*\w)(?P<comma>[ \t]*,)?")

Why = Literal["idle", "unknown", "error", "empty"]


@dataclass(frozen=True, kw_only=True)
class UnusedAllow(Problem):
    """A comment that silences nothing, for one of the slugs it names."""

    slug: ClassVar[str] = "unused-allow"
    severity: ClassVar[Severity] = "warning"
    named: str
    why: Why
    suggestion: str | None = None
    removal: tuple[int, int] | None = None

    @property
    def message(self) -> str:
        match self.why:
            case "idle":
                return f"`allow: {self.named}` silences nothing"
            case "unknown":
                return f"there is no finding `{self.named}` to allow"
            case "error":
                return f"`{self.named}` is an error, and errors can't be silenced"
            case "empty":
                return "`allow:` names no finding"

    @property
    def label(self) -> str:
        return "no such warning in this entry" if self.why == "idle" else ""

    @property
    def help(self) -> str:
        match self.why:
            case "idle":
                return "remove it, or move it to the entry where the warning is"
            case "unknown" if self.suggestion:
                return f"did you mean `{self.suggestion}`?"
            case "unknown" | "empty":
                return "write `# allow: SLUG, SLUG  reason`; `optdsl explain` lists the slugs"
            case "error":
                return f"mend it; `optdsl explain {self.named}` shows how"

    @property
    def fix(self) -> Fix | None:
        if self.suggestion is not None:
            return Fix(span=self.span, text=self.suggestion)
        return None if self.removal is None else Fix(span=self.removal, text="")


@dataclass(frozen=True, slots=True)
class _Allow:
    """One slug in a comment, where it stands, what to take out to remove it, and the entry it counts for."""

    slug: str
    span: Span
    removal: Span
    entry: Span


def apply(
    source: SourceFile, tree: ast.Rule, problems: Sequence[Problem], unasked: Collection[str] = ()
) -> list[Problem]:
    """Return the findings that no comment silences, and a finding for each comment that silences none.

    `tree` has the comments of every file in `source`; only those of the first are reported. Where there are errors the
    rule was not checked to the end, so a comment that seems to silence nothing is let be; so is one for a slug of
    `unasked`, which nobody looked for.
    """
    found = [comment for comment in tree.comments if _ALLOW.match(comment.text)]
    if not found:
        return list(problems)
    entries = _entries(source)
    allows = [allow for comment in found for allow in _allows(source, entries, comment)]
    header = tree.header.span.start if tree.header is not None else -1
    end = source.extent(0).end

    def silences(allow: _Allow, problem: Problem) -> bool:
        """One at `rule NAME(x, g) from BASE` counts for all that was taken over."""
        there = allow.entry.start <= problem.span[0] <= allow.entry.end
        taken = allow.entry.start <= header <= allow.entry.end and problem.span[0] > end
        return problem.severity == "warning" and problem.slug == allow.slug and (there or taken)

    kept = [problem for problem in problems if not any(silences(allow, problem) for allow in allows)]
    if any(problem.slug == "syntax" for problem in problems):
        return kept
    failed = any(problem.severity == "error" for problem in problems)
    for allow in allows:
        finding = _finding(allow)
        used = any(silences(allow, problem) for problem in problems)
        here = allow.span.start <= end
        idle = finding.why == "idle" and (failed or allow.slug in unasked)
        if here and not used and not idle:
            kept.append(finding)
    return kept


def _finding(allow: _Allow) -> UnusedAllow:
    """Return what is wrong with an allow that silenced nothing."""
    severity = explain.severity_of(allow.slug)
    if severity == "warning":
        return UnusedAllow(span=allow.span, named=allow.slug, why="idle", removal=allow.removal)
    if severity == "error":
        return UnusedAllow(span=allow.span, named=allow.slug, why="error", removal=allow.removal)
    if not allow.slug:
        return UnusedAllow(span=allow.span, named="", why="empty", removal=allow.removal)
    warnings = [slug for slug in explain.slugs() if explain.severity_of(slug) == "warning"]
    near = closest(allow.slug.replace("_", "-"), warnings)
    return UnusedAllow(span=allow.span, named=allow.slug, why="unknown", suggestion=near)


def _entries(source: SourceFile) -> list[list[Span]]:
    """Return the places of the entries of each file, in order."""
    return [[line.span for line in logical_lines(source, number)] for number in range(len(source.later) + 1)]


def _entry(source: SourceFile, entries: list[list[Span]], comment: Span) -> Span:
    """Return the place of the entry that a comment counts for: on its lines, else the next of that file, else none."""
    number = sum(start <= comment.start for start, _ in source.later)
    for entry in entries[number]:
        line_end = source.text.find("\n", entry.end)
        if comment.start < line_end or line_end < 0:
            return entry
    return Span(comment.start, comment.start)


def _allows(source: SourceFile, entries: list[list[Span]], comment: ast.Comment) -> Iterator[_Allow]:
    """Yield the slugs that a comment names; one without a name if it is an `allow:` that names none."""
    opening = _ALLOW.match(comment.text)
    end = opening.end() if opening else 0
    found = []
    while match := _SLUG.match(comment.text, end):
        found.append(match)
        end = match.end()
        if match["comma"] is None:
            break
    start, entry = comment.span.start, _entry(source, entries, comment.span)
    blanks = len(source.text[:start]) - len(source.text[:start].rstrip(" \t"))
    whole = Span(start - blanks, comment.span.end)
    if not found:
        yield _Allow("", Span(start, start + end), whole, entry)
    for number, match in enumerate(found):
        place = Span(start + match.start("slug"), start + match.end("slug"))
        removal = whole
        if number > 0:
            removal = Span(start + found[number - 1].end("slug"), place.end)
        elif len(found) > 1:
            removal = Span(place.start, start + found[1].start("slug"))
        yield _Allow(match["slug"], place, removal, entry)
