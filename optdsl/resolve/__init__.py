"""From the surface tree to the typed rule: names, arguments, kinds and rates, with every mistake reported.

Nothing downstream ever sees a wrong rule: `resolve` returns an `ir.Rule` only where it found no error. The resolver is
one object in five layers, each in its file and knowing those before it: names, expressions, declarations, claims,
equations.
"""

from __future__ import annotations

from optdsl.diagnostics import Problem
from optdsl.ir import nodes as ir
from optdsl.resolve.equations import Resolver
from optdsl.source import SourceFile
from optdsl.syntax import ast


def resolve(source: SourceFile, tree: ast.Rule) -> tuple[ir.Rule | None, list[Problem]]:
    """Return the typed rule, or None and what is wrong with it.

    `tree` is whole: a rule made from another has taken over what it wants (`inherit.py`).
    """
    if tree.header is None:
        return None, []
    resolver = Resolver(source, tree, tree.header)
    rule = resolver.rule()
    problems = resolver.problems
    return (None if any(problem.severity == "error" for problem in problems) else rule), problems
