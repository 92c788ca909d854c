"""Surface trees made small, to compare with."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from optdsl.pipeline import Checked, analyse
from optdsl.source import SourceFile
from optdsl.syntax import ast
from optdsl.syntax.parser import parse

RULE = "rule R(x, g)\nhyper\n  lr = 0.1\nupdate\n  x' = x - lr*g\n"
"""A small rule without a mistake."""


def expression(text: str) -> ast.Expression:
    """Return the tree of an expression."""
    tree, problems = parse(SourceFile("case.opt", f"rule R(x, g)\nupdate\n  x' = {text}\n"))
    assert not problems, [problem.message for problem in problems]
    return tree.equations[0].value


def brief(node: ast.Expression) -> str:
    """Return a tree as text with a bracket round every operation."""
    match node:
        case ast.Literal(_, text):
            return text
        case ast.Variable(name, primed):
            return f"{name}'" if primed else name
        case ast.Operation(operator, (operand,)):
            return f"({operator} {brief(operand)})"
        case ast.Operation(operator, operands):
            return f"({f' {operator} '.join(brief(operand) for operand in operands)})"
        case ast.Call(function, arguments):
            return f"{function.text}({', '.join(brief(argument) for argument in arguments)})"
        case ast.Conditional(condition, chosen, other):
            return f"(if {brief(condition)} then {brief(chosen)} else {brief(other)})"


def stripped(node: Any) -> Any:
    """Return a tree without its places and the author's spellings, as nested tuples."""
    if isinstance(node, ast.Literal):
        return ("literal", node.value)
    if is_dataclass(node):
        kept = [field.name for field in fields(node) if field.name not in ("span", "depth")]
        return (type(node).__name__, *(stripped(getattr(node, name)) for name in kept))
    return tuple(stripped(part) for part in node) if isinstance(node, tuple | list) else node


def shape(node: Any) -> Any:
    """Return what all layouts of a rule have in common: its tree without places, with its comments and spellings."""
    match node:
        case ast.Literal(value, text):
            return (value, "" if value == float("inf") else text)
        case ast.Header(name, parameter, gradient, base):
            return shape((name, parameter, gradient, base))  # its doc string, which may stand below, is in the rule's
        case list() | tuple():
            return [shape(part) for part in node]
    if not is_dataclass(node):
        return node
    kept = [field.name for field in fields(node) if field.name not in ("span", "depth", "update")]
    return (type(node).__name__, *(shape(getattr(node, name)) for name in kept))


def analysed(text: str) -> Checked:
    """Return what is known of a text."""
    return analyse(SourceFile("case.opt", text))


def slugs(text: str) -> list[str]:
    """Return the slugs of the findings in a text, in order."""
    return [problem.slug for problem in analysed(text).problems]
