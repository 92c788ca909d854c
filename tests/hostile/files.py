"""Rules made from others, and what a path can lead to other than a rule."""

from __future__ import annotations

import random

from .inputs import HEAD, Family, Input

_PLAIN = f"{HEAD}update\n  x' = x - lr*g\n"
_FROM = "rule {}(x, g) from {}\nupdate\n  x' = base - 0.1*x\n"
_TRANSFORM = "rule T(x, g)\nupdate\n  g' = 2*g\n"


def bases(chance: random.Random, number: int) -> Input:
    """Rules made from others: in circles, in long chains, from what is no rule, and from outside."""
    count = (2, 15, 16, 17, 40, 70, 200)[number // 13 % 7]
    chain = {f"r{i}.opt": _FROM.format(f"R{i}", f"R{i + 1}") for i in range(count)} | {f"r{count}.opt": _PLAIN}
    circle = chain | {f"r{count}.opt": _FROM.format("R", "R0")}
    wide = {f"t{i}.opt": _TRANSFORM for i in range(count)}
    stages = " |> ".join(["adam", *(f"t{i}" for i in range(count))])
    doubling = {f"r{i}.opt": f"rule R{i}(x, g) = r{i + 1} |> r{i + 1}\n" for i in range(count)} | {
        f"r{count}.opt": _TRANSFORM
    }
    rows = (
        Input(_FROM.format("R", "R0"), beside=chain),
        Input(_FROM.format("R", "R0"), beside=circle),
        Input(_FROM.format("R", "R")),
        Input(_FROM.format("R", "B"), beside={"b.opt": _FROM.format("B", "R")}),
        Input(f"rule R(x, g) = {stages}\n", beside=wide),
        Input("rule R(x, g) = r0 |> adam\n", beside=doubling),
        Input("rule R(x, g) = " + " |> ".join(["scale"] * count) + " |> adam\n"),
        Input("rule R(x, g) = " + " |> ".join(["adam"] * count)),
        Input("rule R(x, g) = r |> r"),
        Input(
            _FROM.format(
                "R",
                ("../../etc/passwd", "/etc/passwd", "a/../../b", "..", ".", "~", "C:/x", "a/b/c/d/e/f", "dev/null")[
                    count % 9
                ],
            )
        ),
        Input(_FROM.format("R", "B"), links={"b.opt": "b.opt"}),
        Input(_FROM.format("R", "B"), pipes=("b.opt",)),
        Input(_FROM.format("R", "B"), sparse={"b.opt": 1 << 32}),
    )
    return rows[number % len(rows)]


def grown(chance: random.Random, number: int) -> Input:
    """Rules made from others that grow with each: `base` written out again and again, chains of large rules."""
    count = (3, 6, 9, 12, 15)[number % 5]
    body = (
        "base*base + base",
        "base + g*base",
        "base*0.5 + sqrt(base^2 + 1)",
        "if base > x then base else x - base",
        "base - lr*(base - x)",
    )[number // 5 % 5]
    own = {f"r{i}.opt": f"rule R{i}(x, g) from R{i + 1}\nupdate\n  x' = {body}\n" for i in range(count)}
    large = " |> ".join(
        chance.choices(("adam", "ema", "trust_ratio", "lookahead", "trace", "clip_rms", "centralize"), k=count)
    )
    if number % 10 >= 5:
        return Input(f"rule R(x, g) = {large}\nclaim\n  descends\n  equals Adam\n")
    return Input(
        f"rule R(x, g) from R0\nupdate\n  x' = {body}\nclaim\n  still when lr = 0\n",
        beside=own | {f"r{count}.opt": _PLAIN},
    )


def paths(chance: random.Random, number: int) -> Input:
    """What is named where a file should be: devices, pipes, folders, links in circles, odd names, very large files."""
    odd = (
        "a\nb.opt",
        "a b.opt",
        "-x.opt",
        "--help.opt",
        "é.opt",
        "\u202etpo.a",
        "a'b\".opt",
        "1a.opt",
        "class.opt",
        ".opt",
        "a.opt.opt",
        "a" * 240 + ".opt",
        "*.opt",
        "$(id).opt",
        "numpy.opt",
        "json.opt",
        "a%s{}.opt",
        "\x1b[31m.opt",
        "opt",
        "r.OPT",
        "con.opt",
        "\udcff.opt",
        "__init__.opt",
        "a.b.opt",
        "μ.opt",
    )
    rows = (
        Input(name="/dev/zero"),
        Input(name="/dev/null"),
        Input(name="/dev/full"),
        Input(name="/dev/urandom"),
        Input(name="p.opt", pipes=("p.opt",)),
        Input(name="d.opt", folders=("d.opt",)),
        Input(name="d", folders=("d/e.opt",)),
        Input(name="d", folders=("d",), pipes=("d/p.opt",)),
        Input(name="l.opt", links={"l.opt": "l.opt"}),
        Input(name="l.opt", links={"l.opt": "m.opt", "m.opt": "l.opt"}),
        Input(name="l.opt", links={"l.opt": "nothing"}),
        Input(name="l.opt", links={"l.opt": "/etc/passwd"}),
        Input(name="d", folders=("d",), links={"d/d": "..", "d/l.opt": "l.opt"}),
        Input(name="missing.opt"),
        Input(name="missing\x1b[31m\n.opt"),
        Input(name="s.opt", sparse={"s.opt": 1 << 36}),
        Input(name="/proc/self/mem"),
        Input(name="/proc/self/environ"),
        Input(name="/"),
        Input(name="/dev/stdin"),
        Input(name="d", beside={f"d/{i}.opt": _PLAIN for i in range(30)}),
        Input(name="/sys/kernel"),
        Input(name="d", beside={"d/r.opt": _PLAIN, "d/e/r.opt": _PLAIN}),
    )
    if number < len(rows):
        return rows[number]
    return Input(_PLAIN, name=odd[(number - len(rows)) % len(odd)])


def intervals(chance: random.Random, number: int) -> Input:
    """Intervals and defaults that hold no number, or hold too many."""
    ends = (
        "inf",
        "-inf",
        "0",
        "1",
        "1e308",
        "-1e308",
        "nan",
        "0/0",
        "inf - inf",
        "1/0",
        "lr",
        "true",
        "2^0.5",
        "1e-400",
        "5e-324",
        "-0",
        "9^9^9",
        "sqrt(-1)",
        "x",
        "t",
    )
    low, high, default = (chance.choice(ends) for _ in range(3))
    opening, closing = chance.choice("[("), chance.choice("])")
    flag = chance.choice(("", "\n  flag = true in [0, 1]", "\n  e = lr*2 in (0, lr)", "\n  z = z"))
    return Input(
        f"rule R(x, g)\nhyper\n  lr = {default} in {opening}{low}, {high}{closing}{flag}\n"
        "state\n  m = lr when lr > 0\nupdate\n  m' = m + g\n  x' = x - (if lr > 0 then m' else g)/lr\n"
    )


FAMILIES: tuple[tuple[str, Family], ...] = (
    ("bases", bases),
    ("grown", grown),
    ("paths", paths),
    ("intervals", intervals),
)
