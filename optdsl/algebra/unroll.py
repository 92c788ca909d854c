"""Expressions of several equations, or several steps, written out as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Role, Rule, Symbol


def substitute(expr: ir.Expr, values: Mapping[Symbol, ir.Expr]) -> ir.Expr:
    """Return an expression with symbols replaced, all at once; parts that were shared stay shared."""
    known: dict[int, ir.Expr] = {}

    def walk(node: ir.Expr) -> ir.Expr:
        if id(node) not in known:
            if isinstance(node, ir.Ref):
                known[id(node)] = values.get(node.symbol, node)
            else:
                parts = ir.operands(node)
                changed = tuple(walk(part) for part in parts)
                same = all(new is old for new, old in zip(changed, parts, strict=True))
                known[id(node)] = node if same else ir.rebuild(node, changed)
        return known[id(node)]

    return walk(expr)


def written_out(rule: Rule, exprs: Sequence[ir.Expr], values: Mapping[Symbol, ir.Expr]) -> list[ir.Expr]:
    """Return expressions with the given symbols replaced, and every other defined one by its equation."""
    equations = {equation.target: equation.value for equation in rule.equations}
    done = dict(values)

    def define(node: ir.Expr) -> None:
        for symbol in symbols_read(node):
            if symbol in equations and symbol not in done:
                define(equations[symbol])
                done[symbol] = substitute(equations[symbol], done)

    for expr in exprs:
        define(expr)
    return [substitute(expr, done) for expr in exprs]


def default_values(rule: Rule, given: Mapping[str, ir.Expr]) -> dict[Symbol, ir.Expr]:
    """Return every hyperparameter as given, else as its exact default."""
    values: dict[Symbol, ir.Expr] = {}
    for hyper in rule.hypers:
        values[hyper.symbol] = given.get(hyper.symbol.name, substitute(hyper.default, values))
    return values


def parameter_after(rule: Rule, x: ir.Expr, gradients: Sequence[ir.Expr], hypers: Mapping[Symbol, ir.Expr]) -> ir.Expr:
    """Return the parameter after as many steps from the initial state as there are gradients.

    Hyperparameters that `hypers` doesn't give stay symbols. The result shares parts between steps, so it can stand for
    an expression exponentially larger than itself.
    """
    start = {**hypers, rule.parameter: x}
    states = {state.symbol: substitute(state.init, start) for state in rule.states}
    steps = [s for e in rule.equations for s in symbols_read(e.value) if s.role is Role.STEP]
    new = {e.target.name: e.target for e in rule.equations if e.target.role is Role.NEW}
    for t, gradient in enumerate(gradients, 1):
        now: dict[Symbol, ir.Expr] = {**hypers, **states, rule.parameter: x, rule.gradient: gradient}
        now |= {symbol: ir.number(t) for symbol in steps}
        *values, x = written_out(rule, [ir.Ref(new[old.name]) for old in (*states, rule.parameter)], now)
        states = dict(zip(states, values, strict=True))
    return x


def symbols_read(expr: ir.Expr) -> list[Symbol]:
    """Return the symbols an expression reads, each once, in order; linear in shared parts."""
    found: dict[Symbol, None] = {}
    seen: set[int] = set()

    def walk(node: ir.Expr) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, ir.Ref):
            found[node.symbol] = None
        for part in ir.operands(node):
            walk(part)

    walk(expr)
    return list(found)
