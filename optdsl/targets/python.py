"""Python text for the parts every generated module shares: scalar expressions, and what the rule says of itself."""

from __future__ import annotations

import ast
import builtins
import hashlib
import keyword
from collections.abc import Callable, Sequence

from optdsl.ir.evaluate import constant
from optdsl.ir.kernel import Program, symbols
from optdsl.ir.nodes import (
    Apply,
    Expr,
    Fold,
    Hyper,
    Kind,
    Number,
    Op,
    Rate,
    Reduce,
    ReduceRows,
    Ref,
    Role,
    Rule,
    Select,
    State,
    Symbol,
    Truth,
    View,
    kind,
    rate,
)
from optdsl.ir.powers import expand
from optdsl.ir.show import show
from optdsl.targets.text import Writer, file_name, one_line
from optdsl.version import __version__

RESERVED = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins)})
"""Names a generated Python module leaves alone."""

INFIX = {
    Op.ADD: "+", Op.SUB: "-", Op.MUL: "*", Op.LT: "<", Op.LE: "<=", Op.GT: ">", Op.GE: ">=", Op.EQ: "==", Op.NE: "!=",
    Op.AND: "and", Op.OR: "or",
}  # fmt: skip
LEVEL = {
    Op.OR: 1, Op.AND: 2, Op.LT: 4, Op.LE: 4, Op.GT: 4, Op.GE: 4, Op.EQ: 4, Op.NE: 4, Op.ADD: 5, Op.SUB: 5, Op.MUL: 6,
}  # fmt: skip
SELECT, NOT, NEG, ATOM = 0, 3, 7, 9

FUNCTIONS = {
    Op.DIV: "divide", Op.MOD: "modulo", Op.POW: "power", Op.ABS: "absolute", Op.SIGN: "sign", Op.SQRT: "sqrt",
    Op.CBRT: "cbrt", Op.EXP: "exp", Op.EXPM1: "expm1", Op.LOG: "log", Op.LOG1P: "log1p", Op.SIN: "sin", Op.COS: "cos",
    Op.TANH: "tanh", Op.FLOOR: "floor", Op.MIN: "minimum", Op.MAX: "maximum",
}  # fmt: skip
"""Scalar functions, all of `optdsl.ir.ieee`, which the runtime offers as `ieee`."""

FOLDS = {Fold.SUM: "total", Fold.DOT: "inner", Fold.AMAX: "largest"}
"""Reductions, functions of `optdsl.runtime.blocks`."""

UFUNCS = {
    Op.NEG: "negative", Op.ADD: "add", Op.SUB: "subtract", Op.MUL: "multiply", Op.DIV: "divide", Op.POW: "power",
    Op.LT: "less", Op.LE: "less_equal", Op.GT: "greater", Op.GE: "greater_equal", Op.EQ: "equal", Op.NE: "not_equal",
    Op.AND: "logical_and", Op.OR: "logical_or", Op.NOT: "logical_not", Op.ABS: "absolute", Op.SIGN: "sign",
    Op.SQRT: "sqrt", Op.CBRT: "cbrt", Op.EXP: "exp", Op.EXPM1: "expm1", Op.LOG: "log", Op.LOG1P: "log1p", Op.SIN: "sin",
    Op.COS: "cos", Op.TANH: "tanh", Op.FLOOR: "floor", Op.MIN: "minimum", Op.MAX: "maximum", Op.MOD: "remainder",
}  # fmt: skip
"""NumPy's functions of arrays."""

Spell = Callable[[Symbol], str]


def literal(value: object) -> str:
    """Return a number as Python text that reads back to the same float64."""
    number = float(value)  # type: ignore[arg-type]
    return "inf" if number == float("inf") else repr(number)


def scalar(expr: Expr, spell: Spell) -> str:
    """Return a scalar expression as Python text, IEEE semantics included."""
    return _scalar(expr, spell)[0]


def _scalar(expr: Expr, spell: Spell) -> tuple[str, int]:
    match expr:
        case Number(value):
            return literal(value), ATOM
        case Truth(value):
            return str(value), ATOM
        case Ref(symbol):
            return spell(symbol), ATOM
        case Select(condition, chosen, other):
            parts = (_bracketed(part, spell, SELECT + 1) for part in (chosen, condition))
            return "{} if {} else {}".format(*parts, scalar(other, spell)), SELECT
        case Apply(Op.NEG, (inner,)):
            return f"-{_bracketed(inner, spell, NEG)}", NEG
        case Apply(Op.NOT, (inner,)):
            return f"not {_bracketed(inner, spell, NOT)}", NOT
        case Apply(op, (left, right)) if op in INFIX:
            level = LEVEL[op]
            # Python chains comparisons, so that both sides of one need brackets when they are comparisons.
            first = level + 1 if level == 4 else level
            return f"{_bracketed(left, spell, first)} {INFIX[op]} {_bracketed(right, spell, level + 1)}", level
        case Apply(op, args):
            return f"ieee.{FUNCTIONS[op]}({', '.join(scalar(arg, spell) for arg in args)})", ATOM
        case ReduceRows():
            raise TypeError("a reduction over rows is not a scalar expression")
        case Reduce(fold, args):  # only in first values: kernels have names for their reductions
            return f"{FOLDS[fold]}({', '.join(array(arg, spell) for arg in args)})", ATOM


def _bracketed(expr: Expr, spell: Spell, level: int) -> str:
    text, own = _scalar(expr, spell)
    return text if own >= level else f"({text})"


def array(expr: Expr, spell: Spell) -> str:
    """Return an element expression as Python text that makes a new array; for first values of states, and for views.

    The arm of a scalar condition that isn't taken isn't computed: it may read a state that isn't there.
    """
    if rate(expr) is not Rate.ELEMENT:
        return scalar(expr, spell)
    match expr:
        case Ref(symbol):
            return spell(symbol)
        case Select(condition, chosen, other):
            single = rate(condition) is not Rate.ELEMENT
            arms = chosen, other
            if single or all(rate(arm) is not Rate.ELEMENT for arm in arms):
                first, second = (_rounded(arm, spell) for arm in arms)
            else:
                first, second = (array(arm, spell) for arm in arms)
            if single:
                return f"({first} if {scalar(condition, spell)} else {second})"
            return f"np.where({array(condition, spell)}, {first}, {second})"
        case Apply(op, args):
            return f"np.{UFUNCS[op]}({', '.join(array(arg, spell) for arg in args)})"
        case ReduceRows(fold, args):
            return f"of_rows({str(fold)!r}, x, {', '.join(array(arg, spell) for arg in args)})"
        case _:
            raise TypeError(f"{expr} has no place in a first value")


def _rounded(expr: Expr, spell: Spell) -> str:
    """Return an arm as text; one number is rounded here, as there may be no array to go by where the choice is read."""
    if rate(expr) is Rate.ELEMENT or kind(expr) is Kind.BOOLEAN:
        return array(expr, spell)
    return f"x.dtype.type({scalar(expr, spell)})"


def _of_hypers(symbol: Symbol) -> str:
    match symbol.role:
        case Role.HYPER:
            return f"h[{symbol.name!r}]"
        case Role.SIZE:
            return "float(x.size)"
        case Role.NDIM:
            return "float(x.ndim)"
        case _:
            return "x"


def digest(rule: Rule) -> str:
    """Return a hash of what the rule says, for checkpoints to recognise it by."""
    return hashlib.sha256(repr((rule.name, rule.hypers, rule.states, rule.equations)).encode()).hexdigest()


IMPORTS = {
    "optdsl.runtime": (
        "CKernel", "Hyper", "Interval", "NumpyKernel", "Optimizer", "RuleInfo", "State", "View", "ieee", "inf",
    ),
    "optdsl.runtime.blocks": ("blocks", "inner", "largest", "pick", "store", "total"),
    "optdsl.runtime.rows": ("of_rows",),
}  # fmt: skip
"""What generated modules take from the runtime, where they use it."""

MODULE_NAMES = frozenset({"Path", "RULE", "__all__", "__file__", "bool", "float", "np"}).union(*IMPORTS.values())
"""Names that generated modules use at their top level."""


def module(program: Program, target: str, functions: Sequence[str], kernel: Sequence[str]) -> str:
    """Return the text of a generated module: the rule, its functions, and the class with its kernel."""
    rule = program.rule
    writer = Writer()
    _write_rule(writer, rule)
    writer.lines += ["", ""]
    _write_select(writer, program)
    for function in functions:
        writer.lines += ["", "", *function.rstrip("\n").split("\n")]
    writer.lines += ["", ""]
    with writer.block(f"class {class_name(rule)}(Optimizer):"):
        writer.line("rule = RULE")
        with writer.block(kernel[0], ")"):
            for line in kernel[1:]:
                writer.line(line)
    title = one_line(rule.doc or rule.name).rstrip(".")
    origin = f"Generated by optdsl {__version__} for {target} from {one_line(file_name(rule.source))}"
    opening = repr(f"{title}. {origin}; change the rule instead.")
    return "\n".join([opening, "", *_imports(writer.text()), writer.text()])


def _imports(body: str) -> list[str]:
    """Return the import lines for the names that a module's code uses; what its texts say doesn't count."""
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    standard = ["from pathlib import Path", ""] if "Path" in used else []
    numpy = ["import numpy as np", ""] if "np" in used else []
    ours = []
    for source, names in IMPORTS.items():
        wanted = [name for name in names if name in used]
        ours += [f"from {source} import {', '.join(wanted)}"] if wanted else []
    return [*standard, *numpy, *ours, ""]


def class_name(rule: Rule) -> str:
    """Return the name of the class: the rule's, where Python and the generated module leave it free."""
    pythons = keyword.iskeyword(rule.name) or (rule.name.startswith("__") and rule.name.endswith("__"))
    return f"{rule.name}_" if rule.name in MODULE_NAMES or pythons else rule.name


def _write_rule(writer: Writer, rule: Rule) -> None:
    """Write the constant `RULE`, and what the module exports."""
    writer.line(f"__all__ = [{class_name(rule)!r}]")
    writer.line()
    with writer.block("RULE = RuleInfo(", ")"):
        writer.line(f"name={rule.name!r},")
        writer.line(f"doc={rule.doc!r},")
        writer.line(f"citations={rule.cites!r},")
        if rule.family:
            writer.line(f"family={rule.family!r},")
        with writer.block("hypers=(", "),"):
            for hyper in rule.hypers:
                writer.line(_hyper(hyper))
        writer.line(f"aliases={dict(rule.aliases)!r},")
        with writer.block("states=(", "),"):
            for state in rule.states:
                writer.line(_state(state))
        with writer.block("equations=(", "),"):
            for equation in rule.equations:
                if equation.span is not None:  # the author's
                    writer.line(f"{equation.text!r},")
        writer.line(f"source={file_name(rule.source)!r},")
        writer.line(f"digest={digest(rule)!r},")
        if rule.views:
            with writer.block("views=(", "),"):
                for view in rule.views:
                    writer.line(_view(rule, view))


def _hyper(hyper: Hyper) -> str:
    parts = [repr(hyper.symbol.name)]
    if _reads_hypers(hyper.default):
        parts.append(f"lambda h: {scalar(expand(hyper.default), _of_hypers)}")
    else:
        value = constant(hyper.default, {})
        parts.append(str(value) if isinstance(value, bool) else literal(value))
    if hyper.interval is not None:
        i = hyper.interval
        parts.append(f"Interval({literal(i.low)}, {literal(i.high)}, {i.low_closed}, {i.high_closed})")
    if hyper.doc:
        parts.append(f"doc={hyper.doc!r}")
    if hyper.symbol.kind is Kind.BOOLEAN:
        parts.append("boolean=True")
    return f"Hyper({', '.join(parts)}),"


def _reads_hypers(expr: Expr) -> bool:
    return any(True for _ in symbols(expr))


def _state(state: State) -> str:
    parts = [repr(state.name), f"lambda h, x: {array(expand(state.init), _of_hypers)}"]
    if state.scalar:
        parts.append("scalar=True")
    if state.when is not None:
        parts.append(f"when=lambda h: {scalar(expand(state.when), _of_hypers)}")
        parts.append(f"condition={show(state.when)!r}")
    if state.storage is not None:
        parts.append(f"dtype={state.storage!r}")
    if state.doc:
        parts.append(f"doc={state.doc!r}")
    return f"State({', '.join(parts)}),"


def _view(rule: Rule, view: View) -> str:
    def spell(symbol: Symbol) -> str:
        if symbol.role is Role.STEP:
            return "t"
        stored = symbol.role is Role.OLD and symbol != rule.parameter
        return f"s[{symbol.name!r}]" if stored else _of_hypers(symbol)

    parts = [repr(view.name), f"lambda h, x, s, t: {array(expand(view.value), spell)}", f"text={view.text!r}"]
    if view.doc:
        parts.append(f"doc={view.doc!r}")
    if view.when is not None:
        parts.append(f"when=lambda h: {scalar(expand(view.when), _of_hypers)}")
        parts.append(f"condition={show(view.when)!r}")
    return f"View({', '.join(parts)}),"


def _write_select(writer: Writer, program: Program) -> None:
    """Write the function that says which variant some hyperparameters ask for."""
    with writer.block("def _variant(h):"):
        if not program.conditions:
            writer.line("return 0")
            return
        terms = []
        for bit, condition in enumerate(program.conditions):
            text = scalar(expand(condition), _of_hypers)
            terms.append(f"bool({text})" if bit == 0 else f"(bool({text}) << {bit})")
        writer.line(f"return {' | '.join(terms)}")
