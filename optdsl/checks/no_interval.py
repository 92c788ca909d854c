"""`no-interval`: a hyperparameter without an interval, where one would keep wrong values out.

An interval buys two things: a value outside it is refused when an optimizer is built or a group is changed, and checks
and simplification may use what it says of signs and zeros. That is worth a line where a wrong value makes nonsense of
the rule: in a decay, in the learning rate, in what is divided by, or under a root. A factor that only scales a term may
be any number and is left alone; so is one declared `in (-inf, inf)`, whose author has thought of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from optdsl.checks import _trial
from optdsl.checks._needs import needed, new_parameter
from optdsl.checks._roles import Use, uses
from optdsl.checks.moves_at_zero_lr import NAMES
from optdsl.diagnostics import Problem, Severity
from optdsl.ir.interval import Interval
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Kind, Rule, Symbol

_WORDS = {
    Use.RATE: ("the learning rate", "a negative one would climb"),
    Use.DECAY: ("a decay", "at {far} the state would grow without bound"),
    Use.DENOMINATOR: ("part of a denominator", "another value could make it 0"),
    Use.ROOT: ("under a root or a logarithm", "another value could make it NaN"),
}
_POSITIVE = Interval(0.0, float("inf"), True, False)
_DECAY = Interval(0.0, 1.0, True, False)


@dataclass(frozen=True, kw_only=True)
class NoInterval(Problem):
    """A hyperparameter that takes any number where not any number makes sense."""

    slug: ClassVar[str] = "no-interval"
    severity: ClassVar[Severity] = "warning"
    name: str
    use: Use
    default: float
    interval: Interval

    @property
    def message(self) -> str:
        return f"`{self.name}` takes any number, and it is {_WORDS[self.use][0]}"

    @property
    def label(self) -> str:
        return _WORDS[self.use][1].format(far=f"{self.name} = 1.5")

    @property
    def help(self) -> str:
        return (
            f"declare what it may be: `in {self.interval}`; a value outside is then refused when an optimizer is "
            "built,\nand checks and simplification may rely on it (`in (-inf, inf)` says that any number is meant)"
        )


def check(rule: Rule) -> Iterator[Problem]:
    """Yield the number-valued hyperparameters without an interval that are used where not any number makes sense."""
    open_ended = [h for h in rule.hypers if h.interval is None and h.symbol.kind is Kind.NUMBER]
    if not open_ended:
        return
    usual, found, rate = _trial.values(rule, {}), uses(rule), _learning_rate(rule)
    for hyper in open_ended:
        name = hyper.symbol.name
        use = Use.RATE if hyper.symbol == rate else found.get(hyper.symbol)
        if use is not None:
            interval = _suggested(use, usual[name])
            yield NoInterval(span=hyper.span or (0, 0), name=name, use=use, default=usual[name], interval=interval)


def _learning_rate(rule: Rule) -> Symbol | None:
    """Return the hyperparameter with the name of a learning rate, if the parameter depends on it."""
    hypers = {hyper.symbol.name: hyper.symbol for hyper in rule.hypers}
    rate = next((hypers[name] for name in NAMES if name in hypers), None)
    read = needed(rule, [new_parameter(rule)], across_steps=True)
    starts = {symbol for state in rule.states if state.symbol in read for symbol in symbols(state.init)}
    return rate if rate in read | starts else None


def _suggested(use: Use, default: float) -> Interval:
    """Return an interval that would do, which holds the default."""
    wanted = _DECAY if use is Use.DECAY else _POSITIVE
    if default in wanted:
        return wanted
    return _POSITIVE if default in _POSITIVE else Interval(-float("inf"), float("inf"))
