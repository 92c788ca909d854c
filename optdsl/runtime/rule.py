"""What a compiled rule says about itself: plain data that a generated module carries, with no compiler behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from optdsl.ir.interval import Interval as Interval

if TYPE_CHECKING:
    import numpy as np

Hypers = Mapping[str, float]
"""Hyperparameters by name; truth values are bools, which are numbers too."""


@dataclass(frozen=True, slots=True)
class Hyper:
    """A hyperparameter. `default` is a value, or a function of the hyperparameters before it."""

    name: str
    default: float | bool | Callable[[Hypers], float]
    interval: Interval | None = None
    doc: str = ""
    boolean: bool = False

    def default_at(self, earlier: Hypers) -> float:
        """Return the default, given the values of the hyperparameters declared before this one."""
        return self.default(earlier) if callable(self.default) else self.default


# What holds functions is never equal to another: comparing and hashing would only cost time when this is imported.
@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A state: shaped like the parameter, or one float64 number per parameter where `scalar`.

    `init(hypers, parameter)` gives its first value, an array or a number. `when(hypers)` says whether it exists; None
    means always; `condition` is the same in words. `dtype` names its element type (`f16`, `bf16`, `f32`, `f64`) where
    the rule asks for one.
    """

    name: str
    init: Callable[[Hypers, np.ndarray], float | np.ndarray]
    scalar: bool = False
    when: Callable[[Hypers], bool] | None = None
    dtype: str | None = None
    doc: str = ""
    condition: str = ""

    def exists(self, hypers: Hypers) -> bool:
        """Return whether the state exists at these hyperparameters."""
        return self.when is None or bool(self.when(hypers))


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Another point to read a parameter at, such as an average of its values.

    `value(hypers, parameter, states, steps)` gives it for a parameter that has made so many steps, an array or a
    number. The states it reads are arrays of the parameter's element type, and floats where they are scalar. `text` is
    the author's line. `when(hypers)` says whether a parameter has such a view, None means always; `condition` is the
    same in words.
    """

    name: str
    value: Callable[[Hypers, np.ndarray, Mapping[str, Any], float], float | np.ndarray]
    text: str = ""
    doc: str = ""
    when: Callable[[Hypers], bool] | None = None
    condition: str = ""

    def exists(self, hypers: Hypers) -> bool:
        """Return whether there is such a view at these hyperparameters."""
        return self.when is None or bool(self.when(hypers))


@dataclass(frozen=True, slots=True, eq=False)
class RuleInfo:
    """A rule as its users see it: `Adam.rule`."""

    name: str
    hypers: tuple[Hyper, ...]
    states: tuple[State, ...]
    equations: tuple[str, ...]
    doc: str = ""
    citations: tuple[tuple[str, ...], ...] = ()
    family: str = ""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""
    digest: str = ""
    views: tuple[View, ...] = ()

    def hyper(self, name: str) -> Hyper:
        """Return the hyperparameter called `name`; KeyError if there is none."""
        for hyper in self.hypers:
            if hyper.name == name:
                return hyper
        raise KeyError(name)

    @property
    def tensor_states(self) -> tuple[State, ...]:
        """The states shaped like the parameter, in the rule's order."""
        return tuple(state for state in self.states if not state.scalar)

    @property
    def scalar_states(self) -> tuple[State, ...]:
        """The states that are one number per parameter, in the rule's order."""
        return tuple(state for state in self.states if state.scalar)
