"""Too deep, too long, too many, too large; and just within the limits."""

from __future__ import annotations

import random

from .inputs import HEAD, Family, Input

DEPTHS = (60, 95, 99, 100, 101, 150, 1_000, 10_000, 30_000)
_NESTS = {
    "brackets": ("(", "x", ")"),
    "calls": ("abs(", "x", ")"),
    "calls of two": ("max(g, ", "x", ")"),
    "calls of three": ("lerp(g, ", "x", ", 2)"),
    "minus": ("-", "x", ""),
    "minus in brackets": ("-(", "x", ")"),
    "roots": ("√", "x", ""),
    "powers": ("x^", "2", ""),
    "powers of powers": ("(", "x", ")^2"),
    "products": ("x*(", "g", ")"),
    "sums": ("", "x", " + g"),
    "differences": ("(x - ", "g", ")"),
    "quotients": ("g/(1 + ", "x", ")"),
    "conditionals": ("if g > 0 then x else ", "g", ""),
    "conditions": ("if ", "g > 0", " then true else false"),
    "negations": ("not ", "g > 0", ""),
    "conjunctions": ("g > 0 and (", "g > 1", ")"),
    "reductions": ("sum(x*", "g", ")"),
    "open brackets": ("(", "x", ""),
    "open calls": ("max(", "x", ""),
    "closed brackets": ("", "x", ")"),
    "comments": ("# (", "x\n", ""),
}


def nesting(chance: random.Random, number: int) -> Input:
    """One kind of nesting, or two in turns, at one depth."""
    names = list(_NESTS)
    opening, middle, closing = _NESTS[names[number % len(names)]]
    other = _NESTS[chance.choice(names)] if number >= len(names) else ("", "", "")
    depth = DEPTHS[(number * 7 + number // len(names)) % len(DEPTHS)]
    depth = min(depth, 60_000 // max(1, len(opening + closing + other[0] + other[2])))
    value = (opening + other[0]) * depth + middle + (other[2] + closing) * depth
    boolean = middle.startswith("g >") and not other[0]
    return Input(f"{HEAD}update\n  x' = {f'if {value} then x else g' if boolean else value}\n")


NUMBERS = (
    "9^9^9",
    "9^9^9^9",
    "1e100000000",
    "1e-100000000",
    "9" * 400,
    "0." + "9" * 5_000,
    "0." + "0" * 400 + "1",
    "1e308",
    "1e309",
    "1.8e308",
    "5e-324",
    "1e-400",
    "1e-401",
    "1" + "0" * 400,
    "10^400",
    "10^-400",
    "2^1024",
    "2^-1074",
    "(2^64)^64",
    "((2^64)^64)^64",
    "2^0.5^0.5",
    "0^0",
    "0^-1",
    "(-8)^(1/3)",
    "inf",
    "-inf",
    "inf - inf",
    "0*inf",
    "1/0",
    "0/0",
    "1e308*10",
    "1_000",
    "0x10",
    "1e",
    ".e1",
    "1..2",
    "٣",
    "１２",
    "x²³⁴",
    "9" * 81,
    "1e+0000000000000000000000001",
    "1" + "e1" * 50,
    "1 - 1e-400",
    "0.1" * 30,
    "exp(1e308)",
    "log(0)",
    "sqrt(-1)",
    "tanh(1e400)",
    "7 % 0",
    "inf % 2",
    "floor(1e308)",
    "9.9999999999999999999999999999999999999999999999999999999999999999999999999e307",
)
_PLACES = (
    "rule R(x, g)\nhyper\n  lr = {}\nupdate\n  x' = x - lr*g\n",
    "rule R(x, g)\nhyper\n  lr = 0.1 in [0, {}]\nupdate\n  x' = x - lr*g\n",
    "rule R(x, g)\nhyper\n  lr = {0} in [{0}, {0}]\nupdate\n  x' = x - lr*g\n",
    HEAD + "state\n  m = {}\nupdate\n  m' = 0.9*m + g\n  x' = x - lr*m'\n",
    HEAD + "update\n  x' = x - lr*g*{}\n",
    HEAD + "update\n  x' = x - lr*g^({})\n",
    HEAD + "update\n  x' = x - lr*({})^g\n",
    HEAD + "update\n  x' = if t % ({}) == 0 then x else x - lr*g\n",
    HEAD + "state\n  m = 0 when lr > {}\nupdate\n  m' = m + g\n  x' = x - lr*g\n",
    HEAD + "update\n  x' = x - lr*g\nclaim\n  still when lr = {}\n",
    HEAD + "update\n  x' = x - lr*g\nclaim\n  equals SGD for {} steps\n",
    "rule R(x, g) = clip_value(limit = {}) |> adam\n",
    "rule R(x, g) from Adam\nhyper\n  eps = {}\n",
    HEAD + "update\n  x' = x - lr*g\nview v = x*{}\n",
)


def literals(chance: random.Random, number: int) -> Input:
    """A number that is hard to hold, in one of the places where a number can stand."""
    return Input(_PLACES[number % len(_PLACES)].format(NUMBERS[number * 11 % len(NUMBERS)]))


def many(chance: random.Random, number: int) -> Input:
    """A great number of one thing."""
    count = (30, 90, 150, 380, 401, 3_000)[number // 12 % 6]
    each = range(count)
    names = [f"a{index}" for index in each]
    rows = {
        "hyper": "rule R(x, g)\nhyper\n"
        + "".join(f"  {name} = 0.1 in [0, 1]\n" for name in names)
        + "update\n  x' = x - g*("
        + " + ".join(names[:90])
        + ")\n",
        "state": HEAD
        + "state\n"
        + "".join(f"  {name} = 0\n" for name in names)
        + "update\n"
        + "".join(f"  {name}' = {name} + g\n" for name in names)
        + "  x' = x - lr*a0'\n",
        "scalar": HEAD
        + "state\n"
        + "".join(f"  {name}: scalar = 1\n" for name in names)
        + "update\n"
        + "".join(f"  {name}' = 0.9*{name}\n" for name in names)
        + "  x' = x - lr*a0'*g\n",
        "def": HEAD
        + "".join(f"def {name}(a) = a + {index}\n" for index, name in enumerate(names))
        + "update\n  x' = x - lr*("
        + " + ".join(f"{name}(g)" for name in names[:60])
        + ")\n",
        "update": HEAD
        + "update\n"
        + "".join(f"  {name} = g + {index}\n" for index, name in enumerate(names))
        + "  x' = x - lr*("
        + " + ".join(names[:95])
        + ")\n",
        "view": HEAD + "update\n  x' = x - lr*g\n" + "".join(f"view {name} = x\n" for name in names),
        "cite": "rule R(x, g)\n" + '  cite "a" "b"\n' * count + "hyper\n  lr = 1\nupdate\n  x' = x - lr*g\n",
        "strings": "rule R(x, g)\n  cite" + ' "a"' * count + "\nhyper\n  lr = 1\nupdate\n  x' = x - lr*g\n",
        "arguments": HEAD + f"def f({', '.join(names)}) = a0\nupdate\n  x' = f({', '.join(['g'] * count)})\n",
        "alias": HEAD + f"  alias b = ({', '.join(['lr'] * count)})\nupdate\n  x' = x - lr*g\n",
        "reductions": HEAD
        + "update\n"
        + "".join(f"  {name} = sum(g*{index + 1})\n" for index, name in enumerate(names))
        + "  x' = x - lr*("
        + " + ".join(names[:95])
        + ")\n",
        "duplicates": HEAD + "update\n" + "  a = g\n" * count + "  x' = x - lr*g\n",
    }
    return Input(rows[list(rows)[number % len(rows)]])


def long(chance: random.Random, number: int) -> Input:
    """One long stretch of something, within the limit on a file's size or far above it."""
    size = (60_000, 1 << 20, 30_000)[number // 17 % 3]
    rows = (
        "#" + "a" * size,
        'rule R(x, g)\n  "' + "d" * size + "\"\nupdate\n  x' = x - g\n",
        HEAD + "update\n  x' = " + "a" * size + "\n",
        HEAD + "update\n  x' = x" + "+g" * (size // 2) + "\n",
        HEAD + "update\n  x' = x - lr*g" + " " * size + "\n",
        HEAD + "update\n" + "\n" * size + "  x' = x - lr*g\n",
        HEAD + "update\n  x' = max(" + "x," * (size // 2) + "g)\n",
        "(" * size,
        '"' * size,
        '"\n' * (size // 2),
        "rule " * (size // 5),
        "update\n" * (size // 7),
        HEAD + "update\n  x' = x - lr*g  # allow: " + "a," * (size // 2),
        HEAD + "update\n  " + "x'" * (size // 2) + "\n",
        "# allow: ascends\n" * (size // 17),
        HEAD + "update\n  x' = (x\n" + "# c\n" * (size // 4) + "- lr*g)\n",
        "β₁" * (size // 5),
    )
    return Input(rows[number % len(rows)])


def sharing(chance: random.Random, number: int) -> Input:
    """Expressions that are small as they are written and large once they are written out."""
    count = (4, 6, 8, 9, 10, 14, 30, 90)[number // 10 % 8]
    step = (
        "{0}*{0} + {0}",
        "{0}*{0}",
        "{0} + {0}",
        "max({0}, -{0})",
        "{0}/(1 + {0}^2)",
        "sqrt({0}^2 + {0})",
        "if {0} > 0 then {0} else -{0}",
        "lerp({0}, g, {0})",
        "{0}^2 + sum({0})",
        "debias({0}, 0.9) + {0}^3",
    )[number % 10]
    if chance.random() < 0.5:
        lines = "".join(f"  e{index + 1} = {step.format(f'e{index}')}\n" for index in range(count))
        return Input(f"{HEAD}update\n  e0 = g\n{lines}  x' = x - lr*e{count}\n")
    lines = "".join(f"def f{index + 1}(a) = {step.format(f'f{index}(a)')}\n" for index in range(count))
    return Input(f"{HEAD}def f0(a) = a\n{lines}update\n  x' = x - lr*f{count}(g)\n")


FAMILIES: tuple[tuple[str, Family], ...] = (
    ("nesting", nesting),
    ("literals", literals),
    ("many", many),
    ("long", long),
    ("sharing", sharing),
)
