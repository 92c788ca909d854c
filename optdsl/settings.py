"""Values of hyperparameters as people type them, `momentum=0.9 and nesterov=true`, and whether a rule takes them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence

from optdsl.ir.nodes import Kind, Rule
from optdsl.syntax.names import spell

_SEPARATOR = re.compile(r",|\band\b")
_EXAMPLE = "like `momentum=0.9 and nesterov=true`"
_WORDS = {"true": True, "false": False, "inf": math.inf, "∞": math.inf, "-inf": -math.inf}


def parse_settings(texts: Sequence[str]) -> dict[str, float | bool]:
    """Return the values given in texts of the form `name = value`, joined by `and` or commas.

    Greek names and signs are spelled out as in a rule. Raises ValueError, naming the text, for anything else, and for a
    name given two different values.
    """
    values: dict[str, float | bool] = {}
    for text in texts:
        for part in _SEPARATOR.split(text):
            name, value = _setting(part, text)
            if name in values and (values[name], type(values[name])) != (value, type(value)):
                raise ValueError(f"{name} is given twice, as {shown(values[name])} and as {shown(value)}")
            values[name] = value
    return values


def parse_pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return the pairs given in texts of the form `name = name`, joined by `and` or commas.

    Raises ValueError, naming the text, for anything else.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        for part in _SEPARATOR.split(text):
            name, _, value = (spell(piece.strip()) for piece in part.partition("="))
            if not (name.isidentifier() and value.isidentifier()):
                raise ValueError(f"{part.strip()!r} is not `name = name`; write it like `momentum=rho`")
            pairs[name] = value
    return pairs


def _setting(part: str, text: str) -> tuple[str, float | bool]:
    """Return the name and the value in one `name = value`."""
    written, equals, value = (piece.strip() for piece in part.partition("="))
    name = spell(written)
    if not part.strip():
        raise ValueError(f"{text!r} has nothing before or after an `and` or a comma; write it {_EXAMPLE}")
    if not equals or not name.isidentifier():
        raise ValueError(f"{part.strip()!r} is not `name = value`; write it {_EXAMPLE}")
    value = value.removeprefix("=").strip()  # `momentum == 0.9` can only mean one thing
    return name, _value(name, value)


def _value(name: str, text: str) -> float | bool:
    """Return the number or truth value that a text stands for."""
    plain = text.replace("−", "-").lower()
    if plain in _WORDS:
        return _WORDS[plain]
    try:
        number = float(plain)
    except ValueError:
        number = math.nan
    if math.isnan(number) or "_" in plain:
        got = repr(text) if text else "nothing"
        raise ValueError(f"{name} takes a number, true or false; got {got}")
    if math.isinf(number):
        raise ValueError(f"{name} = {text} is a number too large for float64; infinity is written inf")
    return number


def check_settings(rule: Rule, values: Mapping[str, float | bool]) -> None:
    """Raise ValueError where a rule doesn't take a value: an unknown name, the wrong kind, outside its interval."""
    hypers = {hyper.symbol.name: hyper for hyper in rule.hypers}
    for name, value in values.items():
        if name not in hypers:
            close = difflib.get_close_matches(name, list(hypers), n=1, cutoff=0.6)
            known = f"its hyperparameters are {', '.join(hypers)}" if hypers else "it has none"
            help_ = f"did you mean {close[0]!r}?" if close else known
            raise ValueError(f"{rule.name} has no hyperparameter {name!r}; {help_}")
        boolean = hypers[name].symbol.kind is Kind.BOOLEAN
        if boolean is not isinstance(value, bool):
            expected = "true or false" if boolean else "a number"
            raise ValueError(f"{name} takes {expected}; got {shown(value)}")
        interval = hypers[name].interval
        if interval is not None and value not in interval:
            raise ValueError(f"{name} = {shown(value)} is outside {interval}")


def shown(value: float | bool) -> str:
    """Return a value as it would be typed: `true`, `0.9`, `1`."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
