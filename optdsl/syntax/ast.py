"""The surface tree: a rule as its author wrote it, right or wrong. Every node knows its place and its depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from optdsl.source import Span


@dataclass(frozen=True, slots=True)
class Name:
    """A name, spelled out in ASCII."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Literal:
    """A number (infinity is the one float) or a truth value, with the author's spelling."""

    value: Fraction | float | bool
    text: str
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Variable:
    """A name in an expression, with its prime."""

    name: str
    primed: bool
    span: Span
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator (`neg + - * / ^ < <= > >= == != and or not`) and its operands."""

    operator: str
    operands: tuple[Expression, ...]
    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function called by name; `options` are its arguments `NAME = value`, which stand behind the others."""

    function: Name
    arguments: tuple[Expression, ...]
    span: Span
    depth: int
    options: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True)
class Conditional:
    """`if condition then chosen else other`; `elif` is a conditional in `other`."""

    condition: Expression
    chosen: Expression
    other: Expression
    span: Span
    depth: int


Expression: TypeAlias = Literal | Variable | Operation | Call | Conditional


@dataclass(frozen=True, slots=True)
class IntervalNode:
    """An interval as written."""

    low: Expression
    high: Expression
    low_closed: bool
    high_closed: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Given:
    """`NAME = value` in the brackets of a component or a call."""

    name: Name
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Component:
    """A rule or a transform in a chain: `NAME` or `FOLDER/NAME`, with the defaults it is given there."""

    name: Name
    given: tuple[Given, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Header:
    """`rule NAME(parameter, gradient) [from BASE]`, or `= COMPONENT |> COMPONENT` in place of a base.

    `base` may have folders in front, as a component may: `flux/Momentum`.
    """

    name: Name
    parameter: Name
    gradient: Name
    base: Name | None
    doc: str
    span: Span
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """`family "NAME"`: what kind of rule it is."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class HyperEntry:
    """`NAME = default [in INTERVAL] ["doc"]`."""

    name: Name
    default: Expression
    interval: IntervalNode | None
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """`alias NAME = (a, b, ...)`."""

    name: Name
    members: tuple[Name, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class StateEntry:
    """`NAME[: type] = init [when CONDITION] ["doc"]`."""

    name: Name
    type: Name | None
    init: Expression
    when: Expression | None
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class DefEntry:
    """`def NAME(args) = body`."""

    name: Name
    parameters: tuple[Name, ...]
    body: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class EquationEntry:
    """`NAME' = value` or `NAME = value`."""

    name: Name
    primed: bool
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class ViewEntry:
    """`view NAME = value ["doc"]`."""

    name: Name
    value: Expression
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Setting:
    """`NAME = value` in a claim, or `NAME -> value` in an `invariant`."""

    name: Name
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Bound:
    """`NAME > value` in an `invariant`: what a free name may be. `comparison` is the ASCII sign."""

    name: Name
    comparison: str
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class ClaimEntry:
    """A line of the section `claim`.

    `kind` is `equals`, `invariant`, `descends` or `still`. `equals` has `other` and `given` (after `with`); `invariant`
    has `changes` and `bounds` (after `for`). `steps` is None where the line doesn't say.
    """

    kind: str
    span: Span
    when: tuple[Setting, ...] = ()
    steps: Literal | None = None
    other: Name | None = None
    given: tuple[Setting, ...] = ()
    changes: tuple[Setting, ...] = ()
    bounds: tuple[Bound, ...] = ()


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment with its `#`."""

    text: str
    span: Span


@dataclass(slots=True)
class Rule:
    """A whole file. `broken` are names that a line with a syntax error would have defined.

    `made` is true where entries aren't what stands in the source: they were renamed, or made from others.
    """

    header: Header | None = None
    doc: str = ""
    cites: list[tuple[str, ...]] = field(default_factory=list)
    family: Family | None = None
    hypers: list[HyperEntry] = field(default_factory=list)
    aliases: list[AliasEntry] = field(default_factory=list)
    states: list[StateEntry] = field(default_factory=list)
    defs: list[DefEntry] = field(default_factory=list)
    equations: list[EquationEntry] = field(default_factory=list)
    views: list[ViewEntry] = field(default_factory=list)
    claims: list[ClaimEntry] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    update: Span | None = None
    broken: set[str] = field(default_factory=set)
    made: bool = False
