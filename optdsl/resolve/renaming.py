"""Surface trees under other names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from optdsl.syntax import ast

Key: TypeAlias = tuple[str, bool]
"""A name in an expression, and whether it has a prime."""


@dataclass(frozen=True)
class Renaming:
    """What names become: those of values, which may lose or gain a prime, and those of functions and aliases."""

    values: Mapping[Key, Key]
    functions: Mapping[str, str]

    def expression(self, node: ast.Expression) -> ast.Expression:
        """Return an expression under the new names."""
        match node:
            case ast.Literal():
                return node
            case ast.Variable(name, primed):
                name, primed = self.values.get((name, primed), (name, primed))
                return replace(node, name=name, primed=primed)
            case ast.Operation(operands=parts):
                return replace(node, operands=tuple(self.expression(part) for part in parts))
            case ast.Call(function, parts):
                called = replace(function, text=self.functions.get(function.text, function.text))
                return replace(node, function=called, arguments=tuple(self.expression(part) for part in parts))
            case ast.Conditional(condition, chosen, other):
                condition, chosen, other = (self.expression(part) for part in (condition, chosen, other))
                return replace(node, condition=condition, chosen=chosen, other=other)

    def name(self, name: ast.Name) -> ast.Name:
        """Return the name of a declaration under its new spelling."""
        return replace(name, text=self.values.get((name.text, False), (name.text, False))[0])

    def equation(self, entry: ast.EquationEntry) -> ast.EquationEntry:
        """Return an equation under the new names."""
        name, primed = self.values.get((entry.name.text, entry.primed), (entry.name.text, entry.primed))
        value = self.expression(entry.value)
        return replace(entry, name=replace(entry.name, text=name), primed=primed, value=value)

    def function(self, entry: ast.DefEntry) -> ast.DefEntry:
        """Return a function under the new names; its arguments hide names, and give way to new ones."""
        new = {name for name, _ in self.values.values()} | {name for name, _ in self.values}
        arguments = {name.text: name.text for name in entry.parameters}
        arguments |= {name: _unlike(name, new | arguments.keys()) for name in arguments if name in new}
        inner = {(before, False): (after, False) for before, after in arguments.items()}
        body = replace(self, values={**self.values, **inner}).expression(entry.body)
        called = replace(entry.name, text=self.functions.get(entry.name.text, entry.name.text))
        parameters = tuple(replace(name, text=arguments[name.text]) for name in entry.parameters)
        return replace(entry, name=called, parameters=parameters, body=body)


def renamed(tree: ast.Rule, names: Renaming) -> ast.Rule:
    """Return a tree whose declarations and equations are under other names; its header and claims stay."""
    return replace(
        tree,
        hypers=[replace(e, name=names.name(e.name), default=names.expression(e.default)) for e in tree.hypers],
        aliases=[
            replace(
                entry,
                name=replace(entry.name, text=names.functions.get(entry.name.text, entry.name.text)),
                members=tuple(names.name(member) for member in entry.members),
            )
            for entry in tree.aliases
        ],
        states=[
            replace(
                entry,
                name=names.name(entry.name),
                init=names.expression(entry.init),
                when=None if entry.when is None else names.expression(entry.when),
            )
            for entry in tree.states
        ],
        defs=[names.function(entry) for entry in tree.defs],
        equations=[names.equation(entry) for entry in tree.equations],
        views=[replace(e, name=names.name(e.name), value=names.expression(e.value)) for e in tree.views],
        made=True,
    )


def names_read(node: ast.Expression) -> set[Key]:
    """Return the names in an expression, those of functions aside."""
    match node:
        case ast.Variable(name, primed):
            return {(name, primed)}
        case ast.Operation(operands=parts) | ast.Call(arguments=parts):
            return {key for part in parts for key in names_read(part)}
        case ast.Conditional(condition, chosen, other):
            return {key for part in (condition, chosen, other) for key in names_read(part)}
        case ast.Literal():
            return set()


def _unlike(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"{name}_"
    return name
