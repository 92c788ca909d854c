"""From the surface tree to the typed rule: names, arguments, kinds and rates, with every mistake reported.

Nothing downstream ever sees a wrong rule: `resolve` returns an `ir.Rule` only where it found no error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from optdsl import problems as bad
from optdsl.diagnostics import Problem, closest
from optdsl.functions import FUNCTIONS, SIZE, STEP_NUMBER
from optdsl.ir import nodes as ir
from optdsl.ir.evaluate import constant
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind, Op, Rate, Role, Symbol
from optdsl.ir.powers import whole_exponent
from optdsl.presence import absent_reads
from optdsl.source import SourceFile, Span
from optdsl.syntax import ast
from optdsl.syntax.names import KEYWORDS

STORAGE = ("f16", "bf16", "f32", "f64")
MOST_NODES = 2_000
"""Operations in a rule once its functions and whole-number powers are expanded."""
LONGEST_CHAIN = 100
"""Operations one after the other, counted through intermediates."""
MOST_CONDITIONS = 6
"""Different conditions of states: each doubles the forms of the rule."""

SYNONYMS = {
    "ln": "log", "maximum": "max", "minimum": "min", "clamp": "clip", "fabs": "abs", "sgn": "sign", "average": "mean",
    "absolute": "abs", "l1norm": "norm1", "l2norm": "norm", "select": "where", "numel": "size", "len": "size",
}  # fmt: skip
"""Names that other languages give our functions."""

RESERVED = KEYWORDS | FUNCTIONS.keys() | {"t", "size", "base"}
"""Words that can't be defined."""

Environment = Mapping[str, ir.Expr]


class _Unresolved(Exception):
    """An expression holds an error, which has been reported."""


def resolve(source: SourceFile, tree: ast.Rule) -> tuple[ir.Rule | None, list[Problem]]:
    """Return the typed rule, or None and what is wrong with it."""
    if tree.header is None or tree.header.base is not None:
        return None, []
    resolver = _Resolver(source, tree, tree.header)
    rule = resolver.rule()
    problems = resolver.problems
    return (None if any(problem.severity == "error" for problem in problems) else rule), problems


class _Resolver:
    def __init__(self, source: SourceFile, tree: ast.Rule, header: ast.Header) -> None:
        self.source = source
        self.tree = tree
        self.header = header
        self.problems: list[Problem] = []
        self.defined: dict[str, tuple[str, Span]] = {}
        self.defs: dict[str, ast.DefEntry] = {}
        self.hypers: dict[str, ir.Hyper] = {}
        self.states: dict[str, ir.State] = {}
        self.aliases = {entry.name.text: entry for entry in tree.aliases}
        self.entries: dict[tuple[str, bool], ast.EquationEntry] = {}
        self.symbols: dict[tuple[str, bool], Symbol] = {}
        self.failed: set[tuple[str, bool]] = set()
        self.depths: dict[Symbol, int] = {}
        self.values: dict[str, float] = {}
        self.nodes = 0
        self.level = 0
        self.deep = False
        self.origin = header.span
        self.total = 0
        self.sizes: dict[int, tuple[ir.Expr, int, int]] = {}
        self.expanding: list[str] = []
        self.expanded: set[str] = set()
        self.calls: list[Span] = []
        self.parameter = Symbol(Role.OLD, header.parameter.text, Rate.ELEMENT)
        self.gradient = Symbol(Role.GRADIENT, header.gradient.text, Rate.ELEMENT)

    def rule(self) -> ir.Rule | None:
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
        done = {equation.target: equation for equation in equations if equation is not None}
        rule = ir.Rule(
            name=self.header.name.text,
            parameter=self.parameter,
            gradient=self.gradient,
            hypers=tuple(self.hypers.values()),
            states=tuple(self.states.values()),
            equations=tuple(sorted(done.values(), key=lambda equation: equation.span or (0, 0))),
            aliases=tuple((alias.name.text, tuple(name.text for name in alias.members)) for alias in self.tree.aliases),
            doc=self.tree.doc,
            cites=tuple(self.tree.cites),
            source=self.source.name,
            text=self.source.text,
        )
        if not self.problems:
            shown = {entry.name.text: self._snippet(entry.when.span) for entry in self.tree.states if entry.when}
            self.problems += absent_reads(rule, shown)
        return rule

    # Names

    def _collect_names(self) -> None:
        tree, header = self.tree, self.header
        self._define(header.parameter, "the parameter")
        self._define(header.gradient, "the gradient")
        for hyper in tree.hypers:
            self._define(hyper.name, "a hyperparameter")
        for alias in tree.aliases:
            self._define(alias.name, "an alias")
        for state in tree.states:
            self._define(state.name, "a state")
        for entry in tree.defs:
            if self._define(entry.name, "a function"):
                self.defs[entry.name.text] = entry
            self._parameters(entry)
        targets = {name for name, (what, _) in self.defined.items() if what in ("the parameter", "a state")}
        written = {(equation.name.text, equation.primed) for equation in tree.equations}
        for equation in tree.equations:
            name, key = equation.name.text, (equation.name.text, equation.primed)
            if key in self.entries:
                self._report(
                    bad.DuplicateName(
                        span=equation.name.span,
                        name=self._shown(key),
                        first=self.entries[key].name.span,
                        what="an equation" if key[1] else "an intermediate",
                    )
                )
            elif equation.primed and name not in targets:
                if name not in tree.broken:
                    self._not_a_state(equation, {target for target in targets if (target, True) not in written})
                self.failed.add(key)
            elif not equation.primed and name in targets:
                both = (name, True) in written
                self._report(
                    bad.DuplicateName(
                        span=equation.name.span,
                        name=name,
                        first=self.defined[name][1],
                        what=self.defined[name][0],
                        primed=True,
                        both=both,
                    )
                )
                self.failed |= {key} if both else {key, (name, True)}
            elif equation.primed or self._define(equation.name, "an intermediate"):
                self.entries[key] = equation

    def _not_a_state(self, equation: ast.EquationEntry, free: set[str]) -> None:
        """Report an equation for the new value of something that has none; `free` are states without an equation."""
        name = equation.name.text
        near = closest(name, free)
        known = self.defined.get(name, ("", None))[0]
        place = Span(equation.span.start, self._end_of_prime(equation.name.span.end))
        self._report(bad.NotAState(span=place, name=name, known=known, suggestion=near))
        if near is not None:
            self.failed.add((near, True))
        if not known:
            self.tree.broken.add(name)

    def _end_of_prime(self, end: int) -> int:
        prime = re.match(r"\s*['′’]", self.source.text[end : end + 80])
        return end + prime.end() if prime else end

    def _parameters(self, entry: ast.DefEntry) -> None:
        """Look at the names of a function's arguments, which count in its body only."""
        first: dict[str, Span] = {}
        for name in entry.parameters:
            if name.text in RESERVED:
                self._report(bad.ReservedName(span=name.span, name=name.text, what="an argument"))
            elif name.text in first:
                self._report(
                    bad.DuplicateName(span=name.span, name=name.text, first=first[name.text], what="an argument")
                )
            first.setdefault(name.text, name.span)

    def _define(self, name: ast.Name, what: str) -> bool:
        if name.text in RESERVED:
            self._report(bad.ReservedName(span=name.span, name=name.text, what=what))
            self.tree.broken.add(name.text)
        elif name.text in self.defined:
            known, first = self.defined[name.text]
            self._report(bad.DuplicateName(span=name.span, name=name.text, first=first, what=known))
        else:
            self.defined[name.text] = (what, name.span)
            return True
        return False

    def _declares(self, name: ast.Name) -> bool:
        """Return whether this is the place that defines a name, not a second one."""
        return name.text in self.defined and self.defined[name.text][1] == name.span

    @staticmethod
    def _shown(key: tuple[str, bool]) -> str:
        return f"{key[0]}'" if key[1] else key[0]

    def _report(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    # Declarations

    def _hyper(self, entry: ast.HyperEntry) -> None:
        name = entry.name.text
        if not self._declares(entry.name):
            return
        earlier = {known: ir.Ref(hyper.symbol) for known, hyper in self.hypers.items()}
        try:
            default = self._constant(entry.default, earlier, f"the default of `{name}`")
        except _Unresolved:
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
        except _Unresolved:
            return None
        interval = Interval(float(low), float(high), node.low_closed, node.high_closed)
        if interval.low > interval.high or (interval.low == interval.high and interval.low not in interval):
            self._report(bad.BadInterval(span=node.span, why="no number lies in this interval"))
        elif (interval.low in (float("inf"), float("-inf")) and interval.low_closed) or (
            interval.high in (float("inf"), float("-inf")) and interval.high_closed
        ):
            ends = self.source.snippet(node.span)[1:-1]
            opening = "[" if node.low_closed and interval.low != float("-inf") else "("
            closing = "]" if node.high_closed and interval.high != float("inf") else ")"
            self._report(
                bad.BadInterval(span=node.span, why="an infinite end must be open", mended=f"{opening}{ends}{closing}")
            )
        else:
            return interval
        return None

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
        except _Unresolved:
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
            self._report(bad.NotConstant(span=node.span, where=where, allowed=_allowed(environment, where)))
            raise _Unresolved
        return expr

    # Equations

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
        except _Unresolved:
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
        return self._snippet(entry.span)

    def _snippet(self, span: Span) -> str:
        """Return the source of a span on one line, without comments."""
        text = re.sub(r'("[^"\n]*")|#[^\n]*', lambda match: match[1] or "", self.source.snippet(span))
        return " ".join(text.split())

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
            except _Unresolved:
                pass
            found = self.problems[before:]  # what kind of value the arguments are is not known here
            self.problems[before:] = [problem for problem in found if not isinstance(problem, bad.WrongKind)]

    # Expressions

    def _expression(self, node: ast.Expression, environment: Environment | None, where: str) -> ir.Expr:
        """Return the typed form of an expression.

        `environment` holds the only names that may be read; None means all of an equation's.
        """
        self.origin = node.span
        expr = self._convert(node, environment, where, {})
        self.total += self._measure(expr)[0]
        if self.total > MOST_NODES:
            self._too_many()
        return expr

    def _too_many(self) -> None:
        """Report, once, that the rule is too large, and give this expression up."""
        if self.nodes <= MOST_NODES:
            self.nodes = MOST_NODES + 1
            what = "this rule has too many operations once its functions and powers are expanded"
            self._report(bad.TooComplex(span=self.origin, what=what, limit=f"{MOST_NODES:,}"))
        raise _Unresolved

    def _measure(self, expr: ir.Expr) -> tuple[int, int]:
        """Return how many operations an expression has, shared ones counted where they are read, and how deep it is."""
        if id(expr) in self.sizes:
            return self.sizes[id(expr)][1:]
        parts = [self._measure(part) for part in ir.operands(expr)]
        size = 1 + sum(part[0] for part in parts)
        if isinstance(expr, ir.Apply) and expr.op is Op.POW:
            size += parts[0][0] * abs(whole_exponent(expr.args[1]) or 0)
        depth = 1 + max(part[1] for part in parts) if parts else 0
        self.sizes[id(expr)] = (expr, size, depth)
        return size, depth

    def _convert(
        self, node: ast.Expression, environment: Environment | None, where: str, arguments: Environment
    ) -> ir.Expr:
        if self.nodes >= MOST_NODES:
            self._too_many()
        self.nodes += 1
        self.level += 1
        try:
            if self.level > LONGEST_CHAIN:
                self._too_deep()
            expr = self._converted(node, environment, where, arguments)
        finally:
            self.level -= 1
        size, depth = self._measure(expr)
        if size > MOST_NODES:
            self._too_many()
        if depth > LONGEST_CHAIN:
            self._too_deep()
        return expr

    def _too_deep(self) -> None:
        """Report, once, that an expression nests too deep, and give it up."""
        if not self.deep:
            self.deep = True
            what = "this expression nests too deep once its functions are expanded"
            advice = "name a part of it: an intermediate is a line `name = ...` of its own"
            self._report(
                bad.TooComplex(span=self.origin, what=what, limit=f"{LONGEST_CHAIN} operations", advice=advice)
            )
        raise _Unresolved

    def _converted(
        self, node: ast.Expression, environment: Environment | None, where: str, arguments: Environment
    ) -> ir.Expr:
        match node:
            case ast.Literal(value, text, span):
                return ir.Truth(value, span) if isinstance(value, bool) else ir.Number(value, text, span)
            case ast.Variable(name, primed, span):
                return self._variable(name, primed, span, environment, where, arguments)
            case ast.Call():
                return self._call(node, environment, where, arguments)
            case ast.Conditional() | ast.Operation():
                return self._operation(node, environment, where, arguments)

    def _all(
        self, parts: tuple[ast.Expression, ...], environment: Environment | None, where: str, arguments: Environment
    ) -> tuple[ir.Expr, ...]:
        """Convert several expressions, reporting the errors of all before giving up."""
        converted, failed = [], False
        for part in parts:
            try:
                converted.append(self._convert(part, environment, where, arguments))
            except _Unresolved:
                failed = True
        if failed:
            raise _Unresolved
        return tuple(converted)

    def _operation(
        self, node: ast.Operation | ast.Conditional, environment: Environment | None, where: str, arguments: Environment
    ) -> ir.Expr:
        if isinstance(node, ast.Conditional):
            parts = self._all((node.condition, node.chosen, node.other), environment, where, arguments)
            self._expect(parts[0], Kind.BOOLEAN, node.condition.span)
            if ir.kind(parts[1]) is not ir.kind(parts[2]):
                self._expect(parts[2], ir.kind(parts[1]), node.other.span)
            return ir.Select(parts[0], parts[1], parts[2], node.span)
        parts = self._all(node.operands, environment, where, arguments)
        op = Op(node.operator)
        if op in (Op.EQ, Op.NE) and ir.kind(parts[0]) is Kind.BOOLEAN:
            self._expect(parts[1], Kind.BOOLEAN, node.operands[1].span)
            same = ir.Select(parts[1], parts[0], ir.Apply(Op.NOT, (parts[0],)), node.span)
            return same if op is Op.EQ else ir.Apply(Op.NOT, (same,), node.span)
        wanted = Kind.BOOLEAN if op in ir.LOGIC else Kind.NUMBER
        for part, operand in zip(parts, node.operands, strict=True):
            self._expect(part, wanted, operand.span)
        return ir.Apply(op, parts, node.span)

    def _expect(self, expr: ir.Expr, kind: Kind, span: Span) -> None:
        if ir.kind(expr) is not kind:
            called = self.calls[0] if self.calls else None
            self._report(bad.WrongKind(span=span, found=ir.kind(expr), wanted=kind, called=called))
            raise _Unresolved

    def _variable(
        self, name: str, primed: bool, span: Span, environment: Environment | None, where: str, arguments: Environment
    ) -> ir.Expr:
        if name in arguments and not primed:
            return arguments[name]
        if name == "t" and not primed and environment is None:
            return ir.Ref(STEP_NUMBER.symbol, span)
        if environment is not None:
            known = None if primed else environment.get(name)
            if known is not None:
                return ir.Ref(known.symbol, span) if isinstance(known, ir.Ref) else known
            self._unknown_constant(name, primed, span, environment, where)
            raise _Unresolved
        if (name, primed) in self.failed or name in self.tree.broken:
            raise _Unresolved
        symbol = self._symbol(name, primed)
        if symbol is None:
            self._unknown(name, primed, span, arguments)
            raise _Unresolved
        return ir.Ref(symbol, span)

    def _symbol(self, name: str, primed: bool) -> Symbol | None:
        if primed:
            return self.symbols.get((name, True))
        if name == self.parameter.name:
            return self.parameter
        if name == self.gradient.name:
            return self.gradient
        if name in self.hypers:
            return self.hypers[name].symbol
        if name in self.states:
            return self.states[name].symbol
        return self.symbols.get((name, False))

    def _unknown_constant(self, name: str, primed: bool, span: Span, environment: Environment, where: str) -> None:
        known = name in self.defined or name == "t" or any(entry.name.text == name for entry in self.tree.equations)
        if not known and name not in self.tree.broken:
            names = {*environment, "true", "false", "inf"}
            self._report(bad.UndefinedName(span=span, name=name, wanted="", suggestion=closest(name, names)))
        elif name not in self.tree.broken:
            allowed = _allowed(environment, where)
            self._report(bad.NotConstant(span=span, where=where, allowed=allowed, reads=f"{name}'" if primed else name))

    def _unknown(self, name: str, primed: bool, span: Span, arguments: Environment) -> None:
        stateful = {self.parameter.name, *self.states}
        if primed and name in stateful:
            return  # its equation is missing or wrong, which is reported there
        if primed and (name in self.defined or name in arguments or name == "t"):
            known = "an argument" if name in arguments else self.defined.get(name, ("the step number",))[0]
            self._report(bad.NotAState(span=span, name=name, known=known, suggestion=None, read=True))
        elif name in self.defs or name in FUNCTIONS or name == "size":
            why = "a function, whose arguments stand in brackets"
            self._report(bad.UndefinedName(span=span, name=name, wanted="a value", suggestion=f"{name}(...)", why=why))
        elif name in self.aliases:
            why = "an alias, which only callers use"
            self._report(bad.UndefinedName(span=span, name=name, wanted="a value", suggestion=None, why=why))
        elif primed:
            near = closest(name, stateful)
            self._report(
                bad.UndefinedName(span=span, name=f"{name}'", wanted="", suggestion=f"{near}'" if near else None)
            )
        else:
            names = {*self.defined, *arguments, "t", "true", "false", "inf"} - self.defs.keys() - self.aliases.keys()
            self._report(bad.UndefinedName(span=span, name=name, wanted="", suggestion=closest(name, names)))

    def _call(self, node: ast.Call, environment: Environment | None, where: str, arguments: Environment) -> ir.Expr:
        name = node.function.text
        if name == "size":
            return self._size(node)
        if name in self.defs:
            return self._call_def(node, environment, where, arguments)
        if name not in FUNCTIONS:
            if name not in self.tree.broken:
                known = self.defined.get(name)
                suggestion = SYNONYMS.get(name.lower()) or closest(name, {*FUNCTIONS, *self.defs, "size"})
                self._report(
                    bad.UnknownFunction(
                        span=node.function.span, name=name, known=known[0] if known else "", suggestion=suggestion
                    )
                )
            raise _Unresolved
        function = FUNCTIONS[name]
        parts = self._all(node.arguments, environment, where, arguments)
        self._count(node, function.arguments)
        for position, (part, argument) in enumerate(zip(parts, node.arguments, strict=True)):
            self._expect(part, function.kind_of(position), argument.span)
            if function.reduction and ir.rate(part) is not Rate.ELEMENT:
                called = self.calls[0] if self.calls else None
                self._report(bad.WrongKind(span=argument.span, found=None, wanted=None, called=called))
                raise _Unresolved
        return _placed(function.build(*parts), node.span, parts)

    def _count(self, node: ast.Call, expected: tuple[str, ...]) -> None:
        if len(node.arguments) != len(expected):
            self._report(
                bad.WrongArgumentCount(
                    span=node.span, name=node.function.text, expected=expected, given=len(node.arguments)
                )
            )
            raise _Unresolved

    def _size(self, node: ast.Call) -> ir.Expr:
        self._count(node, (self.parameter.name,))
        argument = node.arguments[0]
        if not isinstance(argument, ast.Variable) or argument.name not in (self.parameter.name, self.gradient.name):
            self._report(bad.WrongKind(span=argument.span, found=None, wanted=None, sized=self.parameter.name))
            raise _Unresolved
        return ir.Ref(SIZE.symbol, node.span)

    def _call_def(self, node: ast.Call, environment: Environment | None, where: str, arguments: Environment) -> ir.Expr:
        entry = self.defs[node.function.text]
        parts = self._all(node.arguments, environment, where, arguments)
        self._count(node, tuple(argument.text for argument in entry.parameters))
        names = (argument.text for argument in entry.parameters)
        return self._expand(entry, dict(zip(names, parts, strict=True)), node.span, environment, where)

    def _expand(
        self, entry: ast.DefEntry, arguments: Environment, span: Span, environment: Environment | None = None,
        where: str = "a function",
    ) -> ir.Expr:  # fmt: skip
        name = entry.name.text
        if name in self.expanding:
            cycle = self.expanding[self.expanding.index(name) :]
            first = min(range(len(cycle)), key=lambda index: self.defs[cycle[index]].span)
            names = (*cycle[first:], *cycle[:first])
            self._report(bad.CyclicDefinition(span=self.defs[names[0]].name.span, names=names, functions=True))
            raise _Unresolved
        self.expanding.append(name)
        self.expanded.add(name)
        self.calls.append(span)
        try:
            return self._convert(entry.body, environment, where, arguments)
        finally:
            self.expanding.pop()
            self.calls.pop()


def _placed(expr: ir.Expr, span: Span, parts: tuple[ir.Expr, ...]) -> ir.Expr:
    """Give the nodes a built-in function expands to the place of its call, leaving its arguments theirs."""
    if any(expr is part for part in parts):
        return expr
    inner = tuple(_placed(part, span, parts) for part in ir.operands(expr))
    match expr:
        case ir.Apply(op):
            return ir.Apply(op, inner, span)
        case ir.Reduce(fold):
            return ir.Reduce(fold, inner, span)
        case ir.Select():
            return ir.Select(inner[0], inner[1], inner[2], span)
        case ir.Ref(symbol):
            return ir.Ref(symbol, span)
        case ir.Number() | ir.Truth():
            return expr


def _allowed(environment: Environment, where: str) -> str:
    """Return in words what a constant expression may read."""
    if where.startswith("the initial"):
        return "numbers, hyperparameters and the parameter"
    if where.startswith("the end"):
        return "numbers"
    return "numbers and hyperparameters" + (" declared before it" if where.startswith("the default") else "")
