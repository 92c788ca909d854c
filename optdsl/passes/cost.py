"""What element arithmetic costs: the measure by which a rewrite is taken or left."""

from __future__ import annotations

from collections.abc import Iterable

from optdsl.ir.kernel import Kernel
from optdsl.ir.nodes import TRANSCENDENTAL, Apply, Expr, Op, Rate, Select, operands, rate

SLOW = frozenset({Op.DIV, Op.SQRT})
"""Operations a processor can't pipeline; they count as several others."""


def weight(expr: Expr) -> int:
    """Return the cost of the topmost operation of an element expression: 1 for an addition, 4 for a divide or root."""
    match expr:
        case Apply(op):
            return 20 if op in TRANSCENDENTAL else 4 if op in SLOW else 1
        case Select(condition):
            return 1 if rate(condition) is Rate.ELEMENT else 0
        case _:
            return 0


def operations(exprs: Iterable[Expr]) -> list[Expr]:
    """Return the distinct element operations of some expressions; what is written twice counts once."""
    seen: dict[Expr, None] = {}

    def walk(expr: Expr) -> None:
        if rate(expr) is Rate.ELEMENT and expr not in seen:
            if weight(expr):
                seen[expr] = None
            for part in operands(expr):
                walk(part)

    for expr in exprs:
        walk(expr)
    return list(seen)


def cost(exprs: Iterable[Expr]) -> int:
    """Return the weighted number of element operations."""
    return sum(weight(expr) for expr in operations(exprs))


def counts(exprs: Iterable[Expr]) -> tuple[int, int]:
    """Return how many element operations there are, and how many of them are divides or roots."""
    found = operations(exprs)
    return len(found), sum(isinstance(expr, Apply) and expr.op in SLOW for expr in found)


def kernel_counts(kernel: Kernel) -> tuple[int, int]:
    """Return the operation counts of a kernel, over all its phases."""
    return counts(let.value for phase in kernel.phases for let in phase.lets)
