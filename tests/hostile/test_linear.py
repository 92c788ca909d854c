"""Reading and formatting take time in proportion to the text: calls are counted, and processor time within one call."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest

from optdsl.pipeline import analyse
from optdsl.source import SourceFile
from optdsl.syntax.format import formatted
from optdsl.syntax.layout import comments, hidden_characters, logical_lines
from optdsl.syntax.parser import parse

from .inputs import HEAD

TEXTS: dict[str, Callable[[int], str]] = {
    "equations": lambda n: f"{HEAD}update\n" + "".join(f"  a{i} = g*{i} + x\n" for i in range(n // 18)) + "  x' = x\n",
    "comments": lambda n: "# a comment\n" * (n // 12) + f"{HEAD}update\n  x' = x - lr*g\n",
    "blanks": lambda n: f"{HEAD}update\n  x' = x - lr*g" + " \t" * (n // 2) + "\n",
    "empty lines": lambda n: f"{HEAD}update\n" + "\n" * n + "  x' = x - lr*g\n",
    "quotes": lambda n: f"{HEAD}update\n" + "  x' = x \"\n" * (n // 11),
    "brackets": lambda n: f"{HEAD}update\n  x' = " + "(" * (n // 2) + "x" + ")" * (n // 2) + "\n",
    "open brackets": lambda n: f"{HEAD}update\n  x' = " + "([" * (n // 2) + "\n",
    "arguments": lambda n: f"{HEAD}update\n  x' = max(" + "x, " * (n // 3) + "g)\n",
    "a name": lambda n: f"{HEAD}update\n  x' = {'a' * n}\n",
    "digits": lambda n: f"{HEAD}update\n  x' = {'1' * n}\n",
    "roots": lambda n: f"{HEAD}update\n  x' = {'√' * n}x\n",
    "marks": lambda n: "\ufeff" * n + HEAD,
    "stray signs": lambda n: f"{HEAD}update\n  x' = {'$' * n}\n",
    "many strays": lambda n: f"{HEAD}update\n" + "  a = $\n" * (n // 8),
}
"""Texts of about n characters each, well formed or not."""

SMALL, LARGE = 3_200, 6_400


def read_all(text: str) -> None:
    """Put a text through everything that reads it."""
    source = SourceFile("case.opt", text)
    list(logical_lines(source))
    comments(source)
    list(hidden_characters(source))
    parse(source)
    formatted(source)


def calls(text: str) -> int:
    """Return how many functions are called while a text is read, those written in C included."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        read_all(text)
    finally:
        sys.setprofile(before)
    return count


def seconds(text: str) -> float:
    """Return the processor time that it takes to read a text: the least of some attempts."""
    found = []
    for _ in range(5):
        start = time.process_time()
        read_all(text)
        found.append(time.process_time() - start)
    return min(found)


def test_counting_sees_what_is_not_linear() -> None:
    def squares(n: int) -> None:
        for _ in range(n):
            for _ in range(n):
                len("")

    def counted(n: int) -> int:
        count = 0

        def profile(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event == "c_call"

        sys.setprofile(profile)
        squares(n)
        sys.setprofile(None)
        return count

    assert counted(40) > 3 * counted(20)


@pytest.mark.parametrize("name", TEXTS)
def test_twice_the_text_takes_at_most_three_times_the_calls(name: str) -> None:
    read_all(TEXTS[name](100))  # what is made once is made
    assert calls(TEXTS[name](LARGE)) <= 3 * calls(TEXTS[name](SMALL))


@pytest.mark.parametrize("name", ["blanks", "empty lines", "quotes", "a name", "open brackets", "stray signs"])
def test_twice_the_text_takes_at_most_three_times_the_time(name: str) -> None:
    # Regular expressions work within one call. The measure is processor time, and noise is given several chances.
    ratios = []
    for _ in range(4):
        ratios.append(seconds(TEXTS[name](60_000)) / max(seconds(TEXTS[name](30_000)), 1e-4))
        if ratios[-1] <= 3:
            return
    pytest.fail(f"twice the text takes {min(ratios):.1f} times as long")


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_at_the_limit_ends(name: str) -> None:
    assert analyse(SourceFile("case.opt", TEXTS[name](65_000))) is not None
