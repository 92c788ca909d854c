"""From assignments in order to a kernel, split into as few passes over the elements as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

from optdsl.ir import nodes as ir
from optdsl.ir.kernel import Kernel, Let, Phase, symbols
from optdsl.ir.nodes import Expr, Rate, Ref, Role, Rule, Symbol
from optdsl.ir.powers import expand
from optdsl.passes.order import ordered
from optdsl.passes.specialise import followers


def schedule(rule: Rule, variant: int, source: Rule, lets: list[Let] | None = None) -> Kernel:
    """Return the kernel of a specialised rule, by its own equations or by `lets` that took their place.

    `source` is the whole rule, whose equation numbers the kernel quotes, and whose followers it does, too.
    """
    lets = [*(ordered(rule, source) if lets is None else lets), *_following(source)]
    return _phases(rule, variant, source, _readers_first(_needed_at_all(_shared(_hoisted(lets)))))


def _following(rule: Rule) -> list[Let]:
    """Return the equations of the states that follow the parameter."""
    late = {state.name for state in followers(rule)}
    return [
        Let(equation.target, expand(equation.value), (number,))
        for number, equation in enumerate(rule.equations)
        if equation.target.role is Role.NEW and equation.target.name in late
    ]


def _hoisted(lets: list[Let]) -> list[Let]:
    """Name the scalar parts of element expressions, equal ones once, so that only names and literals are left."""
    names: dict[Expr, Symbol] = {}
    result: list[Let] = []

    def hoist(expr: Expr, equations: tuple[int, ...]) -> Expr:
        if isinstance(expr, ir.Reduce | ir.ReduceRows):
            parts = tuple(hoist(part, equations) for part in expr.args)
            return name(replace(expr, args=parts), equations)
        if ir.rate(expr) is Rate.ELEMENT:
            return ir.rebuild(expr, tuple(hoist(part, equations) for part in ir.operands(expr)))
        if _is_leaf(expr):
            return expr
        return name(_with_reductions_named(expr, equations), equations)

    def name(expr: Expr, equations: tuple[int, ...]) -> Expr:
        if expr not in names:
            names[expr] = Symbol(Role.LOCAL, f"c.{len(names)}", ir.rate(expr), ir.kind(expr))
            result.append(Let(names[expr], expr, equations))
        return Ref(names[expr])

    def _with_reductions_named(expr: Expr, equations: tuple[int, ...]) -> Expr:
        if isinstance(expr, ir.Reduce):
            return hoist(expr, equations)
        return ir.rebuild(expr, tuple(_with_reductions_named(part, equations) for part in ir.operands(expr)))

    for let in lets:
        if let.symbol.role is Role.LOCAL and isinstance(let.value, ir.ReduceRows):
            by_row = replace(let.value, args=tuple(hoist(part, let.equations) for part in let.value.args))
            names.setdefault(by_row, let.symbol)
            result.append(replace(let, value=by_row))
        elif let.symbol.rate is Rate.ELEMENT:
            # A value that is the same for all elements is hoisted whole: scalars are float64, rounded once.
            result.append(replace(let, value=hoist(let.value, let.equations)))
        elif isinstance(let.value, ir.Reduce):
            parts = tuple(hoist(part, let.equations) for part in let.value.args)
            reduced = replace(let.value, args=parts)
            names.setdefault(reduced, let.symbol)
            result.append(replace(let, value=reduced))
        else:
            value = _with_reductions_named(let.value, let.equations)
            if let.symbol.role is Role.LOCAL and not _is_leaf(value):
                names.setdefault(value, let.symbol)
            result.append(replace(let, value=value))
    return result


def _is_leaf(expr: Expr) -> bool:
    return isinstance(expr, Ref | ir.Number | ir.Truth)


def _shared(lets: list[Let]) -> list[Let]:
    """Name subexpressions that are computed more than once."""
    repeated = _repeated(lets)
    names: dict[Expr, Symbol] = {}
    result: list[Let] = []

    def share(expr: Expr, equations: tuple[int, ...]) -> Expr:
        if expr in names:
            return Ref(names[expr])
        value = ir.rebuild(expr, tuple(share(part, equations) for part in ir.operands(expr)))
        if expr not in repeated:
            return value
        names[expr] = Symbol(Role.LOCAL, f"s.{len(names)}", ir.rate(expr), ir.kind(expr))
        result.append(Let(names[expr], value, equations))
        return Ref(names[expr])

    for let in lets:
        if let.value in repeated and let.value not in names and let.symbol.rate is ir.rate(let.value):
            value = ir.rebuild(let.value, tuple(share(part, let.equations) for part in ir.operands(let.value)))
            names[let.value] = let.symbol
            result.append(replace(let, value=value))
        else:
            result.append(replace(let, value=share(let.value, let.equations)))
    return result


def _repeated(lets: list[Let]) -> set[Expr]:
    """Return the subexpressions worth a name: read by several others, and needed whatever scalar conditions say."""
    parents: Counter[Expr] = Counter()
    always: set[Expr] = set()
    seen: set[Expr] = set()

    def count(expr: Expr) -> None:
        parents[expr] += 1
        if expr not in seen:
            seen.add(expr)
            for part in ir.operands(expr):
                count(part)

    for let in lets:
        count(let.value)
        always |= _always(let.value)
    return {
        expr for expr, times in parents.items()
        if times > 1 and expr in always and not _is_leaf(expr) and not isinstance(expr, ir.Reduce | ir.ReduceRows)
    }  # fmt: skip


def _always(expr: Expr) -> set[Expr]:
    """Return the subexpressions that are evaluated whatever scalar conditions say."""
    parts = [_always(part) for part in ir.operands(expr)]
    if isinstance(expr, ir.Select) and ir.rate(expr.condition) < Rate.ELEMENT:
        return {expr} | (parts[1] & parts[2])
    return {expr}.union(*parts)


def _needed_at_all(lets: list[Let]) -> list[Let]:
    """Leave out what no new value depends on, such as a reduction that a simpler form does without: it has no phase."""
    wanted: set[Symbol] = set()
    kept = []
    for let in reversed(lets):
        if let.symbol.role is Role.NEW or let.symbol in wanted:
            kept.append(let)
            wanted |= set(symbols(let.value))
    return kept[::-1]


def _readers_first(lets: list[Let]) -> list[Let]:
    """Put what reads an old value before what computes the new one, wherever the equations allow it.

    Then the new value can overwrite the old in place.
    """
    writers = {let.symbol.name: let.symbol for let in lets if let.symbol.role is Role.NEW}
    position = {let.symbol: index for index, let in enumerate(lets)}
    graph = {let.symbol: {s for s in symbols(let.value) if s in position} for let in lets}
    for let in lets:
        for read in sorted({s for s in symbols(let.value) if s.role is Role.OLD}, key=lambda s: s.name):
            writer = writers.get(read.name)
            if writer is not None and writer != let.symbol and not _reaches(graph, let.symbol, writer):
                graph[writer].add(let.symbol)
    ordered = TopologicalSorter({symbol: sorted(graph[symbol], key=position.__getitem__) for symbol in position})
    by_symbol = {let.symbol: let for let in lets}
    return [by_symbol[symbol] for symbol in ordered.static_order()]


def _reaches(graph: dict[Symbol, set[Symbol]], start: Symbol, goal: Symbol) -> bool:
    """Return whether `start` needs `goal`, directly or not."""
    seen, queue = set(), [start]
    while queue:
        symbol = queue.pop()
        if symbol == goal:
            return True
        if symbol not in seen:
            seen.add(symbol)
            queue += graph[symbol]
    return False


@dataclass(frozen=True)
class _Levels:
    """The number of the phase in which each symbol can be computed first."""

    of: dict[Symbol, int]

    def expr(self, expr: Expr) -> int:
        return max((self.of.get(symbol, 0) for symbol in symbols(expr)), default=0)


def _phases(rule: Rule, variant: int, source: Rule, lets: list[Let]) -> Kernel:
    levels = _Levels({})
    for let in lets:
        levels.of[let.symbol] = levels.expr(let.value) + isinstance(let.value, ir.Reduce | ir.ReduceRows)
    reductions = [let for let in lets if isinstance(let.value, ir.Reduce | ir.ReduceRows)]
    kept = {rule.parameter.name, *(state.name for state in rule.states)}
    late = [let.symbol for let in lets if let.symbol.role is Role.NEW and let.symbol.name not in kept]
    elements = [
        let for let in lets
        if let.symbol.rate is Rate.ELEMENT and let.symbol not in late and not isinstance(let.value, ir.ReduceRows)
    ]  # fmt: skip
    scalars = [let for let in lets if let.symbol.rate is not Rate.ELEMENT and not isinstance(let.value, ir.Reduce)]
    count = 1 + max((levels.of[let.symbol] for let in elements), default=0)
    count = max([count, *(levels.expr(let.value) + 1 for let in reductions)])
    stores = _stores(rule, elements, reductions, levels, count)
    phases = []
    for phase in range(count):
        here = [let for let in reductions if levels.expr(let.value) == phase]
        written = [symbol for symbol in stores if stores[symbol] == phase]
        loaded = {symbol for symbol in stores if stores[symbol] < phase}
        needed = _needed(elements, [*written, *(s for let in here for s in symbols(let.value))], loaded)
        before = [let for let in scalars if levels.of[let.symbol] == phase > 0]
        rows = tuple(let for let in here if isinstance(let.value, ir.ReduceRows))
        whole = tuple(let for let in here if isinstance(let.value, ir.Reduce))
        phases.append(Phase(tuple(before), tuple(needed), whole, tuple(written), rows))
    # A value may depend on no reduction though its symbol's rate is TENSOR: a form of it left the reduction out.
    prologue = [let for let in scalars if levels.of[let.symbol] == 0]
    epilogue = [let for let in scalars if levels.of[let.symbol] >= count]
    scalar_stores = [let.symbol for let in lets if let.symbol.role is Role.NEW and let.symbol.rate is not Rate.ELEMENT]
    return Kernel(
        source, variant, rule.states, tuple(prologue), tuple(phases), tuple(epilogue), tuple(scalar_stores),
        tuple(_follower(symbol, lets, stores) for symbol in late),
    )  # fmt: skip


def _follower(symbol: Symbol, lets: list[Let], stored: Iterable[Symbol]) -> Phase:
    """Return the phase that stores a state which follows the parameter."""
    elements = [let for let in lets if let.symbol.rate is Rate.ELEMENT]
    return Phase((), tuple(_needed(elements, [symbol], set(stored))), (), (symbol,))


def _needed(elements: list[Let], roots: Iterable[Symbol], loaded: set[Symbol]) -> list[Let]:
    """Return the element lets that some symbols need in a phase, in order."""
    wanted = set(roots)
    needed = []
    for let in reversed(elements):
        if let.symbol in wanted and let.symbol not in loaded:
            needed.append(let)
            wanted |= set(symbols(let.value))
    return needed[::-1]


def _stores(rule: Rule, elements: list[Let], reductions: list[Let], levels: _Levels, count: int) -> dict[Symbol, int]:
    """Return the phase that writes each array.

    A new value is written in the first phase that can compute it, so that later ones load it instead of computing it
    again, unless a later phase still reads the old value. The parameter is written last, and so is a state with an
    element type of its own, which may not come back as it was computed.
    """
    targets = [let.symbol for let in elements if let.symbol.role is Role.NEW]
    last = {rule.parameter.name, *(state.name for state in rule.states if state.storage is not None)}
    stores = {s: count - 1 if s.name in last else levels.of[s] for s in targets}
    while True:
        late = set()
        for phase in range(1, count):
            loaded = {symbol for symbol in stores if stores[symbol] < phase}
            roots = [symbol for symbol in stores if stores[symbol] == phase]
            roots += [s for let in reductions if levels.expr(let.value) == phase for s in symbols(let.value)]
            read = {s for let in _needed(elements, roots, loaded) for s in symbols(let.value)} | set(roots)
            old = {symbol.name for symbol in read if symbol.role is Role.OLD}
            late |= {symbol for symbol in loaded if symbol.name in old}
        if not late:
            return stores
        stores |= dict.fromkeys(late, count - 1)
