"""Rules made of others in a row: `rule R(x, g) = clip_value |> adam |> ema`.

A transform is a file that gives the gradient a new value and the parameter none. The surface trees of a chain become
one before anything is resolved, as those of `from` do, so that every later stage sees an ordinary rule. Before the rule
that steps, the new gradient of one component is the gradient of the next. After it, the gradient of a component is the
step that was made, `x - x'`, and its new gradient the step to make instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from optdsl import problems as bad
from optdsl.diagnostics import Problem, closest
from optdsl.resolve.components import Names, Part, named, parts_of
from optdsl.resolve.inherit import given_again, in_order, merged, other_kinds
from optdsl.resolve.renaming import Key, Renaming, names_read, renamed
from optdsl.source import Span
from optdsl.syntax import ast


def steps(tree: ast.Rule) -> bool:
    """Return whether a tree has an equation for the new value of its parameter."""
    return tree.header is not None and _defines(tree, tree.header.parameter)


def changes_gradient(tree: ast.Rule) -> bool:
    """Return whether a tree has an equation for the new value of its gradient."""
    return tree.header is not None and _defines(tree, tree.header.gradient)


def _defines(tree: ast.Rule, name: ast.Name) -> bool:
    return any(entry.primed and entry.name.text == name.text for entry in tree.equations)


def is_transform(tree: ast.Rule) -> bool:
    """Return whether a tree is a transform: it changes the gradient, or watches the parameter, and makes no step.

    One that only watches reads the parameter after the step. A rule whose author forgot its step is none.
    """
    if tree.header is None or steps(tree) or tree.header.parameter.text in tree.broken:
        return False
    after = (tree.header.parameter.text, True)
    values = [*(entry.value for entry in tree.equations), *(entry.body for entry in tree.defs)]
    return changes_gradient(tree) or (bool(tree.states) and any(after in names_read(value) for value in values))


def closed(tree: ast.Rule) -> ast.Rule:
    """Return a transform as a rule that steps by its new gradient, `x' = x - g'`, so that it can be looked at."""
    header = tree.header
    assert header is not None
    parameter, gradient = header.parameter.text, header.gradient.text
    after = (f"{gradient}'", False) if changes_gradient(tree) else (gradient, False)
    tree = renamed(tree, Renaming({(gradient, True): after}, {}))
    place = next((entry.span for entry in tree.equations if entry.name.text == after[0]), header.span)
    step = _equation((parameter, True), _difference((parameter, False), after, place))
    return replace(tree, equations=[*tree.equations, step])


def joined(own: ast.Rule, trees: Sequence[ast.Rule]) -> tuple[ast.Rule, list[Problem]]:
    """Return a chain with what it takes from its components, and what is wrong.

    `trees` are the whole trees of its components, in order. Where they can't be put together, the tree that comes back
    has no header.
    """
    header = own.header
    assert header is not None
    parts = parts_of(header.components, trees, [steps(tree) for tree in trees])
    ruling = [part.component for part in parts if part.steps]
    if len(ruling) > 1:
        first, second = ruling[:2]
        twice = bad.BadChain(span=second.span, name=second.name.text, first=first.span, other=first.name.text)
        return replace(own, header=None), [twice]
    names, problems = named(header, parts)
    if problems:
        return replace(own, header=None), problems
    problems = [problem for part in parts for problem in _wrongly_given(part)]
    if problems:
        parts = [replace(part, component=replace(part.component, given=())) for part in parts]
    whole, wrong = _with_own(own, header, _threaded(header, parts, names))
    family = own.family or next((part.tree.family for part in parts if part.steps), None)
    return replace(whole, family=family), [*problems, *wrong]


def _wrongly_given(part: Part) -> Iterator[Problem]:
    """Yield what is wrong with the defaults that a component is given."""
    known = [entry.name.text for entry in part.tree.hypers]
    first: dict[str, Span] = {}
    for given in part.component.given:
        name, place = given.name.text, given.name.span
        if name not in known:
            wanted = f"a hyperparameter of `{part.component.name.text}`"
            mend = f"it has {', '.join(f'`{each}`' for each in known)}" if known else "it has none"
            near = closest(name, known)
            yield bad.UndefinedName(span=place, name=name, wanted=wanted, suggestion=near, mend=mend)
        elif name in first:
            yield bad.DuplicateName(span=place, name=name, first=first[name], what="a default")
        first.setdefault(name, place)
    entries = [_hyper(given) for given in part.component.given]
    yield from other_kinds(ast.Rule(hypers=entries), part.tree).values()


def _hyper(given: ast.Given) -> ast.HyperEntry:
    return ast.HyperEntry(given.name, given.value, None, "", given.span)


def _threaded(header: ast.Header, parts: Sequence[Part], names: Sequence[Names]) -> list[ast.Rule]:
    """Return the components under their names in the chain, each reading what the one before it made.

    The equations that join components stand in the one before.
    """
    old, new = (header.parameter.text, False), (header.parameter.text, True)
    gradient: Key = (header.gradient.text, False)
    last = max((number for number, part in enumerate(parts) if changes_gradient(part.tree)), default=-1)
    ruling = next((number for number, part in enumerate(parts) if part.steps), len(parts))
    result = []
    for number, (part, own) in enumerate(zip(parts, names, strict=True)):
        result_of_step = (own.result, False) if part.steps and number < last else new
        tree = renamed(part.tree, _renaming(part, own, old, result_of_step, gradient))
        equations, place = tree.equations, part.component.span
        if part.steps:
            gradient = (own.step, False)
            if any(_reads_gradient(later.tree) for later in parts[number + 1 :]):
                equations = [*equations, _equation(gradient, _difference(old, result_of_step, place))]
        elif changes_gradient(part.tree):
            gradient = (own.gradient, False)
        if number == last and number > ruling:
            equations = [*equations, _equation(new, _difference(old, gradient, place))]
        if number == last and ruling == len(parts):
            changed = ast.Variable(*gradient, place)
            equations = [*equations, _equation((header.gradient.text, True), changed)]
        result.append(replace(tree, hypers=_hypers(part, tree), equations=equations))
    return result


def _renaming(part: Part, own: Names, old: Key, new: Key, gradient: Key) -> Renaming:
    """Return what the names of a component become; `new` is the parameter after its step, `gradient` its gradient."""
    header = part.tree.header
    assert header is not None
    values = {(name, primed): (after, primed) for name, after in own.values.items() for primed in (False, True)}
    values[header.parameter.text, False] = old
    values[header.parameter.text, True] = new
    values[header.gradient.text, False] = gradient
    values[header.gradient.text, True] = (own.gradient, False)
    return Renaming(values, own.functions)


def _reads_gradient(tree: ast.Rule) -> bool:
    header = tree.header
    values = [*(entry.value for entry in tree.equations), *(entry.body for entry in tree.defs)]
    return header is not None and any((header.gradient.text, False) in names_read(value) for value in values)


def _hypers(part: Part, tree: ast.Rule) -> list[ast.HyperEntry]:
    """Return the hyperparameters of a component, renamed in `tree`, with the defaults it is given in the chain."""
    given = {each.name.text: each.value for each in part.component.given}
    return [
        replace(after, default=given.get(before.name.text, after.default))
        for before, after in zip(part.tree.hypers, tree.hypers, strict=True)
    ]


def _with_own(own: ast.Rule, header: ast.Header, trees: Sequence[ast.Rule]) -> tuple[ast.Rule, list[Problem]]:
    """Return the tree of a chain: what its components have, and what it says of them itself."""
    hypers = [entry for tree in trees for entry in tree.hypers]
    problems: list[Problem] = []
    known = [entry.name.text for entry in hypers]
    for entry in own.hypers:
        if entry.name.text not in known:
            mend = "a chain gives the hyperparameters of its components again" + (
                f": {', '.join(f'`{name}`' for name in known)}" if known else ", and these have none"
            )
            near = closest(entry.name.text, known)
            problems.append(bad.UndefinedName(
                span=entry.name.span, name=entry.name.text, wanted="a hyperparameter of this chain", suggestion=near,
                mend=mend,
            ))  # fmt: skip
    other = other_kinds(own, ast.Rule(hypers=hypers))
    again = [entry for entry in own.hypers if entry.name.text in known and entry.name.text not in other]
    words = ", then ".join(component.name.text for component in header.components)
    return ast.Rule(
        header=header,
        doc=own.doc or f"{header.name.text}: {words}.",
        cites=list(dict.fromkeys(cite for tree in (own, *trees) for cite in tree.cites)),
        family=own.family,
        hypers=in_order(merged(hypers, again, lambda entry: entry.name.text, given_again)),
        aliases=[*(entry for tree in trees for entry in tree.aliases), *own.aliases],
        states=[entry for tree in trees for entry in tree.states],
        defs=[entry for tree in trees for entry in tree.defs],
        equations=[entry for tree in trees for entry in tree.equations],
        views=[*(entry for tree in trees for entry in tree.views), *own.views],
        claims=own.claims,
        comments=list(dict.fromkeys(comment for tree in (own, *trees) for comment in tree.comments)),
        update=header.span,
        broken=set(own.broken),
        made=True,
    ), [*problems, *other.values()]


def _equation(name: Key, value: ast.Expression) -> ast.EquationEntry:
    return ast.EquationEntry(ast.Name(name[0], value.span), name[1], value, value.span)


def _difference(first: Key, second: Key, span: Span) -> ast.Operation:
    return ast.Operation("-", (ast.Variable(*first, span), ast.Variable(*second, span)), span, 2)
