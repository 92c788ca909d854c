"""Operators: which binds tighter, and which way they lean."""

from __future__ import annotations

import pytest

from .support import brief, expression, slugs

PRECEDENCE = {
    "a - b - c": "((a - b) - c)",
    "a / b / c": "((a / b) / c)",
    "a / b * c": "((a / b) * c)",
    "a - b + c": "((a - b) + c)",
    "a + b * c": "(a + (b * c))",
    "a * b + c": "((a * b) + c)",
    "a ^ b ^ c": "(a ^ (b ^ c))",
    "-a ^ 2": "(neg (a ^ 2))",
    "2 ^ -a": "(2 ^ (neg a))",
    "2 ^ -a ^ b": "(2 ^ (neg (a ^ b)))",
    "-a * b": "((neg a) * b)",
    "a * -b": "(a * (neg b))",
    "- -a": "(neg (neg a))",
    "a * b ^ 2": "(a * (b ^ 2))",
    "a + b < c * d": "((a + b) < (c * d))",
    "not a < b": "(not (a < b))",
    "not not a == b": "(not (not (a == b)))",
    "not a and b": "((not a) and b)",
    "a and b or c and d": "((a and b) or (c and d))",
    "a or b or c": "((a or b) or c)",
    "a and b and c": "((a and b) and c)",
    "(a + b) * c": "((a + b) * c)",
    "a - (b - c)": "(a - (b - c))",
    "(a ^ b) ^ c": "((a ^ b) ^ c)",
    "(-a) ^ 2": "((neg a) ^ 2)",
    "if a then b else c + d": "(if a then b else (c + d))",
    "if a or b then c else d": "(if (a or b) then c else d)",
    "if a then b elif c then d else e": "(if a then b else (if c then d else e))",
    "if a then b else if c then d else e": "(if a then b else (if c then d else e))",
    "if a then if b then c else d else e": "(if a then (if b then c else d) else e)",
    "(if a then b else c) * d": "((if a then b else c) * d)",
    "f(if a then b else c, d)": "f((if a then b else c), d)",
    "a' - b'^2": "(a' - (b' ^ 2))",
    "f()": "f()",
    "-f(-a)^2": "(neg (f((neg a)) ^ 2))",
    "1.5e-3 * .5 + 2.": "((1.5e-3 * .5) + 2.)",
    "-inf": "(neg inf)",
    "a != true": "(a != true)",
}


@pytest.mark.parametrize("text", PRECEDENCE)
def test_precedence(text: str) -> None:
    assert brief(expression(text)) == PRECEDENCE[text]


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "==", "!="])
def test_every_comparison_is_read(operator: str) -> None:
    assert brief(expression(f"a + 1 {operator} b")) == f"((a + 1) {operator} b)"


@pytest.mark.parametrize(
    "text",
    [
        "a < b < c",
        "a == b == c",
        "1 + if a then b else c",
        "a not b",
        "+a",
        "a ** b",
        "a b",
        "(a",
        "f(a,)",
        "a'b",
        "1a",
    ],
)
def test_what_is_no_expression(text: str) -> None:
    assert "syntax" in slugs(f"rule R(x, g)\nupdate\n  x' = {text}\n")


def test_a_literal_keeps_its_exact_value_and_its_spelling() -> None:
    from fractions import Fraction

    from optdsl.syntax import ast

    node = expression("1.10e-1")
    assert isinstance(node, ast.Literal)
    assert node.value == Fraction(11, 100)
    assert node.text == "1.10e-1"
