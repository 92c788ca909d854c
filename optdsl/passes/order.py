"""From equations without order to assignments in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from graphlib import TopologicalSorter

from optdsl.ir import nodes as ir
from optdsl.ir.kernel import Let, symbols
from optdsl.ir.nodes import Expr, Rate, Ref, Role, Rule, Symbol
from optdsl.ir.powers import expand


def ordered(rule: Rule, source: Rule) -> list[Let]:
    """Return the equations of a specialised rule in order, intermediates that are read once put where they are read.

    `source` is the whole rule, whose equation numbers the assignments quote.
    """
    lets = _in_order(rule, source)
    while (fewer := inlined(lets)) != lets:
        lets = fewer
    return lets


def _in_order(rule: Rule, source: Rule) -> list[Let]:
    """Return the equations so that each reads only those before it; ties keep the author's order."""
    numbers = {equation.target: index for index, equation in enumerate(source.equations)}
    values = {equation.target: expand(equation.value) for equation in rule.equations}
    graph = {
        target: sorted({s for s in symbols(value) if s in values}, key=lambda s: numbers[s])
        for target, value in values.items()
    }
    order = TopologicalSorter(graph).static_order()
    return [Let(target, values[target], (numbers[target],)) for target in order]


def inlined(lets: list[Let]) -> list[Let]:
    """Put element intermediates that are read once where they are read."""
    uses = Counter(symbol for let in lets for symbol in symbols(let.value))
    gone: dict[Symbol, Let] = {}
    result = []
    for let in lets:
        sources = {s for s in symbols(let.value) if s in gone}
        numbers = sorted({n for s in sources for n in gone[s].equations} | set(let.equations))
        let = Let(let.symbol, substituted(let.value, {s: gone[s].value for s in sources}), tuple(numbers))
        local = let.symbol.role is Role.LOCAL and let.symbol.rate is Rate.ELEMENT
        local = local and not isinstance(let.value, ir.ReduceRows)
        if local and (uses[let.symbol] == 1 or isinstance(let.value, Ref)):
            gone[let.symbol] = let
        else:
            result.append(let)
    return result


def substituted(expr: Expr, values: Mapping[Symbol, Expr]) -> Expr:
    """Return an expression with the values of some symbols put in their places."""
    if isinstance(expr, Ref) and expr.symbol in values:
        return values[expr.symbol]
    return ir.rebuild(expr, tuple(substituted(part, values) for part in ir.operands(expr)))
