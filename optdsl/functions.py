"""The functions an author can call, in one table: their arguments, their meaning in primitives, a line of help.

A composite function is one line here. A primitive is one line here and one in each target's table of spellings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from optdsl.ir.nodes import (
    Apply,
    Expr,
    Fold,
    Kind,
    Op,
    Rate,
    Reduce,
    ReduceRows,
    Ref,
    Role,
    RowFold,
    Select,
    Symbol,
    number,
)

STEP_NUMBER = Ref(Symbol(Role.STEP, "t", Rate.STEP))
SIZE = Ref(Symbol(Role.SIZE, "size", Rate.STEP))
NDIM = Ref(Symbol(Role.NDIM, "ndim", Rate.STEP))
MEASURES = {"size": SIZE, "ndim": NDIM}
"""What is known of a parameter's shape, by the name of the function that gives it."""


@dataclass(frozen=True, slots=True)
class Function:
    """A built-in function: the names of its arguments, what it expands to, and what it says of itself."""

    arguments: tuple[str, ...]
    build: Callable[..., Expr]
    doc: str
    kinds: tuple[Kind, ...] = ()
    reduction: bool = False
    by_row: Callable[..., Expr] | None = None
    """What a reduction expands to where it is over all axes but the first."""

    def kind_of(self, position: int) -> Kind:
        """Return the kind of value an argument must have."""
        return self.kinds[position] if self.kinds else Kind.NUMBER


def _primitive(op: Op, doc: str, arguments: tuple[str, ...] = ("a",)) -> Function:
    return Function(arguments, lambda *args: Apply(op, args), doc)


def _composite(arguments: str, build: Callable[..., Expr], doc: str) -> Function:
    return Function(tuple(arguments.split()), build, doc)


def _reduction(arguments: str, build: Callable[..., Expr], by_row: Callable[..., Expr], doc: str) -> Function:
    return Function(tuple(arguments.split()), build, doc, reduction=True, by_row=by_row)


def _rows(fold: RowFold) -> Callable[..., Expr]:
    return lambda *args: ReduceRows(fold, args)


def _add(a: Expr, b: Expr) -> Expr:
    return Apply(Op.ADD, (a, b))


def _sub(a: Expr, b: Expr) -> Expr:
    return Apply(Op.SUB, (a, b))


def _mul(a: Expr, b: Expr) -> Expr:
    return Apply(Op.MUL, (a, b))


def _div(a: Expr, b: Expr) -> Expr:
    return Apply(Op.DIV, (a, b))


def _one_minus(a: Expr) -> Expr:
    return _sub(number(1), a)


def _abs(a: Expr) -> Expr:
    return Apply(Op.ABS, (a,))


def _sqrt(a: Expr) -> Expr:
    return Apply(Op.SQRT, (a,))


FUNCTIONS: dict[str, Function] = {
    "abs": _primitive(Op.ABS, "magnitude"),
    "sign": _primitive(Op.SIGN, "-1, 0 or 1; NaN for NaN"),
    "sqrt": _primitive(Op.SQRT, "square root"),
    "cbrt": _primitive(Op.CBRT, "cube root"),
    "exp": _primitive(Op.EXP, "e to the power a"),
    "expm1": _primitive(Op.EXPM1, "exp(a) - 1, exact near 0"),
    "log": _primitive(Op.LOG, "natural logarithm"),
    "log1p": _primitive(Op.LOG1P, "log(1 + a), exact near 0"),
    "sin": _primitive(Op.SIN, "sine"),
    "cos": _primitive(Op.COS, "cosine"),
    "tanh": _primitive(Op.TANH, "hyperbolic tangent"),
    "floor": _primitive(Op.FLOOR, "largest whole number not above a"),
    "min": _primitive(Op.MIN, "the smaller; NaN if either is", ("a", "b")),
    "max": _primitive(Op.MAX, "the larger; NaN if either is", ("a", "b")),
    "clip": _composite("a lo hi", lambda a, lo, hi: Apply(Op.MIN, (Apply(Op.MAX, (a, lo)), hi)), "min(max(a, lo), hi)"),
    "where": Function(
        ("c", "a", "b"),
        lambda c, a, b: Select(c, a, b),
        "if c then a else b",
        (Kind.BOOLEAN, Kind.NUMBER, Kind.NUMBER),
    ),
    "lerp": _composite("a b w", lambda a, b, w: _add(a, _mul(w, _sub(b, a))), "a + w*(b - a)"),
    "ema": _composite(
        "old new beta",
        lambda old, new, beta: _add(_mul(beta, old), _mul(_one_minus(beta), new)),
        "beta*old + (1 - beta)*new",
    ),
    "debias": _composite(
        "m beta", lambda m, beta: _div(m, _one_minus(Apply(Op.POW, (beta, STEP_NUMBER)))), "m / (1 - beta^t)"
    ),
    "sum": _reduction("a", lambda a: Reduce(Fold.SUM, (a,)), _rows(RowFold.SUM), "sum over the tensor"),
    "mean": _reduction("a", lambda a: _div(Reduce(Fold.SUM, (a,)), SIZE), _rows(RowFold.MEAN), "sum(a) / size"),
    "norm": _reduction(
        "a", lambda a: _sqrt(Reduce(Fold.DOT, (a, a))), _rows(RowFold.NORM), "Euclidean norm over the tensor"
    ),
    "norm1": _reduction(
        "a", lambda a: Reduce(Fold.SUM, (_abs(a),)), lambda a: ReduceRows(RowFold.SUM, (_abs(a),)),
        "sum of magnitudes over the tensor",
    ),
    "amax": _reduction(
        "a", lambda a: Reduce(Fold.AMAX, (a,)), _rows(RowFold.AMAX), "largest element of the tensor; NaN if one is"
    ),
    "dot": _reduction(
        "a b", lambda a, b: Reduce(Fold.DOT, (a, b)), _rows(RowFold.DOT), "inner product over the tensor"
    ),
    "rms": _reduction(
        "a", lambda a: _sqrt(_div(Reduce(Fold.DOT, (a, a)), SIZE)), _rows(RowFold.RMS), "root of the mean square"
    ),
}  # fmt: skip
