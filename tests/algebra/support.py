"""Asking questions about rules by name, with hyperparameters as numbers or as names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from optdsl.algebra.equivalence import Free, Verdict, compare, invariant
from optdsl.algebra.systems import literal
from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Expr, Op, Rate, Ref, Role, Rule, Symbol
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

from .library_rules import RULES

SECONDS = 60.0
"""Time for one question: no answer may depend on how busy the machine is."""
Given = Mapping[str, float | bool | str | Expr]


@cache
def rule(name: str) -> Rule:
    """Return a rule of `library_rules`, or the rule in a text."""
    return rule_of(SourceFile("rule.opt", RULES.get(name, name).lstrip()))


def values(of: Rule, given: Given) -> dict[str, Expr]:
    """Return values of hyperparameters as expressions: numbers, and names of hyperparameters of a rule."""
    symbols = {hyper.symbol.name: hyper.symbol for hyper in of.hypers}
    result: dict[str, Expr] = {}
    for name, value in given.items():
        if isinstance(value, str):
            result[name] = Ref(symbols[value])
        else:
            result[name] = literal(value) if isinstance(value, float | int) else value
    return result


def compared(first: str, second: str, when: Given | None = None, given: Given | None = None, steps: int = 4) -> Verdict:
    """Return whether two rules are the same."""
    one = rule(first)
    return compare(one, rule(second), values(one, when or {}), values(one, given or {}), steps, SECONDS)


def scaled(name: str, when: Given | None = None, interval: Interval | None = None) -> Verdict:
    """Return whether a rule takes the same course when g is replaced by c*g, for c > 0 or in an interval."""
    one = rule(name)
    c = Symbol(Role.HYPER, "c", Rate.CONST)
    changes = {one.gradient: ir.Apply(Op.MUL, (Ref(c), Ref(one.gradient)))}
    return invariant(one, changes, [Free(c, interval or Interval(low=0.0))], values(one, when or {}), seconds=SECONDS)
