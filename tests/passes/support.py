"""Rules, points of their domains, and comparisons, for the tests of passes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from optdsl import bundled
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import initial_states
from optdsl.ir.nodes import Rule
from optdsl.passes.domain import Domain
from optdsl.passes.specialise import conditions
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

SAMPLES = {path.stem: path for path in sorted((Path(__file__).resolve().parents[1] / "samples").glob("*.opt"))}

HYPER = "hyper\n  lr = 0.1 in [0, inf)\n  k = 3 in [0, inf)\n  any = 0.5\n  flag = false\n"

WRITTEN = {
    "swap": "state\n  m = x\n  v = 1\nupdate\n  m' = v\n  v' = m\n  x' = x - lr*g*m'\n",
    "twice": "update\n  a = sum(g)\n  b = amax(g - a)\n  c = sum(x*b - g)\n  x' = x - b + c\n",
    "rows": (
        "state\n  m = 1\nupdate\n  c = g - mean(g, axes=rest)\n  m' = m + mean(g, axes=rest)*c\n"
        "  n = norm(c, axes=rest)\n  x' = x - lr*c/(n + 1)*norm(m')\n"
    ),
    "of-new": "state\n  m = 1\nupdate\n  m' = m + g\n  c = norm(m')\n  x' = x - c*m'\n",
    "old-after-new": "state\n  v = 2\n  w = 1\nupdate\n  v' = w + g\n  w' = v\n  c = sum(v'*w')\n  x' = x - v*c + w\n",
    "after": "state\n  c: scalar = 0\nupdate\n  c' = c + norm(x')\n  x' = x - lr*g\n",
    "shared": "update\n  d = g*g + x\n  e = abs(g*g + x) + (g*g + x)/k\n  x' = if flag then g*g + x else e - d*(g*g)\n",
    "conditional": (
        "state\n  m = x when flag\n  b = lr when k > 2\nupdate\n  m' = m + g\n  b' = b*0.5 + g\n"
        "  u = if flag then m' else g\n  w = if k > 2 then b' + u else u\n  x' = x - lr*w\n"
    ),
    "quotients": "update\n  d = abs(g) + lr\n  x' = x - lr*g/d/(k + 1) - x*k/d + (g + x)/d\n",
    "logic": (
        "update\n  p = g > 0\n  q = not p and x >= 0 or g == 0\n"
        "  x' = if q and t > 1 then x - lr*g else where(p, x, g)\n"
    ),
}
"""Rules that no bundled one is like."""


@cache
def rule_called(name: str) -> Rule:
    """Return a bundled rule, a sample (`sample/…`) or one of `WRITTEN` (`written/…`)."""
    kind, _, rest = name.partition("/")
    if kind == "written":
        return rule_of(SourceFile("rule.opt", f"rule R(x, g)\n{HYPER}{WRITTEN[rest]}"))
    path = SAMPLES[rest] if kind == "sample" else bundled.path(name)
    assert path is not None
    return rule_of(SourceFile(str(path), path.read_text(encoding="utf-8")))


EVERY = [*bundled.names(), *(f"sample/{name}" for name in SAMPLES), *(f"written/{name}" for name in WRITTEN)]


def setting_points(rule: Rule, variant: int) -> Iterator[dict[str, Any]]:
    """Yield settings of a variant: the defaults and some drawn at random."""
    yield from Domain(rule).points(conditions(rule), variant)


def point(rule: Rule, hypers: dict[str, Any], seed: int) -> tuple[list[float], list[float], dict[str, Any]]:
    """Return a parameter, a gradient and states, somewhere on the way: zeros among them, no state negative."""
    chance = random.Random(seed)
    x = [0.0, -0.0, *(chance.gauss(0, 1) * 10.0 ** chance.randint(-3, 2) for _ in range(4))]
    g = [0.0, 1.0, *(chance.gauss(0, 1) * 10.0 ** chance.randint(-3, 2) for _ in range(4))]
    states = initial_states(rule, Floats(), hypers, x)
    if seed:
        for name, value in states.items():
            states[name] = [abs(s) + chance.random() for s in value] if isinstance(value, list) else value
    return x, g, states


def identical(left: Any, right: Any) -> bool:
    """Return whether two values are the same floats, signs of zeros included; a NaN is any NaN."""
    if isinstance(left, list):
        return len(left) == len(right) and all(identical(a, b) for a, b in zip(left, right, strict=True))
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return bool(left == right) and math.copysign(1, left) == math.copysign(1, right)
