"""The inputs: by family and number, the same on every machine."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

HEAD = "rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n"
"""The beginning of a rule; an `update` is missing."""

Links = Mapping[str, str]


@dataclass(frozen=True)
class Input:
    """Files in a folder of their own, and the one of them that is named to the program.

    `text` is the content of that file. `beside` are files beside it. `links` are symbolic links and what they point
    at, `pipes` named pipes, `folders` folders, and `sparse` files of so many bytes that hold nothing.
    """

    text: str | bytes = b""
    name: str = "r.opt"
    beside: Mapping[str, str | bytes] = field(default_factory=dict)
    links: Links = field(default_factory=dict)
    pipes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    sparse: Mapping[str, int] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Make the files of this input in a folder."""
        for name in self.folders:
            (folder / name).mkdir(parents=True)
        for name, content in self.beside.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(_bytes(content))
        for name, target in self.links.items():
            (folder / name).symlink_to(target)
        for name in self.pipes:
            os.mkfifo(folder / name)
        for name, size in self.sparse.items():
            with (folder / name).open("wb") as file:
                file.truncate(size)
        path = folder / self.name
        if not (os.path.lexists(path) or self.name.startswith(("/", "missing"))):
            path.write_bytes(_bytes(self.text))


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")


Family = Callable[[random.Random, int], Input]
"""What makes the input of a number; the random numbers are its own."""


def families() -> dict[str, Family]:
    """Return every family by its name."""
    from . import algebra, characters, files, names, sizes

    return {name: family for module in (sizes, algebra, characters, names, files) for name, family in module.FAMILIES}


def inputs(count: int) -> list[tuple[str, int, Input]]:
    """Return `count` inputs, as many of each family as of any other, each with its family and number."""
    every = families()
    turns = ((name, number) for number in range(count) for name in every)
    return [(name, number, made(name, number)) for name, number in islice(turns, count)]


def made(family: str, number: int) -> Input:
    """Return one input."""
    return families()[family](random.Random(f"{family} {number}"), number)
