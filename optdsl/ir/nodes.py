"""The typed, order-free form of a rule: what a `.opt` file means once every name is known.

A `Rule` can't be wrong: it is only ever made by the resolver, after all errors were reported. Values before and after
the step are different symbols (`Role.OLD`, `Role.NEW`), so the order of the equations means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from optdsl.ir.interval import Interval

if TYPE_CHECKING:
    from optdsl.ir.claims import Claim

Span: TypeAlias = tuple[int, int]
"""Offsets of the first and one past the last character in the source text."""


class Rate(IntEnum):
    """How often a value changes; an expression has the highest rate of its parts."""

    CONST = 0  # literals and hyperparameters
    STEP = 1  # the step number, scalar states, the element count
    TENSOR = 2  # one number per parameter tensor, from a reduction
    ELEMENT = 3  # one number per element


class Kind(Enum):
    """The type of a value."""

    NUMBER = "number"
    BOOLEAN = "truth value"


class Role(Enum):
    """What a symbol stands for."""

    HYPER = "hyperparameter"
    GRADIENT = "gradient"
    OLD = "value before the step"
    NEW = "value after the step"
    LOCAL = "intermediate"
    STEP = "step number"
    SIZE = "element count"
    NDIM = "number of axes"


class Op(StrEnum):
    """Primitive operations, each with one meaning on every target. The value is the author's spelling."""

    NEG = "neg"
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    POW = "^"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="
    AND = "and"
    OR = "or"
    NOT = "not"
    ABS = "abs"
    SIGN = "sign"
    SQRT = "sqrt"
    CBRT = "cbrt"
    EXP = "exp"
    EXPM1 = "expm1"
    LOG = "log"
    LOG1P = "log1p"
    SIN = "sin"
    COS = "cos"
    TANH = "tanh"
    FLOOR = "floor"
    MIN = "min"
    MAX = "max"


COMPARISONS = frozenset({Op.LT, Op.LE, Op.GT, Op.GE, Op.EQ, Op.NE})
LOGIC = frozenset({Op.AND, Op.OR, Op.NOT})
TRANSCENDENTAL = frozenset({Op.POW, Op.CBRT, Op.EXP, Op.EXPM1, Op.LOG, Op.LOG1P, Op.SIN, Op.COS, Op.TANH})
"""Operations a mathematical library computes: targets agree to a few units in the last place, not bit for bit."""


class Fold(StrEnum):
    """Primitive reductions over one parameter tensor. Arguments become float64 before anything is computed."""

    SUM = "sum"
    DOT = "dot"
    AMAX = "amax"


class RowFold(StrEnum):
    """Reductions over each row of a parameter, computed in float64 and rounded once, when whole."""

    SUM = "sum"
    MEAN = "mean"
    DOT = "dot"
    NORM = "norm"
    RMS = "rms"
    AMAX = "amax"


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named value."""

    role: Role
    name: str
    rate: Rate
    kind: Kind = Kind.NUMBER


@dataclass(frozen=True, slots=True)
class Number:
    """A literal: its exact value (infinity is the one float allowed) and the author's spelling."""

    value: Fraction | float
    text: str = field(default="", compare=False, repr=False)
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Truth:
    """`true` or `false`."""

    value: bool
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of a symbol."""

    symbol: Symbol
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Apply:
    """A primitive operation, element by element where an argument is.

    Its rate and its hash are found once, from those of its parts: both are asked for at every level of an expression.
    """

    op: Op
    args: tuple[Expr, ...]
    span: Span | None = field(default=None, compare=False, repr=False)
    rate: Rate = field(init=False, compare=False, repr=False)
    hashed: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", max(map(rate, self.args)))
        object.__setattr__(self, "hashed", hash((self.op, self.args)))

    def __hash__(self) -> int:
        return self.hashed

    def __reduce__(self) -> tuple[type[Apply], tuple[Op, tuple[Expr, ...], Span | None]]:
        return Apply, (self.op, self.args, self.span)


@dataclass(frozen=True, slots=True)
class Select:
    """`if condition then chosen else other`. The arm not taken has no influence, not even by a NaN."""

    condition: Expr
    chosen: Expr
    other: Expr
    span: Span | None = field(default=None, compare=False, repr=False)
    rate: Rate = field(init=False, compare=False, repr=False)
    hashed: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", max(rate(self.condition), rate(self.chosen), rate(self.other)))
        object.__setattr__(self, "hashed", hash((self.condition, self.chosen, self.other)))

    def __hash__(self) -> int:
        return self.hashed

    def __reduce__(self) -> tuple[type[Select], tuple[Expr, Expr, Expr, Span | None]]:
        return Select, (self.condition, self.chosen, self.other, self.span)


@dataclass(frozen=True, slots=True)
class Reduce:
    """A reduction of element expressions over one parameter tensor, in float64."""

    fold: Fold
    args: tuple[Expr, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ReduceRows:
    """A reduction of element expressions over each row of a parameter; every element has the value of its row.

    A row holds the elements that share an index of the first axis. Without a second axis each element is a row.
    """

    fold: RowFold
    args: tuple[Expr, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


Expr: TypeAlias = Number | Truth | Ref | Apply | Select | Reduce | ReduceRows


@dataclass(frozen=True, slots=True)
class Hyper:
    """A hyperparameter; `default` is a CONST expression over the hyperparameters before it."""

    symbol: Symbol
    default: Expr
    interval: Interval | None = None
    doc: str = ""
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class State:
    """A state: shaped like the parameter, or one float64 number per parameter tensor where `scalar`.

    `storage` is the element type asked for (`f16 bf16 f32 f64`), None for the default. `when` is a CONST condition
    under which the state exists, None for always. `init` may read hyperparameters and the parameter.
    """

    symbol: Symbol
    init: Expr
    scalar: bool = False
    storage: str | None = None
    when: Expr | None = None
    doc: str = ""
    span: Span | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The author's name of the state."""
        return self.symbol.name


@dataclass(frozen=True, slots=True)
class Equation:
    """`target = value`: the new value of the parameter or a state, or an intermediate. `text` is the author's line."""

    target: Symbol
    value: Expr
    text: str = field(default="", compare=False, repr=False)
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class View:
    """`view name = value`: another point to read the parameter at. `text` is the author's line without `view`.

    `value` reads hyperparameters, the element count, and what the parameter, the states and the step number are after
    the last step (`Role.OLD`, `Role.STEP`): no reduction, and nothing that lasts for a step only. `when` is a CONST
    condition under which there is such a view, None for always.
    """

    name: str
    value: Expr
    doc: str = ""
    text: str = field(default="", compare=False, repr=False)
    span: Span | None = field(default=None, compare=False, repr=False)
    when: Expr | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A whole update rule, checked. `equations` keep the author's order, which has no meaning.

    A `transform` has no step of its own: what stands here is the rule that steps by the gradient it makes.

    `text` is that of the file `source`, then those of the files it is made from: `later` says where each begins and
    what it is called.
    """

    name: str
    parameter: Symbol
    gradient: Symbol
    hypers: tuple[Hyper, ...]
    states: tuple[State, ...]
    equations: tuple[Equation, ...]
    aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    doc: str = ""
    cites: tuple[tuple[str, ...], ...] = ()
    family: str = ""
    transform: bool = False
    source: str = field(default="", compare=False, repr=False)
    text: str = field(default="", compare=False, repr=False)
    later: tuple[tuple[int, str], ...] = field(default=(), compare=False, repr=False)
    claims: tuple[Claim, ...] = field(default=(), compare=False, repr=False)
    views: tuple[View, ...] = ()

    def equation(self, target: Symbol) -> Equation:
        """Return the equation that defines `target`."""
        for equation in self.equations:
            if equation.target == target:
                return equation
        raise KeyError(target)

    def place(self, offset: int) -> tuple[str, int]:
        """Return the file and the line, counted from 1, of an offset in `text`."""
        start, file = next(((s, name) for s, name in reversed(self.later) if s <= offset), (0, self.source))
        return file, self.text.count("\n", start, offset) + 1

    def state(self, name: str) -> State:
        """Return the state called `name`."""
        for state in self.states:
            if state.name == name:
                return state
        raise KeyError(name)


def number(value: int | Fraction) -> Number:
    """Return a literal the compiler makes itself."""
    return Number(Fraction(value), str(value))


def operands(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct parts of an expression, left to right."""
    match expr:
        case Apply(args=args) | Reduce(args=args) | ReduceRows(args=args):
            return args
        case Select(condition, chosen, other):
            return (condition, chosen, other)
        case Number() | Truth() | Ref():
            return ()


def rebuild(expr: Expr, parts: tuple[Expr, ...]) -> Expr:
    """Return `expr` with its direct parts replaced, keeping the place it came from."""
    match expr:
        case Apply(op, _, span):
            return Apply(op, parts, span)
        case Reduce(fold, _, span):
            return Reduce(fold, parts, span)
        case ReduceRows(fold, _, span):
            return ReduceRows(fold, parts, span)
        case Select(span=span):
            return Select(parts[0], parts[1], parts[2], span)
        case Number() | Truth() | Ref():
            return expr


def has_reduction(expr: Expr) -> bool:
    """Return whether a value depends on other elements of a tensor, all of them or those of a row."""
    return isinstance(expr, Reduce | ReduceRows) or any(has_reduction(part) for part in operands(expr))


def rate(expr: Expr) -> Rate:
    """Return how often the value of an expression changes."""
    match expr:
        case Number() | Truth():
            return Rate.CONST
        case Ref(symbol):
            return symbol.rate
        case Reduce():
            return Rate.TENSOR
        case ReduceRows():
            return Rate.ELEMENT
        case Apply(rate=known) | Select(rate=known):
            return known


def kind(expr: Expr) -> Kind:
    """Return whether an expression is a number or a truth value."""
    match expr:
        case Number() | Reduce() | ReduceRows():
            return Kind.NUMBER
        case Truth():
            return Kind.BOOLEAN
        case Ref(symbol):
            return symbol.kind
        case Apply(op):
            return Kind.BOOLEAN if op in COMPARISONS or op in LOGIC else Kind.NUMBER
        case Select(_, chosen, _):
            return kind(chosen)
