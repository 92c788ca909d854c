"""The equations of a rule, and the rule they make."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from optdsl import problems as bad
from optdsl.functions import STEP_NUMBER
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Kind, Rate, Role, Symbol
from optdsl.presence import absent_reads
from optdsl.resolve.claims import Claims
from optdsl.resolve.expressions import LONGEST_CHAIN, Unresolved
from optdsl.source import Span
from optdsl.syntax import ast
from optdsl.syntax.printer import ASCII, render


class Resolver(Claims):
    """Equations in the order of their dependencies, and the whole rule."""

    def rule(self) -> ir.Rule | None:
        """Return the rule, noting every problem; what it holds means nothing where there are errors."""
        self._collect_names()
        for hyper in self.tree.hypers:
            self._hyper(hyper)
        for alias in self.tree.aliases:
            self._alias(alias)
        for state in self.tree.states:
            self._state(state)
        equations = [self._equation(key) for key in self._order()]
        self._unused_defs()
        self._missing_equations()
        views = [self._view(entry) for entry in self.tree.views if self._declares(entry.name)]
        claims = self._claims()
        done = {equation.target: equation for equation in equations if equation is not None}
        rule = ir.Rule(
            name=self.header.name.text,
            parameter=self.parameter,
            gradient=self.gradient,
            hypers=tuple(self.hypers.values()),
            states=tuple(self.states.values()),
            equations=tuple(done[symbol] for key in self.entries if (symbol := self.symbols.get(key)) in done),
            aliases=tuple((alias.name.text, tuple(name.text for name in alias.members)) for alias in self.tree.aliases),
            doc=self.tree.doc,
            cites=tuple(self.tree.cites),
            family=self.tree.family.text if self.tree.family else "",
            source=self.source.name,
            text=self.source.text,
            later=self.source.later,
            claims=claims,
            views=tuple(view for view in views if view is not None),
        )
        if not self.problems:
            shown = {entry.name.text: self._snippet(entry.when.span) for entry in self.tree.states if entry.when}
            self.problems += absent_reads(rule, shown)
        return rule

    def _order(self) -> list[tuple[str, bool]]:
        """Return the equations in an order in which each reads only those before it."""
        graph = {key: self._reads(entry.value) & self.entries.keys() for key, entry in self.entries.items()}
        while True:
            try:
                return list(TopologicalSorter({key: sorted(reads) for key, reads in graph.items()}).static_order())
            except CycleError as error:
                cycle = list(reversed(error.args[1]))[:-1]
                first = min(range(len(cycle)), key=lambda index: self.entries[cycle[index]].span)
                cycle = cycle[first:] + cycle[:first]
                entry = self.entries[cycle[0]]
                names = tuple(self._shown(key) for key in cycle)
                self._report(bad.CyclicDefinition(span=entry.name.span, names=names))
                self.failed |= set(cycle)
                for key in cycle:
                    graph[key] = set()

    def _reads(self, node: ast.Expression) -> set[tuple[str, bool]]:
        """Return the names that an expression reads, itself and through the functions it calls."""
        found: set[tuple[str, bool]] = set()
        called: set[str] = set()
        waiting: list[tuple[ast.Expression, frozenset[str]]] = [(node, frozenset())]
        while waiting:
            part, arguments = waiting.pop()
            match part:
                case ast.Variable(name, primed):
                    if primed or name not in arguments:
                        found.add((name, primed))
                case ast.Operation(_, parts):
                    waiting += [(inner, arguments) for inner in parts]
                case ast.Call(function, parts):
                    waiting += [(inner, arguments) for inner in parts]
                    if function.text in self.defs and function.text not in called:
                        called.add(function.text)
                        entry = self.defs[function.text]
                        waiting.append((entry.body, frozenset(argument.text for argument in entry.parameters)))
                case ast.Conditional(condition, chosen, other):
                    waiting += [(inner, arguments) for inner in (condition, chosen, other)]
                case ast.Literal():
                    pass
        return found

    def _equation(self, key: tuple[str, bool]) -> ir.Equation | None:
        name, primed = key
        entry = self.entries[key]
        if key in self.failed:
            return None
        try:
            value = self._expression(entry.value, None, "an equation")
            if primed:
                self._expect(value, Kind.NUMBER, entry.value.span)
        except Unresolved:
            self.failed.add(key)
            return None
        rate = ir.rate(value)
        if primed:
            state = self.states.get(name)
            if state is not None and state.scalar and rate is Rate.ELEMENT:
                self._report(bad.ScalarFromElement(span=entry.value.span, name=name, declared=state.span or entry.span))
            scalar = state is not None and state.scalar
            symbol = Symbol(Role.NEW, name, max(rate, Rate.STEP) if scalar else Rate.ELEMENT)
        else:
            symbol = Symbol(Role.LOCAL, name, rate, ir.kind(value))
        self.symbols[key] = symbol
        self.depths[symbol] = self._depth(value)
        if self.depths[symbol] > LONGEST_CHAIN:
            what = f"`{self._shown(key)}` follows from a chain of {self.depths[symbol]} operations"
            self._report(bad.TooComplex(span=entry.name.span, what=what, limit=str(LONGEST_CHAIN)))
            self.failed.add(key)
        return ir.Equation(symbol, value, self._text(entry), entry.span)

    def _text(self, entry: ast.EquationEntry) -> str:
        if self.header.base is None and not self.tree.made:
            return self._snippet(entry.span)
        # What stands in the source may say `base`, or call the parameter as the base does.
        return f"{self._shown((entry.name.text, entry.primed))} = {render(entry.value, ASCII)}"

    def _view(self, entry: ast.ViewEntry) -> ir.View | None:
        name = entry.name.text
        where = f"the view `{name}`"
        symbols = [self.parameter, *(hyper.symbol for hyper in self.hypers.values())]
        symbols += [STEP_NUMBER.symbol, *(state.symbol for state in self.states.values())]
        try:
            value = self._expression(entry.value, {symbol.name: ir.Ref(symbol) for symbol in symbols}, where)
            self._expect(value, Kind.NUMBER, entry.value.span)
        except Unresolved:
            return None
        reduction = _reduction(value)
        if reduction is not None:
            reads = self._snippet(reduction)
            self._report(bad.NotInView(span=reduction, where=where, reads=reads, what="a reduction"))
        own = self.header.base is None and not self.tree.made
        text = self._snippet(entry.value.span) if own else render(entry.value, ASCII)
        return ir.View(name, value, entry.doc, f"{name} = {text}", entry.span)

    def _depth(self, expr: ir.Expr) -> int:
        if isinstance(expr, ir.Ref):
            return self.depths.get(expr.symbol, 0)
        return 1 + max((self._depth(part) for part in ir.operands(expr)), default=0)

    def _missing_equations(self) -> None:
        if self.tree.update is None:
            return
        owners = [(self.header.parameter, "parameter")] + [(entry.name, "state") for entry in self.tree.states]
        for name, what in owners:
            key = (name.text, True)
            if (
                self._declares(name)
                and key not in self.entries
                and key not in self.failed
                and name.text not in self.tree.broken
            ):
                self._report(bad.MissingEquation(span=name.span, name=name.text, what=what))

    def _unused_defs(self) -> None:
        """Look for mistakes in functions that nobody calls, too."""
        for name, entry in self.defs.items():
            if name in self.expanded or self.deep:
                continue
            before, self.origin = len(self.problems), entry.body.span
            try:
                arguments = {a.text: ir.Ref(Symbol(Role.LOCAL, a.text, Rate.ELEMENT)) for a in entry.parameters}
                self._expand(entry, arguments, entry.span)
            except Unresolved:
                pass
            found = self.problems[before:]  # what kind of value the arguments are is not known here
            self.problems[before:] = [problem for problem in found if not isinstance(problem, bad.WrongKind)]


def _reduction(expr: ir.Expr) -> Span | None:
    """Return the place of the first reduction in an expression."""
    if isinstance(expr, ir.Reduce | ir.ReduceRows) and expr.span is not None:
        return Span(*expr.span)
    return next((place for part in ir.operands(expr) if (place := _reduction(part)) is not None), None)
