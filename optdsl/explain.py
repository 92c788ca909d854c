"""The pages behind `optdsl explain`: what a finding means, why it matters, a rule that brings it about and its mend.

A page is `pages/<slug>.md`. It starts with its slug as title and a line `Error: statement.` or `Warning: statement.`
and holds two whole rules, in fenced blocks marked `failing` and `mended`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import cast

from optdsl.diagnostics import Severity, closest

_PAGE = re.compile(
    r"# (?P<slug>[a-z-]+)\n\n(?P<severity>Error|Warning): (?P<statement>[^\n]+)\.\n\n(?P<summary>.*?)\n\n", re.DOTALL
)
_FENCE = re.compile(r"```opt (\w+)\n(.*?)```\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a finding.

    `statement` says in a line what is wrong, without a full stop; `summary` is the paragraph after it; `markdown` is
    the whole page.
    """

    slug: str
    severity: Severity
    statement: str
    summary: str
    markdown: str
    failing: str
    mended: str


@cache
def slugs() -> tuple[str, ...]:
    """Return the slugs that have a page, in alphabetical order."""
    names = (entry.name for entry in files("optdsl").joinpath("pages").iterdir())
    return tuple(sorted(name.removesuffix(".md") for name in names if name.endswith(".md")))


def severity_of(slug: str) -> Severity | None:
    """Return the severity of a finding, None for a slug that there isn't."""
    return page(slug).severity if slug in slugs() else None


@cache
def page(slug: str) -> Page:
    """Return the page of a finding. Raises ValueError, which says what may have been meant, for an unknown slug."""
    if slug not in slugs():
        near = closest(slug.replace("_", "-"), slugs())
        hint = f"did you mean `{near}`?" if near else "`optdsl explain` lists them all"
        raise ValueError(f"there is no finding `{slug}`; {hint}")
    text = files("optdsl").joinpath("pages", f"{slug}.md").read_text(encoding="utf-8")
    head, examples = _PAGE.match(text), dict(_FENCE.findall(text))
    if head is None or head["slug"] != slug or set(examples) != {"failing", "mended"}:
        raise RuntimeError(f"the page of `{slug}` isn't in the form of a page")
    severity = cast(Severity, head["severity"].lower())
    summary = head["summary"].replace("\n", " ")
    return Page(slug, severity, head["statement"], summary, text, examples["failing"], examples["mended"])


def plain(markdown: str) -> str:
    """Return a page as plain text: code indented instead of fenced, the title underlined."""
    title, _, rest = markdown.partition("\n")
    lines, code = [title.removeprefix("# "), "=" * len(title.removeprefix("# "))], False
    for line in rest.rstrip().split("\n"):
        if line.startswith("```"):
            code = not code
        else:
            lines.append(f"    {line}".rstrip() if code else line)
    return "\n".join(lines)
