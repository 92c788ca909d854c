"""Running a rule on a few numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.ir.arithmetic import Arithmetic, Arrays, Floats
from optdsl.ir.evaluate import Outcome, Shape, constant, initial_states, step
from optdsl.ir.nodes import Expr, Kind, ReduceRows, Ref, Role, Rule, Symbol, operands

MOST_SETTINGS = 16
"""Combinations of truth-valued hyperparameters that are tried."""
LONGEST = 60
"""Characters of the source that are quoted."""


@dataclass(frozen=True)
class Step:
    """One step of a trial: what went in and what came out."""

    t: int
    x: Any
    g: Any
    states: Mapping[str, Any]
    outcome: Outcome
    shape: Shape | None = None


def values(rule: Rule, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every hyperparameter as given, else its default, which may follow from those before it."""
    result: dict[str, Any] = {}
    for hyper in rule.hypers:
        name = hyper.symbol.name
        result[name] = given[name] if name in given else constant(hyper.default, result)
    return result


def settings(rule: Rule, held: Mapping[str, bool] | None = None) -> list[dict[str, bool]]:
    """Return combinations of the truth-valued hyperparameters, the defaults first; those held keep their value."""
    held = held or {}
    start = values(rule, held)
    free = [h.symbol.name for h in rule.hypers if h.symbol.kind is Kind.BOOLEAN and h.symbol.name not in held]
    choices = itertools.product(*((start[name], not start[name]) for name in free))
    return [{**held, **dict(zip(free, choice, strict=True))} for choice in itertools.islice(choices, MOST_SETTINGS)]


def elements(arithmetic: Arithmetic, numbers: Sequence[float]) -> Any:
    """Return a tensor of an arithmetic's own kind."""
    return np.array(numbers, arithmetic.dtype) if isinstance(arithmetic, Arrays) else list(numbers)


def steps(
    rule: Rule, hypers: Mapping[str, Any], x: Sequence[float], gradients: Sequence[Any],
    arithmetic: Arithmetic | None = None, shape: Shape | None = None,
) -> Iterator[Step]:  # fmt: skip
    """Yield one step from the initial state per gradient: a number for all elements, or a tensor of numbers.

    `shape` is that of the parameter, None for one axis.
    """
    arithmetic = arithmetic or Floats()
    parameter = elements(arithmetic, x)
    states: Mapping[str, Any] = initial_states(rule, arithmetic, hypers, parameter, shape)
    for t, gradient in enumerate(gradients, 1):
        g = arithmetic.spread(gradient, len(x))
        outcome = step(rule, arithmetic, hypers, parameter, g, states, t, shape)
        yield Step(t, parameter, g, states, outcome, shape)
        parameter, states = outcome.parameter, outcome.states


def shapes(rule: Rule, size: int) -> tuple[Shape, ...]:
    """Return the shapes to try a tensor of so many elements in: as one row too, where the rule looks at its axes."""
    waiting: list[Expr] = [equation.value for equation in rule.equations] + [state.init for state in rule.states]
    while waiting:
        expr = waiting.pop()
        if isinstance(expr, ReduceRows) or (isinstance(expr, Ref) and expr.symbol.role is Role.NDIM):
            return (size,), (1, size)
        waiting += operands(expr)
    return ((size,),)


def turned_bad(rule: Rule, step: Step) -> Iterator[tuple[Symbol, int, float]]:
    """Yield each element of a new value that isn't finite, unless it was infinite on purpose."""
    new = {e.target.name: e.target for e in rule.equations if e.target.role is Role.NEW}
    pairs = [(new[rule.parameter.name], step.x, step.outcome.parameter)]
    pairs += [(new[name], step.states[name], value) for name, value in step.outcome.states.items()]
    for symbol, before, after in pairs:
        old, value = np.ravel(before), np.ravel(after)
        for index in np.flatnonzero(~np.isfinite(value) & (np.isnan(value) | (old != value))):
            yield symbol, int(index), float(value[index])


def shown(rule: Rule, setting: Mapping[str, Any]) -> str:
    """Return in words how a setting differs from the defaults: "" or ", amsgrad = true"."""
    usual = values(rule, {})
    changed = {name: value for name, value in setting.items() if value != usual[name]}
    words = {name: str(value).lower() if isinstance(value, bool) else f"{value:g}" for name, value in changed.items()}
    return "".join(f", {name} = {value}" for name, value in words.items())


def quoted(rule: Rule, span: tuple[int, int] | None) -> str:
    """Return what the author wrote in a place, on one line and cut where it is long; "" where the place is unknown."""
    text = " ".join(rule.text[span[0] : span[1]].split()) if span else ""
    while text.startswith("(") and _closes_at_end(text):
        text = text[1:-1].strip()
    return f"`{text[:LONGEST]}...`" if len(text) > LONGEST else f"`{text}`" if text else ""


def _closes_at_end(text: str) -> bool:
    """Return whether the bracket that a text begins with is closed by its last character."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return index == len(text) - 1
    return False
