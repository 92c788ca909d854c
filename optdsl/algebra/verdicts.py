"""What was found out about a rule, or about two: plain data, with no SymPy in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from optdsl.ir.interval import Interval
from optdsl.ir.nodes import Equation, Symbol

Setting = tuple[tuple[str, float | bool], ...]
"""Hyperparameters by name, in the order of the rule."""


class Answer(Enum):
    """How a question was answered."""

    PROVED = "proved"  # exactly, over the real numbers, and no point that was tried contradicts it
    REFUTED = "refuted"  # there is a counterexample
    UNPROVED = "unproved"  # it holds at every point that was tried, and no proof was found
    UNKNOWN = "unknown"  # it could not even be tried


@dataclass(frozen=True, slots=True)
class Free:
    """A number that a substitution brings in, such as `c` in `g -> c*g for c > 0`: any number of an interval.

    `symbol` is a CONST symbol with `Role.HYPER`, of a name that no hyperparameter of the rule has.
    """

    symbol: Symbol
    interval: Interval


@dataclass(frozen=True, slots=True)
class Parting:
    """The first equation, in order of dependency, whose values differ at the step where the parameters part.

    `first` and `second` are the equations of the same name in the two rules; they are the parameter's own where no
    other equation that both have differs. `difference` is that of their right-hand sides, simplified, in the author's
    names: what differs between them even where everything that they read is the same (None where nothing does, or it
    is too long to read).
    """

    first: Equation
    second: Equation
    first_value: float | bool
    second_value: float | bool
    difference: str | None = None


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The simplest point found at which a statement is false.

    Fewest steps come first, then defaults before other hyperparameters, then simple numbers. `x` is the parameter
    before the first step and `gradients` are g1 to gk, each with one number per element: one element, unless a rule
    reduces. `first` and `second` are the element `element` of the parameter after step `step` (k, from 1), in float64:
    of the first and the second rule; of the rule as it is and under the substitution (`invariant`); of the parameter
    after and before the step (`still`, `descends`). One of them may be NaN or infinite. `free` holds the numbers that
    a substitution brought in.

    `difference` is `first - second` in the author's names, simplified, the gradients being `g1`, `g2`, … (or `g` after
    one step); None where it is too long to read. Where `with_numbers` is true, open hyperparameters stand in it as the
    numbers of this point.
    """

    step: int
    hypers: Setting
    second_hypers: Setting
    free: Setting
    x: tuple[float, ...]
    gradients: tuple[tuple[float, ...], ...]
    element: int
    first: float
    second: float
    parting: Parting | None = None
    difference: str | None = None
    with_numbers: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a question.

    `words` says in a sentence what was shown. `steps` is the number of steps for which it was proved, None where that
    is every step (or where nothing was proved). `points` is how many points it was tried at.
    """

    answer: Answer
    words: str
    steps: int | None = None
    points: int = 0
    counterexample: Counterexample | None = None

    @property
    def proved(self) -> bool:
        """Whether the statement was proved."""
        return self.answer is Answer.PROVED
