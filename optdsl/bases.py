"""Finding the rules that other rules name: `from Adam`, `from flux/Momentum`, `equals Adam`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from optdsl import bundled
from optdsl.source import SourceFile, read

LONGEST_CHAIN = 16
"""Rules made one from another."""
MOST_FILES = 64
"""Files that one rule is made of."""

_PATH = r"\w+(?:\s*[/÷]\s*\w+)*"
_FROM = re.compile(rf"\bfrom\s+({_PATH})")
_HEADER = re.compile(r"^rule\b[^=\n]*=(.*?)(?:^(?:hyper|claim|view)\b|\Z)", re.MULTILINE | re.DOTALL)
_COMPONENT = re.compile(rf"(?:^|\|>)\s*({_PATH})")

Given = Sequence[tuple[str, str]]
"""Names with the files that they stand for, whatever lies beside the file that asks."""


def find(name: str, asking: str, given: Given = (), component: bool = False) -> SourceFile | None:
    """Return the file of a rule that another names, or None where there is none.

    `Adam` is `adam.opt`: beside the file that asks, else among the bundled rules and transforms, for a component of a
    chain the other way round. A file never means itself, so that a file `adam.opt` can hold a rule made from the
    bundled Adam. `flux/Adam` lies in a folder, which is beside the file that asks or bundled.

    Raises OSError for a file that can't be read and ValueError for one that isn't UTF-8.
    """
    own = Path(asking)
    candidates = [Path(path) for known, path in given if known == name]
    candidates += [own.parent / _file(name)] if own.is_file() else []
    bundle = [bundled.path(name.lower())]
    bundle = [bundled.path(f"{bundled.TRANSFORMS}{name.lower()}"), *bundle] if component else bundle
    for path in (*candidates, *(path for path in bundle if path is not None)):
        if path.is_file() and not (own.is_file() and path.samefile(own)):
            return read(path)
    return None


def is_itself(name: str, asking: str) -> bool:
    """Return whether a name is that of the file that asks, which doesn't count."""
    return Path(asking).name == _file(name) or bundled.name_of(asking) == name.lower()


def names(asking: str, folders: bool = False) -> list[str]:
    """Return the names of the rules that `find` finds, for suggestions; with `folders` of those in folders."""
    own = Path(asking)
    beside = sorted(own.parent.glob("*/*.opt" if folders else "*.opt")) if own.is_file() else []
    transforms = [] if folders else [f"{bundled.TRANSFORMS}{name}" for name in bundled.transforms()]
    inside = [*transforms, *(name for name in bundled.names() if ("/" in name) == folders)]
    others = [path for path in beside if not path.samefile(own)]
    files = [*others, *(bundled.folder() / f"{name}.opt" for name in inside)]
    found: dict[str, str] = {}
    for path in files:
        try:
            header = re.search(r"^rule[ \t]+(\w+)", read(path).text, re.MULTILINE)
        except (OSError, ValueError):
            continue  # nothing to suggest
        if header:
            prefix = f"{path.parent.name}/" if folders else ""
            title = header[1] if header[1].lower() == path.stem else path.stem
            found.setdefault(f"{prefix}{path.stem}", f"{prefix}{title}")
    return list(found.values())


def _file(name: str) -> str:
    """Return the file that a name means: folders as they are written, the rule in lower case."""
    folder, slash, stem = name.rpartition("/")
    return f"{folder}{slash}{stem.lower()}.opt"


def texts(source: SourceFile) -> list[str]:
    """Return the texts of every rule that a rule may be made from, without parsing any: what its code depends on."""
    found: dict[str, str] = {}
    waiting = [source]
    while waiting and len(found) <= MOST_FILES:
        asking = waiting.pop()
        named = [(_joined(name), False) for name in _FROM.findall(asking.text)]
        named += [(name, True) for name in _components(asking.text)]
        if named:
            from optdsl.syntax.names import spell  # which a rule that names no other has no need of
        for name, component in dict.fromkeys(named):
            try:
                base = find(spell(name), asking.name, asking.given, component)
            except (OSError, ValueError):
                continue  # the compiler says what is wrong with it
            if base is not None and base.name not in found:
                found[base.name] = base.text
                waiting.append(base)
        namesake = bundled.namesake(asking.name)
        if namesake is not None and str(namesake) not in found:
            found[str(namesake)] = namesake.read_text(encoding="utf-8")  # which it may have its family from
    return list(found.values())


def _components(text: str) -> list[str]:
    """Return the names of the components of a chain, and perhaps some more."""
    header = _HEADER.search(re.sub(r"#[^\n]*", "", text))
    names = _COMPONENT.findall(header[1]) if header else []
    return [_joined(name) for name in names]


def _joined(path: str) -> str:
    """Return a path as the parser does, without blanks and with one sign between its names."""
    return re.sub(r"\s*[/÷]\s*", "/", path)
