"""What a rule states of itself, for `optdsl check` to prove or refute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Expr, Span, Symbol

Settings: TypeAlias = tuple[tuple[str, Expr], ...]
"""Hyperparameters by name, with constant expressions."""

STEPS = 4
"""Steps a claim is about where it doesn't say."""


@dataclass(frozen=True, slots=True)
class Given:
    """A hyperparameter of another rule, as a constant expression over this rule's."""

    name: str
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Equals:
    """`equals OTHER [with a = e] [when b = v] [for N steps]`: the parameters agree after each step."""

    other: str
    given: tuple[Given, ...]
    when: Settings
    steps: int
    text: str
    span: Span
    name_span: Span


@dataclass(frozen=True, slots=True)
class Invariant:
    """`invariant g -> c*g for c > 0 [when b = v] [for N steps]`: the parameter takes the same course.

    `changes` replaces the gradient and hyperparameters; `free` are the numbers that the replacements bring in.
    """

    changes: tuple[tuple[Symbol, Expr], ...]
    free: tuple[tuple[Symbol, Interval], ...]
    when: Settings
    steps: int
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Descends:
    """`descends [when b = v]`: the first step never points along the gradient."""

    when: Settings
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Still:
    """`still [when b = v]`: the parameter stays where it is."""

    when: Settings
    text: str
    span: Span


Claim: TypeAlias = Equals | Invariant | Descends | Still
