"""The intermediate representation as text, for people and for tests."""

from __future__ import annotations

from optdsl.ir.kernel import Kernel, Let
from optdsl.ir.nodes import Apply, Expr, Number, Op, Reduce, ReduceRows, Ref, Role, Select, Symbol, Truth

_INFIX = {
    Op.OR: 1, Op.AND: 2, Op.LT: 4, Op.LE: 4, Op.GT: 4, Op.GE: 4, Op.EQ: 4, Op.NE: 4, Op.ADD: 5, Op.SUB: 5, Op.MUL: 6,
    Op.DIV: 6, Op.MOD: 6, Op.POW: 8,
}  # fmt: skip
_NOT, _NEG, _ATOM = 3, 7, 9


def show(expr: Expr) -> str:
    """Return an expression in the language's own notation, with the brackets its shape needs."""
    return _show(expr)[0]


def _show(expr: Expr) -> tuple[str, int]:
    match expr:
        case Number(value, text):
            return (text or str(value)), _ATOM
        case Truth(value):
            return str(value).lower(), _ATOM
        case Ref(symbol):
            return show_symbol(symbol), _ATOM
        case Select(condition, chosen, other):
            return f"if {show(condition)} then {show(chosen)} else {show(other)}", 0
        case Reduce(fold, args):
            return f"{fold}({', '.join(show(arg) for arg in args)})", _ATOM
        case ReduceRows(row_fold, args):
            return f"{row_fold}({', '.join(show(arg) for arg in args)}, axes=rest)", _ATOM
        case Apply(Op.NEG, (inner,)):
            return f"-{_bracketed(inner, _NEG)}", _NEG
        case Apply(Op.NOT, (inner,)):
            return f"not {_bracketed(inner, _NOT)}", _NOT
        case Apply(op, (left, right)) if op in _INFIX:
            level = _INFIX[op]
            space = "" if op in (Op.MUL, Op.DIV, Op.POW) else " "
            # `^` groups to the right, comparisons not at all, everything else to the left.
            first = level + 1 if op is Op.POW or level == 4 else level
            second = _NEG if op is Op.POW else level + 1
            return f"{_bracketed(left, first)}{space}{op}{space}{_bracketed(right, second)}", level
        case Apply(op, args):
            return f"{op}({', '.join(show(arg) for arg in args)})", _ATOM


def _bracketed(expr: Expr, level: int) -> str:
    text, own = _show(expr)
    return text if own >= level else f"({text})"


def show_symbol(symbol: Symbol) -> str:
    """Return the name of a symbol, primed for a value after the step."""
    return f"{symbol.name}'" if symbol.role is Role.NEW else symbol.name.replace(".", "")


def show_let(let: Let) -> str:
    """Return an assignment with its rate."""
    return f"{show_symbol(let.symbol)} = {show(let.value)}  [{let.symbol.rate.name.lower()}]"


def show_kernel(kernel: Kernel) -> str:
    """Return a kernel, section by section."""
    lines = ["once per parameter:", *(f"  {show_let(let)}" for let in kernel.prologue)]
    for number, phase in enumerate(kernel.phases, 1):
        if phase.scalars:
            lines += ["from the reductions:", *(f"  {show_let(let)}" for let in phase.scalars)]
        lines += [f"pass {number} over the elements:", *(f"  {show_let(let)}" for let in phase.lets)]
        lines += [f"  {show_let(let)}" for let in phase.folds]
        if phase.stores:
            lines.append(f"  store {', '.join(show_symbol(symbol) for symbol in phase.stores)}")
    for follower in kernel.followers:
        (stored,) = follower.stores
        lines += [f"after it, where {stored.name} exists:", *(f"  {show_let(let)}" for let in follower.lets)]
        lines.append(f"  store {show_symbol(stored)}")
    if kernel.epilogue:
        lines += ["at the end:", *(f"  {show_let(let)}" for let in kernel.epilogue)]
    if kernel.scalar_stores:
        lines.append(f"store {', '.join(show_symbol(symbol) for symbol in kernel.scalar_stores)}")
    return "\n".join(lines)
