"""The starting file that `optdsl new` writes."""

from __future__ import annotations

from optdsl.loading import module_stem

TEXT = """\
# A rule is the box of equations of a paper. Check it with `optdsl check`, train with it by `optdsl run`.
rule {name}(x, g)  # x is the parameter, g its gradient
  "{name}: one line that says what the rule does."
  cite "Authors Year" "arXiv:0000.00000"

# What a user can set: a default, the values allowed, what it means.
hyper
  lr   = 1e-2  in [0, inf)   "learning rate"
  beta = 0.9   in [0, 1)     "share of the old average kept at each step"

# What is remembered from step to step, shaped like the parameter. `name: scalar = 0` is one number per tensor.
state
  m = 0   "running mean of the gradient"

# One equation for each state and the parameter. A prime is the value after the step: m is old, m' is new.
# The order means nothing. t is the step number, 1 at the first step.
update
  m' = ema(m, g, beta)
  x' = x - lr*debias(m', beta)
"""


def text_for(stem: str) -> str:
    """Return a starting file for a rule whose file is called `stem`. Raises ValueError for a name no rule can have."""
    name = "".join(part[:1].upper() + part[1:] for part in stem.replace("-", "_").split("_"))
    if not name.isascii() or not name.isidentifier():
        raise ValueError(f"{stem!r} can't name a rule; use letters, digits and `_`, such as `my_rule`")
    return TEXT.format(name=name if module_stem(name) == name else f"{name}Rule")
