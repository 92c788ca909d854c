"""Rules written to be hard to compile, by what is hard about them.

`EXACT` use arithmetic that every target does bit for bit; `FOLDS` hold reductions; `NAMED` are full of names that mean
something in C or in Python. A rule is a text, beside the settings that it is run with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).resolve().parents[1] / "samples"

HYPERS = "hyper\n  lr = 0.1 in [0, inf)\n  k = 3\n  flag = false\n"


def _rule(update: str, state: str = "", hyper: str = HYPERS, head: str = "rule R(x, g)") -> str:
    parts = [head, hyper, "state\n" + _indented(state) if state else "", "update\n" + _indented(update)]
    return "\n".join(part for part in parts if part) + "\n"


def _indented(lines: str) -> str:
    return "".join(f"  {line.strip()}\n" for line in lines.split(";") if line.strip())


EXACT: dict[str, str] = {
    # What is written in place must not be read afterwards.
    "swap": _rule("m' = v; v' = m; x' = x - lr*g*m'", "m = x; v = 1"),
    "swap-with-parameter": _rule("m' = x; x' = m", "m = 2"),
    "rotation": _rule("a' = b; b' = c; c' = a; x' = x - lr*a'*g", "a = x; b = 1; c = lr"),
    "chain": _rule("a' = g; b' = a; c' = b; x' = x - lr*c", "a = 0; b = 0; c = 0"),
    "chain-of-new": _rule("a' = g + a; b' = a' + b; c' = b' + c; x' = x - lr*c'", "a = 0; b = 0; c = 0"),
    "parameter-before-and-after": _rule("z' = x; y' = x'; x' = x - lr*g + 0.5*(z - y)", "z = x; y = 0"),
    "old-and-new": _rule("m' = 0.9*m + g; v' = 0.5*v + m; x' = x - lr*(m' - m) - v'*v", "m = 0; v = 0.25"),
    "crossed": _rule("m' = m + v; v' = m - v; d = m'*v - v'*m; x' = x - lr*(d + g)", "m = x; v = 1"),
    "crossed-select": _rule(
        "m' = if g > 0 then v else m; v' = if g > 0 then m else v; x' = x - lr*m*v'", "m = x; v = 1"
    ),
    "select-of-old-after-new": _rule("m' = m*g + 1; x' = if m' > m then m else x - m'", "m = 0"),
    "aliases": _rule("d = g; e = x; o = m; m' = d + o; n = m'; x' = e - lr*n*o", "m = 1"),
    "parameter-is-state": _rule("m' = m + g; x' = m'", "m = x"),
    "parameter-is-gradient": _rule("x' = g"),
    "parameter-is-number": _rule("m' = x; x' = lr", "m = 0"),
    "parameter-stays": _rule("m' = m + g; x' = x", "m = 0"),
    "gradient-unread": _rule("m' = m + x; x' = x - lr*m", "m = 0"),
    "gradient-kept": _rule("m' = g; x' = x - lr*(g - m)", "m = 0"),
    # Constant states, first values.
    "constant-states": _rule(
        "a' = a; b' = 0; c' = 1 - lr; d' = t; x' = x - a*b - c*g + d", "a = x; b = 1; c = 0; d = 0"
    ),
    "first-values": _rule(
        "a' = a + g; b' = b*g; c' = c - g; d' = d + c'; e' = -e; x' = x - lr*(a' + b' + c' + d' + e')",
        "a = x; b = lr; c = x*x + lr; d = if x > 0 then lr else -lr; e = max(x, k)/3",
    ),
    "scalar-states": _rule("p' = p*0.9; q' = q + p; x' = x - lr*p'*q*g/(1 - p')", "p: scalar = 1; q: scalar = lr"),
    "scalar-swap": _rule("p' = q; q' = p; x' = x - p*g + q'", "p: scalar = 1; q: scalar = lr"),
    # States that exist only sometimes.
    "conditional": _rule(
        "m' = m + g; b' = b*0.5 + g; u = if flag then m' else g; w = if k > 2 then b' + u else u; x' = x - lr*w",
        "m = x when flag; b = lr when k > 2",
    ),
    "conditional-scalar": _rule(
        "p' = p*0.5; b' = b + g; x' = x - lr*(if flag then p'*b' else g)", "p: scalar = 1 when flag; b = 0 when flag"
    ),
    # Conditions.
    "comparisons": _rule(
        "a = if g < x then 1 else 0; b = if g <= x then 2 else 0; c = if g > 0 then 4 else 0;"
        "d = if g >= 0 then 8 else 0; e = if g == 0 then 16 else 0; f = if g != x then 32 else 0;"
        "x' = a + b + c + d + e + f"
    ),
    "logic": _rule(
        "p = g > 0; q = not p and x >= 0 or g == 0; r = p or not (q and x < 1); m' = if q then g else m;"
        "x' = if r then x - lr*m' else if p and q then x else -x",
        "m = 0",
    ),
    "logic-with-scalars": _rule(
        "big = t > 2; p = g > 0 and big; q = flag or not (x < k and big);"
        "x' = if p then x - lr else if q then g else lr"
    ),
    "nested": _rule("x' = if g > 1 then (if x > 0 then lr else k) elif g < -1 then g*x elif x == 0 then 7 else -g"),
    "where": _rule(
        "p = where(g > 0, lr, 2*lr); q = where(x < 0 or g < 0, x, 1); "
        "x' = x - p*q*where(not (g > x), g, x)"
    ),
    "untaken-arm": _rule("q = g/x; r = if x != 0 then q else 0; x' = x - lr*(if g > 0 then sqrt(g) else r)"),
    "scalar-arms": _rule(
        "a = if t == 1 then g else m; m' = if t <= 2 then a + x elif flag then a else a - x; x' = x - lr*m'", "m = 0"
    ),
    "scalar-arm-is-number": _rule("m' = if t == 2 then 0 else m + g; x' = if t == 3 then lr else x - m'", "m = 0"),
    # Arithmetic.
    "step-number": _rule("x' = x - lr*g*t/(t + 1) + min(t, abs(g))*(t - k)"),
    "size": _rule("x' = x - g*t/size(x) + min(size(x), g)"),
    "powers": _rule("x' = g^1 + g^2 - g^3*x + g^5 - g^-2 + (x*g)^-1 - 2^3*g - x^2*g^2"),
    "precedence": _rule("x' = -g^2 - -x - (g - (x - k)) - g/(x/k) + (g*x)*k - (-g)*(-x) + -(g + x)"),
    "scalar-precedence": _rule(
        "a = -lr^2 - -k - (lr - (k - 2)) - lr/(k/2) - (-lr)*-k; b = (lr - k) - (a - lr) - k/(a*lr)/2; x' = a*g - b*x"
    ),
    "rounding": _rule("x' = x*0.1 + g*0.7 - (x + 16777217)/3 + 1e-45 + g*1e39*1e-39 + 1e-320*x"),
    "extremes": _rule("x' = max(min(g, 3e38), -1e308)*1e-300 + sign(g)*x + abs(x)*sign(x) + max(x, -x) + min(g, -g)"),
    "zeros": _rule(
        "a' = max(g, 0); b' = min(g, 0); c' = max(x, g); d' = clip(g, -0.0, 0); x' = g*0 + -x*0",
        "a = 0; b = 0; c = 0; d = 0",
    ),
    "floor": _rule("x' = floor(g*k) + floor(x) - floor(-g)"),
    "shared": _rule("d = g*g + x; e = sqrt(g*g + x) + (g*g + x)/k; x' = if flag then g*g + x else e - d*(g*g)"),
    "quotients": _rule("d = abs(g) + lr; x' = x - lr*g/d/k - x*k/(1 - 0.9^2)/d + (g + x)/d"),
    "bias": _rule(
        "m' = ema(m, g, 0.9); v' = ema(v, g*g, 0.99); "
        "x' = x - lr*debias(m', 0.9)/(sqrt(debias(v', 0.99)) + 1e-8)",
        "m = 0; v = 0",
    ),
}  # fmt: skip

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "conditional": [{}, {"flag": True}, {"k": 2.0}, {"flag": True, "k": 1.0}],
    "conditional-scalar": [{}, {"flag": True}],
    "logic-with-scalars": [{}, {"flag": True}],
    "scalar-arms": [{}, {"flag": True}],
    "shared": [{}, {"flag": True}],
}
"""Settings to run a rule with, where the defaults aren't all."""

FOLDS: dict[str, str] = {
    "sum": _rule("r' = sum(g); x' = x - lr*g", "r: scalar = 0"),
    "mean": _rule("r' = mean(g); x' = x - lr*g", "r: scalar = 0"),
    "norm": _rule("r' = norm(g); x' = x - lr*g", "r: scalar = 0"),
    "norm1": _rule("r' = norm1(g); x' = x - lr*g", "r: scalar = 0"),
    "amax": _rule("r' = amax(g); x' = x - lr*g", "r: scalar = 0"),
    "dot": _rule("r' = dot(g, x); x' = x - g", "r: scalar = 0"),
    "rms": _rule("r' = rms(g); x' = x - lr*g", "r: scalar = 0"),
    "all": _rule(
        "r' = sum(g) + 2*norm1(x); q' = amax(abs(g)) + q; p' = if dot(x, g) > 0 then p + 1 else p - 1; x' = x - g",
        "r: scalar = 0; q: scalar = 1; p: scalar = 0",
    ),
    "in-elements": _rule("c = sum(g); x' = x - c*g + amax(x)"),
    "in-states": _rule("c = norm1(g); m' = m + c; x' = x - m'*g", "m = 0"),
    "trust": _rule(
        "n = norm1(x); u = norm1(g); c = if n > 0 and u > 0 then n/u else 1; big = n > u; "
        "x' = if big then x - c*g else x"
    ),
    "twice": _rule("a = sum(g); b = amax(g - a); c = sum(x*b - g); x' = x - b + c"),
    "of-new": _rule("m' = m + g; c = sum(m'); x' = x - c*m'", "m = 1"),
    "old-after-new": _rule("v' = g; c = sum(v'); x' = x - v*c", "v = 2"),
    "old-after-new-of-two": _rule("v' = w + g; w' = v; c = sum(v'*w'); x' = x - v*c + w", "v = 2; w = 1"),
    "parameter-after": _rule("c' = c + sum(x'); x' = x - g", "c: scalar = 0"),
    "tensor-rate-state": _rule("d' = max(d, amax(abs(g))); s' = s + d*g; x' = x - d'*s'", "d: scalar = 1; s = 0"),
    "condition-in-fold": _rule("c = sum(if g > 0 then x else 0); n = amax(where(x < 0, g, -1)); x' = x - c + n"),
    "fold-of-scalars": _rule("c = sum(k + 0*g); n = amax(t + g*0); d = dot(k + g*0, g); x' = x - c*n + d"),
    "fold-only-when": _rule("c = if flag then sum(g) else 1; x' = x - c*g"),
    "size-and-fold": _rule("x' = x - sum(g)/size(x) + size(x)"),
    "constant-state": _rule("m' = m; c = sum(m); k0' = k; x' = x - c*g", "m = 2; k0: scalar = 0"),
}  # fmt: skip

HARD_NAMES = [
    "linux", "unix", "I", "lambda", "n", "expf", "double", "float", "int", "class", "None", "True", "np", "self",
    "h", "x_new", "c0", "w0", "k0", "t2", "s0", "u", "sums", "row", "lo", "hi", "i", "k", "limit", "scale", "run",
    "length", "lanes0", "run0", "step", "count", "phase", "inf_", "BLOCK", "RUN", "restrict", "static", "main",
    "errno", "NAN", "INFINITY", "EOF", "_a", "_", "__a", "c", "states", "scalars", "hypers", "numbers", "masks",
    "transform", "blocks", "total", "ieee", "RULE", "Optimizer", "g_used", "x_", "x_at", "g_at", "before",
    "between",
]  # fmt: skip
"""Names that a careless printer would run into."""


def named_hypers() -> str:
    """Return a rule whose hyperparameters have hard names."""
    hyper = "hyper\n" + "".join(f"  {name} = {1 + i}\n" for i, name in enumerate(HARD_NAMES))
    terms = [f"{name}*g" for name in HARD_NAMES]
    return _rule(_pieces("+", terms) + "; x' = x + " + _sum_of_pieces(terms), hyper=hyper)


def named_states() -> str:
    """Return a rule whose states have hard names, every other a scalar."""
    state = "; ".join(f"{name}{': scalar' if i % 2 else ''} = {i}" for i, name in enumerate(HARD_NAMES))
    updates = "; ".join(f"{name}' = {name} + {'1' if i % 2 else 'g'}" for i, name in enumerate(HARD_NAMES))
    terms = [f"{name}'*g" for name in HARD_NAMES]
    return _rule(updates + "; " + _pieces("+", terms) + "; x' = x + " + _sum_of_pieces(terms), state, hyper="")


def named_intermediates() -> str:
    """Return a rule whose intermediates have hard names: numbers and truth values, of every rate."""
    kinds = ("g*{i}", "{i}*t", "g > {i}", "sum(g)*{i}", "t > {i}", "g + x*{i}")
    lines, terms = [], []
    for i, name in enumerate(HARD_NAMES):
        kind = kinds[i % len(kinds)].format(i=i)
        lines.append(f"{name} = {kind}")
        terms.append(f"(if {name} then g else 2*g)" if ">" in kind else f"{name}*{name}")
    return _rule("; ".join(lines) + "; " + _pieces("+", terms) + "; x' = x + " + _sum_of_pieces(terms), hyper="")


def named_arrays(parameter: str, gradient: str, name: str = "R") -> str:
    """Return a rule whose parameter and gradient have given names."""
    update = f"m' = m + {gradient}; {parameter}' = {parameter} - 0.5*m'*{gradient}"
    return _rule(update, f"m = {parameter}", hyper="", head=f"rule {name}({parameter}, {gradient})")


def _pieces(op: str, terms: list[str]) -> str:
    """Return definitions that add terms up ten at a time, so that no chain gets long."""
    groups = [terms[i : i + 10] for i in range(0, len(terms), 10)]
    return "; ".join(f"piece{index} = {f' {op} '.join(group)}" for index, group in enumerate(groups))


def _sum_of_pieces(terms: list[str]) -> str:
    return " + ".join(f"piece{index}" for index in range(-(-len(terms) // 10)))


NAMED: dict[str, str] = {
    "hypers": named_hypers(),
    "states": named_states(),
    "intermediates": named_intermediates(),
    **{
        f"arrays-{parameter}-{gradient}": named_arrays(parameter, gradient)
        for parameter, gradient in (
            ("w0", "np"),
            ("lambda", "class"),
            ("i", "h"),
            ("hi", "lo"),
            ("states", "limit"),
            ("_x", "linux"),
        )
    },
    **{
        f"class-{name}": named_arrays("x", "g", name)
        for name in (
            "Optimizer",
            "np",
            "None",
            "RULE",
            "CKernel",
            "int",
            "lambda_",
            "Path",
            "x",
            "_variant",
            "_step_0",
            "inf_",
        )
    },
}
