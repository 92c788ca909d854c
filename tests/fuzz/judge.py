"""Whether what was computed is as good as the rule as written: the oracle of the fuzz.

Validation compares single equations; this compares the new parameter and states in arithmetic at points that validation
doesn't know, whole rules at a time: in 50 digits with the Σ|terms| of every value, in float64, and in float32.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import constant, step
from optdsl.ir.kernel import Kernel, Program, run
from optdsl.ir.nodes import Expr, Rule, has_reduction, operands
from optdsl.ir.storage import storage_type
from optdsl.passes.terms import Term, Terms

from .points import Course, Point, point, shown

NOT_FINITE = "is no longer finite"
LOST = 1e6
"""How many times a value its error may be before there is nothing left of it."""
ROOM = 2.0**17
"""How near the largest float a value of the written rule may come, where its scalars may have any size.

They may where hyperparameters aren't the defaults, and where reductions or scalar states take part: a form that gathers
such factors multiplies them in another order, and overflows that much earlier.
"""

Outcome = Mapping[str, Any]
"""The new parameter and states by name: arrays, and floats for scalar states."""
Stepper = Callable[[Point, Any], Outcome]
"""Makes one step from a point whose numbers an element type holds."""


@dataclass(frozen=True)
class Finding:
    """A point at which something computes worse than the rule as written."""

    what: str
    value: str
    hypers: Mapping[str, Any]
    t: int
    figures: str
    by: str = "simplified"

    def __str__(self) -> str:
        return f"{self.by}: {self.value} {self.what} at t = {self.t}, {shown(self.hypers)}: {self.figures}"


def drawn(rule: Rule, seed: int, points: int, course: Course | None = None) -> list[Point]:
    """Return points to judge a rule at: of `course` and special ones in turn, else ordinary and special ones."""
    chance = random.Random(seed)
    return [point(rule, chance, number % 2 == 1, None if number % 2 else course) for number in range(points)]


def variant_at(program: Program, hypers: Mapping[str, Any]) -> int:
    """Return the variant that hyperparameters ask for."""
    return sum(bool(constant(c, hypers)) << bit for bit, c in enumerate(program.conditions))


def findings(
    program: Program, points: Sequence[Point], *, dtypes: tuple[Any, ...] = (np.float64, np.float32),
    others: Mapping[str, Stepper] | None = None,
) -> Iterator[Finding]:  # fmt: skip
    """Yield what is wrong with a simplified program, and with `others` that step by it, at some points."""
    kernels = {kernel.variant: kernel for kernel in program.kernels}
    for at in points:
        kernel = kernels[variant_at(program, at.hypers)]
        for dtype in dtypes:
            yield from _compare(program.rule, kernel, _held(at, program.rule, dtype), dtype, others or {})


def _held(point: Point, rule: Rule, dtype: Any) -> Point:
    """Return a point whose numbers a type, and the type of each state, holds."""

    def narrow(value: Any, of: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.array(value, of).astype(np.float64).tolist() if isinstance(value, list) else value

    states = {}
    for name, value in point.states.items():
        storage = rule.state(name).storage
        states[name] = narrow(narrow(value, dtype), storage_type(storage) if storage else dtype)
    return Point(
        point.hypers, point.usual, narrow(point.x, dtype), narrow(point.g, dtype), states, point.t, point.shape
    )


def _compare(rule: Rule, kernel: Kernel, at: Point, dtype: Any, others: Mapping[str, Stepper]) -> Iterator[Finding]:
    if not all(np.all(np.isfinite(value)) for value in (at.x, at.g, *at.states.values())):
        return
    plain = _as_written(rule, at, dtype)
    if (not at.usual or _any_size(rule)) and _near_overflow(plain.values, dtype):
        return
    written = {rule.parameter.name: plain.parameter, **plain.states}
    operations = sum(_operations(let.value) for let in kernel.lets()) + 1
    unit, least = float(np.finfo(dtype).eps) / 2, float(np.finfo(dtype).tiny) * 2**20
    # Numbers below that may have lost digits to underflow, in whatever order they are multiplied.
    terms = Terms(least=least, doubt=4 * operations * unit)
    reference = _in_digits(rule, at, terms)
    steppers: dict[str, Stepper] = {"simplified": partial(_by_kernel, rule, kernel), **others}
    for by, stepper in steppers.items():
        after = stepper(at, dtype)
        for name, right in reference.items():
            bound = 4 * operations * max(unit, _unit(rule, name))
            columns = [v if isinstance(v, list) else [v] for v in (right, _listed(written[name]), _listed(after[name]))]
            for term, old, new in zip(*columns, strict=True):
                what = _worse(term, old, new, bound, terms.doubtful)
                if what:
                    terms_of = f"{float(term.value)!r}, with terms of {float(term.size):.3g}"
                    figures = f"{new!r} where {old!r} was, of {terms_of}"
                    yield Finding(what, f"{name}' in {np.dtype(dtype)}", at.hypers, at.t, figures, by)


def _unit(rule: Rule, name: str) -> float:
    """Return the rounding unit of the type that a new value is stored in, 0 where that is the parameter's."""
    storage = next((state.storage for state in rule.states if state.name == name), None)
    return float(np.finfo(storage_type(storage)).eps) / 2 if storage else 0.0


def _in_digits(rule: Rule, at: Point, terms: Terms) -> dict[str, Any]:
    def exact(value: Any) -> Any:
        return [terms.given(item) for item in value] if isinstance(value, list) else terms.given(value)

    hypers = {name: v if isinstance(v, bool) else terms.given(v) for name, v in at.hypers.items()}
    states = {name: exact(value) for name, value in at.states.items()}
    meant = step(rule, terms, hypers, exact(at.x), exact(at.g), states, at.t, at.shape)
    return {rule.parameter.name: meant.parameter, **meant.states}


def arrays(rule: Rule, at: Point, dtype: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Return the parameter, the gradient and the states of a point, in the types they are stored in."""
    x, g = np.array(at.x, dtype), np.array(at.g, dtype)
    states = {}
    for name, value in at.states.items():
        storage = rule.state(name).storage
        states[name] = (
            np.array(value, storage_type(storage) if storage else dtype) if isinstance(value, list) else value
        )
    return x, g, states


def _as_written(rule: Rule, at: Point, dtype: Any) -> Any:
    x, g, states = arrays(rule, at, dtype)
    return step(rule, Arrays(dtype), at.hypers, x, g, states, at.t, at.shape)


def _by_kernel(rule: Rule, kernel: Kernel, at: Point, dtype: Any) -> Outcome:
    x, g, states = arrays(rule, at, dtype)
    parameter, after = run(kernel, Arrays(dtype), at.hypers, x, g, states, at.t, at.shape)
    return {rule.parameter.name: parameter, **after}


def _listed(value: Any) -> Any:
    return value.reshape(-1).tolist() if isinstance(value, np.ndarray) else value


def _worse(term: Term, before: float, after: float, bound: float, doubtful: bool) -> str:
    """Return what is wrong with a value, or "".

    Where a decision hangs by a rounding, a value only has to stay finite; where rounding leaves it without a digit, or
    the rule has no value, nothing can be asked of it.
    """
    allowed = bound * term.size
    if not math.isfinite(before) or not allowed <= LOST * max(1, abs(term.value)):
        return ""
    if not math.isfinite(after):
        return NOT_FINITE
    error, own = abs(after - term.value), abs(before - term.value)
    if doubtful or not own <= allowed or error <= allowed:
        return ""
    return "is outside the bound"


def _any_size(rule: Rule) -> bool:
    """Return whether a rule has scalars that are as large as its data: reductions, or states that are scalars."""
    return any(state.scalar for state in rule.states) or any(has_reduction(one.value) for one in rule.equations)


def _near_overflow(values: Mapping[Any, Any], dtype: Any) -> bool:
    """Return whether a value of the written rule is near the largest float."""
    columns = [np.abs(np.atleast_1d(np.array(value, np.float64))) for value in values.values()]
    largest = float(np.finfo(dtype).max)
    return any(bool(np.any((column > largest / ROOM) & (column < math.inf))) for column in columns)


def _operations(expr: Expr) -> int:
    return bool(operands(expr)) + sum(_operations(part) for part in operands(expr))
