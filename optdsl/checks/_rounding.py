"""Looking for a run in which rounding alone takes an operand out of its domain.

The mean of the squares less the square of the mean is never negative, but both come to the same number under a constant
gradient, and then the difference is what rounding left of it. It takes as many steps as the averages remember, so the
run is long; it is made for suspects that hold a difference of states only, in float32, on a few gradients at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from optdsl.checks import _trial
from optdsl.checks._blame import blame
from optdsl.checks._needs import needed
from optdsl.checks._search import Failure
from optdsl.checks._stepper import Stepper, Values
from optdsl.checks._suspects import Suspect, Trouble, around_defaults, settings, suspects
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import Outcome
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Kind, Op, Rate, Role, Rule
from optdsl.ir.powers import expand

_GRADIENTS = tuple(tenths / 10 for tenths in range(1, 61))
_SHOCK = 100.0
"""How much larger the first gradient is in half of the runs, which bring averages to rest from above."""
_STEPS = 2_000
_SHORT = 300
"""Steps with decays set to `_DECAY`, at which averages forget sooner."""
_DECAY = 0.9
_MOST_TRIED = 4
"""Suspects that are looked into."""
_MOST_CONFIRMED = 3
"""Negative operands that are followed up, for one suspect: they may be in an arm not taken."""


def rounding_failures(rule: Rule) -> Iterator[Failure]:
    """Yield the operations that fail by rounding after many steps under the same gradient, in float32."""
    tried: set[tuple[int, int] | None] = set()
    for setting in settings(rule):
        for suspect in suspects(rule, around_defaults(rule, setting)):
            if suspect.trouble is not Trouble.NEGATIVE or suspect.operation.span in tried:
                continue
            if ir.rate(suspect.part) < Rate.TENSOR or not _differs(rule, suspect.part):
                continue
            if len(tried) == _MOST_TRIED:
                return
            tried.add(suspect.operation.span)
            failure = _fails(rule, setting, suspect, _STEPS)
            if failure is None and (faster := _forgetting_faster(rule)):
                failure = _fails(rule, {**setting, **faster}, suspect, _SHORT)
            if failure is not None:
                yield failure


def _differs(rule: Rule, expr: ir.Expr) -> bool:
    """Return whether an expression holds a difference that two states have a part in, in this step's equations."""
    equations = {equation.target: equation.value for equation in rule.equations}
    seen: set[ir.Symbol] = set()

    def walk(node: ir.Expr) -> bool:
        if isinstance(node, ir.Apply) and node.op is Op.SUB:
            read = needed(rule, symbols(node), across_steps=True)
            if sum(state.symbol in read for state in rule.states) >= 2:
                return True
        if isinstance(node, ir.Ref) and node.symbol in equations and node.symbol not in seen:
            seen.add(node.symbol)
            return walk(equations[node.symbol])
        return any(walk(part) for part in ir.operands(node))

    return walk(expr)


def _forgetting_faster(rule: Rule) -> dict[str, float]:
    """Return a smaller value for every hyperparameter that is likely a long decay."""
    usual = _trial.values(rule, {})
    return {
        hyper.symbol.name: _DECAY
        for hyper in rule.hypers
        if hyper.symbol.kind is Kind.NUMBER
        and 0.99 < usual[hyper.symbol.name] < 1
        and (hyper.interval is None or _DECAY in hyper.interval)
    }


def _fails(rule: Rule, setting: Mapping[str, bool | float], suspect: Suspect, limit: int) -> Failure | None:
    """Return the first failure of a suspect within so many steps."""
    hypers, arithmetic = _trial.values(rule, setting), Arrays(np.float32)
    gradients = np.array(_GRADIENTS * 2, np.float32)
    first = gradients * np.repeat(np.array([1.0, _SHOCK], np.float32), len(_GRADIENTS))
    wanted = [symbol for symbol in symbols(suspect.part) if symbol.role in (Role.NEW, Role.LOCAL, Role.OLD)]
    stepper = Stepper(rule, hypers, arithmetic, np.ones(len(gradients), np.float32), wanted)
    operand = stepper.compiled(expand(suspect.part))
    followed = 0
    for t in range(1, limit + 1):
        found = np.broadcast_to(operand(stepper.step(first if t == 1 else gradients)), len(gradients))
        if np.isnan(found).any():
            return None
        for index in np.flatnonzero(found < 0):
            failure = _confirmed(rule, setting, suspect, (first[index], gradients[index]), t)
            followed += 1
            if failure is not None or followed == _MOST_CONFIRMED:
                return failure
    return None


def _confirmed(
    rule: Rule, setting: Mapping[str, bool | float], suspect: Suspect, pair: tuple[Any, Any], steps: int
) -> Failure | None:
    """Return the failure if it makes the parameter or a state NaN, which an arm not taken doesn't."""
    hypers, arithmetic = _trial.values(rule, setting), Arrays(np.float32)
    stepper = Stepper(rule, hypers, arithmetic, np.ones(1, np.float32))
    sequence = (pair[0], *(pair[1],) * (steps - 1))
    for gradient in sequence:
        g = np.full(1, gradient, np.float32)
        x, states = stepper.x, dict(stepper.states)
        values = stepper.step(g)
    step = _trial.Step(
        steps, x, g, states, Outcome(stepper.x, stepper.states, _without_states(rule, stepper.named(values)))
    )
    for target, index, _ in _trial.turned_bad(rule, step):
        culprit = blame(rule, target, index, step, hypers, arithmetic)
        if culprit.span == suspect.operation.span:
            shown = tuple(float(str(gradient)) for gradient in sequence)
            return Failure(Trouble.NEGATIVE, culprit, steps, (1.0,), shown, setting)
    return None


def _without_states(rule: Rule, values: Values) -> dict[ir.Symbol, Any]:
    """Return the values of a step as the interpreter gives them: the states before it are not among them."""
    return {symbol: value for symbol, value in values.items() if symbol not in {s.symbol for s in rule.states}}
