"""Proving and refuting what rules state of themselves: the section `claim`, and `optdsl diff`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from optdsl.algebra.equivalence import compare, descends, invariant, still
from optdsl.algebra.limits import clock
from optdsl.algebra.verdicts import Answer, Counterexample, Free, Verdict
from optdsl.diagnostics import Note, Problem, Severity, closest
from optdsl.ir import claims as ir
from optdsl.ir.evaluate import defaults
from optdsl.ir.nodes import Rule, kind
from optdsl.problems import UndefinedName, WrongKind
from optdsl.settings import shown
from optdsl.source import SourceFile

SECONDS = 10.0
"""Time for a claim; most take less than one, but a busy machine must not leave them unproved."""
TOGETHER = 30.0
"""Time for all claims of a file."""
SHORTEST = 0.05
"""Time below which a claim isn't begun."""

_LATE = "not looked into: the claims before it took the time there is for a file"

Found = tuple[SourceFile, Rule]
"""A rule that a claim names, with its text and the texts it is made from."""


@dataclass(frozen=True, kw_only=True)
class FalseClaim(Problem):
    """A claim with a counterexample."""

    slug: ClassVar[str] = "false-claim"
    claim: str
    what: str
    where: str
    difference: str
    places: tuple[Note, ...]

    @property
    def message(self) -> str:
        """What is wrong."""
        return f"`{self.claim}` is false: {self.what}"

    @property
    def label(self) -> str:
        """The values at which it shows."""
        return self.where

    @property
    def notes(self) -> tuple[Note, ...]:
        """The equations in which the two part."""
        return self.places

    @property
    def help(self) -> str:
        """The difference."""
        return self.difference


@dataclass(frozen=True, kw_only=True)
class UnprovedClaim(Problem):
    """A claim that is neither proved nor refuted."""

    slug: ClassVar[str] = "unproved-claim"
    severity: ClassVar[Severity] = "warning"
    claim: str
    words: str
    holds: bool
    counted: bool

    @property
    def message(self) -> str:
        """What is wrong."""
        return f"`{self.claim}` is " + ("neither proved nor refuted" if self.holds else "not decided")

    @property
    def label(self) -> str:
        """What is known."""
        return self.words

    @property
    def help(self) -> str:
        """How to mend it."""
        return "claim less: fix hyperparameters with `when`" + (", or fewer steps with `for N steps`" * self.counted)


def check(
    source: SourceFile, rule: Rule, find: Callable[[ir.Equals], Found | Problem], seconds: float | None = None
) -> tuple[SourceFile, list[Problem]]:
    """Return what is wrong with the claims of a rule, which have `seconds` of processor time together.

    One of them may take all of it. Where `seconds` is None, they have the usual: `SECONDS` each, `TOGETHER` in all.
    `find` gives the rule that an `equals` names. The source that comes back has the texts of those that findings point
    into, after its own.
    """
    problems: list[Problem] = []
    each, together = (SECONDS, TOGETHER) if seconds is None else (seconds, seconds)
    until = clock() + together
    for claim in rule.claims:
        left = min(each, until - clock())
        if left < SHORTEST:
            problems += _judged(claim, Verdict(Answer.UNKNOWN, _LATE), rule)
            continue
        if isinstance(claim, ir.Equals):
            found = find(claim)
            wrong = found if isinstance(found, Problem) else _misgiven(claim, found[1])
            if isinstance(found, Problem) or wrong is not None:
                problems += [wrong] if wrong is not None else []
                continue
            given = {hyper.name: hyper.value for hyper in claim.given}
            verdict = compare(rule, found[1], dict(claim.when), given, claim.steps, left)
            if verdict.answer is Answer.REFUTED:
                start = len(source.text) + 1
                source = source.followed_by(found[0])
                problems.append(_false(claim, verdict, rule, found[1], start))
                continue
        else:
            verdict = _verdict(rule, claim, left)
        problems += _judged(claim, verdict, rule)
    return source, problems


def _verdict(rule: Rule, claim: ir.Invariant | ir.Descends | ir.Still, seconds: float) -> Verdict:
    hypers = dict(claim.when)
    match claim:
        case ir.Invariant():
            free = [Free(symbol, interval) for symbol, interval in claim.free]
            return invariant(rule, dict(claim.changes), free, hypers, claim.steps, seconds)
        case ir.Descends():
            return descends(rule, hypers, seconds)
        case ir.Still():
            return still(rule, hypers, seconds=seconds)


def _misgiven(claim: ir.Equals, other: Rule) -> Problem | None:
    """Return what is wrong with the values a claim gives to another rule's hyperparameters."""
    hypers = {hyper.symbol.name: hyper.symbol for hyper in other.hypers}
    for given in claim.given:
        if given.name not in hypers:
            wanted, near = f"a hyperparameter of `{claim.other}`", closest(given.name, hypers)
            return UndefinedName(span=given.span, name=given.name, wanted=wanted, suggestion=near)
        if kind(given.value) is not hypers[given.name].kind:
            return WrongKind(span=given.span, found=kind(given.value), wanted=hypers[given.name].kind, literal=True)
    return None


def _judged(claim: ir.Claim, verdict: Verdict, rule: Rule) -> list[Problem]:
    if verdict.answer is Answer.PROVED:
        return []
    if verdict.answer is Answer.REFUTED:
        return [_false(claim, verdict, rule, rule, 0)]
    holds = verdict.answer is Answer.UNPROVED
    counted = isinstance(claim, ir.Equals | ir.Invariant)
    return [UnprovedClaim(span=claim.span, claim=claim.text, words=verdict.words, holds=holds, counted=counted)]


def _false(claim: ir.Claim, verdict: Verdict, rule: Rule, other: Rule, offset: int) -> FalseClaim:
    """Return the finding for a refuted claim; `offset` is where the text of the other rule begins."""
    found = verdict.counterexample
    assert found is not None
    return FalseClaim(
        span=claim.span, claim=claim.text, what=_what(claim, found, rule), where=point(found, rule),
        difference=_difference(claim, found, rule), places=_places(claim, found, rule, other, offset),
    )  # fmt: skip


def _what(claim: ir.Claim, found: Counterexample, rule: Rule) -> str:
    """Return in words what a counterexample shows."""
    name, (first, second) = f"{rule.parameter.name}'", numbers(found.first, found.second)
    match claim:
        case ir.Equals(other=other):
            return f"at step {found.step} {name} is {first} here and {second} in {other}"
        case ir.Invariant(changes=changes):
            replaced = " and ".join(symbol.name for symbol, _ in changes)
            return f"at step {found.step} {name} is {first}, and {second} once {replaced} is replaced"
        case ir.Descends():
            return f"the first step goes along the gradient, from {second} to {first}"
        case ir.Still():
            return f"at step {found.step} {rule.parameter.name} goes from {second} to {first}"


def point(found: Counterexample, rule: Rule) -> str:
    """Return the values at which something was found: the start, the gradients, and what isn't at its default."""
    usual = defaults(rule)
    gradients = [
        (rule.gradient.name if found.step == 1 else f"{rule.gradient.name}{step}", gradient)
        for step, gradient in enumerate(found.gradients, 1)
    ]
    parts = [f"{name} = {_tensor(value)}" for name, value in ((rule.parameter.name, found.x), *gradients)]
    parts += [f"{name} = {shown(value)}" for name, value in found.free]
    parts += [f"{name} = {shown(value)}" for name, value in found.hypers if value != usual.get(name)]
    return ", ".join(parts)


def _tensor(values: tuple[float, ...]) -> str:
    """Return the elements of a tensor, one by itself."""
    parts = [shown(value) for value in values]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _difference(claim: ir.Claim, found: Counterexample, rule: Rule) -> str:
    """Return how much the two differ, in symbols, first where they part and then in the parameter."""
    if not isinstance(claim, ir.Equals | ir.Invariant):
        return ""
    there = f"in {claim.other}" if isinstance(claim, ir.Equals) else "with the replacement"
    lines = []
    if found.parting is not None and found.parting.difference is not None:
        lines.append(f"where they part, the difference is {found.parting.difference}")
    if found.difference is not None:
        at = " at these values" if found.with_numbers else ""
        name = f"{rule.parameter.name}'"
        lines.append(f"{name} here less {name} {there} is {found.difference}{at}")
    return "\n".join(lines)


def _places(claim: ir.Claim, found: Counterexample, rule: Rule, other: Rule, offset: int) -> tuple[Note, ...]:
    """Return the equations in which the parameters part, with their values."""
    parting = found.parting
    if parting is None or parting.first.span is None:
        return ()
    first, second = numbers(parting.first_value, parting.second_value)
    if isinstance(claim, ir.Equals) and parting.second.span is not None:
        start, end = parting.second.span
        there = Note(span=(start + offset, end + offset), label=f"and {second} in {other.name}")
        return Note(span=parting.first.span, label=f"this is {first} at step {found.step}"), there
    if isinstance(claim, ir.Invariant):
        return (
            Note(
                span=parting.first.span,
                label=f"this is {first} at step {found.step}, and {second} with the replacement",
            ),
        )
    return (Note(span=parting.first.span, label=f"this is {first} at step {found.step}"),)


def numbers(first: float | bool, second: float | bool) -> tuple[str, str]:
    """Return two values as text, with as many digits as it takes to tell them apart."""
    if isinstance(first, bool) or isinstance(second, bool):
        return str(first).lower(), str(second).lower()
    digits = next((digits for digits in (6, 9, 12) if f"{first:.{digits}g}" != f"{second:.{digits}g}"), 17)
    return f"{first:.{digits}g}", f"{second:.{digits}g}"
