"""Rules within the limits that are hard to reason about: for SymPy, for the checks, for the proofs of claims."""

from __future__ import annotations

import random

from .inputs import Family, Input

_HYPERS = "rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n  a = 0.9 in [0, 1)\n  b = 0.5 in (0, 1]\n  c = 2 in [1, inf)\n"
_STATES = "state\n  m = 0\n  v = 0\n  p: scalar = 1\n"
_BODY = "update\n  m' = ema(m, g, a)\n  v' = {}\n  p' = p*b\n  x' = x - lr*({})\n"
_RULE = _HYPERS + _STATES + _BODY

_FORMS = (
    "(x + g + m + 1)^{k}",
    "((x + g)^{k} + (m + v)^{k})/(1 + (x - g)^{k})",
    "sqrt(sqrt(x + sqrt(g + sqrt(m^2 + v))))",
    "(a + b)^(c + a^b)",
    "exp(log(abs(x) + 1)*a)^b",
    "1/(1/(1/(1/x + 1/g) + 1/m) + 1/v)",
    "x^g^m",
    "(x^a)^b*(x^b)^c",
    "sin(x)^{k} + cos(x)^{k}",
    "cbrt(x^3 + 3*x^2*g + 3*x*g^2 + g^3)",
    "tanh(log1p(expm1(exp(x*g*m*v))))",
    "(1 - a^t)*(1 - b^t)*(1 - a^(t + 1))/((1 - (a*b)^t)*(1 - a^(2*t)))",
    "norm(x*g + norm(m*v + norm(x)))",
    "min(max(x, g), max(m, v))^{k}",
    "x*1e308*1e-308*g^{k}",
    "(x^2 - g^2)/(x - g) + (x^{k} - m^{k})/(x - m)",
    "sqrt((x + g)^2) - abs(x + g)",
    "floor(x*g)*floor(m*v)^{k}",
    "exp(x^2 + g^2 + m^2)*exp(-x^2 - g^2)",
    "0.1*x + 0.2*g + 0.3*m + 0.7*(x + g*(m + v*(x + g*(m + v))))",
    "(a*x + b*g + c*m)^{k}/(lr*x + a*g + b*m)^{k}",
    "sum(x^{k})*mean(g^{k})/(dot(x, g) + rms(m))^{k}",
    "log(x^2 + 1)/log(g^2 + 1)^{k}",
    "(x*g*m*v*a*b*c*lr*p)^{k}",
)


def expressions(chance: random.Random, number: int) -> Input:
    """An expression that computer algebra has trouble with, alone or with others."""
    forms = [_FORMS[number % len(_FORMS)], *chance.sample(_FORMS, number // len(_FORMS))]
    k = chance.choice((2, 3, 7, 8, 17, 33, 64))
    value = " + ".join(f"({form.format(k=k)})" for form in forms)
    return Input(_RULE.format("ema(v, g^2, b)", value))


def random_expressions(chance: random.Random, number: int) -> Input:
    """Some large random expressions; every other rule claims something of itself."""
    leaves = ("x", "g", "m", "v", "a", "b", "c", "t", "p", "lr", "2", "0.5", "m'", "v'")

    def grown(depth: int, names: tuple[str, ...]) -> str:
        if depth <= 0:
            return chance.choice(names)
        form = chance.choice(
            (
                "({} + {})",
                "({} - {})",
                "{}*{}",
                "({})/({} + 1)",
                "sqrt(({})^2 + {}^2)",
                "max({}, {})",
                "(if {} > {} then x else g)",
                "({})^2*({})",
                "exp(-({})^2 - {}^2)",
                "abs({} - {})",
                "({})^b*({})",
            )
        )
        return str(form.format(grown(depth - 1, names), grown(depth - 1, names)))

    depth = 3 + number % 6
    value = grown(depth, leaves[:5])
    text = _RULE.format(f"abs(ema(v, {grown(3, leaves[:3])}, b))", grown(depth, leaves) + f" + ({value})")
    claims = ("descends", "still when lr = 0", "invariant g -> k*g for k > 0", "equals SGD when a = 0", "equals Adam")
    return Input(text + (f"claim\n  {chance.choice(claims)}\n" if number % 2 else ""))


def claims(chance: random.Random, number: int) -> Input:
    """Claims that take long to decide: of many steps, of large rules, of many at once, with many cases."""
    value = _FORMS[(number + number // len(_FORMS)) % len(_FORMS)].format(k=chance.choice((2, 3, 5)))
    lines = {
        "one": "  equals Adam for 16 steps\n",
        "itself": "  equals Adam with lr = lr and beta1 = a and beta2 = b for 16 steps\n",
        "replaced": "  invariant g -> -g and lr -> -lr for 16 steps\n",
        "scaled": "  invariant g -> k*g and lr -> lr/k for k > 0 for 16 steps\n",
        "many": "".join(f"  equals SGD when lr = {index} for 16 steps\n" for index in range(1, 25)),
        "very many": "".join(f"  invariant g -> g*{index}/{index} for 16 steps\n" for index in range(1, 300)),
        "still": "  still when lr = 0\n  descends when a = 0 and b = 1\n" * 10,
        "large": "  equals LAMB for 16 steps\n  equals RAdam\n  equals torch/NAdam\n",
    }
    kinds = list(lines)
    return Input(_RULE.format("ema(v, g^2, b)", value) + "claim\n" + lines[kinds[number % len(kinds)]])


def conditions(chance: random.Random, number: int) -> Input:
    """States that exist under conditions, and equations with many cases."""
    count = (3, 5, 6, 7, 12, 20)[number % 6] + number // 24
    flags = [f"f{index}" for index in range(count)]
    hypers = "rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\n" + "".join(f"  {flag} = false\n" for flag in flags)
    style = number // 6 % 4
    if style == 0:  # a state for each
        states = "".join(f"  s{index} = 0 when {flag}\n" for index, flag in enumerate(flags))
        lines = "".join(f"  s{index}' = s{index} + g\n" for index in range(count))
        uses = "".join(f" + (if {flag} then s{index}' else g)" for index, flag in enumerate(flags))
    elif style == 1:  # one state under all, with alternatives between
        states = f"  s = 0 when {' and '.join(flags)}\n"
        lines = "  a0 = g\n" + "".join(f"  a{i + 1} = if {flag} then a{i} else -a{i}\n" for i, flag in enumerate(flags))
        lines, uses = lines + "  s' = s + g\n", f" + a{count}"
    elif style == 2:  # conditions that look different and aren't
        states = "".join(f"  s{i} = 0 when {flags[0]} or (lr > {i} and not lr > {i})\n" for i in range(count))
        lines = "".join(f"  s{index}' = s{index} + g\n" for index in range(count))
        uses = "".join(f" + (if {flags[0]} then s{index}' else g)" for index in range(count))
    else:  # one condition of very many parts
        parts = " or ".join(f"({' and '.join(chance.sample(flags, min(count, 4)))})" for _ in range(count))
        states, lines, uses = f"  s = 0 when {parts}\n", "  s' = s + g\n", f" + (if {parts} then s' else g)"
    return Input(f"{hypers}state\n{states}update\n{lines}  x' = x - lr*(g{uses})\n")


FAMILIES: tuple[tuple[str, Family], ...] = (
    ("expressions", expressions),
    ("random", random_expressions),
    ("claims", claims),
    ("conditions", conditions),
)
