"""Rules whose step on a quadratic is linear, and the ways to look at them that the tests share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optdsl import bundled
from optdsl.algebra.inequalities import Condition
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import evaluate
from optdsl.ir.nodes import Rule
from optdsl.pipeline import rule_of
from optdsl.source import SourceFile

HEAD = "hyper\n  lr = 0.1 in [0, inf)\n"
TEXTS = {
    "ema": HEAD + "  beta = 0.9 in [0, 1)\nstate\n  m = 0\nupdate\n  m' = ema(m, g, beta)\n  x' = x - lr*m'\n",
    "debiased": (
        HEAD + "  beta = 0.9 in [0, 1)\nstate\n  m = 0\nupdate\n"
        "  m' = ema(m, g, beta)\n  x' = x - lr*debias(m', beta)\n"
    ),
    "decoupled": HEAD + "  wd = 0.01 in [0, inf)\nupdate\n  x' = x - lr*g - lr*wd*x\n",
    "averaged": (HEAD + "  w = 0.1 in (0, 1)\nstate\n  far = x\nupdate\n  far' = lerp(far, x', w)\n  x' = x - lr*g\n"),
    "twice": (
        HEAD + "  a = 0.5 in [0, 1)\n  b = 0.5 in [0, 1)\nstate\n  m = 0\n  n = 0\nupdate\n"
        "  m' = ema(m, g, a)\n  n' = ema(n, m', b)\n  x' = x - lr*n'\n"
    ),
    "thrice": (
        HEAD + "  a = 0.5 in [0, 1)\nstate\n  m = 0\n  n = 0\n  p = 0\nupdate\n"
        "  m' = ema(m, g, a)\n  n' = ema(n, m', a)\n  p' = ema(p, n', a)\n  x' = x - lr*p'\n"
    ),
    "quasi": (
        HEAD + "  beta = 0.9 in [0, 1)\n  nu = 0.7 in [0, 1]\nstate\n  m = 0\nupdate\n"
        "  m' = ema(m, g, beta)\n  x' = x - lr*lerp(g, m', nu)\n"
    ),
}


def load(name: str) -> Rule:
    """Return a rule of TEXTS or a bundled one."""
    if name in TEXTS:
        return rule_of(SourceFile(f"{name}.opt", f"rule {name.capitalize()}(x, g)\n{TEXTS[name]}"))
    path = bundled.folder() / f"{name}.opt"
    return rule_of(SourceFile(str(path), path.read_text(encoding="utf-8")))


def holds(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Return whether a condition holds at given numbers."""
    left, right = (
        evaluate(side, lambda symbol: values[symbol.name], Floats(), 1) for side in (condition.left, condition.right)
    )
    return bool(left < right if condition.relation == "<" else left > right)
