"""Writes a rule of one's own: check it, read what the check says of a slip, compile it, and try it beside Adam.

The rule is in `rules/cautious_adam.opt`: the equations of a paper, and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import optdsl
from optdsl.diagnostics import render
from optdsl.optimizers import Adam
from optdsl.pipeline import check
from optdsl.source import SourceFile
from optdsl.trials.run import run_digits, run_function

RULE = Path(__file__).parent / "rules" / "cautious_adam.opt"


def main() -> None:
    """Check a draft and the rule itself, and compare the rule with Adam."""
    text = RULE.read_text(encoding="utf-8")

    # A draft with two slips: a misspelt name, and a plus where the step should go down.
    draft = text.replace("debias(m', beta1)", "debias(m', beta_1)").replace("x - lr*u", "x + lr*u")
    source = SourceFile("draft.opt", draft)
    print(render(source, check(source).problems), end="\n\n")

    # With the name put right, the sign is found.
    source = SourceFile("draft.opt", text.replace("x - lr*u", "x + lr*u"))
    print(render(source, check(source).problems), end="\n\n")

    checked = check(SourceFile(RULE.name, text))
    print(f"{RULE.name}: {len(checked.problems)} findings\n")

    for rule in (Adam, optdsl.load(RULE)):
        digits = run_digits(rule, steps=450).checkpoints[-1].test
        valley = run_function(rule, "rosenbrock", {"lr": 1e-2}, steps=2000)
        print(
            f"{rule.rule.name:12}  digits after 450 steps: {digits.accuracy:.1%} right, loss {digits.loss:.3f};"
            f"  Rosenbrock after 2,000: {valley.losses[-1]:.1e}"
        )


if __name__ == "__main__":
    main()
