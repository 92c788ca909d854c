"""`negative-radicand`: a root, a logarithm or a power of a number that can be negative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from optdsl.checks import nonfinite_at_zero_gradient
from optdsl.checks._rounding import rounding_failures
from optdsl.checks._search import Failure, failures
from optdsl.checks._suspects import Trouble, around_defaults, suspects
from optdsl.checks._witness import Witness, witness
from optdsl.diagnostics import Problem, Severity
from optdsl.ir.nodes import Op, Rule


@dataclass(frozen=True, kw_only=True)
class NegativeRadicand(Problem):
    """A number below the domain of a root, a logarithm or a power that isn't whole."""

    slug: ClassVar[str] = "negative-radicand"
    severity: ClassVar[Severity] = "warning"
    op: Op
    witness: Witness
    rounding: bool

    @property
    def message(self) -> str:
        what = self.witness.part or f"the operand of {self.witness.place}"
        how = "below -1" if self.op is Op.LOG1P else "negative"
        return f"{what} can be {how}{' by rounding' if self.rounding else ''}, which makes {self._of} NaN"

    @property
    def label(self) -> str:
        return self.witness.words

    @property
    def help(self) -> str:
        match self.op:
            case Op.SQRT:
                return "keep it from falling below 0: `sqrt(max(..., 0))`"
            case Op.POW:
                return "keep the base from falling below 0: `max(..., 0)^p`, or `abs(...)^p`"
        return f"keep the argument positive: `{self.op}(max(..., eps))`"

    @property
    def _of(self) -> str:
        return {Op.SQRT: "its root", Op.POW: "a power of it"}.get(self.op, f"its `{self.op}`")


def check(rule: Rule) -> Iterator[Problem]:
    """Yield each operation whose operand is negative at the defaults in a state that gradients lead to.

    One that ranges show never to be negative isn't looked for; one for which no numbers are found isn't told, and
    neither is one that is told as `nonfinite-at-zero-gradient`. What exact arithmetic keeps positive is looked for in
    float32 over many steps.
    """
    doubtful = [suspect for suspect in suspects(rule, around_defaults(rule)) if suspect.trouble is Trouble.NEGATIVE]
    if not doubtful:
        return
    found = {problem.span for problem in nonfinite_at_zero_gradient.check(rule)}
    for failure in failures(rule, doubtful):
        if failure.trouble is Trouble.NEGATIVE and failure.culprit.span not in found:
            found.add(failure.culprit.span)
            yield from _finding(rule, failure, rounding=False)
    for failure in rounding_failures(rule):
        if failure.culprit.span not in found:
            found.add(failure.culprit.span)
            yield from _finding(rule, failure, rounding=True)


def _finding(rule: Rule, failure: Failure, rounding: bool) -> Iterator[NegativeRadicand]:
    culprit = failure.culprit
    if culprit.op is not None:
        told = witness(rule, failure, "float32" if rounding else "")
        yield NegativeRadicand(span=culprit.span, op=culprit.op, witness=told, rounding=rounding)
