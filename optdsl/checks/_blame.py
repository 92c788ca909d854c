"""Finding the operation that first makes a value NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.checks._suspects import Trouble, trouble
from optdsl.checks._trial import Step
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arithmetic
from optdsl.ir.evaluate import evaluate, row_width
from optdsl.ir.nodes import Op, Rate, Role, Rule, Symbol

_INFIX = {Op.ADD: " + ", Op.SUB: " - ", Op.MUL: "*", Op.DIV: "/", Op.MOD: " % ", Op.POW: "^"}


@dataclass(frozen=True)
class Culprit:
    """An operation with finite operands and no finite result, in words and with its place."""

    span: tuple[int, int]
    operation: str
    expr: ir.Expr
    operands: tuple[ir.Expr, ...]
    trouble: Trouble | None

    @property
    def op(self) -> Op | None:
        """The primitive operation, None where it is a reduction or a choice."""
        return self.expr.op if isinstance(self.expr, ir.Apply) else None

    @property
    def denominator(self) -> ir.Expr | None:
        """What a division divides by."""
        return self.expr.args[1] if isinstance(self.expr, ir.Apply) and self.expr.op is Op.DIV else None


def blame(
    rule: Rule, target: Symbol, index: int, step: Step, hypers: Mapping[str, Any], arithmetic: Arithmetic
) -> Culprit:
    """Return the innermost operation by which element `index` of a new value isn't finite.

    Arms not taken have no influence and are passed over.
    """
    size = len(step.x)
    shape = (size,) if step.shape is None else step.shape
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
            case Role.NDIM:
                return float(len(shape))
            case _:
                return step.outcome.values[symbol]

    def values(expr: ir.Expr) -> list[Any]:
        """Return the value of an expression at the element, or at all of them within a reduction."""
        value = evaluate(expr, value_of, arithmetic, size, row_width(shape))
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

    expr: ir.Expr = equations[target].value
    whole = isinstance(expr, ir.Reduce | ir.ReduceRows)
    place = expr.span or equations[target].span or (0, 0)
    while (part := inner(expr)) is not None:
        if isinstance(expr, ir.Ref):
            place = equations[expr.symbol].span or place
        expr = part
        whole = whole or isinstance(expr, ir.Reduce | ir.ReduceRows)
        place = expr.span or place

    def taken(part: ir.Expr) -> ir.Expr:
        """Return the arm whose value a part has."""
        while isinstance(part, ir.Select) and not whole:
            part = part.chosen if values(part.condition)[0] else part.other
        return part

    numbers, wrong = _first_wrong(expr, [values(part) for part in ir.operands(expr)])
    operands = tuple(taken(part) for part in ir.operands(expr))
    return Culprit(place, _words(expr, [f"{number:g}" for number in numbers]), expr, operands, wrong)


def _first_wrong(expr: ir.Expr, columns: list[list[Any]]) -> tuple[list[float], Trouble | None]:
    """Return the operands of an operation at the first element where they leave its domain, else at the first."""
    count = max((len(column) for column in columns), default=0)
    rows = [[float(column[min(index, len(column) - 1)]) for column in columns] for index in range(count)]
    for row in rows:
        wrong = trouble(expr.op, row) if isinstance(expr, ir.Apply) else None
        if wrong is not None:
            return row, wrong
    return (rows[0] if rows else []), None


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
        case ir.ReduceRows(row_fold):
            return f"{row_fold}(..., axes=rest)"
        case _:
            return "this value"
