"""Where two rules part at a counterexample, and what their difference is, for people to read."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

from optdsl.algebra.bridge import Bridge
from optdsl.algebra.construct import Sym
from optdsl.algebra.limits import Unknown, limited
from optdsl.algebra.points import hypers_at
from optdsl.algebra.restore import Unrepresentable
from optdsl.algebra.sampling import CLEAR, Difference
from optdsl.algebra.systems import Domain, System, advanced, cases, in_case, initial, literal, numbered
from optdsl.algebra.twofold import digits
from optdsl.algebra.unroll import substitute, symbols_read
from optdsl.algebra.verdicts import Counterexample, Parting, Setting
from optdsl.ir import nodes as ir
from optdsl.ir.evaluate import constant
from optdsl.ir.nodes import Equation, Expr, Op, Role, Rule, Symbol
from optdsl.ir.show import show

LONGEST = 200
"""Characters of a difference that is still shown, half as many where it is full of numbers."""
SECONDS = 0.2
"""Time to simplify one difference."""


def counterexample(
    first: System, second: System, domain: Domain, found: Difference, free: Collection[str] = (), *, two: bool
) -> Counterexample:
    """Return a difference with the place where the rules part.

    `free` are the names that a substitution brought in, `two` says that there are two rules, with equations to compare.
    """
    text, with_numbers = _difference(first, second, domain, found)
    return Counterexample(
        step=len(found.course.gradients), hypers=_setting(first, found), second_hypers=_setting(second, found),
        free=tuple((name, value) for name, value in found.point.items() if name in free), x=found.course.starts,
        gradients=found.course.gradients, element=found.element, first=found.values[0], second=found.values[1],
        parting=_parting(first, second, domain, found) if two else None, difference=text, with_numbers=with_numbers,
    )  # fmt: skip


def _setting(system: System, found: Difference) -> Setting:
    values = hypers_at(system, found.point) or {}
    return tuple(values.items())


# Where


def _parting(first: System, second: System, domain: Domain, found: Difference) -> Parting | None:
    """Return the first equation of both rules that the parameter needs and whose values differ at the last step."""
    one, other = (outcome.values for outcome in found.outcomes)
    for equation, twin in _twins(first.rule, second.rule):
        if equation.target not in one or twin.target not in other:
            continue
        a, b = _at(one[equation.target], found.element), _at(other[twin.target], found.element)
        if _apart(a, b):
            difference = _of_equations(first, second, domain, (equation, twin), found)
            return Parting(equation, twin, _plain(a), _plain(b), difference)
    return None


def _twins(first: Rule, second: Rule) -> list[tuple[Equation, Equation]]:
    """Return the equations of one name that the parameter of either rule needs, in order; the parameter's own last."""
    named = [{(e.target.role, e.target.name): e for e in rule.equations} for rule in (first, second)]
    needed = [(e.target.role, e.target.name) for rule in (first, second) for e in _in_order(rule)]
    own = [(Role.NEW, rule.parameter.name) for rule in (first, second)]
    shared = [key for key in dict.fromkeys(needed) if key not in own and all(key in equations for equations in named)]
    pairs = [(named[0][key], named[1][key]) for key in shared]
    return [*pairs, (named[0][own[0]], named[1][own[1]])]


def _in_order(rule: Rule) -> Iterator[Equation]:
    """Yield the equations that the parameter needs within a step, so that each comes after those it reads."""
    equations = {equation.target: equation for equation in rule.equations}
    done: set[Symbol] = set()

    def visit(target: Symbol) -> Iterator[Equation]:
        if target in equations and target not in done:
            done.add(target)
            for symbol in symbols_read(equations[target].value):
                yield from visit(symbol)
            yield equations[target]

    yield from visit(next(t for t in equations if t.role is Role.NEW and t.name == rule.parameter.name))


def _at(value: Any, element: int) -> Any:
    return value[element] if isinstance(value, list) else value


def _apart(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return bool(a != b)
    context = digits().context
    if context.isfinite(a) and context.isfinite(b):
        return bool(abs(a - b) > CLEAR * max(abs(a), abs(b)))
    return bool(context.isfinite(a) != context.isfinite(b))


def _plain(value: Any) -> float | bool:
    return value if isinstance(value, bool) else float(value)


# The difference


def _difference(first: System, second: System, domain: Domain, found: Difference) -> tuple[str | None, bool]:
    """Return the difference of the parameters after the last step, and whether hyperparameters had to be numbers."""
    numbers = {symbol: literal(found.point[symbol.name]) for symbol in domain.symbols}
    try:
        case = next(case for case in cases((first, second), domain) if case.holds_at(found.point))
        a, b = (substitute(_written_out(system, first.rule, domain, found), case.values) for system in (first, second))
    except Unknown:
        return None, False
    text = _simplified(a, b, first.rule, domain)
    if text is not None or not numbers:
        return text, False
    text = _simplified(substitute(a, numbers), substitute(b, numbers), first.rule, domain)
    return (text, True) if text is not None and len(text) <= LONGEST // 2 else (None, False)


def _written_out(system: System, named: Rule, domain: Domain, found: Difference) -> Expr:
    """Return the parameter after the last step, in the case of the hyperparameters that the point belongs to."""
    rule, steps = _at_the_point(system, domain, found), len(found.course.gradients)
    x: Expr = ir.Ref(named.parameter)
    states = initial(rule, x)
    for t in range(1, steps + 1):
        gradient = numbered(named.gradient, t) if steps > 1 else named.gradient
        x, states = advanced(system, rule, x, gradient, states, ir.number(t))
    return x


def _at_the_point(system: System, domain: Domain, found: Difference) -> Rule:
    case = next(case for case in cases((system,), domain) if case.holds_at(found.point))
    return in_case(system, case)


def _of_equations(
    first: System, second: System, domain: Domain, pair: tuple[Equation, Equation], found: Difference
) -> str | None:
    """Return how two right-hand sides differ where they read the same values."""
    values: dict[Symbol, Expr] = {second.rule.parameter: ir.Ref(first.rule.parameter)}
    values[second.rule.gradient] = ir.Ref(first.rule.gradient)
    if not (_known_to(second.rule, pair[0]) and _known_to(first.rule, pair[1])):
        return None
    try:
        one, other = (
            _at_the_point(system, domain, found).equation(equation.target).value
            for system, equation in zip((first, second), pair, strict=True)
        )
    except Unknown:
        return None
    return _simplified(one, substitute(other, values), first.rule, domain)


def _known_to(rule: Rule, equation: Equation) -> bool:
    """Return whether a rule has values of the same names as another's equation reads."""
    names = {(Role.OLD, state.name) for state in rule.states} | {(e.target.role, e.target.name) for e in rule.equations}
    read = [symbol for symbol in symbols_read(equation.value) if symbol.role in (Role.OLD, Role.NEW, Role.LOCAL)]
    return all((symbol.role, symbol.name) in names or symbol.name == rule.parameter.name for symbol in read)


def _simplified(first: Expr, second: Expr, rule: Rule, domain: Domain) -> str | None:
    """Return the shortest form found of a difference in the language, None where it is 0 or too long."""
    bridge = Bridge(rule)
    bridge.intervals |= domain.intervals
    try:
        value = limited(lambda: bridge.to_sympy(first) - bridge.to_sympy(second), SECONDS)
    except Unknown:
        return None
    if value == 0:
        return None
    texts = []
    for transform in (lambda v: v, Sym.factor_terms, Sym.cancel, Sym.factor):
        try:
            made = limited(partial(transform, value), SECONDS)
            texts.append(show(_readable(bridge.from_sympy(made))))
        except (Unknown, Unrepresentable, OverflowError):  # a number may be beyond the floats
            continue
    shortest = min(texts, key=len, default="0")
    return shortest if shortest != "0" and len(shortest) <= LONGEST else None


def _readable(expr: Expr) -> Expr:
    """Return an expression with numbers as people write them, those of many digits rounded to six."""
    if not symbols_read(expr) and ir.kind(expr) is ir.Kind.NUMBER:
        value = constant(expr, {})
        shown = Fraction(f"{value:.6g}") if math.isfinite(value) else None
        if shown is not None and not _short_quotient(expr):
            number = ir.Number(abs(shown), f"{abs(value):.6g}")
            return number if value >= 0 else ir.Apply(Op.NEG, (number,))
    if isinstance(expr, ir.Number) and isinstance(expr.value, Fraction):
        return ir.Apply(Op.DIV, (ir.number(expr.value.numerator), ir.number(expr.value.denominator)))
    return ir.rebuild(expr, tuple(_readable(part) for part in ir.operands(expr)))


def _short_quotient(expr: Expr) -> bool:
    """Return whether a number is a fraction that is shorter than its decimals, such as 1/3."""
    if not isinstance(expr, ir.Number) or not isinstance(expr.value, Fraction):
        return False
    return expr.value.denominator < 100 and Fraction(repr(float(expr.value))) != expr.value
