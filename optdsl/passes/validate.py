"""Checking a simplified kernel against the equations as written, before it is used.

Both are evaluated at the same points of the declared domain: the equations in 50-digit arithmetic, the kernel in 50
digits (the algebra must be right) and in float64 (rounding must not get worse, and finite must stay finite). The bound
on the error is 4·ops·u·Σ|terms|, where the terms are those of the equations as written.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Digits, Floats, Lists
from optdsl.ir.evaluate import constant, defaults, evaluate, initial_states, step
from optdsl.ir.kernel import Kernel, run, symbols
from optdsl.ir.nodes import Expr, Op, Role, Rule

UNIT = 2.0**-53
POINTS = 4
"""Random settings of the hyperparameters at which a kernel is compared."""
STEPS = (1, 2, 1000)
"""Step numbers at which it is compared, one after the other."""
PARAMETERS = (0.75, -1.5, 3e-4, 0.0, 20.0)
GRADIENTS = (-0.3, 2.0, 1e-6, 0.5, 0.0)


@cache
def _digits() -> Digits:
    return Digits(50)


def hyper_values(hyper: ir.Hyper, default: float) -> list[float]:
    """Return values of a hyperparameter to try: its default, the ends it may take, values inside."""
    if hyper.symbol.kind is ir.Kind.BOOLEAN:
        return [False, True]
    interval = hyper.interval
    if interval is None:
        return [default, 0.0, 0.5]
    inside = [value for value in (0.0, 1e-3, 0.1, 0.5, 0.9, 0.999, 2.0) if value in interval]
    return list(dict.fromkeys([default, *_ends(hyper), *inside]))


def _ends(hyper: ir.Hyper) -> list[float]:
    """Return the ends of a hyperparameter's interval that it may take."""
    interval = hyper.interval
    if interval is None:
        return []
    return [end for end in (interval.low, interval.high) if math.isfinite(end) and end in interval]


class Domain:
    """The declared domain of a rule, as points to try."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.defaults = defaults(rule)
        self.values = {h.symbol.name: hyper_values(h, self.defaults[h.symbol.name]) for h in rule.hypers}
        self.ends = {h.symbol.name: _ends(h) for h in rule.hypers}
        self.locals = {e.target: e.value for e in rule.equations if e.target.role is Role.LOCAL}

    def points(self, conditions: tuple[Expr, ...], variant: int) -> Iterator[dict[str, float]]:
        """Yield settings for which exactly the conditions of a variant hold.

        First the defaults, then each hyperparameter by itself at the ends of its interval, then random settings.
        """
        chance = random.Random(0)
        drawn = ({name: chance.choice(values) for name, values in self.values.items()} for _ in range(400))
        special = ({**self.defaults, name: end} for name, ends in self.ends.items() for end in ends)
        found = 0
        for setting in itertools.chain([self.defaults], special, drawn):
            held = sum(bool(constant(condition, setting)) << bit for bit, condition in enumerate(conditions))
            if held == variant:
                found += 1
                yield setting
            if found >= POINTS + sum(len(ends) for ends in self.ends.values()):
                return

    def positive(self, expr: Expr) -> bool:
        """Return whether a scalar is positive and finite wherever it was tried, the ends of the intervals included."""
        read = sorted(set(symbols(expr)), key=lambda symbol: symbol.name)
        expanded = [symbol for symbol in read if symbol in self.locals]
        if any(symbol.role not in (Role.HYPER, Role.STEP, Role.LOCAL) for symbol in read) or expanded:
            return False
        names = [symbol.name for symbol in read if symbol.role is Role.HYPER]
        grid = list(itertools.islice(itertools.product(*(self.values[name] for name in names)), 600))
        for setting, t in itertools.product(grid, (1, 2, 7, 10**6)):
            values = dict(zip(names, setting, strict=True))
            value = evaluate(expr, lambda s, v=values, t=t: float(t) if s.role is Role.STEP else v[s.name], Floats(), 1)  # type: ignore[misc]  # fmt: skip
            if not (math.isfinite(value) and value > 1e-300):
                return False
        return True


@dataclass(frozen=True)
class Term:
    """A number with the sum of the magnitudes it was added up from."""

    value: Any
    size: Any


class Terms(Lists):
    """50-digit arithmetic that carries, beside each value, the Σ|terms| by which its rounding error is judged."""

    def __init__(self) -> None:
        self.digits = _digits()

    def literal(self, value: Fraction | float) -> Term:
        number = self.digits.literal(value)
        return Term(number, abs(number))

    def scalar(self, op: Op, args: tuple[Any, ...]) -> Any:
        values = tuple(arg.value if isinstance(arg, Term) else arg for arg in args)
        result = self.digits.scalar(op, values)
        if isinstance(result, bool):
            return result
        sizes = [arg.size for arg in args]
        return Term(result, self._size(op, result, values, sizes))

    def _size(self, op: Op, result: Any, values: tuple[Any, ...], sizes: list[Any]) -> Any:
        match op:
            case Op.ADD | Op.SUB:
                return sizes[0] + sizes[1]
            case Op.MIN | Op.MAX:
                return max(sizes)
            case Op.NEG | Op.ABS:
                return sizes[0]
            case Op.MUL:
                return sizes[0] * sizes[1]
        # For other operations the relative sizes of the arguments add up to that of the result.
        relative = sum((size / abs(value) if value != 0 else 1) for size, value in zip(sizes, values, strict=True))
        return abs(result) * max(relative, 1)


def validate(kernel: Kernel, domain: Domain, conditions: tuple[Expr, ...]) -> str:
    """Return "" where a kernel agrees with the equations as written, else what differs."""
    rule = kernel.rule
    operations = sum(_operations(let.value) for let in kernel.lets()) + 1
    for setting, t in zip(domain.points(conditions, kernel.variant), itertools.cycle(STEPS)):
        difference = _compare(kernel, rule, setting, t, operations)
        if difference:
            shown = ", ".join(f"{name} = {value:g}" for name, value in setting.items())
            return f"{difference} at t = {t}, {shown}"
    return ""


def _compare(kernel: Kernel, rule: Rule, setting: Mapping[str, Any], t: int, operations: int) -> str:
    exact, terms, floats = _digits(), Terms(), Floats()
    x, g = list(PARAMETERS), list(GRADIENTS)
    states = initial_states(rule, floats, setting, x)
    if t > 1:  # somewhere on the way, not at the start
        states = {
            name: [abs(s) + 0.1 + 0.3 * i for i, s in enumerate(value)] if isinstance(value, list) else value
            for name, value in states.items()
        }
    wide = (
        _mapped(setting, exact.literal),
        _mapped(x, exact.literal),
        _mapped(g, exact.literal),
        _mapped(states, exact.literal),
    )
    term = (
        _mapped(setting, terms.literal),
        _mapped(x, terms.literal),
        _mapped(g, terms.literal),
        _mapped(states, terms.literal),
    )
    written = step(rule, terms, *term, t)
    algebra = run(kernel, exact, *wide, t)
    rounded = run(kernel, floats, setting, x, g, states, t)
    plain = step(rule, floats, setting, x, g, states, t)
    pairs = [(rule.parameter.name, written.parameter, algebra[0], rounded[0], plain.parameter)]
    pairs += [(name, written.states[name], algebra[1][name], rounded[1][name], plain.states[name]) for name in states]
    for name, as_written, in_digits, in_floats, as_rounded in pairs:
        rows = zip(
            *(v if isinstance(v, list) else [v] for v in (as_written, in_digits, in_floats, as_rounded)), strict=True
        )
        for reference, digits, value, before in rows:
            reason = _differs(reference, digits, value, before, operations)
            if reason:
                return f"{name}' {reason}"
    return ""


def _differs(reference: Term, digits: Any, value: float, before: float, operations: int) -> str:
    if not math.isfinite(before):
        return ""  # the author's form isn't finite here either
    if not math.isfinite(value):
        return "is no longer finite"
    # Written so that a NaN counts as a difference.
    if not abs(digits - reference.value) <= 1e-40 * (reference.size + 1e-300):
        return "is another function"
    if not abs(value - reference.value) <= 4 * operations * UNIT * reference.size + 5e-324:
        return "is less exact"
    return ""


def _mapped(value: Any, convert: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _mapped(item, convert) for name, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, convert) for item in value]
    return value if isinstance(value, bool) else convert(float(value))


def _operations(expr: Expr) -> int:
    return 1 + sum(_operations(part) for part in ir.operands(expr))
