"""One rule made from another: `rule AdamW(x, g) from Adam`.

The two surface trees become one before anything is resolved, so that every later stage sees an ordinary rule. What the
rule gives again replaces what its base has; the rest is taken over under the names of the rule's own parameter and
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from optdsl import problems as bad
from optdsl.diagnostics import Problem
from optdsl.ir.nodes import Kind
from optdsl.syntax import ast
from optdsl.syntax.builder import DEEPEST

Entry = TypeVar("Entry")


def inherit(own: ast.Rule, base: ast.Rule) -> tuple[ast.Rule, list[Problem]]:
    """Return a rule with what it takes over from its base, and what can't be taken over."""
    header, base_header = own.header, base.header
    if header is None or base_header is None:
        return own, []
    taken = _taken(own, header, base)
    if taken:
        return replace(own, header=None), taken
    base = _renamed(base, header, base_header)
    old = {(entry.name.text, entry.primed): entry.value for entry in base.equations}
    equations, problems = _with_base(own.equations, old)
    other = other_kinds(own, base)
    hypers = [entry for entry in own.hypers if entry.name.text not in other]
    return ast.Rule(
        header=own.header,
        doc=own.doc or f"{header.name.text}, made from {base_header.name.text}.",
        cites=list(dict.fromkeys([*own.cites, *base.cites])),
        family=own.family or base.family,
        hypers=in_order(merged(base.hypers, hypers, lambda entry: entry.name.text, given_again)),
        aliases=merged(base.aliases, own.aliases, lambda entry: entry.name.text),
        states=merged(base.states, own.states, lambda entry: entry.name.text, _state),
        defs=merged(base.defs, own.defs, lambda entry: entry.name.text),
        equations=merged(base.equations, equations, lambda entry: (entry.name.text, entry.primed)),
        views=merged(base.views, own.views, lambda entry: entry.name.text, _view),
        claims=own.claims,
        comments=[*own.comments, *base.comments],
        update=own.update or base.update,
        broken=own.broken | base.broken,
    ), [*problems, *other.values()]


def _names(rule: ast.Rule) -> list[tuple[ast.Name, str]]:
    """Return the names a rule defines, its arrays aside, each with what it is."""
    return [
        *((entry.name, "a hyperparameter") for entry in rule.hypers),
        *((entry.name, "an alias") for entry in rule.aliases),
        *((entry.name, "a state") for entry in rule.states),
        *((entry.name, "a function") for entry in rule.defs),
        *((entry.name, "an intermediate") for entry in rule.equations if not entry.primed),
        *((entry.name, "a view") for entry in rule.views),
    ]


def _taken(own: ast.Rule, header: ast.Header, base: ast.Rule) -> list[Problem]:
    """Return a finding for each name of the rule that is something else in its base."""
    known = {name.text: (name.span, what) for name, what in reversed(_names(base))}
    used = [(header.parameter, "the parameter"), (header.gradient, "the gradient"), *_names(own)]
    return [
        bad.DuplicateName(span=name.span, name=name.text, first=known[name.text][0], what=known[name.text][1])
        for name, what in used
        if name.text in known and known[name.text][1] != what
    ]


def other_kinds(own: ast.Rule, base: ast.Rule) -> dict[str, Problem]:
    """Return a finding for each number given again as a truth value, and the other way round, by name."""
    known = {entry.name.text: entry.default for entry in base.hypers}
    problems: dict[str, Problem] = {}
    for entry in own.hypers:
        old, new = known.get(entry.name.text), entry.default
        if isinstance(old, ast.Literal) and isinstance(new, ast.Literal):
            kinds = [Kind.BOOLEAN if isinstance(literal.value, bool) else Kind.NUMBER for literal in (new, old)]
            if kinds[0] is not kinds[1]:
                wrong = bad.WrongKind(span=new.span, found=kinds[0], wanted=kinds[1], literal=True)
                problems[entry.name.text] = wrong
    return problems


def merged(
    base: Sequence[Entry], own: Sequence[Entry], key: Callable[[Entry], object],
    joined: Callable[[Entry, Entry], Entry] = lambda old, new: new,
) -> list[Entry]:  # fmt: skip
    """Return entries in the base's order; what is new stands before the next entry that is given again, else last."""
    places = {key(entry): index for index, entry in enumerate(base)}
    given: dict[int, Entry] = {}
    before: dict[int, list[Entry]] = {}
    pending: list[Entry] = []
    for entry in own:
        place = places.get(key(entry))
        if place is None or place in given:
            pending.append(entry)
        else:
            given[place] = joined(base[place], entry)
            before[place], pending = pending, []
    result: list[Entry] = []
    for place, entry in enumerate(base):
        result += [*before.get(place, []), given.get(place, entry)]
    return result + pending


def given_again(old: ast.HyperEntry, new: ast.HyperEntry) -> ast.HyperEntry:
    """Return a hyperparameter given again, which keeps the interval and doc string that it isn't given."""
    return replace(new, interval=new.interval or old.interval, doc=new.doc or old.doc)


def in_order(entries: Sequence[ast.HyperEntry]) -> list[ast.HyperEntry]:
    """Return hyperparameters so that each stands after those its default reads, wherever that is possible."""
    named = {entry.name.text: entry for entry in entries}
    placed: dict[int, ast.HyperEntry] = {}
    begun: set[int] = set()

    def place(entry: ast.HyperEntry) -> None:
        if id(entry) in begun:
            return
        begun.add(id(entry))
        for name in _names_read(entry.default):
            if name in named:
                place(named[name])
        placed[id(entry)] = entry

    for entry in entries:
        place(entry)
    return list(placed.values())


def _names_read(node: ast.Expression) -> list[str]:
    match node:
        case ast.Variable(name):
            return [name]
        case ast.Operation(operands=parts) | ast.Call(arguments=parts):
            return [name for part in parts for name in _names_read(part)]
        case ast.Conditional(condition, chosen, other):
            return [name for part in (condition, chosen, other) for name in _names_read(part)]
        case ast.Literal():
            return []


def _state(old: ast.StateEntry, new: ast.StateEntry) -> ast.StateEntry:
    return replace(new, doc=new.doc or old.doc)


def _view(old: ast.ViewEntry, new: ast.ViewEntry) -> ast.ViewEntry:
    return replace(new, doc=new.doc or old.doc)


def _with_base(
    entries: Sequence[ast.EquationEntry], old: Mapping[tuple[str, bool], ast.Expression]
) -> tuple[list[ast.EquationEntry], list[Problem]]:
    """Return equations in which `base` is the old right-hand side."""
    result: list[ast.EquationEntry] = []
    problems: list[Problem] = []
    for entry in entries:
        before = old.get((entry.name.text, entry.primed))
        value = entry.value if before is None else _changed(entry.value, {"base": before})
        if value.depth > DEEPEST:
            what = f"the equation of `{entry.name.text}` nests too deep once `base` is put in"
            problems.append(bad.TooComplex(span=entry.span, what=what, limit=f"{DEEPEST} operations"))
        else:
            result.append(replace(entry, value=value))
    return result, problems


def _renamed(base: ast.Rule, own: ast.Header, old: ast.Header) -> ast.Rule:
    """Return the base with its parameter and gradient called as the rule calls them."""
    pairs = {old.parameter.text: own.parameter.text, old.gradient.text: own.gradient.text}
    new = {before: after for before, after in pairs.items() if before != after}
    if not new:
        return base

    def expression(node: ast.Expression) -> ast.Expression:
        return _changed(node, {name: ast.Variable(after, False, node.span) for name, after in new.items()})

    def function(entry: ast.DefEntry) -> ast.DefEntry:
        """Rename in a body, in which arguments hide names; one called as the rule calls its arrays gives way."""
        arguments = {name.text: name.text for name in entry.parameters}
        arguments |= {name: f"{name}_" for name in arguments if name in new.values()}
        outer = {before: after for before, after in new.items() if before not in arguments}
        changes = {before: ast.Variable(after, False, entry.body.span) for before, after in (arguments | outer).items()}
        parameters = tuple(replace(name, text=arguments[name.text]) for name in entry.parameters)
        return replace(entry, parameters=parameters, body=_changed(entry.body, changes))

    return replace(
        base,
        hypers=[replace(entry, default=expression(entry.default)) for entry in base.hypers],
        states=[replace(entry, init=expression(entry.init)) for entry in base.states],
        defs=[function(entry) for entry in base.defs],
        equations=[
            replace(entry, name=replace(entry.name, text=new.get(entry.name.text, entry.name.text)),
                    value=expression(entry.value))
            for entry in base.equations
        ],
        views=[replace(entry, value=expression(entry.value)) for entry in base.views],
    )  # fmt: skip


def _changed(node: ast.Expression, changes: Mapping[str, ast.Expression]) -> ast.Expression:
    """Return an expression with names replaced; a name for a name keeps its prime and its place."""
    match node:
        case ast.Literal():
            return node
        case ast.Variable(name, primed):
            new = changes.get(name)
            if isinstance(new, ast.Variable) and name != "base":
                return replace(node, name=new.name)
            return node if new is None or primed else new
        case ast.Operation(operands=parts):
            changed = tuple(_changed(part, changes) for part in parts)
            return replace(node, operands=changed, depth=_depth(changed))
        case ast.Call(arguments=parts):
            changed = tuple(_changed(part, changes) for part in parts)
            return replace(node, arguments=changed, depth=_depth(changed))
        case ast.Conditional(condition, chosen, other):
            changed = tuple(_changed(part, changes) for part in (condition, chosen, other))
            return replace(node, condition=changed[0], chosen=changed[1], other=changed[2], depth=_depth(changed))


def _depth(parts: tuple[ast.Expression, ...]) -> int:
    return 1 + max((part.depth for part in parts), default=0)
