"""Small pieces of error messages: suggestions, lists of names, numbers as a reader would write them."""

from __future__ import annotations

from collections.abc import Iterable

SHOWN = 8
"""Names written out before a list is cut short."""


def suggestion(name: object, choices: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the choice closest to `name`, or nothing where none is close."""
    import difflib  # only errors need it

    close = difflib.get_close_matches(str(name), list(choices), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def listing(names: Iterable[object]) -> str:
    """Return the names quoted and separated by commas, cut short after SHOWN."""
    quoted = [repr(name) for name in names]
    if len(quoted) > SHOWN:
        return ", ".join(quoted[:SHOWN]) + f" and {len(quoted) - SHOWN} more"
    return ", ".join(quoted)


def number(value: object) -> str:
    """Return a number as a reader would write it: -1.0 is "-1", and every digit that matters is kept."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value)) if value or str(value)[0] != "-" else "-0"
    return str(value)


def kind(value: object) -> str:
    """Return the type of a value with an article: "a list", "an int"."""
    name = type(value).__qualname__
    module = type(value).__module__
    full = name if module in {"builtins", "numpy"} else f"{module}.{name}"
    return f"{'an' if full[0].lower() in 'aeiou' or full == 'ndarray' else 'a'} {full}"
