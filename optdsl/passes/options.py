"""Options that every rule takes and that are part of its arithmetic, written into the rule before it is scheduled."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from optdsl.ir import nodes as ir
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Apply, Op, Rate, Ref, Role, Rule, Symbol

DECAY = "weight_decay"
EMA, AVERAGE = "ema", "average"


def with_options(rule: Rule) -> Rule:
    """Return a rule with the options that every rule takes, but for those whose names it gives a meaning of its own."""
    return with_average(with_weight_decay(rule))


def _names(rule: Rule) -> set[str]:
    """Return every name a rule has given a meaning."""
    symbols = [*(h.symbol for h in rule.hypers), *(s.symbol for s in rule.states), *(e.target for e in rule.equations)]
    names = {*(symbol.name for symbol in symbols), *(name for name, _ in rule.aliases)}
    return names | {rule.parameter.name, rule.gradient.name}


def with_weight_decay(rule: Rule) -> Rule:
    """Return a rule with the hyperparameter `weight_decay`, an L2 penalty: the gradient becomes g + weight_decay*x.

    A rule that has something of that name means it otherwise, and stays as it is.
    """
    if DECAY in _names(rule):
        return rule
    decay = Symbol(Role.HYPER, DECAY, Rate.CONST)
    decayed = Symbol(Role.LOCAL, f"{rule.gradient.name}.{DECAY}", Rate.ELEMENT)
    g, x = Ref(rule.gradient), Ref(rule.parameter)
    value = ir.Select(Apply(Op.NE, (Ref(decay), ir.number(0))), Apply(Op.ADD, (g, Apply(Op.MUL, (Ref(decay), x)))), g)

    def replaced(expr: ir.Expr) -> ir.Expr:
        if isinstance(expr, Ref):
            return replace(expr, symbol=decayed) if expr.symbol == rule.gradient else expr
        return ir.rebuild(expr, tuple(replaced(part) for part in ir.operands(expr)))

    equations = [replace(equation, value=replaced(equation.value)) for equation in rule.equations]
    text = f"{g.symbol.name} + {DECAY}*{x.symbol.name} in place of {g.symbol.name}, where {DECAY} isn't 0"
    hyper = ir.Hyper(decay, ir.number(0), Interval(0.0, inf, low_closed=True), "L2 penalty, added to the gradient")
    return replace(
        rule, hypers=(*rule.hypers, hyper), equations=(*equations, ir.Equation(decayed, value, text)),
    )  # fmt: skip


def with_average(rule: Rule) -> Rule:
    """Return a rule with the hyperparameter `ema` and the state `average`, which is there where `ema` isn't 0.

    It starts as the parameter, and follows it: average' = ema*average + (1 - ema)*x'.
    """
    if not {EMA, AVERAGE}.isdisjoint(_names(rule)):
        return rule
    decay = Symbol(Role.HYPER, EMA, Rate.CONST)
    state = Symbol(Role.OLD, AVERAGE, Rate.ELEMENT)
    x = Ref(replace(rule.parameter, role=Role.NEW))
    kept = Apply(Op.MUL, (Ref(decay), Ref(state)))
    joined = Apply(Op.MUL, (Apply(Op.SUB, (ir.number(1), Ref(decay))), x))
    value = Apply(Op.ADD, (kept, joined))
    text = f"{AVERAGE}' = ema({AVERAGE}, {x.symbol.name}', {EMA})"
    doc = "decay of an average of the parameter; 0 keeps none"
    asked = Apply(Op.NE, (Ref(decay), ir.number(0)))
    average = ir.State(state, Ref(rule.parameter), when=asked, doc="average of the parameter")
    return replace(
        rule,
        hypers=(*rule.hypers, ir.Hyper(decay, ir.number(0), Interval(0.0, 1.0, low_closed=True), doc)),
        states=(*rule.states, average),
        equations=(*rule.equations, ir.Equation(replace(state, role=Role.NEW), value, text)),
        views=(*rule.views, ir.View(EMA, Ref(state), "average of the parameter", f"{EMA} = {AVERAGE}", when=asked)),
    )
