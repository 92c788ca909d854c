"""What element arithmetic costs on each target: the measure by which a rewrite is taken or left.

All targets run one form of a rule, so that they agree bit for bit. A form is cheaper than another where it is dearer on
no target and cheaper on one. An operation weighs, in additions of C and in quarters of an addition of NumPy:

    operation                            C   NumPy
    + - *                                1       4
    neg abs floor, comparisons, logic    1       3
    min max                              2       4
    sign                                 2      13
    /                                    6       4
    sqrt                                10      11
    cbrt                                12      15
    exp expm1 log log1p tanh           250      15
    sin cos                            250      17
    ^                                  250      30
    if on elements                       1      15
    if on scalars                        1       0

They are times per element, rounded: of a loop on registers in C, where a library's functions are called one by one, and
of a call on a block in cache in NumPy, where every operation is a pass over memory, a division hides behind it, and an
`if` on elements is four operations on bits. A scalar condition is a blend in the loop of C and decides between calls in
NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from optdsl.ir.kernel import Kernel
from optdsl.ir.nodes import (
    COMPARISONS,
    LOGIC,
    TRANSCENDENTAL,
    Apply,
    Expr,
    Op,
    Rate,
    ReduceRows,
    Select,
    operands,
    rate,
)

Cost: TypeAlias = tuple[int, int]
"""The weights of C and of NumPy."""

SLOW = frozenset({Op.DIV, Op.SQRT})
"""Operations a processor can't pipeline."""

_WEIGHTS: dict[Op, Cost] = {
    **dict.fromkeys(TRANSCENDENTAL, (250, 15)),
    **dict.fromkeys(COMPARISONS | LOGIC | {Op.NEG, Op.ABS, Op.FLOOR}, (1, 3)),
    **dict.fromkeys((Op.ADD, Op.SUB, Op.MUL), (1, 4)),
    **dict.fromkeys((Op.MIN, Op.MAX), (2, 4)),
    **dict.fromkeys((Op.SIN, Op.COS), (250, 17)),
    Op.SIGN: (2, 13),
    Op.DIV: (6, 4),
    Op.MOD: (6, 4),  # of scalars only: no element ever pays for it
    Op.SQRT: (10, 11),
    Op.CBRT: (12, 15),
    Op.POW: (250, 30),
}


def weight(expr: Expr) -> Cost:
    """Return the cost of the topmost operation of an element expression."""
    match expr:
        case Apply(op):
            return _WEIGHTS[op]
        case Select(condition):
            return (1, 15) if rate(condition) is Rate.ELEMENT else (1, 0)
        case _:
            return (0, 0)


def _distinct(exprs: Iterable[Expr]) -> list[Expr]:
    """Return the distinct element operations of some expressions; what is written twice is computed once."""
    seen: dict[Expr, None] = {}

    def walk(expr: Expr) -> None:
        parts = operands(expr)
        if parts and expr not in seen and rate(expr) >= Rate.TENSOR:
            seen[expr] = None
            for part in parts:
                walk(part)

    for expr in exprs:
        walk(expr)
    return [expr for expr in seen if rate(expr) is Rate.ELEMENT and not isinstance(expr, ReduceRows)]


def cost(exprs: Iterable[Expr]) -> Cost:
    """Return the weighted number of element operations on each target."""
    weights = [weight(expr) for expr in _distinct(exprs)]
    return sum(c for c, _ in weights), sum(numpy for _, numpy in weights)


def cheaper(one: Cost, other: Cost) -> bool:
    """Return whether a cost is below another on a target, and above it on none."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def operations(exprs: Iterable[Expr]) -> list[Expr]:
    """Return the distinct element operations of some expressions, but for a choice by a scalar: it is no arithmetic."""
    return [
        expr for expr in _distinct(exprs)
        if not (isinstance(expr, Select) and rate(expr.condition) is not Rate.ELEMENT)
    ]  # fmt: skip


def counts(exprs: Iterable[Expr]) -> tuple[int, int]:
    """Return how many element operations there are, and how many of them are divides or roots."""
    found = operations(exprs)
    return len(found), sum(isinstance(expr, Apply) and expr.op in SLOW for expr in found)


def kernel_counts(kernel: Kernel) -> tuple[int, int]:
    """Return the operation counts of a kernel; what two passes compute counts twice."""
    found = [counts([value]) for value in _values(kernel)]
    return sum(count for count, _ in found), sum(slow for _, slow in found)


def kernel_cost(kernel: Kernel) -> Cost:
    """Return the weighted number of element operations of a kernel on each target."""
    found = [cost([value]) for value in _values(kernel)]
    return sum(c for c, _ in found), sum(numpy for _, numpy in found)


def _values(kernel: Kernel) -> list[Expr]:
    """Return what a kernel assigns, pass by pass. What assignments share has a name by now."""
    return [let.value for phase in kernel.loops() for let in (*phase.lets, *phase.folds)]
