"""From the surface tree to the typed rule: names, arguments, kinds and rates, with every mistake reported.

Nothing downstream ever sees a wrong rule: `resolve` returns an `ir.Rule` only where it found no error. The resolver is
one object in five layers, each in its file and knowing those before it: names, expressions, declarations, claims,
equations.
"""

from __future__ import annotations

from dataclasses import replace

from optdsl.diagnostics import Problem
from optdsl.ir import nodes as ir
from optdsl.problems import ScalarGradient
from optdsl.resolve.chain import closed, is_transform
from optdsl.resolve.equations import Resolver
from optdsl.source import SourceFile
from optdsl.syntax import ast


def resolve(source: SourceFile, tree: ast.Rule) -> tuple[ir.Rule | None, list[Problem]]:
    """Return the typed rule, or None and what is wrong with it.

    `tree` is whole: a rule made from others has taken over what it wants (`inherit.py`, `chain.py`). A transform
    becomes the rule that steps by the new gradient.
    """
    if tree.header is None:
        return None, []
    transform = is_transform(tree)
    resolver = Resolver(source, closed(tree) if transform else tree, tree.header)
    rule = resolver.rule()
    problems = resolver.problems
    if rule is not None and transform:
        problems += _scalar_gradients(rule)
    rule = None if rule is None else replace(rule, transform=transform)
    return (None if any(problem.severity == "error" for problem in problems) else rule), problems


def _scalar_gradients(rule: ir.Rule) -> list[Problem]:
    """Return a finding where the new gradient of a transform doesn't have a value per element."""
    gradient = rule.gradient.name
    return [
        ScalarGradient(span=equation.span or (0, 0), found=None, wanted=None, gradient=gradient)
        for equation in rule.equations
        if equation.target.name == f"{gradient}'" and equation.target.rate is not ir.Rate.ELEMENT
    ]
