"""The declared domain of a rule: settings of its hyperparameters, and signs of scalars over all of them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.ir import nodes as ir
from optdsl.ir.evaluate import constant, defaults
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Expr, Kind, Rate, Role, Rule, Symbol
from optdsl.ir.powers import expand
from optdsl.ir.ranges import Ranges
from optdsl.passes.columns import FloatColumns, Points, Settings
from optdsl.passes.order import substituted
from optdsl.passes.simplify import without_idle

INSIDE = (0.0, 1e-3, 0.1, 0.5, 0.9, 0.999, 2.0, -0.5, -2.0)
"""Values of a number to try, where its interval holds them."""
FAR = (1e-30, 1e4)
"""Values to try by themselves: as small and as large as anyone asks for."""
DRAWN = 400
"""Random settings among which those of a variant are looked for."""
GRID = 4096
"""Settings at which the sign of a scalar is looked at."""
STEPS = (1, 2, 7, 10**6)
"""Step numbers at which it is."""


def hyper_values(hyper: ir.Hyper, default: float) -> list[float]:
    """Return values of a hyperparameter to try: its default, the ends it may take, values inside."""
    if hyper.symbol.kind is Kind.BOOLEAN:
        return [False, True]
    inside = [value for value in INSIDE if hyper.interval is None or value in hyper.interval]
    return list(dict.fromkeys([default, *_ends(hyper), *inside]))


def _ends(hyper: ir.Hyper) -> list[float]:
    """Return the ends of a hyperparameter's interval that it may take."""
    interval = hyper.interval
    if interval is None:
        return []
    return [end for end in (interval.low, interval.high) if math.isfinite(end) and end in interval]


def _extremes(hyper: ir.Hyper) -> list[float]:
    far = [] if hyper.interval is None else [value for value in FAR if value in hyper.interval]
    return list(dict.fromkeys([*_ends(hyper), *far]))


class Domain:
    """The declared domain of a rule, as points to try."""

    def __init__(self, rule: Rule) -> None:
        self.defaults: dict[str, Any] = defaults(rule)
        self.values = {h.symbol.name: hyper_values(h, self.defaults[h.symbol.name]) for h in rule.hypers}
        self.extremes = {h.symbol.name: _extremes(h) for h in rule.hypers}
        self._signs: dict[tuple[Expr, ...], bool] = {}

    def settings(self, read: list[str]) -> Iterator[dict[str, Any]]:
        """Yield settings without end: the defaults, those in `read` by themselves at their extremes, then any."""
        yield self.defaults
        for name in read:
            for value in self.extremes[name]:
                yield {**self.defaults, name: value}
        chance = random.Random(0)
        while True:
            yield {name: chance.choice(values) for name, values in self.values.items()}

    def points(self, conditions: tuple[Expr, ...], variant: int) -> Iterator[dict[str, Any]]:
        """Yield some settings for which exactly the conditions of a variant hold."""
        special = 1 + sum(len(values) for values in self.extremes.values())
        found = 0
        for setting in itertools.islice(self.settings(list(self.values)), special + DRAWN):
            held = sum(bool(constant(condition, setting)) << bit for bit, condition in enumerate(conditions))
            found += held == variant
            if held == variant:
                yield setting
            if found >= special + 3:
                return

    def positive(self, expr: Expr, definitions: Mapping[Symbol, Expr]) -> bool:
        """Return whether a scalar is positive and finite wherever it was tried, all over the domain.

        `definitions` are those of the scalars it may read besides hyperparameters and the step number.
        """
        read = reads(expr, definitions)
        if any(symbol.role not in (Role.HYPER, Role.STEP) for symbol in read):
            return False
        key = (expr, *(definitions[symbol] for symbol in dict.fromkeys(symbols(expr)) if symbol in definitions))
        if key not in self._signs:
            value = FloatColumns(self._grid(read, definitions), np.float64).of(expr)
            self._signs[key] = bool(np.all(np.isfinite(value) & (value > 1e-300)))
        return self._signs[key]

    def _grid(self, read: list[Symbol], definitions: Mapping[Symbol, Expr]) -> Points:
        """Return settings that together take some hyperparameters everywhere."""
        hypers = [symbol for symbol in read if symbol.role is Role.HYPER]
        choices = [self.values[symbol.name] + self.extremes[symbol.name] for symbol in hypers]
        grid = list(itertools.islice(itertools.product(*choices), GRID + 1))
        if len(grid) > GRID:
            chance = random.Random(0)
            grid = [tuple(chance.choice(values) for values in choices) for _ in range(GRID)]
        columns = dict(zip(hypers, np.repeat(np.array(grid), len(STEPS), axis=0).T, strict=True)) if hypers else {}
        steps = np.tile(np.array(STEPS, np.float64), len(grid))
        given = {symbol: columns.get(symbol, steps) for symbol in read}
        for symbol in given:
            given[symbol] = given[symbol].astype(bool if symbol.kind is Kind.BOOLEAN else np.float64)
        return Points(Settings(given, definitions, steps.size), {}, np.arange(steps.size))


def reads(expr: Expr, definitions: Mapping[Symbol, Expr]) -> list[Symbol]:
    """Return the symbols an expression reads that aren't defined by others, in the order they are met."""
    found: dict[Symbol, bool] = {}

    def walk(expr: Expr) -> None:
        for symbol in symbols(expr):
            if symbol not in found:
                found[symbol] = symbol not in definitions
                if symbol in definitions:
                    walk(definitions[symbol])

    walk(expr)
    return [symbol for symbol, free in found.items() if free]


@dataclass(frozen=True)
class Knowledge:
    """What is known of a variant of a rule.

    That is the domain of its hyperparameters, the scalars that follow from others, the hyperparameters that can have
    only one value, and the elements that are never negative.
    """

    domain: Domain
    definitions: Mapping[Symbol, Expr]
    fixed: Mapping[Symbol, ir.Number]
    nonnegative: Collection[Symbol]

    @staticmethod
    def of(rule: Rule, domain: Domain, fixed: Mapping[Symbol, ir.Number]) -> Knowledge:
        """Return what is known of a specialised rule."""
        scalars = [equation for equation in rule.equations if equation.target.rate in (Rate.CONST, Rate.STEP)]
        definitions = {equation.target: expand(equation.value) for equation in scalars}
        numbers = [equation.target for equation in rule.equations if equation.target.kind is Kind.NUMBER]
        elements = [s for s in (*numbers, *(state.symbol for state in rule.states)) if s.rate is Rate.ELEMENT]
        with np.errstate(all="ignore"):
            ranges = Ranges(rule)
            nonnegative = frozenset(s for s in elements if ranges.of(ir.Ref(s)).low >= 0)
        return Knowledge(domain, definitions, fixed, nonnegative)

    def positive(self, expr: Expr) -> bool:
        """Return whether a scalar is positive and finite all over the domain."""
        return self.domain.positive(expr, self.definitions)

    def settled(self, expr: Expr) -> Expr:
        """Return a scalar as a literal where it can only be that."""
        value = without_idle(substituted(expr, self.fixed))
        return value if isinstance(value, ir.Number) else expr
