"""The ASCII rendering of expressions is the language itself."""

from __future__ import annotations

import pytest

from optdsl.source import SourceFile
from optdsl.syntax import ast
from optdsl.syntax.parser import parse
from optdsl.syntax.printer import ASCII, render


def value_of(text: str) -> ast.Expression:
    tree, problems = parse(SourceFile("r.opt", f"rule R(x, g)\nupdate\n  x' = {text}\n"))
    assert problems == []
    return tree.equations[0].value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a-(b-c)-d", "a - (b - c) - d"),
        ("(a+b)*c/(d*e)", "(a + b)*c/(d*e)"),
        ("-a^-b^c", "-a^-b^c"),
        ("(-a)^2", "(-a)^2"),
        ("x*(-y)", "x*-y"),
        ("if a<b and not (c or d) then m' else (if a>=1e-3 then inf else 2)", None),
        ("1 + (if true then a else b)", "1 + (if true then a else b)"),
        ("a+norm( g/2 ,axes = rest )*f(k=2*b)", "a + norm(g/2, axes=rest)*f(k=2*b)"),
        ("√β₁·ema(m, g², 0.90)", "sqrt(beta1)*ema(m, g^2, 0.90)"),
    ],
)
def test_it_reads_back_as_the_same_tree(text: str, expected: str | None) -> None:
    shown = render(value_of(text), ASCII)
    assert expected is None or shown == expected
    assert render(value_of(shown), ASCII) == shown
    assert _bare(value_of(shown)) == _bare(value_of(text))


def _bare(node: ast.Expression) -> object:
    """Return a tree without places."""
    match node:
        case ast.Literal(value):
            return value
        case ast.Variable(name, primed):
            return name, primed
        case ast.Operation(operator, operands):
            return operator, *map(_bare, operands)
        case ast.Call(function, arguments, options=options):
            return function.text, *map(_bare, arguments), *((each.name.text, _bare(each.value)) for each in options)
        case ast.Conditional(condition, chosen, other):
            return "if", _bare(condition), _bare(chosen), _bare(other)
