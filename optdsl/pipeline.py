"""The compiler on one page: from text to the files of a target, stage by stage."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from optdsl import allow, checks, targets
from optdsl.algebra.limits import clock
from optdsl.diagnostics import CompileError, Problem
from optdsl.ir.claims import Equals
from optdsl.ir.kernel import Kernel, Program
from optdsl.ir.nodes import Expr, Rule, Symbol
from optdsl.passes.cost import cheaper, kernel_cost
from optdsl.passes.domain import Domain, Knowledge
from optdsl.passes.improve import Effort, Propose, improve
from optdsl.passes.options import with_options
from optdsl.passes.order import ordered
from optdsl.passes.schedule import schedule
from optdsl.passes.specialise import conditions, fixed, specialise
from optdsl.problems import UnknownBase
from optdsl.reading import other as file_of
from optdsl.reading import read as read
from optdsl.resolve import resolve
from optdsl.source import SourceFile, Span
from optdsl.syntax import ast

UNUSED = ("unused-hyper", "unused-name", "unused-state")


@dataclass(frozen=True, kw_only=True)
class TransformAlone(Problem):
    """A transform where a rule that steps is needed: legal, and so found only when it is compiled."""

    slug: ClassVar[str] = "transform-alone"
    name: str
    component: str
    chain: bool

    @property
    def message(self) -> str:
        """What is wrong."""
        return f"`{self.name}` is a gradient transform, which makes no step of its own"

    @property
    def help(self) -> str:
        """How to mend it."""
        if self.chain:
            return "put a rule that steps into the chain, such as `adam`"
        return f"put it into a chain with a rule: `rule MyRule(x, g) = {self.component} |> adam`"


@dataclass(frozen=True)
class Checked:
    """What is known of a file: everything found in it, and the rule if none of that is an error.

    `source` holds the files it is made from, too, and `tree` what it takes over from them.
    """

    source: SourceFile
    rule: Rule | None
    problems: tuple[Problem, ...]
    tree: ast.Rule

    @property
    def errors(self) -> list[Problem]:
        """The findings that keep the rule from being compiled."""
        return [problem for problem in self.problems if problem.severity == "error"]


def analyse(source: SourceFile) -> Checked:
    """Parse and resolve a file."""
    source, tree, unread = read(source)
    rule, wrong = resolve(source, tree)
    problems = (*unread, *wrong)
    return Checked(source, None if unread else rule, problems, tree)


def check(source: SourceFile, *, prove: bool = True, seconds: float | None = None) -> Checked:
    """Parse and resolve a file, look for what is legal but wrong, and with `prove` prove or refute its claims.

    `seconds` is the processor time for the checks and, with what they leave of it, for the claims; None for the usual.
    Warnings that a comment of the author's allows are left out.
    """
    checked = analyse(source)
    if checked.rule is None:
        return checked
    source = checked.source
    # What a base leaves unused in a rule that is made from it, nobody can take away.
    begun = clock()
    found = checks.run(checked.rule, checks.SECONDS if seconds is None else seconds)
    warnings = (w for w in found if not (w.slug in UNUSED and source.file(w.span[0]) != source.name))
    problems = [*checked.problems, *warnings]
    if prove and checked.rule.claims:
        from optdsl import claims  # which loads SymPy

        left = None if seconds is None else begun + seconds - clock()
        source, wrong = claims.check(source, checked.rule, partial(_other, source), left)
        problems += wrong
    unasked = () if prove else ("unproved-claim",)
    kept = allow.apply(checked.source, checked.tree, problems, unasked)
    return replace(checked, source=source, problems=tuple(kept))


def _other(source: SourceFile, claim: Equals) -> tuple[SourceFile, Rule] | Problem:
    """Return the rule that a claim names, or why it can't be had."""
    name = ast.Name(claim.other, Span(*claim.name_span))
    found = file_of(name, source)
    if isinstance(found, Problem):
        return found
    analysed = analyse(found)
    if analysed.rule is None:
        return UnknownBase(span=name.span, name=name.text, why="there are errors in it")
    return analysed.source, analysed.rule


def rule_of(source: SourceFile) -> Rule:
    """Return the rule in a file; CompileError if it holds errors."""
    analysed = analyse(source)
    if analysed.rule is None:
        raise CompileError(analysed.source, analysed.problems)
    return analysed.rule


def kernels(rule: Rule, *, exact: bool = False, propose: Propose | None = None) -> Program:
    """Return every variant of a rule scheduled, its equations in cheaper forms unless `exact`.

    `propose` returns forms of an expression to look at besides those of our own rewrites; SymPy's where it is None.
    """
    asked = conditions(rule)
    variants = specialise(rule)
    written = {key: schedule(variant, key, rule) for key, variant in variants.items()}
    if exact:
        return Program(rule, asked, tuple(written.values()), simplified=False, reason="exact arithmetic was asked for")
    domain, propose, effort = Domain(rule), propose or _ComputerAlgebra(), Effort()
    kernels, rejected = [], []
    for key, variant in variants.items():
        lets, wrong = improve(ordered(variant, rule), Knowledge.of(variant, domain, fixed(rule, key)), propose, effort)
        kernel = schedule(variant, key, rule, lets)
        kernels.append(kernel if cheaper(kernel_cost(kernel), kernel_cost(written[key])) else written[key])
        rejected += [one.words(rule) for one in wrong]
    reason = "" if effort.left else "this rule is too large to look for all cheaper forms of it"
    return Program(rule, asked, tuple(kernels), reason=reason, rejected=tuple(dict.fromkeys(rejected)))


class _ComputerAlgebra:
    """Proposes forms of expressions by SymPy, which is loaded when the first is asked for."""

    def __init__(self) -> None:
        self.proposer: Propose | None = None

    def __call__(self, expr: Expr, positive: Collection[Symbol]) -> Iterable[Expr]:
        if self.proposer is None:
            from optdsl.algebra.propose import Proposer

            self.proposer = Proposer()
        return self.proposer(expr, positive)


def as_written(rule: Rule) -> tuple[Kernel, ...]:
    """Return the kernels of the author's form, to compare with."""
    return kernels(rule, exact=True).kernels


def emit(rule: Rule, target: str, stem: str, *, exact: bool = False) -> dict[str, str]:
    """Return the text of each file that a target makes of a rule, by its name.

    Raises CompileError for a transform, which is no rule by itself.
    """
    if rule.transform:
        raise CompileError(SourceFile(rule.source, rule.text, rule.later), [_alone(rule)])
    return targets.find(target).emit(kernels(with_options(rule), exact=exact), stem)


def _alone(rule: Rule) -> TransformAlone:
    """Return the finding for a transform that was to be compiled; its file's name, where it has one, is its name."""
    place = re.search(r"^rule\b[^\n#]*", rule.text, re.MULTILINE)
    stem = Path(rule.source).stem
    stem = stem if rule.source.endswith(".opt") and stem.isidentifier() else "my_transform"
    chain = "|>" in place[0] if place else False
    return TransformAlone(span=place.span() if place else (0, 0), name=rule.name, component=stem, chain=chain)


def compile_source(source: SourceFile, target: str, stem: str, *, exact: bool = False) -> dict[str, str]:
    """Return the text of each file that a target makes of a rule's text; CompileError if it holds errors."""
    return emit(rule_of(source), target, stem, exact=exact)
