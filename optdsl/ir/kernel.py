"""The scheduled form of a rule: single assignments in order, split into passes over the elements.

A `Kernel` is one variant of a rule: a fixed choice of which optional states exist. Targets print kernels; `run` is
their direct meaning, against which the passes that made them are validated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from optdsl.ir.arithmetic import Arithmetic
from optdsl.ir.evaluate import Shape, evaluate, row_width
from optdsl.ir.nodes import Expr, Rate, Reduce, Ref, Role, Rule, State, Symbol, operands


@dataclass(frozen=True, slots=True)
class Let:
    """`symbol = value`. `equations` are the numbers (in the rule's order) of the equations it computes."""

    symbol: Symbol
    value: Expr
    equations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    """One pass over the elements of a tensor.

    `scalars` are TENSOR values computed before it from reductions of earlier phases. `lets` are computed for each
    element. `reductions` are accumulated over all elements, `rows` over those of each row: later phases read the value
    of an element's row, rounded. `stores` are the NEW symbols written back; a NEW symbol
    that is read but has no let here was written by an earlier phase and is loaded.
    """

    scalars: tuple[Let, ...]
    lets: tuple[Let, ...]
    reductions: tuple[Let, ...]
    stores: tuple[Symbol, ...]
    rows: tuple[Let, ...] = ()

    @property
    def folds(self) -> tuple[Let, ...]:
        """What is accumulated: over all elements, then over those of each row."""
        return (*self.reductions, *self.rows)

    def reads(self) -> list[Symbol]:
        """Return the symbols that the loop reads and doesn't compute, each once, in the order they are met."""
        local = {let.symbol for let in self.lets}
        read = dict.fromkeys(s for let in (*self.lets, *self.folds) for s in symbols(let.value))
        return [symbol for symbol in read if symbol not in local]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A rule ready to be printed, for one choice of optional states.

    `prologue` holds the scalars that no reduction has a part in, `epilogue` those computed after the last phase.
    `scalar_stores` are the NEW symbols of scalar states, written when everything else is done. Each of `followers`
    stores one state, for every block that the last phase is done with, where that state exists; it isn't among
    `present`.
    """

    rule: Rule
    variant: int
    present: tuple[State, ...]
    prologue: tuple[Let, ...]
    phases: tuple[Phase, ...]
    epilogue: tuple[Let, ...]
    scalar_stores: tuple[Symbol, ...]
    followers: tuple[Phase, ...] = ()

    def lets(self) -> Iterator[Let]:
        """Yield every let in order."""
        yield from self.prologue
        for phase in self.loops():
            yield from phase.scalars
            yield from phase.lets
            yield from phase.folds
        yield from self.epilogue

    def loops(self) -> tuple[Phase, ...]:
        """Return the passes, then what follows the last of them."""
        return (*self.phases, *self.followers)

    def row_values(self) -> dict[Symbol, int]:
        """Return the symbols that have a value for each row, numbered."""
        return {let.symbol: number for number, let in enumerate(let for phase in self.phases for let in phase.rows)}


@dataclass(frozen=True, slots=True)
class Program:
    """All variants of a rule. Bit i of a variant's number says that the i-th of `conditions` holds.

    `simplified` is False where the author's form stands throughout. `reason` says why it does, or why cheaper forms
    were looked for in a part of the rule only. `rejected` names those that turned out wrong, and in what.
    """

    rule: Rule
    conditions: tuple[Expr, ...]
    kernels: tuple[Kernel, ...]
    simplified: bool = True
    reason: str = ""
    rejected: tuple[str, ...] = ()

    @property
    def only_rows(self) -> bool:
        """Whether there are reductions, all of them over rows."""
        phases = [phase for kernel in self.kernels for phase in kernel.phases]
        return any(phase.rows for phase in phases) and not any(phase.reductions for phase in phases)


def symbols(expr: Expr) -> Iterator[Symbol]:
    """Yield the symbols an expression reads, with repetitions."""
    if isinstance(expr, Ref):
        yield expr.symbol
    for part in operands(expr):
        yield from symbols(part)


def run(
    kernel: Kernel, arithmetic: Arithmetic, hypers: Mapping[str, Any], x: Any, g: Any, states: Mapping[str, Any],
    t: int, shape: Shape | None = None,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    """Return the parameter and states after step `t`, by a kernel. Arguments are those of `evaluate.step`."""
    size = len(x)
    shape = (size,) if shape is None else shape
    values: dict[Symbol, Any] = {kernel.rule.parameter: x, kernel.rule.gradient: g}
    memory: dict[Symbol, Any] = {}

    def value_of(symbol: Symbol) -> Any:
        if symbol in values:
            return values[symbol]
        match symbol.role:
            case Role.HYPER:
                return hypers[symbol.name]
            case Role.OLD:
                if any(stored.name == symbol.name for stored in memory):
                    raise LookupError(f"{symbol.name} is read after it was overwritten")
                return arithmetic.load(states[symbol.name])
            case Role.STEP:
                return arithmetic.literal(Fraction(t))
            case Role.SIZE:
                return arithmetic.literal(Fraction(size))
            case Role.NDIM:
                return arithmetic.literal(Fraction(len(shape)))
            case _:
                return memory[symbol]

    def assign(let: Let) -> None:
        value = evaluate(let.value, value_of, arithmetic, size, row_width(shape))
        element = let.symbol.rate is Rate.ELEMENT and not isinstance(let.value, Reduce)
        values[let.symbol] = arithmetic.spread(value, size) if element else value

    for let in kernel.prologue:
        assign(let)
    following = [phase for phase in kernel.followers if phase.stores[0].name in states]
    for phase in (*kernel.phases, *following):
        for let in (*phase.scalars, *phase.lets, *phase.folds):
            assign(let)
        memory.update({symbol: values[symbol] for symbol in phase.stores})
        for let in phase.lets:
            del values[let.symbol]
    for let in kernel.epilogue:
        assign(let)
    memory.update({symbol: values[symbol] for symbol in kernel.scalar_stores})
    after = {symbol.name: value for symbol, value in memory.items()}
    parameter = after.pop(kernel.rule.parameter.name)
    return parameter, {name: arithmetic.store(v, kernel.rule.state(name).storage) for name, v in after.items()}
