"""`vanishing-denominator`: a denominator that is 0 under ordinary gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from optdsl.checks import nonfinite_at_zero_gradient
from optdsl.checks._search import failures
from optdsl.checks._suspects import Trouble, around_defaults, suspects
from optdsl.checks._witness import Witness, witness
from optdsl.diagnostics import Problem, Severity
from optdsl.ir.nodes import Op, Rule


@dataclass(frozen=True, kw_only=True)
class VanishingDenominator(Problem):
    """A denominator, a base of a negative power or an argument of a logarithm that becomes 0."""

    slug: ClassVar[str] = "vanishing-denominator"
    severity: ClassVar[Severity] = "warning"
    op: Op
    part: str
    witness: Witness

    @property
    def message(self) -> str:
        match self.op:
            case Op.DIV:
                what = "the denominator"
            case Op.MOD:
                what = "the divisor"
            case Op.POW:
                what = "the base of a negative power,"
            case _:
                what = f"the argument of `{self.op}`,"
        if not self.part:
            return f"{what.rstrip(',')} of {self.witness.place} can be {self._value}"
        return f"{what} {self.part}{',' if what.endswith(',') else ''} can be {self._value}"

    @property
    def label(self) -> str:
        return self.witness.words

    @property
    def help(self) -> str:
        match self.op:
            case Op.DIV:
                return "add a positive `eps` to it, or leave the case out: `if ... == 0 then ... else ...`"
            case Op.MOD:
                return "keep it from being 0: `in [1, inf)` says so of a hyperparameter"
            case Op.POW:
                return "add a positive `eps` to the base"
        return "add a positive `eps` to the argument"

    @property
    def _value(self) -> str:
        return "-1" if self.op is Op.LOG1P else "0"


def check(rule: Rule) -> Iterator[Problem]:
    """Yield each denominator that is 0 at the defaults in a state a few ordinary gradients lead to.

    One that ranges show never to be 0 isn't looked for; one for which no numbers are found isn't told, and neither is
    one that is told as `nonfinite-at-zero-gradient`.
    """
    doubtful = [suspect for suspect in suspects(rule, around_defaults(rule)) if suspect.trouble is Trouble.ZERO]
    if not doubtful:
        return
    found = {problem.span for problem in nonfinite_at_zero_gradient.check(rule)}
    for failure in failures(rule, doubtful):
        culprit = failure.culprit
        if failure.trouble is not Trouble.ZERO or culprit.span in found or culprit.op is None:
            continue
        found.add(culprit.span)
        told = witness(rule, failure)
        yield VanishingDenominator(span=culprit.span, op=culprit.op, part=told.part, witness=told)
