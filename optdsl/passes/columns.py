"""Expressions at many points at once: a column of values for every part.

Scalars have a value at each setting of the hyperparameters and the step number; elements at each row, and every row
belongs to a setting. The meaning is the interpreter's (`ir/evaluate.py`), where the scalars are those of one setting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple, assert_never

import numpy as np
import numpy.typing as npt

from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.nodes import Expr, Kind, Op, Rate, Symbol

Array = npt.NDArray[Any]
Column = Any
"""One value per setting or row: an array, or a list of numbers."""


class Part(NamedTuple):
    """An expression whose direct parts are numbered."""

    expr: Expr
    parts: tuple[int, ...]
    element: bool
    kind: Kind


class Settings:
    """Values of the scalars of a rule, and all expressions met, numbered so that equal ones are computed once.

    `given` are the values of the symbols, one per setting; `definitions` are scalars that follow from them;
    `nonnegative` are elements that are never negative.
    """

    def __init__(
        self, given: Mapping[Symbol, Array], definitions: Mapping[Symbol, Expr], count: int,
        nonnegative: Collection[Symbol] = (),
    ) -> None:  # fmt: skip
        self.given, self.definitions, self.count, self.nonnegative = given, definitions, count, nonnegative
        self.table: list[Part] = []
        self.columns: defaultdict[str, dict[int, Column]] = defaultdict(dict)
        """Columns of scalars, by the kind of arithmetic and by number."""
        self._numbers: dict[object, int] = {}
        self._met: dict[int, tuple[Expr, int]] = {}

    def number(self, expr: Expr) -> int:
        """Return the number of an expression; its parts have smaller ones."""
        if id(expr) in self._met:
            return self._met[id(expr)][1]
        parts = tuple([self.number(part) for part in ir.operands(expr)])
        key = (expr.op if isinstance(expr, ir.Apply) else type(expr), *parts) if parts else expr
        if key not in self._numbers:
            self._numbers[key] = len(self.table)
            self.table.append(Part(expr, parts, ir.rate(expr) is Rate.ELEMENT, ir.kind(expr)))
        self._met[id(expr)] = expr, self._numbers[key]
        return self._numbers[key]


@dataclass(frozen=True)
class Points:
    """Where expressions are compared: the values of the element symbols, one per row, and the setting of each row."""

    settings: Settings
    given: Mapping[Symbol, Array]
    rows: npt.NDArray[np.intp]


class Columns(ABC):
    """Values of expressions at some points; each part is computed once, whatever it is a part of."""

    name: str

    def __init__(self, points: Points) -> None:
        self.points, self.settings = points, points.settings
        self.known: dict[bool, dict[int, Column]] = {False: self.settings.columns[self.name], True: {}}

    def of(self, expr: Expr) -> Column:
        """Return the values of an expression per row."""
        return self.row(self.settings.number(expr))

    def value(self, number: int) -> Column:
        """Return the values of a part, per setting or, for one of elements, per row."""
        known = self.known[self.settings.table[number].element]
        if number not in known:
            known[number] = self._computed(self.settings.table[number])
        return known[number]

    def row(self, number: int) -> Column:
        """Return the values of a part per row; scalars enter the arithmetic of elements."""
        column = self.value(number)
        return column if self.settings.table[number].element else self.enter(column)

    def _computed(self, part: Part) -> Column:
        match part.expr:
            case ir.Number(value):
                return self.literal(value)
            case ir.Truth(value):
                return self.given(np.full(self.settings.count, value))
            case ir.Ref(symbol) if part.element:
                return self.elements(self.points.given[symbol])
            case ir.Ref(symbol) if symbol in self.settings.definitions:
                return self.value(self.settings.number(self.settings.definitions[symbol]))
            case ir.Ref(symbol):
                return self.given(self.settings.given[symbol])
            case ir.Reduce() | ir.ReduceRows():
                raise TypeError("a reduction has no column")
            case ir.Select():
                return self.select(self.parts(part))
            case ir.Apply(op):
                return self.apply(op, self.parts(part), part.element)
        assert_never(part.expr)

    def parts(self, part: Part) -> tuple[Column, ...]:
        """Return the values of the direct parts of a part."""
        return tuple([self.row(inner) if part.element else self.value(inner) for inner in part.parts])

    @abstractmethod
    def literal(self, value: Fraction | float) -> Column:
        """Return a number for every setting."""

    @abstractmethod
    def given(self, column: Array) -> Column:
        """Return the values of a scalar symbol."""

    @abstractmethod
    def elements(self, column: Array) -> Column:
        """Return the values of an element symbol."""

    @abstractmethod
    def enter(self, column: Column) -> Column:
        """Return a scalar for every row."""

    @abstractmethod
    def select(self, parts: tuple[Column, ...]) -> Column:
        """Choose by the first part between the others."""

    @abstractmethod
    def apply(self, op: Op, parts: tuple[Column, ...], element: bool) -> Column:
        """Apply a primitive."""


class FloatColumns(Columns):
    """Scalars in float64 and elements in one type, as targets compute."""

    name = "floats"

    def __init__(self, points: Points, dtype: Any) -> None:
        super().__init__(points)
        self.scalar, self.element = Arrays(np.float64), Arrays(dtype)

    def literal(self, value: Fraction | float) -> Column:
        return np.full(self.settings.count, float(value))

    def given(self, column: Array) -> Column:
        return column

    def elements(self, column: Array) -> Column:
        return self.element.load(column) if column.dtype != bool else column

    def enter(self, column: Column) -> Column:
        return self.elements(column)[self.points.rows]

    def select(self, parts: tuple[Column, ...]) -> Column:
        return np.where(*parts)

    def apply(self, op: Op, parts: tuple[Column, ...], element: bool) -> Column:
        return (self.element if element else self.scalar).elements(op, parts, len(parts[0]))
