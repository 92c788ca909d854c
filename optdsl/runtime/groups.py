"""`ParamGroup`: parameters that share hyperparameters, as a live mapping whose every change is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from optdsl.runtime.options import Value, as_truth, canonical, common_options, read_options, unknown, value_at
from optdsl.runtime.rule import RuleInfo

Change = Callable[["ParamGroup", Mapping[str, Value]], None]
"""Told of the settings a group is about to get; makes the states fit them, or raises and so stops the change."""


def evaluate(rule: RuleInfo, settings: Mapping[str, Value], step: int) -> dict[str, float]:
    """Return the value of every hyperparameter at a step number, checked, in the rule's order."""
    return {hyper.name: value_at(hyper, settings[hyper.name], step) for hyper in rule.hypers}


def _any_schedule(settings: Mapping[str, Value]) -> bool:
    return any(callable(setting) for setting in settings.values())


class ParamGroup(MutableMapping[str, Any]):
    """Parameters and their options, as in torch.optim: `group["lr"] = 0.1`, `group["params"]`.

    Reading and setting go by the names of the hyperparameters, by the rule's aliases (`group["betas"]` is a tuple), and
    by `maximize`. A hyperparameter is a number or a callable of the step number. A change is checked before it takes
    effect: an unknown name or a wrong type is a TypeError, a value outside its interval a ValueError. `update` changes
    several options together or, if one is refused, none. Options can't be deleted, and `params` can't be replaced.
    """

    __slots__ = (
        "__weakref__",
        "_change",
        "_fixed",
        "_maximize",
        "_rule",
        "_settings",
        "_vectors",
        "params",
        "scheduled",
    )

    def __init__(
        self, rule: RuleInfo, params: list[Any], settings: Mapping[str, Value], maximize: bool, change: Change
    ) -> None:
        """Make a group of parameters, as the caller gave them, with a checked setting for every hyperparameter."""
        self.params = params
        self._rule = rule
        self._settings = dict(settings)
        self._maximize = maximize
        self._change = change
        self._fixed: dict[str, float] | None = None
        self.scheduled = _any_schedule(settings)
        self._vectors: dict[bytes, npt.NDArray[np.float64]] = {}

    @property
    def settings(self) -> Mapping[str, Value]:
        """The hyperparameters: numbers and schedules."""
        return self._settings

    @property
    def maximize(self) -> bool:
        """Whether the gradient is turned round. A rule's own `maximize` is a hyperparameter and doesn't count."""
        return self._maximize

    def numbers(self, step: int) -> Mapping[str, float]:
        """Return every hyperparameter's value at a step number. Raises as setting it would."""
        if self._fixed is not None:
            return self._fixed
        result = evaluate(self._rule, self._settings, step)
        if not self.scheduled:
            self._fixed = result
        return result

    def vector(self, numbers: Mapping[str, float], clip_value: float, factor: float) -> npt.NDArray[np.float64]:
        """Return the vector kernels read: the hyperparameters, the clip value, and the factor of the gradient.

        Equal values give the same array object, which is how kernels see that nothing has changed.
        """
        vector = np.array([*numbers.values(), clip_value, -factor if self._maximize else factor], np.float64)
        kept = self._vectors.get(vector.tobytes())
        if kept is not None:
            return kept
        if len(self._vectors) > 2 * len(self.params):
            self._vectors.clear()
        self._vectors[vector.tobytes()] = vector
        return vector

    # The mapping.

    def _own(self) -> tuple[str, ...]:
        return ("maximize",) if "maximize" in common_options(self._rule) else ()

    def __getitem__(self, key: str) -> Any:
        if key == "params":
            return list(self.params)
        name = canonical(self._rule, key) if isinstance(key, str) else key
        if name in self._settings:
            return self._settings[name]
        if name in self._rule.aliases:
            return tuple(self._settings[member] for member in self._rule.aliases[name])
        if name in self._own():
            return self._maximize
        raise KeyError(unknown(self._rule.name, key, [*self, *self._rule.aliases]))

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"options of a group can't be removed; set {key!r} instead")

    def __iter__(self) -> Iterator[str]:
        return iter(("params", *self._settings, *self._own()))

    def __len__(self) -> int:
        return 1 + len(self._settings) + len(self._own())

    def __repr__(self) -> str:
        return f"ParamGroup({dict(self)!r})"

    def update(self, other: Any = (), /, **options: Any) -> None:
        """Change several options, all or none. Raises TypeError and ValueError as `group[name] = value` does."""
        changes = {**dict(other), **options}
        if "params" in changes:
            raise TypeError("the parameters of a group can't be replaced; use opt.add_param_group")
        for name in common_options(self._rule):
            if name in changes and name != "maximize":
                raise TypeError(f"{name} is an option of the whole optimizer; set opt.{name}")
        settings, common = read_options(self._rule, changes, self._own())
        maximize = as_truth("maximize", common.get("maximize", self._maximize))
        self.replace({**self._settings, **settings}, maximize)

    def replace(self, settings: Mapping[str, Value], maximize: bool) -> None:
        """Put checked settings in place, once the optimizer has made its states fit them."""
        self._change(self, settings)
        self.adopt(settings, maximize)

    def adopt(self, settings: Mapping[str, Value], maximize: bool) -> None:
        """Put checked settings in place where the states fit them already. Can't fail."""
        self._settings = dict(settings)
        self._maximize = maximize
        self._fixed = None
        self.scheduled = _any_schedule(settings)


class Groups(list[ParamGroup]):
    """The groups of an optimizer: a list whose members can be changed, and which grows by `add_param_group` only."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("param_groups grows by opt.add_param_group(group) only, and never shrinks")

    append = extend = insert = pop = remove = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def join(self, group: ParamGroup) -> None:
        """Add a group; for the optimizer itself."""
        super().append(group)
