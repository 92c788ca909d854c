"""Bytes that are no text, characters that can't be seen or look like others, odd ends of lines, and soups of tokens."""

from __future__ import annotations

import random
import re

from optdsl import bundled
from optdsl.source import read

from .inputs import HEAD, Family, Input

_GOOD = f"# A rule.\n{HEAD}update\n  x' = x - lr*g\n"

CHARACTERS = (
    *(chr(code) for code in (*range(9), 11, 12, 13, *range(14, 32), 127, 0x80, 0x85, 0x9F)),
    "\u200b",
    "\u200c",
    "\u200d",
    "\u2060",
    "\ufeff",
    "\u00ad",
    "\u202a",
    "\u202b",
    "\u202c",
    "\u202d",
    "\u202e",
    "\u2066",
    "\u2067",
    "\u2068",
    "\u2069",
    "\u2028",
    "\u2029",
    "\u061c",
    "\u180e",
    "\u115f",
    "\u3164",
    "\uffa0",
    "\u0301",
    "\u0338",
    "\u20dd",
    "\u034f",
    "\ufe0f",
    "\U000e0041",
    "\U000e0100",
    "\ufff9",
    "\uffff",
    "\U0010ffff",
    "\ue000",
    "\ud800",
    "\udcff",
    "а",
    "е",
    "о",
    "х",
    "ɡ",
    "ⅼ",
    "ﬀ",
    "Å",
    "℮",
    "𝑥",
    "ℯ",
    "ª",
    "ſ",
    "K",
    "µ",
    "ﷺ",
    "\u00a0",
    "\u3000",
    "\u2009",
    "（",
    "＝",
    "；",
    "´",
    "‵",
    "＂",
    "“",
    "⁄",
    "∕",
    "٪",
    "⩵",
    "𝟏",
    "Ⅷ",
    "½",
    "𐄂",
)
"""Controls, what has no width, changes of direction, marks, letters that look like others, blanks, and odd signs."""


def characters(chance: random.Random, number: int) -> Input:
    """A character, once or often, in one kind of place."""
    character = CHARACTERS[(number * 2 + number // 50) % len(CHARACTERS)] * chance.choice((1, 1, 2, 500))
    places = (
        _GOOD.replace("# A", f"# {character}A"),
        _GOOD.replace("R(", f"R{character}("),
        _GOOD.replace("lr", f"l{character}r"),
        _GOOD.replace(" - ", f" {character}- "),
        _GOOD.replace("\nhyper", f'\n  "{character}doc"\nhyper'),
        _GOOD.replace("inf)", f'inf) "{character}"'),
        _GOOD + character,
        character + _GOOD,
        _GOOD.replace("update", f"upd{character}ate"),
        _GOOD.replace("0.1", f"0.{character}1"),
    )
    return Input(places[number % len(places)])


def undecodable(chance: random.Random, number: int) -> Input:
    """Bytes that aren't UTF-8, or aren't text."""
    text = f"# {number}\n{_GOOD}"
    good = text.encode()
    wrong = (
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\x80",
        b"\xf0\x9f\x98",
        b"\xc3\x28",
        b"\xfe\xff",
        b"\xff\xfe",
        b"\x00",
    )
    place = chance.randrange(len(good) + 1)
    rows = (
        good[:place] + wrong[number // 11 % len(wrong)] + good[place:],
        good + wrong[number // 11 % len(wrong)],
        text.encode("utf-16"),
        text.encode("utf-32"),
        text.replace("A rule", "Ä").encode("latin-1"),
        chance.randbytes(chance.choice((1, 100, 10_000))),
        b"\x00" * 5_000,
        b"\x1f\x8b\x08" + chance.randbytes(500),
        b"\x7fELF" + chance.randbytes(500),
        good * 5,
        b"\xef\xbb\xbf" * 3 + good,
    )
    return Input(rows[number % len(rows)])


def line_ends(chance: random.Random, number: int) -> Input:
    """Ends of lines of other systems, mixed, and marks of byte order in the middle."""
    ends = (
        "\r\n",
        "\r",
        "\n\r",
        "\x0b",
        "\x0c",
        "\x85",
        "\u2028",
        "\u2029",
        "\r\r\n",
        "\n\ufeff",
        "\ufeff\n",
        "\\\n",
        "\n\x00",
        "\t\n",
        "\x1c",
        "\x1e",
    )
    lines = _text(chance).split("\n") if number % 2 else _GOOD.split("\n")
    chosen = chance.choices((*ends, "\n"), k=2) if number >= len(ends) else [ends[number]] * 2
    return Input("".join(line + chance.choice(chosen) for line in lines))


def _text(chance: random.Random) -> str:
    name = chance.choice(bundled.files())
    path = bundled.path(name)
    assert path is not None
    return read(path).text


_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_ADDED = (
    *"()[]'\"=^*,:#<>!&|+-/.;$@{}²√′λ\n\t\\%",
    "if ",
    " then ",
    " else ",
    "when ",
    "in ",
    "update\n",
    "->",
    " from Adam",
    "|>",
    "**",
    "base",
    "inf",
    "1e9",
    "true ",
)


def mutated(chance: random.Random, number: int) -> Input:
    """A bundled rule with some pieces deleted, doubled, exchanged or put in."""
    parts = _TOKEN.findall(_text(chance))
    for _ in range(1 + number % 5):
        place, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        match chance.randrange(4):
            case 0 if len(parts) > 5:
                del parts[place]
            case 1:
                parts.insert(other, parts[place])
            case 2:
                parts[place], parts[other] = parts[other], parts[place]
            case _:
                parts.insert(place, chance.choice(_ADDED))
    return Input("".join(parts))


def soup(chance: random.Random, number: int) -> Input:
    """Tokens of the language in any order, in sections that stand where they should."""
    words = ("x", "g", "m", "lr", "t", "base", "1", "0.5", "inf", "true", "size(x)", "sum(g)", "f(g)", *_ADDED)

    def line() -> str:
        return " ".join(chance.choice(words).strip() or " " for _ in range(chance.randrange(1, 12)))

    def value() -> str:
        operands = chance.choices(words[:13], k=chance.randrange(1, 9))
        return chance.choice((" + ", "*", " - ", "/", "^", " > ", " and ", " % ", ", ")).join(operands)

    filling = line if number % 3 else value
    head = chance.choice(("rule R(x, g)", "rule R(x, g) from Adam", "rule R(x, g) = adam |> ema", f"rule {line()}"))
    sections = [
        "hyper",
        *(f"  lr{i or ''} = {filling()}" for i in range(chance.randrange(3))),
        "state",
        *(f"  m{i or ''} = {filling()}" for i in range(chance.randrange(3))),
        f"def f(a) = {filling()}",
        "update",
        f"  m' = {filling()}",
        f"  x' = {filling()}",
        f"view w = {filling()}",
        "claim",
        f"  {chance.choice(('equals', 'invariant', 'still when', 'descends'))} {filling()}",
    ]
    return Input("\n".join([head, *(part for part in sections if chance.random() < 0.9)]) + "\n")


FAMILIES: tuple[tuple[str, Family], ...] = (
    ("characters", characters),
    ("undecodable", undecodable),
    ("line ends", line_ends),
    ("mutated", mutated),
    ("soup", soup),
)
