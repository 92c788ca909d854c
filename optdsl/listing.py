"""What `optdsl list` writes: the bundled rules by family."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

from optdsl.catalogue import FAMILIES, FLOAT32, Entry, dialects
from optdsl.diagnostics import closest

NARROWEST, WIDEST = 60, 100
"""Columns of the list, whatever the terminal has."""

OTHERS = "without a family"


def chosen(among: Mapping[str, Entry], word: str, *, forms: bool = False) -> list[Entry]:
    """Return the rules to list: those whose name, class, family or documentation holds a word.

    A library's form of a rule that is listed is named there, and has no place of its own unless `forms`. Raises
    ValueError, which says what may have been meant, where no rule has the word.
    """
    wanted = word.casefold()
    found = [entry for entry in among.values() if wanted in " ".join(_searched(entry)).casefold()]
    if not found:
        words = {part for entry in among.values() for part in (entry.name, *entry.family.split())}
        near = closest(word, sorted(words))
        hint = f"; did you mean {near!r}?" if near else "; `optdsl list` shows them all"
        raise ValueError(f"no bundled rule has {word!r} in its name, family or documentation{hint}")
    named = set() if forms else {name for entry in found for name in dialects(entry, among)}
    return [entry for entry in found if entry.name not in named]


def _searched(entry: Entry) -> tuple[str, ...]:
    return (entry.name, entry.title, entry.family, entry.doc)


def _called(entry: Entry) -> str:
    return entry.stem if entry.transform else entry.name


def by_family(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return rules under their families, known families first and the others in alphabetical order."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.family or OTHERS, []).append(entry)
    order = {family: index for index, family in enumerate(FAMILIES)}
    return dict(sorted(groups.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def state_bytes(entry: Entry) -> str:
    """Return the bytes of state per float32 parameter, and what options add: `8 (+4 amsgrad)`."""
    options = {when.removesuffix(" != 0").removesuffix(" > 0"): size for when, size in entry.optional_bytes().items()}
    more = ", ".join(f"+{size} {when}" for when, size in options.items())
    return f"{entry.bytes_at_defaults()} ({more})" if more else str(entry.bytes_at_defaults())


def text(entries: Sequence[Entry], among: Mapping[str, Entry], width: int, bold: Callable[[str], str] = str) -> str:
    """Return the list for people: a family after the other, for each rule a line of facts and what it does."""
    width = max(NARROWEST, min(width, WIDEST))
    names = max((len(_called(entry)) for entry in entries), default=0) + 2
    sizes = max((len(state_bytes(entry)) for entry in entries), default=0) + 2
    blocks = []
    for family, members in by_family(entries).items():
        lines = [bold(family[:1].upper() + family[1:])]
        for entry in members:
            blanks = " " * (names - len(_called(entry)))
            lines.append(f"  {bold(_called(entry))}{blanks}{state_bytes(entry):<{sizes}}{entry.origin}".rstrip())
            lines += _wrapped(entry.sentence, width)
            forms = ", ".join(dialects(entry, among))
            lines += _wrapped(f"also {forms}", width) if forms else []
        blocks.append("\n".join(lines))
    legend = f"Numbers are bytes of state per float32 parameter, itself {FLOAT32}. `optdsl show NAME` tells more."
    return "\n\n".join([*blocks, "\n".join(_wrapped(legend, width, ""))])


def _wrapped(line: str, width: int, indent: str = "      ") -> list[str]:
    return textwrap.wrap(
        line, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def as_json(entries: Iterable[Entry], among: Mapping[str, Entry]) -> str:
    """Return the list for programs."""
    records = [
        {
            "name": entry.name,
            "class": entry.title,
            "family": entry.family,
            "doc": entry.doc,
            "state": state_bytes(entry),
            "state_bytes": entry.bytes_at_defaults(),
            "optional_state_bytes": entry.optional_bytes(),
            "cites": [list(cite) for cite in entry.cites],
            "made_from": list(entry.parts),
            "dialects": dialects(entry, among),
        }
        for entry in entries
    ]
    return json.dumps(records, indent=2, ensure_ascii=False)
