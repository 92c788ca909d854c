"""The declarations of a rule."""

from __future__ import annotations

from optdsl import problems as bad
from optdsl.diagnostics import closest
from optdsl.ir import nodes as ir
from optdsl.ir.evaluate import constant
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind, Rate, Role, Symbol
from optdsl.resolve.expressions import Environment, Expressions, Unresolved, what_may_be_read
from optdsl.syntax import ast

STORAGE = ("f16", "bf16", "f32", "f64")
MOST_CONDITIONS = 5
"""Different conditions of states: each doubles the forms of the rule."""


class Declarations(Expressions):
    """Hyperparameters, aliases and states."""

    def _hyper(self, entry: ast.HyperEntry) -> None:
        name = entry.name.text
        if not self._declares(entry.name):
            return
        earlier = {known: ir.Ref(hyper.symbol) for known, hyper in self.hypers.items()}
        try:
            default = self._constant(entry.default, earlier, f"the default of `{name}`")
        except Unresolved:
            self.tree.broken.add(name)
            return
        kind = ir.kind(default)
        interval = None if entry.interval is None else self._interval(entry, kind)
        hyper = ir.Hyper(Symbol(Role.HYPER, name, Rate.CONST, kind), default, interval, entry.doc, entry.name.span)
        self.hypers[name] = hyper
        value = self.values[name] = constant(default, self.values)
        if value != value or (interval is not None and value not in interval):
            shown = self._snippet(entry.default.span)
            computed = "" if f"{value:g}" == shown or isinstance(entry.default, ast.Literal) else f"{value:g}"
            place = entry.interval.span if entry.interval is not None and interval is not None else None
            self._report(
                bad.DefaultOutOfRange(
                    span=entry.default.span, name=name, value=shown, computed=computed, interval=interval, place=place
                )
            )

    def _interval(self, entry: ast.HyperEntry, kind: Kind) -> Interval | None:
        node = entry.interval
        assert node is not None
        if kind is Kind.BOOLEAN:
            why = f"`{entry.name.text}` is a truth value and has no interval"
            self._report(bad.BadInterval(span=node.span, why=why, mend="remove the interval"))
            return None
        try:
            low, high = (
                constant(self._constant(end, {}, "the end of an interval"), {}) for end in (node.low, node.high)
            )
        except Unresolved:
            return None
        interval = Interval(float(low), float(high), node.low_closed, node.high_closed)
        if interval.low > interval.high or (interval.low == interval.high and interval.low not in interval):
            self._report(bad.BadInterval(span=node.span, why="no number lies in this interval"))
            return None
        return interval

    def _alias(self, entry: ast.AliasEntry) -> None:
        for member in entry.members:
            if member.text not in self.hypers and member.text not in self.tree.broken:
                self._report(
                    bad.UndefinedName(
                        span=member.span,
                        name=member.text,
                        wanted="a hyperparameter",
                        suggestion=closest(member.text, self.hypers),
                    )
                )

    def _state(self, entry: ast.StateEntry) -> None:
        name = entry.name.text
        if not self._declares(entry.name):
            return
        kind = None if entry.type is None else entry.type.text
        if entry.type is not None and kind != "scalar" and kind not in STORAGE:
            self._report(
                bad.UndefinedName(
                    span=entry.type.span,
                    name=entry.type.text,
                    wanted="a type",
                    suggestion=closest(entry.type.text, ("scalar", *STORAGE)) or "scalar",
                )
            )
        hypers = {known: ir.Ref(hyper.symbol) for known, hyper in self.hypers.items()}
        scalar = kind == "scalar"
        try:
            init = self._initial(entry, hypers)
            when = None
            if entry.when is not None:
                when = self._constant(entry.when, hypers, f"the condition of `{name}`")
                self._expect(when, Kind.BOOLEAN, entry.when.span)
        except Unresolved:
            init, when = ir.number(0), None
        if when is not None:
            known = {state.when for state in self.states.values() if state.when is not None}
            if len(known | {when}) > MOST_CONDITIONS and entry.when is not None:
                what = "the states of this rule have too many different conditions"
                self._report(bad.TooComplex(span=entry.when.span, what=what, limit=str(MOST_CONDITIONS)))
                when = None
        if scalar and ir.rate(init) is Rate.ELEMENT:
            self._report(bad.ScalarFromElement(span=entry.init.span, name=name, declared=entry.name.span))
        rate = Rate.STEP if scalar else Rate.ELEMENT
        storage = kind if kind in STORAGE else None
        symbol = Symbol(Role.OLD, name, rate)
        self.states[name] = ir.State(symbol, init, scalar, storage, when, entry.doc, entry.name.span)

    def _initial(self, entry: ast.StateEntry, hypers: Environment) -> ir.Expr:
        environment = {**hypers, self.parameter.name: ir.Ref(self.parameter)}
        where = f"the initial value of `{entry.name.text}`"
        init = self._expression(entry.init, environment, where)
        self._expect(init, Kind.NUMBER, entry.init.span)
        return init

    def _constant(self, node: ast.Expression, environment: Environment, where: str) -> ir.Expr:
        expr = self._expression(node, environment, where)
        if ir.rate(expr) is not Rate.CONST:
            self._report(bad.NotConstant(span=node.span, where=where, allowed=what_may_be_read(environment, where)))
            raise Unresolved
        return expr
