"""The components of a chain and their names in it.

Each component is a world of its own; in the chain their names must differ. Callers see hyperparameters, aliases and
states, so these keep their names wherever they can.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from optdsl import problems as bad
from optdsl.diagnostics import Problem
from optdsl.syntax import ast


@dataclass(frozen=True)
class Part:
    """A component of a chain with its whole tree, what its names are made from, and whether it is the rule."""

    component: ast.Component
    tree: ast.Rule
    label: str
    steps: bool


@dataclass
class Names:
    """What the names of a component become in the chain, and those of the values that join it to the next.

    `functions` are functions and aliases, which no expression reads. `gradient` is what it makes of its gradient,
    `result` where the rule would take the parameter, and `step` the way there.
    """

    values: dict[str, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    gradient: str = ""
    result: str = ""
    step: str = ""


def parts_of(components: Sequence[ast.Component], trees: Sequence[ast.Rule], steps: Sequence[bool]) -> list[Part]:
    """Return the components of a chain; one that stands in it again is told from the first by a number."""
    labels: list[str] = []
    for component in components:
        labels.append(_fresh(component.name.text.rpartition("/")[2], labels))
    return [Part(*each) for each in zip(components, trees, labels, steps, strict=True)]


def named(header: ast.Header, parts: Sequence[Part]) -> tuple[list[Names], list[Problem]]:
    """Return the names of each component in a chain, and which of the rule's can't stay as they are.

    A name that callers see stays if nothing else in the chain is called so; else a transform's gets the component's
    name in front. What they don't see gives way to what they do.
    """
    arrays = {name.text: name for name in (header.gradient, header.parameter)}
    problems: list[Problem] = [
        bad.DuplicateName(span=arrays[name.text].span, name=name.text, first=name.span, what=what)
        for part in parts if part.steps for name, what in _seen(part.tree) if name.text in arrays
    ]  # fmt: skip
    seen = [[name.text for name, _ in _seen(part.tree)] for part in parts]
    count = Counter(name for names in seen for name in names)
    rule = {name for part in parts if part.steps for name in _unseen(part.tree)} - arrays.keys()
    result = [Names() for _ in parts]
    taken = {*arrays, *rule, *(name for names in seen for name in names if count[name] == 1)}
    taken |= {name for part, names in zip(parts, seen, strict=True) if part.steps for name in names}
    for part, names, own in zip(parts, seen, result, strict=True):
        for name in names:
            plain = part.steps or (count[name] == 1 and name not in rule and name not in arrays)
            own.values[name] = name if plain else _taking(f"{part.label}_{name}", taken)
    for part, own in sorted(zip(parts, result, strict=True), key=lambda pair: not pair[0].steps):
        for name in _unseen(part.tree):
            stays = part.steps and name not in arrays
            free = name if name not in taken else f"{part.label}_{name}"
            own.values[name] = name if stays else _taking(free, taken)
    gradient = header.gradient.text
    for part, own in zip(parts, result, strict=True):
        own.functions = own.values
        own.gradient = _taking(f"{gradient}_{part.label}", taken)
        own.result = _taking(f"{header.parameter.text}_{part.label}", taken)
        own.step = _taking(f"step_{part.label}", taken)
        gradient = "step" if part.steps else gradient
    return result, problems


def _seen(tree: ast.Rule) -> list[tuple[ast.Name, str]]:
    """Return the names of a rule that its callers see, each with what it is."""
    return [
        *((entry.name, "a hyperparameter") for entry in tree.hypers),
        *((entry.name, "an alias") for entry in tree.aliases),
        *((entry.name, "a state") for entry in tree.states),
        *((entry.name, "a view") for entry in tree.views),
    ]


def _unseen(tree: ast.Rule) -> list[str]:
    """Return the names of a rule that its callers don't see."""
    names = [entry.name.text for entry in tree.defs]
    return names + [entry.name.text for entry in tree.equations if not entry.primed]


def _fresh(name: str, taken: Sequence[str] | set[str]) -> str:
    """Return a name, with a number behind it where there is one like it."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}{number}"
    return free


def _taking(name: str, taken: set[str]) -> str:
    """Return a name that is free, and take it."""
    free = _fresh(name, taken)
    taken.add(free)
    return free
