"""The meaning of the language: a direct interpreter of rules, in any kind of number (`arithmetic.py`).

CONST, STEP and TENSOR values are float64 (or mpmath) numbers; they are rounded once where they enter element
arithmetic. Every target is tested against this file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Any

from optdsl.ir.arithmetic import Arithmetic, Elements, Floats
from optdsl.ir.nodes import (
    Apply,
    Expr,
    Number,
    Rate,
    Reduce,
    ReduceRows,
    Ref,
    Role,
    Rule,
    Select,
    State,
    Symbol,
    Truth,
    rate,
)
from optdsl.ir.powers import expand


@dataclass(frozen=True)
class Outcome:
    """The values after a step. `values` holds every value computed on the way, by symbol."""

    parameter: Elements
    states: dict[str, Any]
    values: dict[Symbol, Any]


Shape = tuple[int, ...]


def row_width(shape: Shape) -> int:
    """Return how many elements of a tensor share an index of the first axis; 1 where there is no second axis."""
    return prod(shape[1:]) if len(shape) > 1 else 1


def evaluate(
    expr: Expr, value_of: Callable[[Symbol], Any], arithmetic: Arithmetic, size: int, width: int = 1
) -> Any:  # fmt: skip
    """Return the value of an expression; `value_of` gives that of a symbol.

    A tensor has `size` elements, of which each `width` one after the other are a row.
    """

    def walk(node: Expr) -> Any:
        match node:
            case Number(value):
                return arithmetic.literal(value)
            case Truth(value):
                return value
            case Ref(symbol):
                return value_of(symbol)
            case Reduce(fold, args):
                return arithmetic.fold(fold, tuple(arithmetic.spread(walk(arg), size) for arg in args))
            case ReduceRows(row_fold, args):
                return arithmetic.fold_rows(row_fold, tuple(arithmetic.spread(walk(arg), size) for arg in args), width)
            case Select(condition, chosen, other):
                if rate(condition) < Rate.ELEMENT:
                    return walk(chosen if walk(condition) else other)
                return arithmetic.select(walk(condition), walk(chosen), walk(other), size)
            case Apply(op, args):
                values = tuple(walk(arg) for arg in args)
                if rate(node) < Rate.ELEMENT:
                    return arithmetic.scalar(op, values)
                return arithmetic.elements(op, values, size)

    return walk(_expanded(expr))


_expanded = lru_cache(maxsize=4096)(expand)
"""`expand`, remembered: a rule is evaluated at many points. Spans, in which equal expressions differ, mean nothing."""


def constant(expr: Expr, hypers: Mapping[str, Any], arithmetic: Arithmetic | None = None) -> Any:
    """Return the value of a CONST expression at given hyperparameters."""
    return evaluate(expr, lambda symbol: hypers[symbol.name], arithmetic or Floats(), 0)


def defaults(rule: Rule, arithmetic: Arithmetic | None = None) -> dict[str, Any]:
    """Return the default of every hyperparameter, each computed from those before it."""
    values: dict[str, Any] = {}
    for hyper in rule.hypers:
        values[hyper.symbol.name] = constant(hyper.default, values, arithmetic)
    return values


def present_states(rule: Rule, hypers: Mapping[str, Any]) -> tuple[State, ...]:
    """Return the states that exist at given hyperparameters."""
    return tuple(state for state in rule.states if state.when is None or constant(state.when, hypers))


def initial_states(
    rule: Rule, arithmetic: Arithmetic, hypers: Mapping[str, Any], x: Elements, shape: Shape | None = None
) -> dict[str, Any]:
    """Return the states of a parameter at its first step. `shape` is that of `x`, None for one axis."""
    shape = (len(x),) if shape is None else shape

    def value_of(symbol: Symbol) -> Any:
        if symbol.role is Role.HYPER:
            return hypers[symbol.name]
        if symbol.role is Role.NDIM:
            return arithmetic.literal(Fraction(len(shape)))
        return arithmetic.literal(Fraction(len(x))) if symbol.role is Role.SIZE else x

    states = {}
    for state in present_states(rule, hypers):
        value = evaluate(state.init, value_of, arithmetic, len(x), row_width(shape))
        if not state.scalar:
            value = arithmetic.store(arithmetic.spread(value, len(x)), state.storage)
        states[state.name] = value
    return states


def view(
    rule: Rule, name: str, arithmetic: Arithmetic, hypers: Mapping[str, Any], x: Elements, states: Mapping[str, Any],
    t: int, shape: Shape | None = None,
) -> Elements:  # fmt: skip
    """Return a view of a parameter that has made `t` steps; KeyError if the rule has none of that name.

    `x`, `states` and `shape` are as `step` takes them. Before its first step a parameter is its own view, and where
    the condition of a view doesn't hold.
    """
    axes = 1 if shape is None else len(shape)
    wanted = next((view for view in rule.views if view.name == name), None)
    if wanted is None:
        raise KeyError(name)
    if t == 0 or not (wanted.when is None or constant(wanted.when, hypers)):
        return x

    def value_of(symbol: Symbol) -> Any:
        match symbol.role:
            case Role.HYPER:
                return hypers[symbol.name]
            case Role.STEP:
                return arithmetic.literal(Fraction(t))
            case Role.SIZE:
                return arithmetic.literal(Fraction(len(x)))
            case Role.NDIM:
                return arithmetic.literal(Fraction(axes))
        return x if symbol == rule.parameter else arithmetic.load(states[symbol.name])

    return arithmetic.spread(evaluate(wanted.value, value_of, arithmetic, len(x)), len(x))


def step(
    rule: Rule, arithmetic: Arithmetic, hypers: Mapping[str, Any], x: Elements, g: Elements, states: Mapping[str, Any],
    t: int, shape: Shape | None = None,
) -> Outcome:  # fmt: skip
    """Return the parameter and its states after step `t` (1 is the first).

    `x` and `g` are one-dimensional: lists for `Floats` and `Digits`, arrays for `Arrays`. `states` holds those that
    exist at these hyperparameters, as `initial_states` or an earlier step made them. Nothing is changed in place.
    `shape` is that of the parameter whose elements, the last axis fastest, `x` and `g` hold; None for one axis.
    """
    shape = (len(x),) if shape is None else shape
    values: dict[Symbol, Any] = {rule.parameter: x, rule.gradient: g}
    equations = {equation.target: equation.value for equation in rule.equations}
    size = len(x)

    def value_of(symbol: Symbol) -> Any:
        if symbol not in values:
            values[symbol] = compute(symbol)
        return values[symbol]

    def compute(symbol: Symbol) -> Any:
        match symbol.role:
            case Role.HYPER:
                return hypers[symbol.name]
            case Role.OLD:
                return arithmetic.load(states[symbol.name])
            case Role.STEP:
                return arithmetic.literal(Fraction(t))
            case Role.SIZE:
                return arithmetic.literal(Fraction(size))
            case Role.NDIM:
                return arithmetic.literal(Fraction(len(shape)))
            case Role.NEW | Role.LOCAL | Role.GRADIENT:
                value = evaluate(equations[symbol], value_of, arithmetic, size, row_width(shape))
                return arithmetic.spread(value, size) if symbol.rate is Rate.ELEMENT else value

    new = {equation.target.name: equation.target for equation in rule.equations if equation.target.role is Role.NEW}
    parameter = value_of(new[rule.parameter.name])
    after = {name: arithmetic.store(value_of(new[name]), rule.state(name).storage) for name in states}
    return Outcome(parameter, after, values)
