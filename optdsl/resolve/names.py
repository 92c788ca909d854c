"""The names of a rule: what each one is, and mistakes in defining them."""

from __future__ import annotations

import re

from optdsl import problems as bad
from optdsl.diagnostics import Problem, closest
from optdsl.functions import FUNCTIONS
from optdsl.ir import nodes as ir
from optdsl.ir.nodes import Rate, Role, Symbol
from optdsl.source import SourceFile, Span
from optdsl.syntax import ast
from optdsl.syntax.names import KEYWORDS

RESERVED = KEYWORDS | FUNCTIONS.keys() | {"t", "size", "ndim", "base"}
"""Words that can't be defined."""


class Names:
    """What the resolver knows: the names of a rule, and the problems found so far."""

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
        for view in tree.views:
            self._define(view.name, "a view")

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
        if name.text in RESERVED or (name.text == "params" and what in ("a hyperparameter", "an alias")):
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

    def _snippet(self, span: Span) -> str:
        """Return the source of a span on one line, without comments."""
        text = re.sub(r'("[^"\n]*")|#[^\n]*', lambda match: match[1] or "", self.source.snippet(span))
        return " ".join(text.split())
