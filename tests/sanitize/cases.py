"""What is stepped under the sanitizers: every bundled rule, chains of every bundled transform, and random rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from optdsl import bundled
from optdsl.loading import module_stem
from optdsl.source import SourceFile, read
from tests.fuzz.generate import Generator

SPREAD = 1_000_003
"""What keeps the random rules of two seeds apart."""


class Case(NamedTuple):
    """A rule, the name of the module it becomes, and whether its equations are left as they are written."""

    stem: str
    source: SourceFile
    exact: bool = False


def bundled_cases(names: Sequence[str] = ()) -> Iterator[Case]:
    """Yield the bundled rules, or those named, then each transform before and after a rule unless rules are named."""
    for name in names or bundled.names():
        path = bundled.path(name)
        if path is None:
            raise ValueError(f"there is no bundled rule called {name!r}")
        yield Case(module_stem(name.replace("/", "_")), read(path))
    for name in () if names else bundled.transforms():
        for stem, chain in ((f"{name}_sgd", f"{name} |> sgd"), (f"adam_{name}", f"adam |> {name}")):
            yield Case(stem, SourceFile(f"{stem}.opt", f"rule Chain(x, g) = {chain}\n"))


def random_cases(count: int, seed: int, start: int = 0) -> Iterator[Case]:
    """Yield random rules; rule number k of a seed is the same whatever the range.

    They are left as written: looking for cheaper forms takes longer than all the rest, and the C is of the same kind.
    """
    for number in range(start, start + count):
        stem = f"random_{seed}_{number}"
        yield Case(stem, SourceFile(f"{stem}.opt", Generator(seed * SPREAD + number).rule()), True)
