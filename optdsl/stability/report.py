"""What `optdsl stability` says of a region."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from optdsl.algebra.linear import LinearStep
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Kind, Op
from optdsl.settings import shown
from optdsl.source import Span
from optdsl.stability.grid import STEPS
from optdsl.stability.region import FACTOR, HIGHEST, LOWEST, Form, Limit, Region
from optdsl.stability.region import region as analysed
from optdsl.syntax import ast
from optdsl.syntax.printer import render, unicode_name

WIDEST = 110
"""Columns of a matrix; a wider one is written entry by entry."""
_NOWHERE = Span(0, 0)


def report(region: Region, limits: Sequence[Limit] = ()) -> str:
    """Return the region in words; `limits` are needed where there is no exact one."""
    lines = [_title(region), *_held(region)]
    if region.usual is not None:
        for form in region.forms:
            lines += ["", *_form(form)]
    lines += ["", *(_exact(region, region.usual) if _closed(region) else _computed(region, limits))]
    return "\n".join(lines)


def _closed(region: Region) -> bool:
    return region.usual is not None and region.usual.conditions is not None


def needs_limits(region: Region) -> bool:
    """Return whether the region is told by numbers that have to be computed."""
    return not _closed(region)


# Sentences


def _title(region: Region) -> str:
    x, g, h = (unicode_name(s.name) for s in (region.rule.parameter, region.rule.gradient, region.curvature))
    free = [unicode_name(region.rate.name)] if region.rate is not None else []
    above = " and ".join(f"{name} > 0" for name in (*free, h))
    return f"{region.rule.name} on f({x}) = {h}·{x}²/2, where {g} = {h}·{x}, with {above}"


def _held(region: Region) -> list[str]:
    given = [f"{unicode_name(name)} = {shown(value)}" for name, value in region.given.items()]
    booleans = [h.symbol.name for h in region.rule.hypers if h.symbol.kind is Kind.BOOLEAN]
    usual = [f"{unicode_name(n)} = {shown(region.values[n])}" for n in booleans if n not in region.given]
    lines = [f"given: {', '.join(given)}"] if given else []
    return [*lines, f"by default: {', '.join(usual)}"] if usual else lines


def _form(form: Form) -> list[str]:
    where = [_assumption(condition, holds) for condition, holds in form.case.assumed]
    step = form.step
    if step is None:
        return [f"where {' and '.join(where)}:", f"  no exact region: {_why(form)}"]
    late = ["at late steps, t → ∞"] if step.late or form.case.late else []
    title = ", ".join([f"where {' and '.join(where)}"] * bool(where) + late)
    lines = [f"{title}:"] if title else []
    return lines + ["  " + line for line in [*_matrix(step), *_stable(step)]]


def _stable(step: LinearStep) -> list[str]:
    if step.conditions is None:
        return ["stable where all eigenvalues of this matrix are below 1 in size; that has no closed form"]
    if step.never:
        return ["never stable"]
    texts = [f"{formula(c.left)} {c.relation} {formula(c.right)}" for c in step.conditions]
    if not texts:
        return ["always stable"]
    return [f"stable where {texts[0]}", *(f"         and {text}" for text in texts[1:])]


def _exact(region: Region, step: LinearStep | None) -> list[str]:
    assert step is not None
    assert step.conditions is not None
    name = unicode_name(region.curvature.name)
    texts = [f"{formula(c.left, exact=False)} {c.relation} {formula(c.right, exact=False)}" for c in step.conditions]
    found = "never stable" if step.never else " and ".join(texts) or "always stable"
    if region.rate is not None and not step.never and texts:
        found += f"; at {unicode_name(region.rate.name)} = {shown(region.values[region.rate.name])}: "
        found += _at_rate(region) or f"no {name}"
    lines = [f"{_numbers(region)}: {found}"]
    how = "exact: there, and nowhere else, every eigenvalue of the "
    how += "matrix is below 1 in size" if len(step.variables) > 1 else "step is below 1 in size"
    return [*lines, how]


def _at_rate(region: Region) -> str:
    """Return the curvatures that are stable at the default learning rate."""
    assert region.rate is not None
    fixed = analysed(region.rule, {**region.values})
    step = fixed.usual
    if step is None or step.conditions is None or step.never:
        return ""
    texts = [f"{formula(c.left, exact=False)} {c.relation} {formula(c.right, exact=False)}" for c in step.conditions]
    return " and ".join(texts) or f"every {unicode_name(region.curvature.name)}"


def _numbers(region: Region) -> str:
    """Return the hyperparameters that are numbers, as they are for a result in numbers."""
    free = None if region.rate is None else region.rate.name
    fixed = [
        f"{unicode_name(name)} = {shown(value)}"
        for name, value in region.values.items()
        if name != free and name not in region.given and not isinstance(value, bool)
    ]
    return f"at the defaults ({', '.join(fixed)})" if fixed else "in numbers"


def _computed(region: Region, limits: Sequence[Limit]) -> list[str]:
    lines = []
    if region.usual is not None:
        lines += ["spectral radius, numerically: below 1 is stable", _numbers(region) + ":"]
    else:
        lines += [f"no exact region: {_why(region.forms[0])}", "", *_simulation(region)]
    return [*lines, "", *_table(region, limits)]


def _why(form: Form) -> str:
    """Return why a form has no exact region."""
    return form.reason if form.target is None else f"{unicode_name(form.target.name, primed=True)} {form.reason}"


def _simulation(region: Region) -> list[str]:
    x = unicode_name(region.rule.parameter.name)
    alone = ["every element by itself, as a tensor of one: what the elements have in common is not simulated"]
    return [
        f"by simulation, {_numbers(region)}:",
        *(alone if any(ir.has_reduction(equation.value) for equation in region.rule.equations) else []),
        f"{STEPS:,} steps in float64 from {x} = 1, stable where |{x}| never exceeds {FACTOR:g}. For a rule whose steps",
        f"don't shrink with the gradient this depends on where {x} starts, and {x} may keep moving about 0.",
    ]


def _table(region: Region, limits: Sequence[Limit]) -> list[str]:
    h = unicode_name(region.curvature.name)
    if region.rate is None:
        (limit,) = limits
        return [f"largest stable {h}: {_limit(limit)}"]
    heading = f"largest stable {unicode_name(region.rate.name)}"
    rows = [(f"{limit.curvature:g}", _limit(limit)) for limit in limits]
    width = max(len(h), *(len(left) for left, _ in rows))
    return [f"  {h:>{width}}  {heading}", *(f"  {left:>{width}}  {right}" for left, right in rows)]


def _limit(limit: Limit) -> str:
    if limit.value is None:
        return f"none (down to {LOWEST:g})"
    return f"above {HIGHEST:g}" if limit.value == float("inf") else f"{limit.value:.3g}"


# Formulas


def _assumption(condition: ir.Expr, holds: bool) -> str:
    opposite = {Op.NE: Op.EQ, Op.EQ: Op.NE, Op.LT: Op.GE, Op.GE: Op.LT, Op.GT: Op.LE, Op.LE: Op.GT}
    if holds:
        return formula(condition)
    if isinstance(condition, ir.Apply) and condition.op in opposite:
        return formula(ir.Apply(opposite[condition.op], condition.args))
    return f"not ({formula(condition)})"


def _matrix(step: LinearStep) -> list[str]:
    """Return the step as an equation of matrices, or of numbers where it has one variable."""
    new = [unicode_name(symbol.name, primed=True) for symbol in step.variables]
    old = [unicode_name(symbol.name) for symbol in step.variables]
    entries = [[formula(entry) for entry in row] for row in step.matrix]
    if len(old) == 1:
        (((entry,),), (left,), (right,)) = (entries, new, old)
        bracketed = f"({entry})" if " " in entry else entry
        return [f"{left} = {bracketed}·{right}"]
    widths = [max(len(row[column]) for row in entries) for column in range(len(old))]
    rows = ["   ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in entries]
    if len(rows[0]) > WIDEST:
        return [f"{new[i]} from {old[j]}: {entries[i][j]}" for i in range(len(new)) for j in range(len(old))]
    width, last = max(map(len, new)), max(map(len, old))
    middle = (len(rows) - 1) // 2
    ends = [_bracket(i, len(rows)) for i in range(len(rows))]
    return [
        f"{a}{new[i]:<{width}}{b} {'=' if i == middle else ' '} {a}{rows[i]}{b} {a}{old[i]:<{last}}{b}"
        for i, (a, b) in enumerate(ends)
    ]


def _bracket(index: int, count: int) -> tuple[str, str]:
    if index == 0:
        return "⎡", "⎤"
    return ("⎣", "⎦") if index == count - 1 else ("⎢", "⎥")


def formula(expr: ir.Expr, exact: bool = True) -> str:
    """Return an expression in Unicode; numbers in decimals, a fraction that has none as one unless not `exact`."""
    text = render(_surface(expr, exact))
    return re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)·\(", r"\1(", text)


def _surface(expr: ir.Expr, exact: bool) -> ast.Expression:
    match expr:
        case ir.Number(value):
            return _number(value, exact)
        case ir.Truth(value):
            return ast.Literal(value, str(value).lower(), _NOWHERE)
        case ir.Ref(symbol):
            return ast.Variable(symbol.name, False, _NOWHERE)
        case ir.Apply(Op.NEG, (ir.Apply(Op.MUL | Op.DIV as op, (first, second)),)):
            # −a·b, not −(a·b)
            return _surface(ir.Apply(op, (ir.Apply(Op.NEG, (first,)), second)), exact)
        case ir.Apply(Op.DIV, (above, ir.Number(below))) if isinstance(below, Fraction):
            divided = _divided(above, below)
            if divided is not None:
                return _surface(divided, exact)
    if isinstance(expr, ir.Apply) and (expr.op in _CALLED):
        name = ast.Name(str(expr.op), _NOWHERE)
        return ast.Call(name, tuple(_surface(part, exact) for part in expr.args), _NOWHERE, 1)
    operator = str(expr.op) if isinstance(expr, ir.Apply) else "?"
    return ast.Operation(operator, tuple(_surface(part, exact) for part in ir.operands(expr)), _NOWHERE, 1)


_CALLED = frozenset(Op) - {
    Op.NEG, Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.MOD, Op.POW, Op.LT, Op.LE, Op.GT, Op.GE, Op.EQ, Op.NE, Op.AND, Op.OR,
    Op.NOT,
}  # fmt: skip


def _divided(expr: ir.Expr, by: Fraction) -> ir.Expr | None:
    """Return a product divided by a number where that makes its own number a decimal: 81·lr/100 is 0.81·lr."""
    match expr:
        case ir.Number(value) if isinstance(value, Fraction):
            return ir.number(value / by) if _decimal(value / by) else None
        case ir.Apply(Op.MUL | Op.NEG | Op.DIV as op, (first, *rest)):
            inner = _divided(first, by)
            return None if inner is None else ir.Apply(op, (inner, *rest))
    return None


def _decimal(value: Fraction) -> str:
    """Return a number in decimals where it is one of at most eight places, else ""."""
    text = f"{float(value):.8f}".rstrip("0").rstrip(".")
    return text if Fraction(text) == value else ""


def _number(value: Fraction | float, exact: bool) -> ast.Expression:
    if not isinstance(value, Fraction):
        return ast.Literal(value, "inf", _NOWHERE)
    text = _decimal(value)
    if not text and exact and max(abs(value.numerator), value.denominator) < 1000:
        parts = (_number(Fraction(value.numerator), exact), _number(Fraction(value.denominator), exact))
        return ast.Operation("/", parts, _NOWHERE, 1)
    return ast.Literal(value, text or f"{float(value):.6g}", _NOWHERE)
