"""Random rules that the compiler must accept: typed by construction, with everything the language has."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

ELEMENTWISE = ("abs", "sign", "sqrt", "cbrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "floor")
REDUCTIONS = ("sum", "mean", "norm", "norm1", "amax", "rms")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
LITERALS = ("0.5", "2", "3", "0.1", "0.9", "1e-3", "1e-8", "10", "1", "0")
EXTREMES = ("1e-30", "1e30", "1e-160", "1e160", "1e-300", "1e300", "4.9e-324", "1.7e308")
STATES = (30, 22, 15, 10, 8, 6, 5, 4)
"""How often a rule has 1, 2, … 8 states: small ones find as much, and more of them can be tried."""
STORAGE = (": f32", ": f64")
DOMAINS = {"sqrt": "abs({})", "log": "(abs({}) + 1e-3)", "log1p": "abs({})", "exp": "tanh({})", "expm1": "sin({})"}
"""What keeps the argument of a function where the function is finite."""
TAME = 0.85
"""How often an expression is kept where it is finite: there is nothing to compare in NaN."""
FIXED = "in [0, 0]"
INTERVALS = (
    ("1e-3", "in [0, inf)"), ("0.9", "in [0, 1)"), ("0.999", "in [0, 1)"), ("1e-8", "in [0, inf)"), ("2", ""),
    ("0.5", "in (0, 1]"), ("-0.5", "in (-inf, inf)"), ("3", "in [1, 1e4]"), ("0", "in [0, inf)"), ("1e-8", "in (0, 1)"),
    ("0", FIXED), ("-2", "in [-3, -1]"),
)  # fmt: skip


@dataclass
class Scope:
    """What an expression may read so far, by rate, as it is spelled."""

    elements: list[str] = field(default_factory=lambda: ["x", "g"])
    scalars: list[str] = field(default_factory=lambda: ["t", "size(x)", "ndim(x)"])
    flags: list[str] = field(default_factory=list)
    tensors: bool = True
    """Whether an expression may hold reductions."""
    functions: list[str] = field(default_factory=list)
    """The author's own, each of an element and a scalar."""


def rule_text(seed: int, number: int) -> str:
    """Return rule `number` of a seed, the same whichever others are made."""
    return Generator(random.Random(f"{seed} {number}")).rule()


class Generator:
    """Makes rules from a source of random numbers or a seed; two of equal ones make the same rules."""

    def __init__(self, source: random.Random | int) -> None:
        self.random = random.Random(source) if isinstance(source, int) else source
        self.fixed: set[str] = set()

    def rule(self) -> str:
        """Return the text of a rule with 1 to 8 states."""
        scope = Scope()
        hypers = self._hypers(scope)
        functions = self._functions(scope)
        states, updates = self._states(scope)
        views = self._views(scope, {name for name, _, when in updates if when})
        equations = [self._intermediate(index, scope) for index in range(self.random.randint(0, 4))]
        guarded = []
        for name, scalar, when in updates:
            if scalar:
                equations.append(f"{name}' = {self.scalar(scope, 2)}")
                scope.scalars.append(f"{name}'")
                continue
            own = replace(scope, elements=[*scope.elements, name])
            equations.append(f"{name}' = {self._state_value(name, own)}")
            if when:
                guarded.append(f" + (if {when} then {name}' else {self.element(scope, 0)})")
            else:
                scope.elements.append(f"{name}'")
        equations.append(f"x' = x - ({self._step(scope)}{''.join(guarded)})")
        self.random.shuffle(equations)
        lines = ["rule Fuzz(x, g)", "", "hyper", *(f"  {entry}" for entry in hypers)]
        lines += ["", "state", *(f"  {entry}" for entry in states), "", *functions]
        lines += ["", "update", *(f"  {entry}" for entry in equations), "", *views]
        return "\n".join(lines).rstrip("\n") + "\n"

    # Declarations

    def _hypers(self, scope: Scope) -> list[str]:
        entries = []
        self.fixed = set()
        for index in range(self.random.randint(1, 5)):
            default, interval = self.random.choice(INTERVALS)
            entries.append(f"h{index} = {default} {interval}".rstrip())
            scope.scalars.append(f"h{index}")
            if interval == FIXED:
                self.fixed.add(f"h{index}")
        for index in range(self.random.randint(0, 2)):
            entries.append(f"f{index} = {self.random.choice(('true', 'false'))}")
            scope.flags.append(f"f{index}")
        return entries

    def _states(self, scope: Scope) -> tuple[list[str], list[tuple[str, bool, str]]]:
        """Return the declarations, and what is to be updated: its name, whether it is a scalar, when it is there."""
        constants = list(scope.scalars[3:])
        entries, updates = [], []
        for index in range(self.random.choices(range(1, 9), STATES)[0]):
            name, scalar, when = f"s{index}", self.random.random() < 0.15, ""
            init = self.random.choice(["0", "0", "1", "0.5", self.random.choice(constants)])
            if not scalar:
                init = self.random.choice([init, init, "x", "x*x"])
                conditions = [*scope.flags, *(f"{name} != 0" for name in constants if name not in self.fixed)]
                when = self.random.choice(conditions) if conditions and self.random.random() < 0.2 else ""
            of = ": scalar" if scalar else self.random.choice(STORAGE) if self.random.random() < 0.1 else ""
            entries.append(f"{name}{of} = {init}{f' when {when}' * bool(when)}")
            updates.append((name, scalar, when))
            if not when:
                (scope.scalars if scalar else scope.elements).append(name)
        return entries, updates

    def _functions(self, scope: Scope) -> list[str]:
        """Return functions of the author's own: d0 is one of an element and a scalar."""
        entries = []
        for index in range(self.random.choices((0, 1, 2), (7, 2, 1))[0]):
            constants = self._constants(scope)
            own = Scope(["a"], ["b", *constants], scope.flags, tensors=False)
            entries.append(f"def d{index}(a, b) = {self.element(own, self.random.randint(1, 2))}")
            scope.functions.append(f"d{index}")
        return entries

    def _views(self, scope: Scope, conditional: set[str]) -> list[str]:
        """Return other points to read the parameter at; they see what is there between two steps."""
        if self.random.random() < 0.8:
            return []
        elements = [name for name in scope.elements if name != "g" and name not in conditional]
        own = Scope(elements, list(scope.scalars), scope.flags, tensors=False)
        return [f"view v{index} = {self.element(own, 2)}" for index in range(self.random.randint(1, 2))]

    # Equations

    def _intermediate(self, index: int, scope: Scope) -> str:
        if scope.tensors and self.random.random() < 0.3:
            text = f"c{index} = {self.reduction(scope, 2)}"
            scope.scalars.append(f"c{index}")
        elif self.random.random() < 0.2:
            text = f"p{index} = {self.condition(scope, 1)}"
            scope.elements.append(f"where(p{index}, {self.element(scope, 0)}, {self.element(scope, 0)})")
        else:
            text = f"e{index} = {self.element(scope, 3)}"
            scope.elements.append(f"e{index}")
        return text

    def _state_value(self, name: str, scope: Scope) -> str:
        """Return a new value as rules have it: an average, a largest, a sum; or anything."""
        beta, depth = self.scalar(scope, 0), self.random.randint(1, 3)
        forms = (
            lambda: f"ema({name}, {self.element(scope, depth)}, {beta})",
            lambda: f"{beta}*{name} + (1 - {beta})*({self.element(scope, depth)})^2",
            lambda: f"max({beta}*{name}, abs({self.element(scope, depth)}))",
            lambda: f"{name} + {self.element(scope, depth)}",
            lambda: self.element(scope, depth),
        )
        return self.random.choice(forms)()

    def _step(self, scope: Scope) -> str:
        """Return a step as rules have it: a rate times a ratio; or anything."""
        forms = (
            lambda: f"{self.scalar(scope, 1)}*({self.element(scope, 2)})/({self.divisor(scope)})",
            lambda: f"{self.scalar(scope, 1)}*({self.element(scope, 2)} + {self.scalar(scope, 0)}*x)",
            lambda: f"({self.element(scope, 2)})/({self.below(scope)})",
            lambda: self.element(scope, 4),
        )
        return self.random.choice(forms)()

    # Expressions

    def divisor(self, scope: Scope) -> str:
        """Return what a step is divided by: a root and a little more."""
        return f"sqrt({self.root(scope)}) + {self.scalar(scope, 0)}"

    def root(self, scope: Scope) -> str:
        """Return an element that is likely not negative, over or times a scalar."""
        inner = self.element(scope, 1)
        square = self.random.choice((f"({inner})^2", f"abs({inner})"))
        return self.random.choice((square, f"{square}/({self.below(scope)})", f"{self.scalar(scope, 1)}*{square}"))

    def element(self, scope: Scope, depth: int) -> str:
        """Return an expression of elements."""
        if depth <= 0:
            return self.random.choice(scope.elements)
        return self._any(self._elements)(scope, depth - 1)

    def _elements(self) -> list[tuple[int, Callable[[Scope, int], str]]]:
        return [
            (6, lambda s, d: f"({self.element(s, d)} {self.random.choice('+-')} {self.element(s, d)})"),
            (6, lambda s, d: f"({self.scalar(s, 1)})*{self._operand(self.element(s, d))}"),
            (3, lambda s, d: f"{self._operand(self.element(s, d))}/({self.below(s)})"),
            (3, lambda s, d: f"{self._operand(self.element(s, d))}*{self._operand(self.element(s, d))}"),
            (
                3,
                lambda s, d: (
                    f"{self._operand(self.element(s, d))}/({self._floor(self.element(s, d))} + {self.scalar(s, 0)})"
                ),
            ),
            (2, lambda s, d: f"({self.element(s, d)} + {self.scalar(s, 1)})"),
            (2, lambda s, d: f"sqrt({self.root(s)})"),
            (1, lambda s, d: f"-{self._operand(self.element(s, d))}"),
            (2, lambda s, d: self._function(self.element(s, d))),
            (1, lambda s, d: f"{self.random.choice(('min', 'max'))}({self.element(s, d)}, {self.element(s, d)})"),
            (1, lambda s, d: f"clip({self.element(s, d)}, {self.scalar(s, 0)}, {self.scalar(s, 0)})"),
            (1, lambda s, d: f"lerp({self.element(s, d)}, {self.element(s, d)}, {self.scalar(s, 0)})"),
            (1, lambda s, d: f"debias({self.element(s, d)}, {self._decay(s)})"),
            (1, lambda s, d: f"{self._floor(self.element(s, d))}^{self.random.choice((2, 3, 4, -1, 0.5, 1.5))}"),
            (1, lambda s, d: f"(if {self.condition(s, d)} then {self.element(s, d)} else {self.element(s, d)})"),
            (1, lambda s, d: f"(if {self.switch(s)} then {self.element(s, d)} else {self.element(s, d)})"),
            (1, lambda s, d: self.reduction(s, d, ", axes=rest") if s.tensors else self.element(s, d)),
            (1, lambda s, d: self._called(s, d)),
        ]

    def _called(self, scope: Scope, depth: int) -> str:
        if not scope.functions:
            return self.element(scope, depth)
        return f"{self.random.choice(scope.functions)}({self.element(scope, depth)}, {self.scalar(scope, 0)})"

    def scalar(self, scope: Scope, depth: int) -> str:
        """Return an expression below the rate of elements."""
        if depth <= 0:
            roll = self.random.random()
            return self.random.choice(scope.scalars if roll < 0.6 else LITERALS if roll < 0.97 else EXTREMES)
        return self._any(self._scalars)(scope, depth - 1)

    def _scalars(self) -> list[tuple[int, Callable[[Scope, int], str]]]:
        return [
            (6, lambda s, d: self.scalar(s, 0)),
            (3, lambda s, d: f"({self.scalar(s, d)} {self.random.choice('+-*')} {self.scalar(s, d)})"),
            (1, lambda s, d: f"({self.scalar(s, d)} / ({self.below(s)}))"),
            (2, lambda s, d: f"(1 - {self._decay(s)}^t)"),
            (1, lambda s, d: f"(t % {self.random.choice([*self._constants(s), '2', '3', '2.5', '-3', '0.1'])})"),
            (1, lambda s, d: self._function(self.scalar(s, d))),
            (1, lambda s, d: f"(if {self.switch(s)} then {self.scalar(s, d)} else {self.scalar(s, d)})"),
            (1, lambda s, d: self.reduction(s, d) if s.tensors else self.scalar(s, d)),
        ]

    def below(self, scope: Scope) -> str:
        """Return a scalar to divide by."""
        if self.random.random() > TAME:
            return self.scalar(scope, 1)
        return self.random.choice(
            ("t", "size(x)", "2", "0.1", f"1 - {self._decay(scope)}^t", f"abs({self.scalar(scope, 0)}) + 1")
        )

    def _decay(self, scope: Scope) -> str:
        """Return what is raised to the step number."""
        return self.random.choice(("0.9", "0.999", "0.5")) if self.random.random() < TAME else self.scalar(scope, 0)

    def _function(self, inner: str) -> str:
        name = self.random.choice(ELEMENTWISE)
        return f"{name}({DOMAINS.get(name, '{}').format(inner) if self.random.random() < TAME else inner})"

    def _floor(self, text: str) -> str:
        """Return what is divided by, or raised to a power: not negative, mostly."""
        return f"abs({text})" if self.random.random() < TAME else self._operand(text)

    def reduction(self, scope: Scope, depth: int, axes: str = "") -> str:
        """Return a reduction of an expression of elements, over the axes that a named argument says."""
        inner = replace(scope, tensors=False)
        if self.random.random() < 0.2:
            return f"dot({self.element(inner, depth - 1)}, {self.element(inner, depth - 1)}{axes})"
        return f"{self.random.choice(REDUCTIONS)}({self.element(inner, depth)}{axes})"

    def condition(self, scope: Scope, depth: int) -> str:
        """Return a condition on elements."""
        op = self.random.choice(COMPARISONS)
        right = self.random.choice(("0", self.scalar(scope, 0), self.element(scope, 0)))
        text = f"{self.element(scope, min(depth, 2))} {op} {right}"
        if depth > 0 and self.random.random() < 0.3:
            text = f"({text}) {self.random.choice(('and', 'or'))} not ({self.condition(scope, depth - 1)})"
        return f"({text})"

    def switch(self, scope: Scope) -> str:
        """Return a condition that is one for all elements."""
        constants = self._constants(scope)
        choices = [*scope.flags, "t == 1", "t > 2", "t % 2 == 0", f"{self.random.choice(constants)} > 0.5"]
        return self.random.choice(choices)

    @staticmethod
    def _constants(scope: Scope) -> list[str]:
        return [name for name in scope.scalars if name[0] == "h"]

    def _any(self, table: Callable[[], list[tuple[int, Callable[[Scope, int], str]]]]) -> Callable[[Scope, int], str]:
        entries = table()
        (_, form) = self.random.choices(entries, [weight for weight, _ in entries])[0]
        return form

    @staticmethod
    def _operand(text: str) -> str:
        return text if text.isidentifier() or (text.startswith("(") and text.endswith(")")) else f"({text})"
