"""Checking a rewritten expression against the author's form, before it is used.

Both are evaluated at the same points of the declared domain: in 50 digits (the algebra must be right), and as targets
compute, in float32 and float64 (rounding must not get worse, and finite must stay finite). The bound on the error is
4·ops·u·Σ|terms|, of the operations and terms of the author's form. At many more points, at which floats overflow or
underflow, the two are compared as targets compute them only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Expr, Kind, Rate, Role
from optdsl.passes.columns import FloatColumns, Points, Settings
from optdsl.passes.decimals import CONTEXT, DecimalColumns
from optdsl.passes.domain import reads
from optdsl.passes.points import extreme_points_for, points_for
from optdsl.passes.sizes import Sizes

SAME = 1e-40
"""The share of Σ|terms| by which 50-digit results of one function may differ."""
SUSPECTS = 24
"""Points at which floats of both forms are compared with 50 digits, of those at which they are apart."""
FINITE, FUNCTION, EXACT = "is no longer finite", "is another function", "is less exact"
INFINITY = "is the other infinity"


class Trial:
    """An expression as the author wrote it, to compare rewritten forms with. What it evaluates is kept between them."""

    def __init__(self, written: Expr, settings: Settings) -> None:
        self.written, self.settings = written, settings
        self.operations = 1 + _operations(written, settings)
        self.points = points_for(written, settings, self.operations)
        self.digits = DecimalColumns(self.points)
        self.arithmetics = _arithmetics(self, self.points)

    def differs(self, form: Expr, read: bool = True) -> str:
        """Return "" where a form agrees with the author's, else what differs and where.

        `read` says whether others read the value: for them, infinity may be as good as a number, but NaN isn't.
        """
        for one, wrong, what in self._differences(form, read):
            for row in np.flatnonzero(wrong & one.held):
                return f"{what} at {self._where(one.points, int(row))}"
        return ""

    @cached_property
    def extremes(self) -> list[_Arithmetic]:
        """The author's form at numbers that are too large or too small for it."""
        return _arithmetics(self, extreme_points_for(self.written, self.settings))

    def _differences(self, form: Expr, read: bool) -> Iterator[tuple[_Arithmetic, npt.NDArray[np.bool_], str]]:
        """Yield where a form differs, and in what."""
        if ir.kind(form) is Kind.BOOLEAN:
            yield from ((one, one.floats.of(form) != one.before, FUNCTION) for one in self.arithmetics)
            return
        for one in self.arithmetics:
            yield one, one.overflows(form, read), FINITE
        yield self.arithmetics[0], self._another_function(form), FUNCTION
        for one in self.arithmetics:
            yield one, one.flips(form) & read, INFINITY
            yield one, one.errs(form, self.rounded), EXACT
        for one in self.extremes:
            yield one, one.overflows(form, read), FINITE
            yield one, one.flips(form) & read, INFINITY
        for one in self.extremes:
            yield one, one.errs(form, self._rounded_at(one.points, one.parts(form) & one.held)), EXACT

    def _rounded_at(self, points: Points, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return what the author's form is in 50 digits at some rows, spread over those given, and NaN elsewhere."""
        reference = np.full(rows.size, np.nan)
        found = np.flatnonzero(rows)
        found = found[:: 1 + found.size // SUSPECTS]
        if found.size:
            given = {symbol: column[found] for symbol, column in points.given.items()}
            digits = DecimalColumns(Points(self.settings, given, points.rows[found])).of(self.written)
            reference[found] = [float(value) for value in digits]
        return reference

    def _another_function(self, form: Expr) -> npt.NDArray[np.bool_]:
        """Return the rows at which a form differs in 50 digits."""
        size = self.arithmetics[0].size
        wrong = np.zeros(len(self.reference), bool)
        for row, (before, digits) in enumerate(zip(self.reference, self.digits.of(form), strict=True)):
            if before.is_finite() and before != digits:
                difference = float(CONTEXT.subtract(digits, before).copy_abs())
                # Written so that a NaN counts as a difference.
                wrong[row] = not difference <= SAME * (size[row] + 1e-300)
        return wrong

    @cached_property
    def reference(self) -> list[Any]:
        """The values of the author's form in 50 digits."""
        column: list[Any] = self.digits.of(self.written)
        return column

    @cached_property
    def rounded(self) -> npt.NDArray[np.float64]:
        """The same in float64."""
        return np.array([float(value) for value in self.reference])

    def _where(self, points: Points, row: int) -> str:
        """Return the hyperparameters, step number and elements of a row, in words."""
        shown = []
        for symbol in reads(self.written, self.settings.definitions):
            element = symbol.rate is Rate.ELEMENT
            value = points.given[symbol][row] if element else self.settings.given[symbol][points.rows[row]]
            name = f"{symbol.name}'" if symbol.role is Role.NEW else symbol.name.replace(".", "")
            shown.append(f"{name} = {str(bool(value)).lower() if symbol.kind is Kind.BOOLEAN else f'{value:g}'}")
        return ", ".join(shown) or "any point"


class _Arithmetic:
    """The author's form at some points, in one element type; `wide` are the same points in float64."""

    def __init__(self, trial: Trial, points: Points, dtype: Any, wide: FloatColumns | None) -> None:
        self.trial, self.points, self.dtype = trial, points, dtype
        self.floats = FloatColumns(points, dtype)
        self.wide = wide or self.floats

    @cached_property
    def before(self) -> npt.NDArray[Any]:
        """The values of the author's form."""
        column: npt.NDArray[Any] = self.floats.of(self.trial.written)
        return column

    @cached_property
    def held(self) -> npt.NDArray[np.bool_]:
        """The rows whose elements this type holds exactly."""
        held = np.ones(self.points.rows.size, bool)
        for symbol, column in self.points.given.items():
            if symbol.kind is Kind.NUMBER:
                with np.errstate(all="ignore"):
                    held &= column.astype(self.dtype) == column
        return held

    @cached_property
    def size(self) -> npt.NDArray[np.float64]:
        """The Σ|terms| of the author's form."""
        size: npt.NDArray[np.float64] = Sizes(self.wide, self.dtype).of(self.trial.written)
        return size

    @cached_property
    def bound(self) -> npt.NDArray[np.float64]:
        """The largest error a form may have."""
        unit = float(np.finfo(self.dtype).eps) / 2
        with np.errstate(all="ignore"):
            return 4 * self.trial.operations * unit * self.size

    def overflows(self, form: Expr, read: bool) -> npt.NDArray[np.bool_]:
        """Return the rows at which a form is not finite where the author's is, or NaN where that is infinite."""
        after = self.floats.of(form)
        infinite: npt.NDArray[np.bool_] = np.isinf(self.before) & np.isnan(after) & read
        lost: npt.NDArray[np.bool_] = np.isfinite(self.before) & ~np.isfinite(after)
        return lost | infinite

    def flips(self, form: Expr) -> npt.NDArray[np.bool_]:
        """Return the rows at which a form is the other infinity: in a sum with one, that decides about a NaN."""
        after = self.floats.of(form)
        flipped: npt.NDArray[np.bool_] = np.isinf(self.before) & np.isinf(after) & (after != self.before)
        return flipped

    def errs(self, form: Expr, reference: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return the rows at which the error of a form is too large.

        Where the author's is too, by as much more as that: there, rounding has tipped a sign or a comparison.
        """
        with np.errstate(all="ignore"):
            error = np.abs(self.floats.of(form).astype(np.float64) - reference)
            own = np.abs(self.before.astype(np.float64) - reference)
            allowed = np.where(own > self.bound, self.bound + own, self.bound)
        wrong: npt.NDArray[np.bool_] = np.isfinite(self.before) & np.isfinite(reference) & ~(error <= allowed)
        return wrong

    def parts(self, form: Expr) -> npt.NDArray[np.bool_]:
        """Return the rows at which a form is so far from the author's that one of them errs too much."""
        with np.errstate(all="ignore"):
            apart = np.abs(self.floats.of(form).astype(np.float64) - self.before)
        wrong: npt.NDArray[np.bool_] = np.isfinite(self.before) & ~(apart <= 2 * self.bound)
        return wrong


def _arithmetics(trial: Trial, points: Points) -> list[_Arithmetic]:
    """Return the author's form at some points as targets compute it, in float64 and in float32."""
    wide = _Arithmetic(trial, points, np.float64, None)
    return [wide, _Arithmetic(trial, points, np.float32, wide.floats)]


def _operations(expr: Expr, settings: Settings) -> int:
    """Return how many distinct operations an expression and the scalars it reads have."""
    found: set[int] = set()
    queue = [settings.number(expr)]
    while queue:
        number = queue.pop()
        part = settings.table[number]
        if number not in found:
            found.add(number)
            queue += part.parts
            if isinstance(part.expr, ir.Ref) and part.expr.symbol in settings.definitions:
                queue.append(settings.number(settings.definitions[part.expr.symbol]))
    return sum(bool(settings.table[number].parts) for number in found)
