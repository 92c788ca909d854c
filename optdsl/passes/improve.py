"""Looking for cheaper forms of a rule's equations: what is proposed, what it costs, and whether it is right.

Expressions are taken apart into regions of plain arithmetic. For each, cheaper forms are proposed by the rewrites of
`simplify.py`, and by computer algebra where that may see more. One is taken where it makes the whole rule cheaper and
agrees with the author's form of its equation (`validate.py`); where none does, the author's form of it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from optdsl.ir import nodes as ir
from optdsl.ir.kernel import Let, symbols
from optdsl.ir.nodes import COMPARISONS, Apply, Expr, Kind, Op, Rate, Reduce, ReduceRows, Ref, Role, Rule, Symbol
from optdsl.ir.show import show_symbol
from optdsl.passes.cost import cheaper, cost, counts
from optdsl.passes.domain import Knowledge
from optdsl.passes.order import inlined, substituted
from optdsl.passes.points import settings_for
from optdsl.passes.simplify import ONE, ZERO, algebraic, simplify
from optdsl.passes.validate import Trial

Propose = Callable[[Expr, Collection[Symbol]], Iterable[Expr]]
"""Returns forms of an expression over symbols, of which some are known to be positive."""

REDUCTION = "reduction."
"""What the names of reductions begin with while they have assignments of their own; no author's name has a dot."""
ROUNDS = 4
"""How often equations are gone through: a rewrite can let an intermediate be put where it is read."""
TRIALS = 3
"""How many forms of a region are validated before the author's stands."""
WORK = 120_000
"""What a search for cheaper forms may spend on a rule. It is counted, not timed: a
rule has the same code on every machine."""
EVALUATED = 100
"""How much more it takes to evaluate an operation at the points of a validation than to weigh it."""
WORSE = 2
"""How many times as dear as the author's a proposal may be to be worked on."""


@dataclass(frozen=True)
class Rejected:
    """A cheaper form that was wrong: the assignment it was for, what it would have saved, and why it isn't taken."""

    let: Let
    saved: tuple[int, int]
    reason: str

    def words(self, rule: Rule) -> str:
        """Return this as a sentence that names the equation."""
        target = show_symbol(rule.equations[self.let.equations[-1]].target)
        fewer, quicker = self.saved
        saved = f"with {fewer} operation{'s' * (fewer > 1)} fewer" if fewer > 0 else "that costs less"
        saved += f", {quicker} of them divides or roots," if fewer > 0 and quicker > 0 else ""
        return f"{target}: a form {saved} stays out, because it {self.reason}"


@dataclass
class Effort:
    """What is left to spend on a rule, in operations weighed. Where it is used up, the author's forms stand."""

    left: int = WORK

    def affords(self, work: int) -> bool:
        """Return whether so much is left, and take it."""
        if work > self.left:
            self.left = 0
        self.left -= min(work, self.left)
        return self.left > 0


def improve(
    lets: list[Let], knowledge: Knowledge, propose: Propose, effort: Effort | None = None
) -> tuple[list[Let], list[Rejected]]:
    """Return assignments in order in cheaper forms, and the forms that were found wrong."""
    search = _Search(_reductions_named(lets), knowledge, propose, effort or Effort())
    search.run()
    return _reductions_put_back(search.lets), search.rejected


def _reductions_named(lets: list[Let]) -> list[Let]:
    """Give every reduction an assignment of its own."""
    names: dict[Expr, Symbol] = {}
    result: list[Let] = []

    def named(expr: Expr, equations: tuple[int, ...]) -> Expr:
        expr = ir.rebuild(expr, tuple(named(part, equations) for part in ir.operands(expr)))
        if not isinstance(expr, Reduce | ReduceRows):
            return expr
        if expr not in names:
            names[expr] = Symbol(Role.LOCAL, f"{REDUCTION}{len(names)}", ir.rate(expr))
            result.append(Let(names[expr], expr, equations))
        return Ref(names[expr])

    for let in lets:
        value = named(let.value, let.equations)
        result.append(replace(let, value=value))
    return result


def _reductions_put_back(lets: list[Let]) -> list[Let]:
    values: dict[Symbol, Expr] = {}
    result = []
    for let in lets:
        let = replace(let, value=substituted(let.value, values))
        if let.symbol.name.startswith(REDUCTION):
            values[let.symbol] = let.value
        else:
            result.append(let)
    return result


@dataclass(frozen=True)
class _Unit:
    """What is rewritten and validated as a whole: the value of an assignment, or an argument of its reduction."""

    index: int
    argument: int | None = None

    def of(self, value: Expr) -> Expr:
        return value if self.argument is None else ir.operands(value)[self.argument]

    def within(self, value: Expr, part: Expr) -> Expr:
        if self.argument is None:
            return part
        parts = list(ir.operands(value))
        parts[self.argument] = part
        return ir.rebuild(value, tuple(parts))


class _Search:
    """The assignments as they are, and beside each the author's form of it."""

    def __init__(self, lets: list[Let], knowledge: Knowledge, propose: Propose, effort: Effort) -> None:
        self.lets, self.effort = lets, effort
        self.size = sum(_size(let.value) for let in lets)
        self.written = {let.symbol: let.value for let in lets}
        self.knowledge, self.propose = knowledge, propose
        self.settings = settings_for((let.value for let in lets), knowledge)
        self.cost = cost(let.value for let in lets)
        self.trials: dict[Expr, Trial] = {}
        self.tried: set[tuple[Expr, Expr]] = set()
        self.rejected: list[Rejected] = []

    def run(self) -> None:
        for _ in range(ROUNDS):
            before = list(self.lets)
            kept = _deciding(self.lets, self.knowledge.nonnegative)
            for index, let in enumerate(before):
                if let.symbol not in kept:
                    for unit in self._units(index):
                        self._walk(unit, unit.of(self.lets[index].value), lambda expr: expr)
            self._inline()
            if self.lets == before:
                return

    def _units(self, index: int) -> Iterator[_Unit]:
        value = self.lets[index].value
        if isinstance(value, Reduce | ReduceRows):
            yield from (_Unit(index, argument) for argument in range(len(value.args)))
        elif ir.rate(value) is Rate.ELEMENT:
            yield _Unit(index)

    def _inline(self) -> None:
        """Put what is read once now where it is read, in both forms."""
        left = inlined(self.lets)
        gone = {let.symbol for let in self.lets} - {let.symbol for let in left}
        values: dict[Symbol, Expr] = {}
        for let in self.lets:
            value = substituted(self.written[let.symbol], values)
            (values if let.symbol in gone else self.written)[let.symbol] = value
        self.lets = left

    def _walk(self, unit: _Unit, expr: Expr, place: Callable[[Expr], Expr]) -> Expr:
        """Return a cheaper form of a part of a unit, which is `place` of that part, taking each as it is found."""
        if ir.rate(expr) is not Rate.ELEMENT or isinstance(expr, Ref) or _decides(expr):
            return expr
        shape, leaves = _cut(expr)
        for symbol, leaf in leaves.items():
            put = lambda new, symbol=symbol: place(substituted(shape, {**leaves, symbol: new}))  # noqa: E731
            leaves[symbol] = self._walk(unit, leaf, put)
        for form in self._forms(shape, leaves) if algebraic(expr) else ():
            found = substituted(form, leaves)
            if self._take(unit, place(found)):
                return found
        return substituted(shape, leaves)

    def _forms(self, shape: Expr, leaves: Mapping[Symbol, Expr]) -> list[Expr]:
        """Return cheaper forms of a region, the cheapest first, and of equals those of our own rewrites."""

        def positive(scalar: Expr) -> bool:
            return self.knowledge.positive(substituted(scalar, leaves))

        if not self.effort.affords(_size(shape) ** 2):
            return []
        own = cost([shape])
        settled = {s: self.knowledge.settled(leaf) for s, leaf in leaves.items() if s.rate is not Rate.ELEMENT}
        idle = {symbol: value for symbol, value in settled.items() if value in (ZERO, ONE)}
        simplest = simplify(substituted(shape, idle), positive)
        forms = {simplest: cost([simplest])}
        if _promising(simplest):
            known = [symbol for symbol in leaves if symbol.rate is not Rate.ELEMENT and positive(Ref(symbol))]
            for proposed in self.propose(simplest, known):
                if cost([proposed])[0] <= WORSE * own[0]:
                    form = simplify(proposed, positive)
                    forms[form] = cost([form])
        share = {form: sum(Fraction(a, b) for a, b in zip(costs, own, strict=True)) for form, costs in forms.items()}
        return sorted((form for form in forms if cheaper(forms[form], own)), key=share.__getitem__)[:TRIALS]

    def _take(self, unit: _Unit, form: Expr) -> bool:
        """Take a form of a unit if the rule is cheaper with it and it agrees with the author's."""
        if not self.effort.affords(self.size):
            return False
        let = self.lets[unit.index]
        new = replace(let, value=unit.within(let.value, form))
        lets = [*self.lets[: unit.index], new, *self.lets[unit.index + 1 :]]
        cheaper_by = cost(other.value for other in lets)
        constant = ir.rate(form) is not Rate.ELEMENT
        if not cheaper(cheaper_by, self.cost) or (constant and not self._may_be_constant(unit)):
            return False
        written = unit.of(self.written[let.symbol])
        if (written, form) in self.tried:
            return False
        if written not in self.trials:
            self.trials[written] = Trial(written, self.settings)
        if not self.effort.affords(EVALUATED * self.trials[written].operations):
            return False
        read = any(symbol == let.symbol for other in lets for symbol in symbols(other.value))
        reason = self.trials[written].differs(form, read)
        if reason:
            self.tried.add((written, form))
            self.rejected.append(Rejected(let, _saved(unit.of(let.value), form), reason))
            return False
        self.lets, self.cost = lets, cheaper_by
        return True

    def _may_be_constant(self, unit: _Unit) -> bool:
        """Return whether a unit may turn out to be the same for all elements: what is reduced must be one for each."""
        return unit.argument is None and ir.kind(self.lets[unit.index].value) is Kind.NUMBER


def _size(expr: Expr) -> int:
    """Return how many parts an expression has, those that it shares counted where they are read."""
    return 1 + sum(_size(part) for part in ir.operands(expr))


def _saved(before: Expr, after: Expr) -> tuple[int, int]:
    (operations, slow), (fewer, quicker) = counts([before]), counts([after])
    return operations - fewer, slow - quicker


def _cut(expr: Expr) -> tuple[Expr, dict[Symbol, Expr]]:
    """Return an expression with symbols in place of its leaves, equal ones the same, and the leaves by symbol.

    Leaves are what rewrites don't look into. An expression that they don't look into at all has its parts for leaves.
    """
    names: dict[Expr, Symbol] = {}

    def named(part: Expr) -> Expr:
        if isinstance(part, ir.Truth) or part in (ZERO, ONE):
            return part
        name = Symbol(Role.LOCAL, f"leaf.{len(names)}", ir.rate(part), ir.kind(part))
        return Ref(names.setdefault(part, name))

    def cut(part: Expr) -> Expr:
        match part:
            case Apply(Op.POW, (base, ir.Number() as exponent)) if algebraic(part):
                return ir.rebuild(part, (cut(base), exponent))
            case _ if not algebraic(part):
                return named(part)
        return ir.rebuild(part, tuple(cut(inner) for inner in ir.operands(part)))

    shape = cut(expr) if algebraic(expr) else ir.rebuild(expr, tuple(named(part) for part in ir.operands(expr)))
    return shape, {symbol: leaf for leaf, symbol in names.items()}


def _decides(expr: Expr) -> bool:
    """Return whether rounding, or a NaN that a cheaper form hasn't, could tip what an expression says."""
    return isinstance(expr, Apply) and (expr.op in COMPARISONS or expr.op in (Op.FLOOR, Op.MOD))


def _deciding(lets: list[Let], nonnegative: Collection[Symbol]) -> set[Symbol]:
    """Return the symbols that such an expression reads, one by way of another, reductions among them.

    And those that a denominator reads: where their terms cancel, rounding says whether it is 0. What is `nonnegative`
    by its terms can't cancel.
    """
    values = {let.symbol: let.value for let in lets}
    found: set[Symbol] = set()

    def reading(expr: Expr, but: Collection[Symbol] = ()) -> None:
        for symbol in symbols(expr):
            if symbol in values and symbol not in found and symbol not in but:
                found.add(symbol)
                reading(values[symbol], but)

    def look(expr: Expr) -> None:
        if _decides(expr) and ir.rate(expr) is Rate.ELEMENT:
            reading(expr)
        divisor = _divisor(expr)
        if divisor is not None:
            reading(divisor, nonnegative)
        for part in ir.operands(expr):
            look(part)

    for let in lets:
        look(let.value)
    return found


def _divisor(expr: Expr) -> Expr | None:
    """Return what an element expression divides by, or takes the logarithm of."""
    if not isinstance(expr, Apply) or ir.rate(expr) is not Rate.ELEMENT:
        return None
    match expr:
        case Apply(Op.DIV, (_, divisor)) | Apply(Op.LOG | Op.LOG1P, (divisor,)):
            return divisor
        case Apply(Op.POW, (base, exponent)) if not (isinstance(exponent, ir.Number) and exponent.value >= 0):
            return base
        case _:
            return None


def _promising(shape: Expr) -> bool:
    """Return whether computer algebra may see more than `simplify`.

    That is where an element is read twice (squares apart) or a scalar is a factor twice, and in functions of products.
    """
    read: Counter[Symbol] = Counter()
    functions: list[Expr] = []

    def walk(expr: Expr, parent: Op | None = None) -> None:
        match expr:
            case Ref(symbol) if symbol.rate is Rate.ELEMENT or parent in (Op.MUL, Op.DIV):
                read[symbol] += 1
            case Apply(Op.MUL, (left, right)) if left == right:
                walk(left)
            case Apply(op, args):
                if op in (Op.POW, Op.ABS, Op.SIGN, Op.EXP, Op.LOG):
                    functions.extend(part for part in (expr, *args) if isinstance(part, Apply))
                for part in args:
                    walk(part, op)

    walk(shape)
    return len(functions) > 1 or any(times > 1 for times in read.values())
