"""Chains of bundled and of own rules, put together in Python."""

from __future__ import annotations

import re
from pathlib import Path

from optdsl.loading import find, load_source
from optdsl.runtime.optimizer import Optimizer
from optdsl.source import SourceFile
from optdsl.syntax.names import is_valid

_NAMED = re.compile(r"(?P<name>[^\W\d]\w*(?:/[^\W\d]\w*)*)\s*(?P<given>\([^\n]*\))?")


def chain(
    *components: str | Path, target: str = "auto", name: str | None = None, exact: bool = False
) -> type[Optimizer]:
    """Return the optimizer class of transforms before and after a rule, compiled into one pass.

    `chain("clip_value", "adam", "ema")` is what `loads("rule ClipValueAdamEma(x, g) = clip_value |> adam |> ema")`
    returns. A component is a bundled name, which may be given defaults as in `"clip_value(limit = 0.5)"`, or the path
    of a `.opt` file. Before the rule, a transform changes the gradient; after it, the step. `name` is that of the
    class. The other arguments, and errors, are those of `load`; ValueError besides for a name that can't be one.
    """
    if not components:
        raise ValueError('a chain needs components, such as chain("clip_value", "adam")')
    words: list[str] = []
    given: dict[str, str] = {}
    for component in components:
        text = str(component)
        named = None if Path(text).is_file() or isinstance(component, Path) else _NAMED.fullmatch(text)
        if named is None:
            words.append(_name_for(find(text), given))
        else:
            find(named["name"])
            words.append(text)
    name = name or "".join(_class_name(re.sub(r"[(\s].*", "", word)) for word in words)
    if not is_valid(name):
        raise ValueError(f"{name!r} can't be the name of a class")
    source = SourceFile("<chain>", f"rule {name}(x, g) = {' |> '.join(words)}\n", given=tuple(given.items()))
    return load_source(source, name.lower(), target, exact)


def _name_for(path: Path, given: dict[str, str]) -> str:
    """Return the name that a file goes by in a chain, and note it; files of one name are told apart by a number."""
    stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    stem = f"_{stem}" if not is_valid(stem) else stem
    free, number = stem, 2
    while given.get(free, str(path)) != str(path):
        free, number = f"{stem}{number}", number + 1
    given[free] = str(path)
    return free


def _class_name(word: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[/_]", word))
