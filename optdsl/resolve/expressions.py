"""Expressions, from the surface to their typed form."""

from __future__ import annotations

from collections.abc import Mapping

from optdsl import problems as bad
from optdsl.diagnostics import closest
from optdsl.functions import FUNCTIONS, MEASURES, STEP_NUMBER
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Kind, Op, Rate, Symbol
from optdsl.ir.powers import whole_exponent
from optdsl.resolve.names import Names
from optdsl.source import Span
from optdsl.syntax import ast

MOST_NODES = 2_000
"""Operations in a rule once its functions and whole-number powers are expanded."""

LONGEST_CHAIN = 100
"""Operations one after the other, counted through intermediates."""

SYNONYMS = {
    "ln": "log", "maximum": "max", "minimum": "min", "clamp": "clip", "fabs": "abs", "sgn": "sign", "average": "mean",
    "absolute": "abs", "l1norm": "norm1", "l2norm": "norm", "select": "where", "numel": "size", "len": "size",
    "dim": "ndim", "rank": "ndim",
}  # fmt: skip
"""Names that other languages give our functions."""

PARAMETERS = ("param", "params", "parameter", "parameters", "theta", "w", "weight", "weights")
GRADIENTS = ("grad", "grads", "gradient", "gradients", "dx")
"""What other libraries call the two arrays of a rule."""

Environment = Mapping[str, ir.Expr]


class Unresolved(Exception):
    """An expression holds an error, which has been reported."""


class Expressions(Names):
    """Typed forms of expressions: names looked up, functions expanded, arguments counted and their kinds checked."""

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
        raise Unresolved

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
        raise Unresolved

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
            except Unresolved:
                failed = True
        if failed:
            raise Unresolved
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
        if op is Op.MOD:
            self._once_a_step(parts, node.operands)
        return ir.Apply(op, parts, node.span)

    def _once_a_step(self, parts: tuple[ir.Expr, ...], operands: tuple[ast.Expression, ...]) -> None:
        """Report operands of `%` that change from tensor to tensor or from element to element."""
        for part, operand in zip(parts, operands, strict=True):
            if ir.rate(part) > Rate.STEP:
                called = self.calls[0] if self.calls else None
                per = "element" if ir.rate(part) is Rate.ELEMENT else "tensor"
                self._report(bad.RemainderOfArray(span=operand.span, found=None, wanted=None, called=called, per=per))
                raise Unresolved

    def _expect(self, expr: ir.Expr, kind: Kind, span: Span) -> None:
        if ir.kind(expr) is not kind:
            called = self.calls[0] if self.calls else None
            self._report(bad.WrongKind(span=span, found=ir.kind(expr), wanted=kind, called=called))
            raise Unresolved

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
            raise Unresolved
        if (name, primed) in self.failed or name in self.tree.broken:
            raise Unresolved
        symbol = self._symbol(name, primed)
        if symbol is None:
            self._unknown(name, primed, span, arguments)
            raise Unresolved
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
        if name == "base":
            self._report(bad.NoBase(span=span, rule=""))
            return
        known = name in self.defined or name == "t" or any(entry.name.text == name for entry in self.tree.equations)
        if not known and name not in self.tree.broken:
            names = {*environment, "true", "false", "inf"}
            mend = f"say what it may be: `for {name} > 0`" if where.startswith("what replaces") else ""
            self._report(bad.UndefinedName(span=span, name=name, wanted="", suggestion=closest(name, names), mend=mend))
        elif where.startswith("the view") and name not in self.tree.broken:
            self._not_in_view(name, primed, span, where)
        elif name not in self.tree.broken:
            allowed = what_may_be_read(environment, where)
            self._report(bad.NotConstant(span=span, where=where, allowed=allowed, reads=f"{name}'" if primed else name))

    def _not_in_view(self, name: str, primed: bool, span: Span, where: str) -> None:
        """Report a name of the rule that a view can't read."""
        known = self.defined.get(name, ("the step number",))[0]
        if primed and name != self.parameter.name and name not in self.states:
            self._report(bad.NotAState(span=span, name=name, known=known, suggestion=None, read=True))
        elif name in self.defs or name in self.aliases:
            self._unknown(name, primed, span, {})
        else:
            what = "a prime" if primed else known
            self._report(bad.NotInView(span=span, where=where, reads=f"{name}'" if primed else name, what=what))

    def _unknown(self, name: str, primed: bool, span: Span, arguments: Environment) -> None:
        stateful = {self.parameter.name, *self.states}
        if name == "base":
            base = self.header.base
            self._report(bad.NoBase(span=span, rule="" if base is None else base.text))
            return
        if primed and name in stateful:
            return  # its equation is missing or wrong, which is reported there
        if primed and (name in self.defined or name in arguments or name == "t"):
            known = "an argument" if name in arguments else self.defined.get(name, ("the step number",))[0]
            self._report(bad.NotAState(span=span, name=name, known=known, suggestion=None, read=True))
        elif name in self.defs or name in FUNCTIONS or name in MEASURES:
            why = "a function, whose arguments stand in brackets"
            self._report(bad.UndefinedName(span=span, name=name, wanted="a value", suggestion=f"{name}(...)", why=why))
        elif self.defined.get(name, ("",))[0] == "a view" and not primed:
            why = "a view, which is for readers of the parameter and no part of the step"
            self._report(bad.UndefinedName(span=span, name=name, wanted="a value", suggestion=None, why=why))
        elif name in self.aliases:
            why = "an alias, which only callers use"
            self._report(bad.UndefinedName(span=span, name=name, wanted="a value", suggestion=None, why=why))
        elif primed:
            near = closest(name, stateful)
            self._report(
                bad.UndefinedName(span=span, name=f"{name}'", wanted="", suggestion=f"{near}'" if near else None)
            )
        else:
            views = {view.name.text for view in self.tree.views}
            unread = self.defs.keys() | self.aliases.keys() | views
            names = {*self.defined, *arguments, "t", "true", "false", "inf"} - unread
            arrays = {**dict.fromkeys(PARAMETERS, self.parameter.name), **dict.fromkeys(GRADIENTS, self.gradient.name)}
            near = closest(name, names) or arrays.get(name.lower())
            self._report(bad.UndefinedName(span=span, name=name, wanted="", suggestion=near))

    def _call(self, node: ast.Call, environment: Environment | None, where: str, arguments: Environment) -> ir.Expr:
        name = node.function.text
        self._options(node)
        if name in MEASURES:
            return self._measured(node)
        if name in self.defs:
            return self._call_def(node, environment, where, arguments)
        if name not in FUNCTIONS:
            if name not in self.tree.broken:
                known = self.defined.get(name)
                suggestion = SYNONYMS.get(name.lower()) or closest(name, {*FUNCTIONS, *self.defs, *MEASURES})
                self._report(
                    bad.UnknownFunction(
                        span=node.function.span, name=name, known=known[0] if known else "", suggestion=suggestion
                    )
                )
            raise Unresolved
        function = FUNCTIONS[name]
        parts = self._all(node.arguments, environment, where, arguments)
        self._count(node, function.arguments)
        for position, (part, argument) in enumerate(zip(parts, node.arguments, strict=True)):
            self._expect(part, function.kind_of(position), argument.span)
            if function.reduction and ir.rate(part) is not Rate.ELEMENT:
                called = self.calls[0] if self.calls else None
                self._report(bad.WrongKind(span=argument.span, found=None, wanted=None, called=called))
                raise Unresolved
        build = function.by_row if node.options and function.by_row is not None else function.build
        return _placed(build(*parts), node.span, parts)

    def _options(self, node: ast.Call) -> None:
        """Look at the named arguments of a call: a reduction takes one, `axes=rest`."""
        function = None if node.function.text in self.defs else FUNCTIONS.get(node.function.text)
        reduction = function is not None and function.by_row is not None
        for number, option in enumerate(node.options):
            known = reduction and option.name.text == "axes"
            value = option.value
            rest = isinstance(value, ast.Variable) and value.name == "rest" and not value.primed
            if known and rest and number == 0:
                continue
            self._report(
                bad.UnknownArgument(
                    span=option.span, name=option.name.text, called=node.function.text, reduction=reduction,
                    value=known and not rest, again=known and rest, rest=rest,
                )
            )  # fmt: skip
            raise Unresolved

    def _count(self, node: ast.Call, expected: tuple[str, ...]) -> None:
        if len(node.arguments) != len(expected):
            self._report(
                bad.WrongArgumentCount(
                    span=node.span, name=node.function.text, expected=expected, given=len(node.arguments)
                )
            )
            raise Unresolved

    def _measured(self, node: ast.Call) -> ir.Expr:
        self._count(node, (self.parameter.name,))
        argument = node.arguments[0]
        if not isinstance(argument, ast.Variable) or argument.name not in (self.parameter.name, self.gradient.name):
            self._report(
                bad.WrongKind(
                    span=argument.span, found=None, wanted=None, sized=self.parameter.name, measure=node.function.text
                )
            )
            raise Unresolved
        return ir.Ref(MEASURES[node.function.text].symbol, node.span)

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
            raise Unresolved
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
        case ir.ReduceRows(row_fold):
            return ir.ReduceRows(row_fold, inner, span)
        case ir.Select():
            return ir.Select(inner[0], inner[1], inner[2], span)
        case ir.Ref(symbol):
            return ir.Ref(symbol, span)
        case ir.Number() | ir.Truth():
            return expr


def what_may_be_read(environment: Environment, where: str) -> str:
    """Return in words what a constant expression may read."""
    if where.startswith("the initial"):
        return "numbers, hyperparameters and the parameter"
    if where.startswith(("the end", "a bound")):
        return "numbers"
    if where.startswith("what replaces"):
        return "numbers, hyperparameters, what it replaces and the names after `for`"
    return "numbers and hyperparameters" + (" declared before it" if where.startswith("the default") else "")
