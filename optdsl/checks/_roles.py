"""What hyperparameters are used for, by where they stand in the equations."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Op, Rate, Role, Rule, Symbol


class Use(Enum):
    """A use of a hyperparameter in which not any number makes sense, the most telling first."""

    RATE = "learning rate"
    DECAY = "decay"
    DENOMINATOR = "denominator"
    ROOT = "root"


def uses(rule: Rule) -> dict[Symbol, Use]:
    """Return the most telling use of each hyperparameter that has one; the learning rate isn't looked for."""
    equations = {equation.target: equation.value for equation in rule.equations}
    found: dict[Symbol, Use] = {}
    order = list(Use)

    def note(symbols: Iterator[Symbol], use: Use) -> None:
        for symbol in symbols:
            known = found.get(symbol)
            if known is None or order.index(use) < order.index(known):
                found[symbol] = use

    for equation in rule.equations:
        own = ir.Ref(rule.state(equation.target.name).symbol) if _is_state(rule, equation.target) else None
        for node in _nodes(equation.value):
            if not isinstance(node, ir.Apply):
                continue
            note(_decays(node, own), Use.DECAY)
            if node.op is Op.DIV:
                note(_bearing(node.args[1], equations, set()), Use.DENOMINATOR)
            elif node.op in (Op.SQRT, Op.LOG, Op.LOG1P) or (node.op is Op.POW and not _is_whole(node.args[1])):
                note(_bearing(node.args[0], equations, set()), Use.ROOT)
    return found


def _is_state(rule: Rule, symbol: Symbol) -> bool:
    return symbol.role is Role.NEW and symbol.name != rule.parameter.name


def _nodes(expr: ir.Expr) -> Iterator[ir.Expr]:
    yield expr
    for part in ir.operands(expr):
        yield from _nodes(part)


def _decays(node: ir.Apply, own: ir.Ref | None) -> Iterator[Symbol]:
    """Yield what decays.

    That is the base of a power of the step number, a factor of a state in its own equation, the weight of an average.
    """
    if node.op is Op.POW and ir.rate(node.args[1]) is Rate.STEP:
        yield from _hyper(node.args[0])
    if node.op is Op.MUL:
        for factor, other in (node.args, node.args[::-1]):
            if own is not None and other == own:
                yield from _hyper(factor)
    if node.op is Op.ADD:
        kept = [factor for part in node.args for factor in _factors(part)]
        for factor in kept:
            if ir.Apply(Op.SUB, (ir.number(1), factor)) in kept:
                yield from _hyper(factor)


def _factors(expr: ir.Expr) -> tuple[ir.Expr, ...]:
    return expr.args if isinstance(expr, ir.Apply) and expr.op is Op.MUL else ()


def _hyper(expr: ir.Expr) -> Iterator[Symbol]:
    if isinstance(expr, ir.Ref) and expr.symbol.role is Role.HYPER:
        yield expr.symbol


def _is_whole(exponent: ir.Expr) -> bool:
    if isinstance(exponent, ir.Apply) and exponent.op is Op.NEG:
        return _is_whole(exponent.args[0])
    return isinstance(exponent, ir.Number) and float(exponent.value).is_integer()


def _bearing(expr: ir.Expr, equations: dict[Symbol, ir.Expr], seen: set[Symbol]) -> Iterator[Symbol]:
    """Yield the hyperparameters that bear on the sign of an expression: not those within a square, a size or a sum."""
    match expr:
        case ir.Ref(symbol) if symbol.role is Role.HYPER:
            yield symbol
        case ir.Ref(symbol) if symbol in equations and symbol not in seen:
            seen.add(symbol)
            yield from _bearing(equations[symbol], equations, seen)
        case ir.Apply(Op.MUL, (left, right)) if left == right:
            return
        case ir.Apply(Op.POW, (base, exponent)):
            if not (_is_whole(exponent) and _is_even(exponent)):
                yield from _bearing(base, equations, seen)
        case ir.Apply(Op.ABS):
            return
        case ir.Apply(args=args):
            for part in args:
                yield from _bearing(part, equations, seen)
        case ir.Select(_, chosen, other):
            yield from _bearing(chosen, equations, seen)
            yield from _bearing(other, equations, seen)


def _is_even(exponent: ir.Expr) -> bool:
    if isinstance(exponent, ir.Apply):
        return _is_even(exponent.args[0])
    return isinstance(exponent, ir.Number) and float(exponent.value) % 2 == 0
