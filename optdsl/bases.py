"""Finding the rules that other rules name: `from Adam`, `equals Adam`."""

from __future__ import annotations

import re
from pathlib import Path

from optdsl import bundled
from optdsl.source import SourceFile, read
from optdsl.syntax.names import spell

LONGEST_CHAIN = 16
"""Rules made one from another."""

_FROM = re.compile(r"\bfrom\s+(\w+)")


def find(name: str, asking: str) -> SourceFile | None:
    """Return the file of a rule that another names, or None where there is none.

    `Adam` is `adam.opt`: beside the file that asks, else among the bundled rules. A file never means itself, so that
    a file `adam.opt` can hold a rule made from the bundled Adam.

    Raises OSError for a file that can't be read and ValueError for one that isn't UTF-8.
    """
    own = Path(asking)
    candidates = [own.parent / f"{name.lower()}.opt"] if own.is_file() else []
    bundle = bundled.path(name.lower())
    for path in (*candidates, *([bundle] if bundle is not None else [])):
        if path.is_file() and not (own.is_file() and path.samefile(own)):
            return read(path)
    return None


def is_itself(name: str, asking: str) -> bool:
    """Return whether a name is that of the file that asks, which doesn't count."""
    return Path(asking).name == f"{name.lower()}.opt"


def names(asking: str) -> list[str]:
    """Return the names of the rules that `find` finds, for suggestions."""
    own = Path(asking)
    beside = [path for path in sorted(own.parent.glob("*.opt")) if not path.samefile(own)] if own.is_file() else []
    files = [*beside, *(bundled.folder() / f"{name}.opt" for name in bundled.names() if "/" not in name)]
    found: dict[str, str] = {}
    for path in files:
        try:
            header = re.search(r"^rule[ \t]+(\w+)", read(path).text, re.MULTILINE)
        except (OSError, ValueError):
            continue  # nothing to suggest
        if header and header[1].lower() == path.stem:
            found.setdefault(path.stem, header[1])
    return list(found.values())


def texts(source: SourceFile) -> list[str]:
    """Return the texts of every rule that a rule may be made from, without parsing any: what its code depends on."""
    found: dict[str, str] = {}
    waiting = [source]
    while waiting and len(found) <= LONGEST_CHAIN:
        asking = waiting.pop()
        for name in dict.fromkeys(_FROM.findall(asking.text)):
            try:
                base = find(spell(name), asking.name)
            except (OSError, ValueError):
                continue  # the compiler says what is wrong with it
            if base is not None and base.name not in found:
                found[base.name] = base.text
                waiting.append(base)
    return list(found.values())
