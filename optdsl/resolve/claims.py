"""The claims of a rule: names looked up, values checked. Whether they hold is found out later."""

from __future__ import annotations

from contextlib import suppress
from math import inf

from optdsl import problems as bad
from optdsl.diagnostics import closest
from optdsl.ir import claims as ir_claims
from optdsl.ir import nodes as ir
from optdsl.ir.bounds import meet
from optdsl.ir.claims import Claim, Given, Settings
from optdsl.ir.evaluate import constant
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Rate, Role, Symbol
from optdsl.resolve.declarations import Declarations
from optdsl.resolve.expressions import Environment, Unresolved
from optdsl.syntax import ast

_INTERVALS = {
    ">": lambda value: Interval(value, inf, False, False), ">=": lambda value: Interval(value, inf, True, False),
    "<": lambda value: Interval(-inf, value, False, False), "<=": lambda value: Interval(-inf, value, False, True),
}  # fmt: skip
"""What a comparison with a number says of a free number."""


class Claims(Declarations):
    """Claims in their typed form."""

    def _claims(self) -> tuple[Claim, ...]:
        claims = []
        for entry in self.tree.claims:
            with suppress(Unresolved):
                claims.append(self._claim(entry))
        return tuple(claims)

    def _claim(self, entry: ast.ClaimEntry) -> Claim:
        hypers: Environment = {name: ir.Ref(hyper.symbol) for name, hyper in self.hypers.items()}
        when = self._when(entry, hypers)
        text, span = self._snippet(entry.span), entry.span
        steps = ir_claims.STEPS if entry.steps is None else int(entry.steps.value)
        if entry.other is not None:
            given = tuple(self._given(setting, hypers) for setting in self._once(entry.given))
            return ir_claims.Equals(entry.other.text, given, when, steps, text, span, entry.other.span)
        if entry.kind == "invariant":
            free = self._free(entry)
            changes = tuple(self._change(setting, hypers, free) for setting in self._once(entry.changes))
            return ir_claims.Invariant(changes, tuple(free.items()), when, steps, text, span)
        return ir_claims.Descends(when, text, span) if entry.kind == "descends" else ir_claims.Still(when, text, span)

    def _once(self, settings: tuple[ast.Setting, ...]) -> tuple[ast.Setting, ...]:
        """Report names that are given twice."""
        first: dict[str, ast.Setting] = {}
        for setting in settings:
            name = setting.name.text
            if name in first:
                place, what = first[name].name.span, "a value in this claim"
                self._report(bad.DuplicateName(span=setting.name.span, name=name, first=place, what=what))
                raise Unresolved
            first[name] = setting
        return settings

    def _when(self, entry: ast.ClaimEntry, hypers: Environment) -> Settings:
        return tuple((setting.name.text, self._value(setting, hypers)) for setting in self._once(entry.when))

    def _value(self, setting: ast.Setting, hypers: Environment) -> ir.Expr:
        """Return what a hyperparameter is set to, which its interval must hold."""
        hyper = self._known(setting)
        value = self._constant(setting.value, hypers, "a value in a claim")
        if ir.kind(value) is not hyper.symbol.kind:
            found, wanted = ir.kind(value), hyper.symbol.kind
            self._report(bad.WrongKind(span=setting.value.span, found=found, wanted=wanted, literal=True))
            raise Unresolved
        if not _reads(value) and hyper.interval is not None and (number := constant(value, {})) not in hyper.interval:
            name, shown = setting.name.text, self._snippet(setting.value.span)
            computed = "" if shown == f"{number:g}" or isinstance(setting.value, ast.Literal) else f"{number:g}"
            self._report(bad.ValueOutOfRange(
                span=setting.value.span, name=name, value=shown, computed=computed, interval=hyper.interval, place=None,
            ))  # fmt: skip
            raise Unresolved
        return value

    def _known(self, setting: ast.Setting, wanted: str = "a hyperparameter of this rule") -> ir.Hyper:
        name = setting.name
        if name.text not in self.hypers:
            if name.text not in self.tree.broken:
                near = closest(name.text, self.hypers)
                self._report(bad.UndefinedName(
                    span=name.span, name=name.text, wanted=wanted, suggestion=near,
                ))  # fmt: skip
            raise Unresolved
        return self.hypers[name.text]

    def _given(self, setting: ast.Setting, hypers: Environment) -> Given:
        value = self._constant(setting.value, hypers, "a value in a claim")
        return Given(setting.name.text, value, setting.name.span)

    def _free(self, entry: ast.ClaimEntry) -> dict[Symbol, Interval]:
        """Return the numbers a replacement may bring in, with what they may be."""
        found: dict[Symbol, Interval] = {}
        for bound in entry.bounds:
            name = bound.name
            if name.text in self.defined:
                what, place = self.defined[name.text]
                self._report(bad.DuplicateName(span=name.span, name=name.text, first=place, what=what))
                raise Unresolved
            number = float(constant(self._constant(bound.value, {}, "a bound in a claim"), {}))
            if bound.comparison not in _INTERVALS:
                mend = "bound it with `<`, `<=`, `>` or `>=`, such as `for c > 0`"
                why = f"`{bound.comparison}` doesn't say from where to where `{name.text}` goes"
                self._report(bad.BadInterval(span=bound.span, why=why, mend=mend))
                raise Unresolved
            symbol = Symbol(Role.HYPER, name.text, Rate.CONST)
            found[symbol] = meet(found.get(symbol, Interval()), _INTERVALS[bound.comparison](number))
            if found[symbol].low >= found[symbol].high:
                self._report(bad.BadInterval(span=bound.span, why=f"no number is left for `{name.text}`"))
                raise Unresolved
        return found

    def _change(
        self, setting: ast.Setting, hypers: Environment, free: dict[Symbol, Interval]
    ) -> tuple[Symbol, ir.Expr]:
        name = setting.name
        gradient = name.text == self.gradient.name
        symbol = self.gradient if gradient else self._known(setting, "the gradient or a hyperparameter").symbol
        environment = {**hypers, self.gradient.name: ir.Ref(self.gradient)} if gradient else {**hypers}
        environment |= {symbol.name: ir.Ref(symbol) for symbol in free}
        value = self._expression(setting.value, environment, f"what replaces `{name.text}`")
        self._expect(value, symbol.kind, setting.value.span)
        return symbol, value


def _reads(expr: ir.Expr) -> bool:
    return isinstance(expr, ir.Ref) or any(_reads(part) for part in ir.operands(expr))
