"""Options of an optimizer: names understood, values checked, before anything takes effect."""

from __future__ import annotations

import keyword
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from optdsl.runtime.half import MASTER
from optdsl.runtime.rule import Hyper, Interval, RuleInfo
from optdsl.runtime.wording import kind, number, suggestion

Schedule = Callable[[int], float]
"""A hyperparameter as a function of the step number, which is 1 at a parameter's first step."""

Value = float | bool | Schedule

COMMON: Mapping[str, Any] = {
    "clip_norm": None, "clip_value": None, "nonfinite": "propagate", "maximize": False, "master_weights": False,
}  # fmt: skip
"""Options every rule takes, with their defaults; a hyperparameter of the same name takes precedence."""

NONFINITE = ("propagate", "skip", "raise")

_LIMIT = Interval(0.0, math.inf, low_closed=True, high_closed=True)


def common_options(rule: RuleInfo) -> dict[str, Any]:
    """Return the common options that a rule leaves free, with their defaults."""
    own = {hyper.name for hyper in rule.hypers} | set(rule.aliases)
    if any(state.name == MASTER for state in rule.states):  # which is where the copies would be found
        own.add("master_weights")
    return {name: default for name, default in COMMON.items() if name not in own}


def argument_name(name: str) -> str:
    """Return a name as it can be typed in a call: `lambda_` for `lambda`."""
    return name + "_" if keyword.iskeyword(name) else name


def canonical(rule: RuleInfo, name: str) -> str:
    """Return the hyperparameter's own name for one typed with an underscore to dodge a Python keyword."""
    bare = name.removesuffix("_")
    if bare != name and keyword.iskeyword(bare) and any(hyper.name == bare for hyper in rule.hypers):
        return bare
    return name


def as_number(name: str, value: Any) -> float:
    """Return a real number as a float. Raises TypeError for anything else, a truth value included."""
    if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.ndim != 0:
            raise TypeError(f"{name} takes one number; got an array of shape {array.shape}")
        value = array.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} takes a number or a callable of the step number; got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is a number too large for float64") from None


def as_truth(name: str, value: Any) -> bool:
    """Return a truth value. Raises TypeError for anything but bool, numpy.bool and 0-d arrays of it."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype == np.bool_ and value.ndim == 0:
        return bool(value)
    if not isinstance(value, bool):
        raise TypeError(f"{name} takes True or False; got {value!r}")
    return value


def check_value(hyper: Hyper, value: Any, step: int | None = None) -> float | bool:
    """Return the value of a hyperparameter, checked.

    Args:
        hyper: The hyperparameter.
        value: A number or truth value.
        step: The step number at which a schedule gave it, for the message.

    Raises:
        TypeError: Not a number, or not a truth value where one is asked for.
        ValueError: NaN, or outside the interval.
    """
    at = "" if step is None else f" at step {step}"
    if hyper.boolean:
        return as_truth(hyper.name + at, value)
    result = as_number(hyper.name + at, value)
    if math.isnan(result):
        raise ValueError(
            f"{hyper.name}{at} is NaN; expected a number" + (f" in {hyper.interval}" if hyper.interval else "")
        )
    if hyper.interval is not None and result not in hyper.interval:
        raise ValueError(f"{hyper.name} = {number(value)}{at} is outside {hyper.interval}")
    return result


def check_setting(hyper: Hyper, value: Any) -> Value:
    """Return what a hyperparameter is set to: a checked value, or a schedule, which is checked as it is used."""
    if callable(value) and not isinstance(value, (type, numbers.Number)) and not hasattr(value, "__array__"):
        schedule: Schedule = value
        return schedule
    return check_value(hyper, value)


def check_limit(name: str, value: Any) -> float | None:
    """Return `clip_norm` or `clip_value`, checked: None for no limit, else a number from 0 upwards."""
    if value is None:
        return None
    limit = as_number(name, value)
    if limit not in _LIMIT:
        raise ValueError(f"{name} = {number(value)} is outside {_LIMIT}; None means no limit")
    return limit


def check_nonfinite(value: Any) -> str:
    """Return `nonfinite`, checked."""
    if not isinstance(value, str) or value not in NONFINITE:
        near = suggestion(value, NONFINITE)
        raise ValueError(f"nonfinite = {value!r} is none of 'propagate', 'skip', 'raise'{near}")
    return value


def unknown(owner: str, name: object, known: Iterable[str]) -> str:
    """Return the message for an option that doesn't exist."""
    return f"{owner} has no option {name!r}{suggestion(name, known)}"


def _alias_items(rule: RuleInfo, name: str, value: Any) -> Iterable[tuple[str, Any]]:
    members = rule.aliases[name]
    if isinstance(value, (str, bytes)) or not isinstance(value, (tuple, list, np.ndarray)):
        raise TypeError(f"{name} takes a tuple ({', '.join(members)}); got {kind(value)}")
    if len(value) != len(members):
        raise ValueError(f"{name} takes {len(members)} values ({', '.join(members)}); got {len(value)}")
    return zip(members, value, strict=True)


def read_options(
    rule: RuleInfo, options: Mapping[str, Any], common: Iterable[str]
) -> tuple[dict[str, Value], dict[str, Any]]:
    """Split options into hyperparameters, checked and under their own names, and the common ones, as given.

    An alias is spread over its members; None for an alias says nothing.

    Args:
        rule: The rule.
        options: Options as a caller names them.
        common: The names of common options that may be given here.

    Raises:
        TypeError: An unknown option, a hyperparameter given twice, or a value of the wrong type.
        ValueError: A value outside its interval.
    """
    allowed = tuple(common)
    hypers = {hyper.name: hyper for hyper in rule.hypers}
    settings: dict[str, Value] = {}
    rest: dict[str, Any] = {}
    for given, value in options.items():
        name = canonical(rule, given) if isinstance(given, str) else given
        if name in rule.aliases:
            items = () if value is None else _alias_items(rule, name, value)
        elif name in hypers:
            items = ((name, value),)
        elif name in allowed:
            rest[name] = value
            continue
        else:
            raise TypeError(unknown(rule.name, name, [*hypers, *rule.aliases, *allowed]))
        for member, part in items:
            if member in settings:
                raise TypeError(f"{member} is given twice, the second time as {given!r}")
            settings[member] = check_setting(hypers[member], part)
    return settings, rest


def complete(rule: RuleInfo, settings: Mapping[str, Value]) -> dict[str, Value]:
    """Return settings for every hyperparameter, in the rule's order, the missing ones at their defaults.

    A default that depends on a hyperparameter with a schedule takes the schedule's value at step 1.
    """
    derived = any(callable(hyper.default) for hyper in rule.hypers)
    result: dict[str, Value] = {}
    earlier: dict[str, float] = {}
    for hyper in rule.hypers:
        given = settings.get(hyper.name)
        result[hyper.name] = check_value(hyper, hyper.default_at(earlier)) if given is None else given
        if derived:  # a schedule isn't called for nothing
            earlier[hyper.name] = value_at(hyper, result[hyper.name], 1)
    return result


def value_at(hyper: Hyper, setting: Value, step: int) -> float | bool:
    """Return a setting's value at a step number. Raises as `check_value` does."""
    return check_value(hyper, setting(step), step) if callable(setting) else setting
