"""The points at which a rewrite is compared with the author's form: ordinary ones, and those where floats go wrong."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from optdsl.ir.nodes import Expr, Kind, Rate, Role, Symbol
from optdsl.passes.columns import Array, Points, Settings
from optdsl.passes.domain import Knowledge, reads

STEPS = (1, 2, 1000)
SIZES = (1, 7, 10**6)
AXES = (1, 2, 0, 4)
SCALARS = (1.0, 0.5, 0.0, 7.0, 1e-12, -2.0, 1e6, 1e30, 1e300, 1e-40, 1e-310, float(np.finfo(np.float64).max))
"""Values of reductions and scalar states, of which nothing is known; each is met in the usual settings."""
ZEROS = (0.0, -0.0)
SMALL = (2.0**-149, 1e-40, 2.0**-126, 1e-20, 2.0**-1074, 1e-310, 1e-200)
"""Subnormal numbers and other small ones, of float32 and of float64."""
LARGE = (1e18, 1e30, float(np.finfo(np.float32).max), 1e150, 1e300, float(np.finfo(np.float64).max))
ENDS = ((2.0**-126, 1.0, float(np.finfo(np.float32).max)), (1e-300, 1.0, float(np.finfo(np.float64).max)))
"""What is nearly too small, usual, and nearly too large, in either type."""
BETWEEN = (1e-8, 1.0, 20.0, 80.0, 600.0, 1e8)
"""Numbers of which some functions are large."""
SAME = (*ZEROS, *SMALL, *LARGE, 0.75, -1.5)
"""Values that all elements take at once."""
ROOM = 2.0**17
"""How much earlier than the author's a form may overflow, where hyperparameters aren't the defaults."""
WORK = 8_000
"""Operations to evaluate in all: the longer an expression, the fewer the points."""
FEWEST, MOST = 60, 96
EXTREME = 400
SETTINGS, USUAL = 36, 12
"""How many settings of the scalars there are, and how many of them have default hyperparameters."""


def settings_for(exprs: Iterable[Expr], knowledge: Knowledge) -> Settings:
    """Return values of the scalars that some expressions read: the defaults, the ends of intervals, and others."""
    domain, definitions, fixed = knowledge.domain, knowledge.definitions, knowledge.fixed
    found = dict.fromkeys(symbol for expr in exprs for symbol in reads(expr, definitions))
    symbols = [symbol for symbol in found if symbol.rate is not Rate.ELEMENT]
    names = [symbol.name for symbol in symbols if symbol.role is Role.HYPER]
    drawn = itertools.chain([domain.defaults] * (USUAL - 1), domain.settings(names))
    settings = list(itertools.islice(drawn, SETTINGS))
    chance = random.Random(0)
    columns = {}
    for symbol in symbols:
        match symbol.role:
            case Role.HYPER if symbol in fixed:
                values: Sequence[Any] = [float(fixed[symbol].value)] * SETTINGS
            case Role.HYPER:
                values = [setting[symbol.name] for setting in settings]
            case Role.STEP:
                values = [STEPS[index % len(STEPS)] for index in range(SETTINGS)]
            case Role.SIZE:
                values = [SIZES[index // len(STEPS) % len(SIZES)] for index in range(SETTINGS)]
            case Role.NDIM:
                values = [AXES[index // len(STEPS) % len(AXES)] for index in range(SETTINGS)]
            case _:
                values = [value for _ in range(0, SETTINGS, USUAL) for value in chance.sample(SCALARS, USUAL)]
        column = np.array(values, np.float64)
        columns[symbol] = column > 0 if symbol.kind is Kind.BOOLEAN else column
    return Settings(columns, definitions, SETTINGS, knowledge.nonnegative)


def points_for(expr: Expr, settings: Settings, operations: int) -> Points:
    """Return the points at which to compare an expression of so many operations."""
    count = max(FEWEST, min(MOST, WORK // operations))
    return _placed(expr, settings, count, lambda width: np.array(_rows(width, count, random.Random(0))))


def extreme_points_for(expr: Expr, settings: Settings) -> Points:
    """Return many points at which floats overflow here and underflow there, to see that a form overflows nowhere else.

    They are for floats alone, which take no longer for many points than for a few.
    """
    chance = np.random.Generator(np.random.PCG64(0))

    def table(width: int) -> Array:
        special: Array = chance.choice(np.array([*ZEROS[:1], *SMALL, *LARGE, *BETWEEN]), (EXTREME, width))
        for start, ends in enumerate(ENDS):
            special[start::4] = chance.choice(np.array(ends), special[start::4].shape)
        any_size = _of_sizes(chance.uniform(-1, 1, (EXTREME, width)))
        one_size = _of_sizes(chance.uniform(-1, 1, (EXTREME, 1)) + chance.uniform(-0.02, 0.02, (EXTREME, width)))
        signs: Array = chance.choice(np.array([1.0, 1.0, 1.0, -1.0]), (3 * EXTREME, width))
        numbers: Array = np.concatenate([special, any_size, one_size])
        # Each element is 0 under every setting: what a negative scalar or an infinite one makes of it is soon another.
        zero: Array = np.repeat(1.5 - np.eye(width), settings.count, axis=0)
        zero[zero < 1] = 0.0
        return np.concatenate([np.multiply(numbers, signs), zero])

    def infinite(symbol: Symbol, column: Array) -> Array:
        """Make some values infinite, as those of other equations may be."""
        given = symbol.role in (Role.OLD, Role.GRADIENT) or symbol.kind is Kind.BOOLEAN
        return column if given else np.where(chance.random(column.size) < 0.04, np.copysign(np.inf, column), column)

    points = _placed(expr, settings, 3 * EXTREME, table)
    return replace(points, given={symbol: infinite(symbol, column) for symbol, column in points.given.items()})


def _placed(expr: Expr, settings: Settings, count: int, values: Callable[[int], Array]) -> Points:
    """Return points whose elements have some values, with room above the largest where the settings aren't usual.

    Of the first `count` a third more are of usual settings than come in turn.
    """
    elements = [symbol for symbol in reads(expr, settings.definitions) if symbol.rate is Rate.ELEMENT]
    table = values(len(elements))
    rows = np.arange(len(table)) % settings.count
    rows[1:count:3] = rows[1:count:3] % USUAL
    rows[count:] = np.arange(len(table) - count) % settings.count
    for dtype in (np.float64, np.float32):
        largest = float(np.finfo(dtype).max)
        near = (np.abs(table) > largest / ROOM) & (np.abs(table) <= largest) & (rows >= USUAL)[:, np.newaxis]
        table = np.where(near, np.copysign(largest / ROOM, table), table)
    columns = {s: np.abs(table[:, i]) if s in settings.nonnegative else table[:, i] for i, s in enumerate(elements)}
    given = {symbol: c > 0 if symbol.kind is Kind.BOOLEAN else c for symbol, c in columns.items()}
    return Points(settings, given, rows)


def _of_sizes(exponents: Array) -> Array:
    """Return numbers from the smallest to the largest of float32 in even rows, and of float64 in odd ones."""
    numbers: Array = 10.0 ** np.clip(exponents * 306, -306, 306)
    numbers[::2] = (10.0 ** np.clip(exponents[::2] * 38.4, -38.4, 38.4)).astype(np.float32)
    return numbers


def _rows(width: int, count: int, chance: random.Random) -> list[list[float]]:
    """Return rows of element values: half of them ordinary, the others special in one place or in all."""
    special = [*ZEROS, *SMALL, *LARGE]
    rows = [[value] * width for value in SAME]
    turns = itertools.cycle(itertools.product(special, range(width)))
    while len(rows) < count // 2 and width:
        value, place = next(turns)
        rows.append([value if index == place else _ordinary(chance) for index in range(width)])
    while len(rows) < count * 5 // 8:
        rows.append([chance.choice((*special, _ordinary(chance))) for _ in range(width)])
    while len(rows) < count:
        rows.append([_ordinary(chance) for _ in range(width)])
    chance.shuffle(rows)
    return rows


def _ordinary(chance: random.Random) -> float:
    """Return a number of usual size that is a float32, and most often positive."""
    size = abs(chance.gauss(0, 1)) * 10.0 ** chance.randint(-3, 2)
    return float(np.float32(size if chance.random() < 0.75 else -size))
