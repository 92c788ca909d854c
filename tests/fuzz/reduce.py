"""Making a rule smaller for as long as the same thing is wrong with it: delta debugging over its surface tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from optdsl.pipeline import analyse
from optdsl.source import SourceFile, Span
from optdsl.syntax import ast
from optdsl.syntax.parser import parse
from optdsl.syntax.printer import ASCII, render

NOWHERE = Span(0, 0)
SMALLEST = tuple(ast.Variable(name, primed=False, span=NOWHERE) for name in ("g", "x"))
NUMBERS = tuple(ast.Literal(Fraction(value), str(value), NOWHERE) for value in (1, 0, 2))
TRUE = ast.Literal(True, "true", NOWHERE)
CONDITIONS = ("<", "<=", ">", ">=", "==", "!=", "and", "or", "not")

Tree = ast.Rule
Entry = Any  # an entry of a section


def shrink(text: str, fails: Callable[[str], bool], tries: int = 400) -> str:
    """Return the smallest rule found that still fails.

    Args:
        text: A rule that fails.
        fails: Whether a rule, which holds no errors, fails as this one does.
        tries: How many rules to ask that of, at most.
    """
    best = text
    seen = {text}
    while True:
        for candidate in _smaller(best):
            if candidate in seen or _size(candidate) >= _size(best):
                continue
            seen.add(candidate)
            if analyse(SourceFile("fuzz.opt", candidate)).errors:
                continue
            tries -= 1
            if fails(candidate):
                best = candidate
                break
            if tries <= 0:
                return best
        else:
            return best


def _size(text: str) -> tuple[int, int, str]:
    """Return what shrinks: lines, then characters; of two as long the first in order of their characters."""
    return text.count("\n"), len(text), text


def _smaller(text: str) -> Iterator[str]:
    """Yield the rules one change away, the boldest changes first."""
    tree, _ = parse(SourceFile("fuzz.opt", text))
    yield from map(written, _without_entries(tree))
    for section in ("equations", "states", "defs", "views", "hypers"):
        for index, entry in enumerate(getattr(tree, section)):
            for changed in _simpler_entries(entry):
                entries = list(getattr(tree, section))
                entries[index] = changed
                yield written(_with(tree, section, entries))


def _with(tree: Tree, section: str, entries: list[Entry]) -> Tree:
    changed: dict[str, Any] = {section: entries}
    return replace(tree, **changed)


def _without_entries(tree: Tree) -> Iterator[Tree]:
    """Yield the tree without one of its names, what read it reading something simple instead."""
    for state in tree.states:
        name = state.name.text
        left = [e for e in tree.equations if e.name.text != name]
        yield from _instead(replace(tree, states=[s for s in tree.states if s is not state], equations=left), name)
    for equation in tree.equations:
        if not equation.primed:
            left = [e for e in tree.equations if e is not equation]
            yield from _instead(replace(tree, equations=left), equation.name.text, equation.value)
    for hyper in tree.hypers:
        left_hypers = [h for h in tree.hypers if h is not hyper]
        yield from _instead(replace(tree, hypers=left_hypers), hyper.name.text, hyper.default)
    for view in tree.views:
        yield replace(tree, views=[v for v in tree.views if v is not view])
    for function in tree.defs:
        yield replace(tree, defs=[d for d in tree.defs if d is not function])


def _instead(tree: Tree, name: str, value: Any = None) -> Iterator[Tree]:
    """Yield the tree with a name's uses replaced."""
    for other in [*([value] if value is not None else []), *NUMBERS, *SMALLEST, TRUE]:
        yield _mapped(tree, partial(_put, name, other))


def _put(name: str, other: Any, node: Any) -> Any:
    """Return a part of an expression, or another in place of a name."""
    return other if isinstance(node, ast.Variable) and node.name == name else node


def _mapped(tree: Tree, change: Callable[[Any], Any]) -> Tree:
    """Return the tree with every part of its expressions changed."""

    def walk(node: Any) -> Any:
        return change(_rebuilt(node, tuple(walk(part) for part in _parts(node))))

    def entry(one: Entry) -> Entry:
        for name, value in _expressions(one):
            one = replace(one, **{name: walk(value)})
        return one

    sections = ("hypers", "states", "defs", "equations", "views")
    changed: dict[str, Any] = {section: [entry(one) for one in getattr(tree, section)] for section in sections}
    return replace(tree, **changed)


def _expressions(entry: Entry) -> list[tuple[str, Any]]:
    """Return the expressions of an entry by the names of its fields."""
    names = ("default", "init", "when", "body", "value")
    return [(name, getattr(entry, name)) for name in names if getattr(entry, name, None) is not None]


def _simpler_entries(entry: Entry) -> Iterator[Entry]:
    """Yield an entry with less in it."""
    for name in ("when", "interval", "type"):
        if getattr(entry, name, None) is not None:
            yield replace(entry, **{name: None})
    for name, value in _expressions(entry):
        if name != "default":
            yield from (replace(entry, **{name: other}) for other in _simpler(value))


def _simpler(node: Any) -> Iterator[Any]:
    """Yield simpler expressions: a part for the whole, a name or a number for it, and so on inside."""
    parts = _parts(node)
    yield from parts
    if parts or isinstance(node, ast.Variable):
        yield from (TRUE,) if _is_condition(node) else (*SMALLEST, *NUMBERS)
    elif isinstance(node, ast.Literal):
        yield from NUMBERS
    for index, part in enumerate(parts):
        for other in _simpler(part):
            yield _rebuilt(node, (*parts[:index], other, *parts[index + 1 :]))
    if isinstance(node, ast.Call) and node.options:
        yield replace(node, options=())


def _is_condition(node: Any) -> bool:
    return isinstance(node, ast.Operation) and node.operator in CONDITIONS


def _parts(node: Any) -> tuple[Any, ...]:
    match node:
        case ast.Operation(operands=parts) | ast.Call(arguments=parts):
            return parts
        case ast.Conditional(condition=condition, chosen=chosen, other=other):
            return condition, chosen, other
    return ()


def _rebuilt(node: Any, parts: tuple[Any, ...]) -> Any:
    match node:
        case ast.Operation():
            return replace(node, operands=parts)
        case ast.Call():
            return replace(node, arguments=parts)
        case ast.Conditional():
            return replace(node, condition=parts[0], chosen=parts[1], other=parts[2])
    return node


def written(tree: Tree) -> str:
    """Return the text of a tree, in the language."""
    lines = ["rule Fuzz(x, g)"]
    if tree.hypers:
        lines += ["hyper", *(f"  {h.name.text} = {render(h.default, ASCII)}{_interval(h)}" for h in tree.hypers)]
    if tree.states:
        lines += ["state", *(f"  {_state(state)}" for state in tree.states)]
    for function in tree.defs:
        arguments = ", ".join(name.text for name in function.parameters)
        lines.append(f"def {function.name.text}({arguments}) = {render(function.body, ASCII)}")
    lines += ["update", *(f"  {e.name.text}{_prime(e)} = {render(e.value, ASCII)}" for e in tree.equations)]
    lines += [f"view {view.name.text} = {render(view.value, ASCII)}" for view in tree.views]
    return "\n".join(lines) + "\n"


def _prime(equation: ast.EquationEntry) -> str:
    return "'" if equation.primed else ""


def _interval(hyper: ast.HyperEntry) -> str:
    node = hyper.interval
    if node is None:
        return ""
    low, high = render(node.low, ASCII), render(node.high, ASCII)
    return f" in {'[' if node.low_closed else '('}{low}, {high}{']' if node.high_closed else ')'}"


def _state(state: ast.StateEntry) -> str:
    of = f": {state.type.text}" if state.type else ""
    when = f" when {render(state.when, ASCII)}" if state.when else ""
    return f"{state.name.text}{of} = {render(state.init, ASCII)}{when}"
