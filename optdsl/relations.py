"""How a rule is related to the bundled ones: what it is made from, what it equals, its dialects in libraries.

Every relation is read from a rule's file: its `from`, the components of a chain, a claim `equals`, or its folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from optdsl import bundled
from optdsl.catalogue import Entry, dialects, entries
from optdsl.ir.claims import Equals
from optdsl.ir.nodes import Rule
from optdsl.syntax import ast

KINDS = ("made-from", "dialect-of", "equals", "equalled-by", "base-of", "dialect")
"""Kinds of relations, in the order they are told."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation to another rule.

    `rule` is its bundled name, or what the file calls it where it isn't bundled; `shown` what to call it. `claim` is
    the rest of a claim `equals`: `when weight_decay = 0`.
    """

    kind: str
    rule: str
    shown: str
    claim: str = ""

    def record(self) -> dict[str, str]:
        """Return the relation as a mapping, for JSON."""
        return {"kind": self.kind, "rule": self.rule} | ({"claim": self.claim} if self.claim else {})


def of_rule(tree: ast.Rule, rule: Rule) -> list[Relation]:
    """Return the relations of a rule, of any file; `tree` is what it says, whole.

    Only of a bundled rule is it known who is related to it.
    """
    name = bundled.name_of(rule.source)
    if name is not None:
        among = entries()
        return relations(among[name], among)
    header = tree.header
    parts = [] if header is None else [header.base, *(component.name for component in header.components)]
    found = [Relation("made-from", part.text, part.text) for part in parts if part is not None]
    for claim in rule.claims:
        if isinstance(claim, Equals):
            rest = claim.text.split(None, 2)[2:]
            found.append(Relation("equals", claim.other, claim.other, *rest))
    return found


def relations(entry: Entry, among: Mapping[str, Entry]) -> list[Relation]:
    """Return the relations of a bundled rule, by kind, those to rules of its own making first."""
    return sorted(_relations(entry, among), key=lambda relation: KINDS.index(relation.kind))


def _relations(entry: Entry, among: Mapping[str, Entry]) -> Iterator[Relation]:
    for part in entry.parts:
        yield _to("made-from", part, among)
    for claim in entry.claims:
        yield _to("equals", claim.other, among, claim.rest)
    for other in among.values():
        yield from (_to("equalled-by", other.name, among, c.rest) for c in other.claims if c.other == entry.name)
        if entry.name in other.parts and not other.dialect:
            yield _to("base-of", other.name, among)
    yield from (_to("dialect", name, among) for name in dialects(entry, among))
    if entry.dialect:
        mains = [name for name in dict.fromkeys([entry.stem, *entry.parts]) if name in among and "/" not in name]
        yield from (_to("dialect-of", name, among) for name in mains)


def _to(kind: str, name: str, among: Mapping[str, Entry], claim: str = "") -> Relation:
    return Relation(kind, name, among[name].shown if name in among else name, claim)


def sentences(related: Sequence[Relation], chained: bool = False) -> list[str]:
    """Return relations in words, a line each: those of a kind that says nothing more are told in one."""
    lines = []
    for kind in KINDS:
        group = [relation for relation in related if relation.kind == kind]
        names = list(dict.fromkeys(relation.shown for relation in group))
        if not group:
            continue
        match kind:
            case "made-from":
                lines.append(f"a chain of {', '.join(names)}" if chained else f"made from {listed(names)}")
            case "dialect-of":
                lines.append(f"a library's form of {listed(names)}")
            case "equals":
                lines += [f"equals {relation.shown} {relation.claim}".rstrip() for relation in group]
            case "equalled-by":
                lines += [f"{relation.shown} equals it {relation.claim}".rstrip() for relation in group]
            case "base-of":
                lines.append(f"{listed(names)} {'is' if len(names) == 1 else 'are'} made from it")
            case "dialect":
                lines.append(f"libraries' forms: {', '.join(names)}")
    return lines


def listed(names: Sequence[str]) -> str:
    """Return names as they are listed in a sentence: `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
