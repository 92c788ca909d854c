"""Finding the operation that first makes a value NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.checks._trial import Step
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arithmetic
from optdsl.ir.evaluate import evaluate
from optdsl.ir.nodes import Op, Rate, Role, Rule, Symbol

_INFIX = {Op.ADD: " + ", Op.SUB: " - ", Op.MUL: "*", Op.DIV: "/", Op.POW: "^"}


@dataclass(frozen=True)
class Culprit:
    """An operation with finite operands and no finite result, in words and with its place."""

    span: tuple[int, int]
    operation: str
    op: Op | None
    denominator: ir.Expr | None


def blame(
    rule: Rule, target: Symbol, index: int, step: Step, hypers: Mapping[str, Any], arithmetic: Arithmetic
) -> Culprit:
    """Return the innermost operation by which element `index` of a new value isn't finite.

    Arms not taken have no influence and are passed over.
    """
    size = len(step.x)
    equations = {equation.target: equation for equation in rule.equations}

    def value_of(symbol: Symbol) -> Any:
        match symbol.role:
            case Role.HYPER:
                return hypers[symbol.name]
            case Role.OLD if symbol != rule.parameter:
                return step.states[symbol.name]
            case Role.STEP:
                return float(step.t)
            case Role.SIZE:
                return float(size)
            case _:
                return step.outcome.values[symbol]

    def values(expr: ir.Expr) -> list[Any]:
        """Return the value of an expression at the element, or at all of them within a reduction."""
        value = evaluate(expr, value_of, arithmetic, size)
        if ir.rate(expr) < Rate.ELEMENT or not isinstance(value, list | np.ndarray):
            return [value]
        return list(value) if whole else [value[index]]

    def finite(expr: ir.Expr) -> bool:
        return all(isinstance(value, bool | np.bool_) or math.isfinite(value) for value in values(expr))

    def inner(expr: ir.Expr) -> ir.Expr | None:
        """Return the part whose value isn't finite, through names and along the arm taken; None where there is none."""
        if isinstance(expr, ir.Ref):
            return equations[expr.symbol].value if expr.symbol in equations else None
        if isinstance(expr, ir.Select) and finite(expr.condition):
            return expr.chosen if values(expr.condition)[0] else expr.other
        return next((part for part in ir.operands(expr) if _computed(part) and not finite(part)), None)

    whole = False
    expr: ir.Expr = equations[target].value
    place = expr.span or equations[target].span or (0, 0)
    while (part := inner(expr)) is not None:
        if isinstance(expr, ir.Ref):
            place = equations[expr.symbol].span or place
        whole = whole or isinstance(expr, ir.Reduce)
        expr = part
        place = expr.span or place
    shown = [f"{values(part)[0]:g}" for part in ir.operands(expr)]
    op = expr.op if isinstance(expr, ir.Apply) else None
    denominator = expr.args[1] if isinstance(expr, ir.Apply) and op is Op.DIV else None
    return Culprit(place, _words(expr, shown), op, denominator)


def _computed(expr: ir.Expr) -> bool:
    """Return whether a value comes from an operation, and not from the author, who may have written `inf`."""
    given = isinstance(expr, ir.Ref) and expr.symbol.role in (Role.HYPER, Role.OLD)
    return not given and not isinstance(expr, ir.Number)


def _words(expr: ir.Expr, shown: list[str]) -> str:
    """Return an operation on numbers as the author would write it."""
    match expr:
        case ir.Apply(Op.NEG):
            return f"-{shown[0]}"
        case ir.Apply(op) if op in _INFIX:
            right = f"({shown[1]})" if shown[1].startswith("-") else shown[1]
            return f"{shown[0]}{_INFIX[op]}{right}"
        case ir.Apply(op):
            return f"{op}({', '.join(shown)})"
        case ir.Reduce(fold):
            return f"{fold}(...)"
        case _:
            return "this value"
