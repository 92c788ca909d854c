"""Looking for simple numbers under which an operation of a rule has no finite value.

A rule is run for a few steps from several starts under many sequences of gradients, all at once: its elements don't see
one another, so each of them is a run of its own. Rules with reductions, whose elements do, are run one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from optdsl.checks import _trial
from optdsl.checks._blame import Culprit, blame
from optdsl.checks._suspects import Suspect, Trouble, settings
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import Shape, evaluate
from optdsl.ir.nodes import Rate, Role, Rule, Symbol

STEPS = 8
STARTS = (1.0, 0.0, -0.5)
_TENSORS = ((1.0, -1.0), (0.0,))
_LAST_STEP = 2_000
"""Step number up to which a zero of an expression of the step number alone is looked for."""
_MOST_BLAMED, _MOST_BLAMED_IN_ALL = 8, 24
"""Elements looked into at one step of a run, and in the whole run."""


def _sequences() -> list[tuple[float, ...]]:
    """Return sequences of gradients, the simplest first. Those with zeros are zero early and not at the end."""
    constant = [(value,) * STEPS for value in (1.0, -1.0, 0.5, 2.0, -2.0, 0.1, 10.0, -10.0)]
    varied = [
        (1.0, -1.0) * (STEPS // 2),
        tuple(float(step) for step in range(1, STEPS + 1)),
        (1.0, 1.0, 2.0, 2.0) * (STEPS // 4),
        tuple(0.5**step for step in range(STEPS)),
    ]
    late = [(0.0,) * zeros + (1.0,) * (STEPS - zeros) for zeros in (1, 2, 3)]
    again = [(1.0, *(0.0,) * zeros, *(1.0,) * (STEPS - 1 - zeros)) for zeros in (1, 2, 3)]
    return constant + varied + late + again


SEQUENCES = _sequences()


@dataclass(frozen=True)
class Failure:
    """An operation without a finite value, and the run that led to it.

    `start` is the parameter at first: the whole tensor where its elements see one another, else the one that fails.
    """

    trouble: Trouble
    culprit: Culprit
    t: int
    start: tuple[float, ...]
    gradients: tuple[float, ...]
    setting: Mapping[str, bool | float]


def failures(rule: Rule, suspects: list[Suspect]) -> Iterator[Failure]:
    """Yield the operations that make the parameter or a state NaN or infinite in some run, the shortest runs first."""
    for setting in settings(rule):
        hypers = _trial.values(rule, setting)
        for start, sequences in _runs(rule):
            for shape in _trial.shapes(rule, len(start)):
                yield from _failing(rule, hypers, setting, start, sequences, shape)
        last = _first_bad_step(rule, hypers, suspects)
        if last:
            yield from _failing(rule, hypers, setting, np.ones(1), np.ones((last, 1)))


def _runs(rule: Rule) -> Iterator[tuple[Any, Any]]:
    """Yield starts of elements, and their gradients step by step."""
    pairs = [(start, sequence) for sequence in SEQUENCES for start in STARTS]
    if not mixes_elements(rule):
        yield np.array([start for start, _ in pairs]), np.array([sequence for _, sequence in pairs]).T
        return
    for tensor in _TENSORS:
        for sequence in SEQUENCES:
            yield np.array(tensor), np.array([sequence] * len(tensor)).T


def mixes_elements(rule: Rule) -> bool:
    """Return whether what happens to an element depends on the others, or on how many there are."""
    waiting: list[ir.Expr] = [equation.value for equation in rule.equations] + [state.init for state in rule.states]
    while waiting:
        expr = waiting.pop()
        if ir.has_reduction(expr) or (isinstance(expr, ir.Ref) and expr.symbol.role in (Role.SIZE, Role.NDIM)):
            return True
        waiting += ir.operands(expr)
    return False


def _failing(
    rule: Rule, hypers: Mapping[str, Any], setting: Mapping[str, bool | float], start: Any, sequences: Any,
    shape: Shape | None = None,
) -> Iterator[Failure]:  # fmt: skip
    """Yield what fails in one run, each operation at its first failure."""
    arithmetic = Arrays(np.float64)
    failed: set[tuple[Symbol, int]] = set()
    together = mixes_elements(rule)
    left = _MOST_BLAMED_IN_ALL
    for step in _trial.steps(rule, hypers, start, sequences, arithmetic, shape):
        stop = max(0, left - _MOST_BLAMED)
        for target, index, _ in _trial.turned_bad(rule, step):
            if (target, index) in failed:
                continue
            failed.add((target, index))
            if step.g[index] == 0 or left == stop:
                continue  # not under an ordinary gradient, or enough seen of this step
            left -= 1
            culprit = blame(rule, target, index, step, hypers, arithmetic)
            if culprit.trouble is not None:
                gradients = tuple(float(row[index]) for row in sequences[: step.t])
                first = tuple(float(value) for value in (start if together else start[index : index + 1]))
                yield Failure(culprit.trouble, culprit, step.t, first, gradients, setting)


def _first_bad_step(rule: Rule, hypers: Mapping[str, Any], suspects: list[Suspect]) -> int:
    """Return the first step after `STEPS` at which an operand made of the step number alone leaves its domain, or 0."""
    equations = {equation.target: equation.value for equation in rule.equations}
    many = ir.Symbol(Role.LOCAL, "t", Rate.ELEMENT)
    steps = np.arange(1.0, _LAST_STEP + 1)

    def written_out(expr: ir.Expr) -> ir.Expr | None:
        """Return an expression in which all steps are elements; None where it depends on more than the step."""
        if isinstance(expr, ir.Ref):
            if expr.symbol.role is Role.STEP:
                return ir.Ref(many)
            if expr.symbol.role is Role.HYPER:
                return expr
            return written_out(equations[expr.symbol]) if expr.symbol.role is Role.LOCAL else None
        parts = [written_out(part) for part in ir.operands(expr)]
        known = tuple(part for part in parts if part is not None)
        return ir.rebuild(expr, known) if len(known) == len(parts) else None

    first = 0
    for suspect in suspects:
        part = written_out(suspect.part) if ir.rate(suspect.part) is Rate.STEP else None
        if part is None:
            continue
        read: Any = lambda symbol: steps if symbol == many else hypers[symbol.name]  # noqa: E731
        values = np.broadcast_to(evaluate(part, read, Arrays(np.float64), len(steps)), len(steps))
        bad = np.flatnonzero(values < 0 if suspect.trouble is Trouble.NEGATIVE else values == 0) + 1
        later = bad[bad > STEPS]
        if later.size and (not first or later[0] < first):
            first = int(later[0])
    return first
