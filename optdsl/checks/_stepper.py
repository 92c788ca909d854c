"""Running a rule for thousands of steps: its equations turned into Python functions once, not walked at every step.

It computes what `ir.evaluate.step` computes, operation by operation in the same arithmetic, which a test holds it to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optdsl.checks._needs import needed
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Arithmetic
from optdsl.ir.evaluate import constant, initial_states
from optdsl.ir.kernel import symbols
from optdsl.ir.nodes import Rate, Role, Rule, Symbol
from optdsl.ir.powers import expand

Values = dict[Symbol, Any]
Slots = list[Any]
"""The values of a step by number, which are found faster than by symbol."""
Compute = Callable[[Slots], Any]


class Stepper:
    """A rule at given hyperparameters, stepping on a tensor of one size and one axis.

    `wanted` are the values that are computed.

    What `compiled` makes can be computed after a step, if all it reads is wanted.
    """

    def __init__(
        self, rule: Rule, hypers: Mapping[str, Any], arithmetic: Arithmetic, x: Any, wanted: list[Symbol] | None = None
    ) -> None:
        self.rule, self.hypers, self.arithmetic, self.size = rule, hypers, arithmetic, len(x)
        self.x = x
        self.states = initial_states(rule, arithmetic, hypers, x)
        self.t = 0
        new = [e.target for e in rule.equations if e.target.role is Role.NEW]
        roots = new if wanted is None else wanted
        self._kept = {symbol.name: symbol for symbol in new if symbol in needed(rule, roots, across_steps=True)}
        present = {rule.parameter.name, *self.states}
        roots = [symbol for symbol in (*roots, *self._kept.values()) if symbol.role is not Role.NEW]
        roots += [symbol for name, symbol in self._kept.items() if name in present]
        self._slot: dict[Symbol, int] = {rule.parameter: 0, rule.gradient: 1}
        self._loads = [
            (self._number(state.symbol), state.name, state.storage) for state in rule.states if state.name in present
        ]
        self._equations = [
            (self._number(symbol), symbol.rate is Rate.ELEMENT, compute) for symbol, compute in self._in_order(roots)
        ]
        self._stores = [
            (self._number(self._kept[name]), name, rule.state(name).storage)
            for name in self.states
            if name in self._kept
        ]

    def step(self, gradient: Any) -> Slots:
        """Take a step and return its values, for what `compiled` made; `states` and `x` are those after it."""
        self.t += 1
        values: Slots = [None] * len(self._slot)
        values[0], values[1] = self.x, gradient
        for slot, name, storage in self._loads:
            value = self.states[name]
            values[slot] = value if storage is None else self.arithmetic.load(value)
        for slot, spread, compute in self._equations:
            value = compute(values)
            values[slot] = self.arithmetic.spread(value, self.size) if spread else value
        for slot, name, storage in self._stores:
            self.states[name] = self.arithmetic.store(values[slot], storage)
        if self.rule.parameter.name in self._kept:
            self.x = values[self._slot[self._kept[self.rule.parameter.name]]]
        return values

    def named(self, values: Slots) -> Values:
        """Return the values of a step by symbol."""
        return {symbol: values[slot] for symbol, slot in self._slot.items()}

    def _number(self, symbol: Symbol) -> int:
        return self._slot.setdefault(symbol, len(self._slot))

    def _in_order(self, roots: list[Symbol]) -> list[tuple[Symbol, Compute]]:
        """Return the equations that are needed, each after those it reads."""
        equations = {equation.target: equation.value for equation in self.rule.equations}
        ordered: dict[Symbol, Compute] = {}

        def visit(symbol: Symbol) -> None:
            if symbol in equations and symbol not in ordered:
                for read in self._read(equations[symbol]):
                    visit(read)
                ordered[symbol] = self.compiled(expand(equations[symbol]))

        for root in roots:
            visit(root)
        return list(ordered.items())

    def _read(self, expr: ir.Expr) -> list[Symbol]:
        """Return the symbols an expression reads, the arms that are never taken at these hyperparameters left aside."""
        if isinstance(expr, ir.Select) and ir.rate(expr.condition) is Rate.CONST and self._settled(expr.condition):
            return self._read(expr.chosen if constant(expr.condition, self.hypers) else expr.other)
        if isinstance(expr, ir.Ref):
            return [expr.symbol]
        return [symbol for part in ir.operands(expr) for symbol in self._read(part)]

    def _settled(self, expr: ir.Expr) -> bool:
        """Return whether an expression reads hyperparameters only, and none through an intermediate."""
        return all(symbol.role is Role.HYPER for symbol in symbols(expr))

    def compiled(self, expr: ir.Expr) -> Compute:
        """Return a function from the values of symbols to that of an expression without powers to expand."""
        arithmetic, size = self.arithmetic, self.size
        if ir.rate(expr) is Rate.CONST and self._settled(expr):
            known = constant(expr, self.hypers, arithmetic)
            return lambda values: known
        match expr:
            case ir.Number() | ir.Truth():
                raise AssertionError("a literal is constant")
            case ir.Ref(symbol):
                return self._reading(symbol)
            case ir.Select(condition, chosen, other):
                return self._selecting(condition, chosen, other)
            case ir.Reduce(fold, args):
                folded = [self.compiled(arg) for arg in args]
                return lambda values: arithmetic.fold(
                    fold, tuple(arithmetic.spread(arg(values), size) for arg in folded)
                )
            case ir.ReduceRows(row_fold, args):
                folded = [self.compiled(arg) for arg in args]
                return lambda values: arithmetic.fold_rows(
                    row_fold, tuple(arithmetic.spread(arg(values), size) for arg in folded), 1
                )
            case ir.Apply(op, args):
                return self._applying(expr, op, [self.compiled(arg) for arg in args])

    def _reading(self, symbol: Symbol) -> Compute:
        if symbol.role is Role.SIZE:
            return lambda values: float(self.size)
        if symbol.role is Role.NDIM:
            return lambda values: 1.0
        if symbol.role is Role.STEP:
            return lambda values: float(self.t)
        slot = self._number(symbol)
        return lambda values: values[slot]

    def _selecting(self, condition: ir.Expr, chosen: ir.Expr, other: ir.Expr) -> Compute:
        if ir.rate(condition) is Rate.CONST and self._settled(condition):
            return self.compiled(chosen if constant(condition, self.hypers) else other)
        arithmetic, size = self.arithmetic, self.size
        test, one, two = self.compiled(condition), self.compiled(chosen), self.compiled(other)
        if ir.rate(condition) < Rate.ELEMENT:
            return lambda values: one(values) if test(values) else two(values)
        return lambda values: arithmetic.select(test(values), one(values), two(values), size)

    def _applying(self, expr: ir.Expr, op: ir.Op, args: list[Compute]) -> Compute:
        arithmetic, size = self.arithmetic, self.size
        if ir.rate(expr) < Rate.ELEMENT:
            return lambda values: arithmetic.scalar(op, tuple(arg(values) for arg in args))
        if len(args) == 1:
            (only,) = args
            return lambda values: arithmetic.elements(op, (only(values),), size)
        left, right = args
        return lambda values: arithmetic.elements(op, (left(values), right(values)), size)
