"""The states of the parsers, and a line that leads into each: found by a search over the parse tables."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from lark import Lark

from optdsl.syntax.parser import lark

END = "$END"
NEVER_ASKED_FOR = "foreign_line"
TEXTS = {
    "NAME": "a", "NUMBER": "2", "STRING": '"doc"', "COMPARISON": "<", "SUPERSCRIPT": "²", "PRIME": "'", "FOREIGN": "**",
    "STRAY": "$", "INFINITY": "∞", "ELEMENT_OF": "∈", "MINUS": "-", "TIMES": "*", "DIVIDE": "/", "REMAINDER": "%",
    "ARROW": "->",
}  # fmt: skip
"""How terminals are written whose pattern has several forms."""


class Refused(Exception):
    """A token that a parser doesn't take."""


@dataclass(frozen=True)
class Example:
    """Terminals that lead a parser from a start symbol into a state."""

    claims: bool
    start: str
    state: int
    kinds: tuple[str, ...]

    @property
    def text(self) -> str:
        """The terminals as a line."""
        return written(self.claims, self.kinds)


def written(claims: bool, kinds: tuple[str, ...]) -> str:
    """Return terminals as a line of a rule."""
    patterns = {terminal.name: str(terminal.pattern.value) for terminal in lark(claims).terminals}
    return " ".join(TEXTS.get(kind, patterns[kind]) for kind in kinds if kind != END)


def terminals(claims: bool) -> list[str]:
    """Return the terminals that a line can hold, with its end."""
    parser = lark(claims)
    return [*sorted(each.name for each in parser.terminals if each.name not in parser.ignore_tokens), END]


def table_of(claims: bool) -> Any:
    """Return what the parser goes by, which Lark doesn't hand out."""
    return lark(claims).parser.parser._parse_table


def starts(claims: bool) -> list[str]:
    """Return the start symbols that lines are read with."""
    return sorted(set(table_of(claims).start_states) - {NEVER_ASKED_FOR})


def feed(claims: bool, stack: list[int], kind: str) -> Iterator[int]:
    """Feed a terminal to a parser and yield the states it comes into. Raises Refused at one that doesn't take it."""
    states, ends = table_of(claims).states, set(table_of(claims).end_states.values())
    while True:
        if kind not in states[stack[-1]]:
            raise Refused(stack[-1])
        action, what = states[stack[-1]][kind]
        if action.name == "Shift":
            stack.append(what)
            yield what
            return
        del stack[len(stack) - len(what.expansion) :]
        stack.append(states[stack[-1]][what.origin.name][1])
        yield stack[-1]
        if kind == END and stack[-1] in ends:
            return


def stack_after(example: Example) -> list[int]:
    """Return the states of a parser once it has read an example."""
    stack = [table_of(example.claims).start_states[example.start]]
    for kind in example.kinds:
        list(feed(example.claims, stack, kind))
    return stack


def accepted(claims: bool, stack: list[int]) -> set[str]:
    """Return the terminals that a parser takes next."""
    taken = set()
    for kind in terminals(claims):
        try:
            list(feed(claims, list(stack), kind))
        except Refused:
            continue
        taken.add(kind)
    return taken


def _shortest(parser: Lark) -> dict[str, tuple[str, ...]]:
    """Return the fewest terminals that each symbol stands for."""
    found: dict[str, tuple[str, ...]] = {terminal.name: (terminal.name,) for terminal in parser.terminals}
    changed = True
    while changed:
        changed = False
        for rule in parser.rules:
            if any(symbol.name not in found for symbol in rule.expansion):
                continue
            whole = tuple(kind for symbol in rule.expansion for kind in found[symbol.name])
            name = str(rule.origin.name)
            if name not in found or len(whole) < len(found[name]):
                found[name], changed = whole, True
    return found


@cache
def examples(claims: bool) -> tuple[Example, ...]:
    """Return the shortest example for each state that can be reached, from each start symbol."""
    table, shortest = table_of(claims), _shortest(lark(claims))
    found: list[Example] = []
    for start in starts(claims):
        done: set[int] = set()
        waiting: list[tuple[int, tuple[str, ...], int]] = [(0, (), table.start_states[start])]
        while waiting:
            _, kinds, state = heapq.heappop(waiting)
            if state in done:
                continue
            done.add(state)
            found.append(Example(claims, start, state, kinds))
            for symbol, (action, target) in table.states[state].items():
                if action.name == "Shift" and symbol != END:
                    longer = kinds + shortest[symbol]
                    heapq.heappush(waiting, (len(longer), longer, target))
    return tuple(found)
