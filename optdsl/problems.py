"""The errors the resolver reports, one class per slug."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from optdsl.diagnostics import Fix, Note, Problem
from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Kind
from optdsl.syntax.errors import TooComplex as TooComplex


@dataclass(frozen=True, kw_only=True)
class UndefinedName(Problem):
    """A name that nothing defines."""

    slug: ClassVar[str] = "undefined-name"
    name: str
    wanted: str
    suggestion: str | None
    why: str = ""
    mend: str = ""

    @property
    def message(self) -> str:
        return f"`{self.name}` is not {self.wanted}" if self.wanted else f"`{self.name}` is not defined"

    @property
    def label(self) -> str:
        if self.name.endswith("'"):
            return "not the parameter or a state"
        return self.why if self.wanted else "not a hyperparameter, state or intermediate"

    @property
    def help(self) -> str:
        if self.suggestion:
            return f"did you mean `{self.suggestion}`?"
        if self.mend or self.wanted or self.name.endswith("'"):
            return self.mend
        return f"declare it in `hyper` or `state`, or define it in `update` with a line `{self.name} = ...`"

    @property
    def fix(self) -> Fix | None:
        usable = self.suggestion is not None and "(" not in self.suggestion
        return Fix(span=self.span, text=self.suggestion or "") if usable else None


@dataclass(frozen=True, kw_only=True)
class NoBase(Problem):
    """`base` where there is no old right-hand side."""

    slug: ClassVar[str] = "undefined-name"
    rule: str

    @property
    def message(self) -> str:
        return "`base` is not defined here"

    @property
    def label(self) -> str:
        return f"`{self.rule}` has no such equation" if self.rule else "this rule isn't made from another"

    @property
    def help(self) -> str:
        return "in a rule made `from` another, `base` is the old right-hand side of an equation given again"


@dataclass(frozen=True, kw_only=True)
class UnknownBase(Problem):
    """A rule named by another that can't be had."""

    slug: ClassVar[str] = "unknown-base"
    name: str
    suggestion: str | None = None
    why: str = ""
    itself: bool = False

    @property
    def message(self) -> str:
        return f"the rule `{self.name}` can't be read: {self.why}" if self.why else f"there is no rule `{self.name}`"

    @property
    def label(self) -> str:
        if self.why:
            return ""
        if self.itself:
            return "this file doesn't count, and no bundled rule of that name"
        folder, _, stem = self.name.rpartition("/")
        where = f"in a folder {folder} beside this file" if folder else "beside this one"
        return f"no file {stem.lower()}.opt {where}, and no bundled rule of that name"

    @property
    def help(self) -> str:
        if self.suggestion:
            return f"did you mean `{self.suggestion}`?"
        return "" if self.why else "`optdsl list` shows the bundled rules"

    @property
    def fix(self) -> Fix | None:
        return Fix(span=self.span, text=self.suggestion) if self.suggestion else None


@dataclass(frozen=True, kw_only=True)
class BadChain(Problem):
    """A second rule that steps in a chain."""

    slug: ClassVar[str] = "bad-chain"
    name: str
    first: tuple[int, int]
    other: str

    @property
    def message(self) -> str:
        return f"a chain has one rule that steps, and `{self.name}` is the second"

    @property
    def notes(self) -> tuple[Note, ...]:
        return (Note(span=self.first, label=f"`{self.other}` steps already"),)

    @property
    def help(self) -> str:
        return "leave one of them out; what stands before and after the rule gives the gradient a new value, `g' = ...`"


@dataclass(frozen=True, kw_only=True)
class DuplicateName(Problem):
    """A name defined twice."""

    slug: ClassVar[str] = "duplicate-name"
    name: str
    first: tuple[int, int]
    what: str
    primed: bool = False
    both: bool = False

    @property
    def message(self) -> str:
        if self.primed:
            return f"`{self.name}` is {self.what} and can't be defined again"
        return f"`{self.name}` is defined twice"

    @property
    def notes(self) -> tuple[Note, ...]:
        return (Note(span=self.first, label=f"first defined here, as {self.what}"),)

    @property
    def help(self) -> str:
        if self.primed and self.both:
            return f"an intermediate needs a name of its own; `{self.name}'` has its equation"
        if self.primed:
            return f"its value after the step is `{self.name}'`"
        return "each name is defined once; choose another name"

    @property
    def fix(self) -> Fix | None:
        return Fix(span=self.span, text=f"{self.name}'") if self.primed and not self.both else None


@dataclass(frozen=True, kw_only=True)
class ReservedName(Problem):
    """A definition of a word of the language."""

    slug: ClassVar[str] = "reserved-name"
    name: str
    what: str

    @property
    def message(self) -> str:
        if self.name == "params":
            return f"`params` can't name {self.what}: it is the argument that takes the parameters"
        return f"`{self.name}` is a word of the language and can't name {self.what}"

    @property
    def help(self) -> str:
        meanings = {"t": "`t` is the step number; ", "size": "`size(x)` is the element count; "}
        return meanings.get(self.name, "") + "choose another name"


@dataclass(frozen=True, kw_only=True)
class MissingEquation(Problem):
    """A state or parameter without an equation."""

    slug: ClassVar[str] = "missing-equation"
    name: str
    what: str

    @property
    def message(self) -> str:
        return f"the {self.what} `{self.name}` has no equation"

    @property
    def label(self) -> str:
        return "declared here"

    @property
    def help(self) -> str:
        unchanged = f", or `{self.name}' = {self.name}` if it never changes" if self.what == "state" else ""
        return f"add a line `{self.name}' = ...` to `update`{unchanged}"


@dataclass(frozen=True, kw_only=True)
class NotAState(Problem):
    """A prime on something that has no value after the step."""

    slug: ClassVar[str] = "not-a-state"
    name: str
    known: str = ""
    suggestion: str | None
    read: bool = False

    @property
    def message(self) -> str:
        if self.known:
            return f"`{self.name}` is {self.known}, so there is no `{self.name}'`"
        return f"`{self.name}` is neither the parameter nor a state, so there is no `{self.name}'`"

    @property
    def label(self) -> str:
        return "only the parameter and states have a value after the step" if self.known else ""

    @property
    def help(self) -> str:
        if self.suggestion:
            return f"did you mean `{self.suggestion}'`?"
        if self.read:
            return f"write `{self.name}` without the prime"
        if self.known == "the gradient":
            own = f"or leave `{self.name}'` to a transform"
            return f"a rule that steps can't change it: write `d = ...` and read that, {own}"
        if self.known:
            return "declare what changes from step to step in `state`, under a name of its own"
        return f"declare it with a line `{self.name} = 0` in `state`, or write `{self.name}` without the prime"

    @property
    def fix(self) -> Fix | None:
        if self.read:
            return Fix(span=self.span, text=self.name)
        return Fix(span=self.span, text=f"{self.suggestion}'") if self.suggestion else None


@dataclass(frozen=True, kw_only=True)
class CyclicDefinition(Problem):
    """Definitions that need each other."""

    slug: ClassVar[str] = "cyclic-definition"
    names: tuple[str, ...]
    functions: bool = False
    rules: bool = False

    @property
    def message(self) -> str:
        if self.rules:
            chain = " -> ".join(f"`{name}`" for name in (*self.names, self.names[0]))
            return f"these rules are made from each other: {chain}"
        if len(self.names) == 1:
            return f"`{self.names[0]}` is defined by itself"
        chain = " -> ".join(f"`{name}`" for name in (*self.names, self.names[0]))
        return f"these definitions need each other: {chain}"

    @property
    def help(self) -> str:
        if self.rules:
            return "write the equations of one of them out"
        if self.functions:
            return "a function is expanded where it is used, so it can't call itself"
        primed = [name for name in self.names if name.endswith("'")]
        if not primed:
            lasting = "; a value that lasts from step to step is a `state`"
            return (
                "write it without itself" if len(self.names) == 1 else "write one of them without the others"
            ) + lasting
        if len(self.names) == 1:
            return f"the value before the step is `{primed[0][:-1]}`"
        return f"read the value before the step, `{primed[0][:-1]}`, in one of them"


@dataclass(frozen=True, kw_only=True)
class WrongArgumentCount(Problem):
    """A function called with too many or too few arguments."""

    slug: ClassVar[str] = "wrong-argument-count"
    name: str
    expected: tuple[str, ...]
    given: int

    @property
    def message(self) -> str:
        count = len(self.expected)
        return f"`{self.name}` takes {count} argument{'' if count == 1 else 's'}, not {self.given}"

    @property
    def help(self) -> str:
        return f"write `{self.name}({', '.join(self.expected)})`"


@dataclass(frozen=True, kw_only=True)
class UnknownArgument(Problem):
    """A named argument that a function doesn't take."""

    slug: ClassVar[str] = "unknown-argument"
    name: str
    called: str
    reduction: bool
    value: bool = False
    again: bool = False
    rest: bool = False

    @property
    def fix(self) -> Fix | None:
        return Fix(span=self.span, text="axes=rest") if self.reduction and self.rest and not self.again else None

    @property
    def message(self) -> str:
        if self.again:
            return f"`{self.name}` is given twice"
        if self.value:
            return "`axes` is `rest`, and nothing else"
        return f"`{self.called}` takes no argument called `{self.name}`"

    @property
    def help(self) -> str:
        if self.reduction:
            return f"`{self.called}(..., axes=rest)` is over all axes but the first; without it, over the whole tensor"
        return "only reductions have an argument with a name: `mean(g, axes=rest)` is over all axes but the first"


@dataclass(frozen=True, kw_only=True)
class UnknownFunction(Problem):
    """A call of something that isn't a function."""

    slug: ClassVar[str] = "unknown-function"
    name: str
    known: str
    suggestion: str | None

    @property
    def message(self) -> str:
        if self.known:
            return f"`{self.name}` is {self.known}, not a function"
        return f"there is no function `{self.name}`"

    @property
    def help(self) -> str:
        if self.known:
            return f"to multiply, write `{self.name}*(...)`"
        if self.name in ("pow", "power"):
            return "a power is written `a^b`"
        if self.suggestion:
            return f"did you mean `{self.suggestion}`?"
        return "define it with a line `def NAME(arguments) = ...` above `update`"

    @property
    def fix(self) -> Fix | None:
        return Fix(span=self.span, text=self.suggestion) if self.suggestion and not self.known else None


@dataclass(frozen=True, kw_only=True)
class ScalarFromElement(Problem):
    """A scalar state given one value per element."""

    slug: ClassVar[str] = "scalar-from-element"
    name: str
    declared: tuple[int, int]

    @property
    def message(self) -> str:
        return f"the scalar state `{self.name}` is given one value per element"

    @property
    def label(self) -> str:
        return "differs from element to element"

    @property
    def notes(self) -> tuple[Note, ...]:
        return (Note(span=self.declared, label="declared as one number per parameter"),)

    @property
    def help(self) -> str:
        return f"reduce it, with `norm`, `mean` or `sum`, or declare `{self.name}` without `: scalar`"


@dataclass(frozen=True, kw_only=True)
class DefaultOutOfRange(Problem):
    """A default outside its own interval."""

    slug: ClassVar[str] = "default-out-of-range"
    name: str
    value: str
    computed: str = ""
    interval: Interval | None
    place: tuple[int, int] | None

    @property
    def message(self) -> str:
        shown = f"`{self.value}` = {self.computed}" if self.computed else self.value
        wrong = "is not a number" if self.interval is None else f"is outside {self.interval}"
        return f"the default of `{self.name}`, {shown}, {wrong}"

    @property
    def notes(self) -> tuple[Note, ...]:
        return (Note(span=self.place, label="the interval it must lie in"),) if self.place is not None else ()

    @property
    def help(self) -> str:
        return "change the default" if self.interval is None else "change the default or the interval"


@dataclass(frozen=True, kw_only=True)
class ValueOutOfRange(DefaultOutOfRange):
    """A value in a claim that the hyperparameter can't have."""

    @property
    def message(self) -> str:
        shown = f"`{self.value}` = {self.computed}" if self.computed else self.value
        return f"`{self.name}` can't be {shown}, which is outside {self.interval}"

    @property
    def help(self) -> str:
        return "choose a value inside the interval"


@dataclass(frozen=True, kw_only=True)
class BadInterval(Problem):
    """An interval that makes no sense."""

    slug: ClassVar[str] = "bad-interval"
    why: str
    mend: str = ""

    @property
    def message(self) -> str:
        return self.why

    @property
    def help(self) -> str:
        return (
            self.mend
            or "an interval is written `[0, 1)`: the lower end first, `[ ]` closed, `( )` open, `inf` for no bound"
        )


@dataclass(frozen=True, kw_only=True)
class NotConstant(Problem):
    """Something read where only constants may be."""

    slug: ClassVar[str] = "not-constant"
    where: str
    allowed: str
    reads: str = ""

    @property
    def message(self) -> str:
        if self.reads:
            return f"{self.where} can't depend on `{self.reads}`"
        return f"{self.where} must be constant"

    @property
    def label(self) -> str:
        return f"may depend on {self.allowed} only"


@dataclass(frozen=True, kw_only=True)
class NotInView(Problem):
    """Something read in a view that is there during a step only; `what` says what it is."""

    slug: ClassVar[str] = "not-constant"
    where: str
    reads: str
    what: str

    @property
    def message(self) -> str:
        return f"{self.where} can't read `{self.reads}`"

    @property
    def label(self) -> str:
        return {
            "a prime": "a view is read between two steps, where nothing is before or after",
            "a reduction": "a view is computed element by element",
            "a view": "a view can't read another",
        }.get(self.what, "there during a step only")

    @property
    def help(self) -> str:
        match self.what:
            case "a prime":
                return f"write `{self.reads[:-1]}`: what it has become in the last step"
            case "a view":
                return "write its expression out, or as a function: `def NAME(arguments) = ...` above `update`"
            case "a reduction":
                return "compute it in `update`, and keep it in a state: `NAME: scalar = 0`"
        return "a view reads hyperparameters, the parameter, states and `t`; keep what it needs of this in a state"

    @property
    def fix(self) -> Fix | None:
        return Fix(span=self.span, text=self.reads[:-1]) if self.what == "a prime" else None


@dataclass(frozen=True, kw_only=True)
class WrongKind(Problem):
    """A truth value where a number belongs, or the other way round; None where a tensor was expected."""

    slug: ClassVar[str] = "wrong-kind"
    found: Kind | None
    wanted: Kind | None
    sized: str = ""
    measure: str = "size"
    called: tuple[int, int] | None = None
    literal: bool = False

    @property
    def notes(self) -> tuple[Note, ...]:
        return (Note(span=self.called, label="in this call"),) if self.called is not None else ()

    @property
    def message(self) -> str:
        if self.sized:
            what = "elements" if self.measure == "size" else "axes"
            return f"`{self.measure}` counts the {what} of the parameter: write `{self.measure}({self.sized})`"
        if self.found is None or self.wanted is None:
            return "a reduction needs a value per element, and this is one number"
        return f"expected a {self.wanted.value}, found a {self.found.value}"

    @property
    def help(self) -> str:
        if self.literal:
            return "write `true` or `false`" if self.wanted is Kind.BOOLEAN else "write a number"
        if self.wanted is Kind.BOOLEAN:
            return "compare it: `a != 0`"
        if self.wanted is Kind.NUMBER:
            return "choose numbers by it: `if condition then 1 else 0`"
        return ""


@dataclass(frozen=True, kw_only=True)
class RemainderOfArray(WrongKind):
    """A remainder of something that isn't one number a step."""

    per: str

    @property
    def message(self) -> str:
        return f"`%` is for numbers that change once a step, and this is one number per {self.per}"

    @property
    def label(self) -> str:
        return f"differs from {self.per} to {self.per}"

    @property
    def help(self) -> str:
        return "count steps with it, as in `if t % k == 0 then ... else ...`; otherwise write `a - b*floor(a/b)`"


@dataclass(frozen=True, kw_only=True)
class ScalarGradient(WrongKind):
    """A transform whose new gradient is one number."""

    gradient: str

    @property
    def message(self) -> str:
        return f"the new gradient `{self.gradient}'` is one number, and needs a value per element"

    @property
    def help(self) -> str:
        return f"make it from `{self.gradient}`, the parameter or a state that has their shape"


@dataclass(frozen=True, kw_only=True)
class AbsentState(Problem):
    """A conditional state read where it may not exist."""

    slug: ClassVar[str] = "absent-state"
    name: str
    primed: bool
    condition: str
    declared: tuple[int, int]

    @property
    def message(self) -> str:
        shown = f"{self.name}'" if self.primed else self.name
        return f"`{shown}` is read here even where `{self.condition}` fails and `{self.name}` doesn't exist"

    @property
    def notes(self) -> tuple[Note, ...]:
        return (Note(span=self.declared, label=f"exists only when {self.condition}"),)

    @property
    def help(self) -> str:
        return f"read it under `if {self.condition} then ... else ...`"
