"""Views of generated modules mean what the interpreter says, bit by bit."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from optdsl.ir import evaluate
from optdsl.ir.arithmetic import Arrays
from optdsl.loading import loads
from optdsl.targets import python

from .support import rule_from

RULE = """
rule Seen(p, g)

hyper
  lr   = 0.3  in [0, inf)
  beta = 0.7  in (0, 1)
  keep = true

state
  z = p
  v = 0
  b: f32 = 0 when keep
  c = 1 when not keep
  w: scalar = 0

def beyond(a) = lerp(p, a, 1 - 1/beta)

update
  w' = w + sum(g^2)
  v' = ema(v, g^2, beta)
  z' = z - lr*g
  b' = b + g/3
  c' = c - g/7
  p' = lerp(p, z', 1/t) - lr*g

"""

VIEWS = {
    "stored": "z",
    "itself": "p",
    "far": "beyond(z)",
    "constant": "lr/3",
    "counted": "p + t/3 - size(p)*lr",
    "scaled": "p/(sqrt(debias(v, beta)) + 1e-3)",
    "scalar": "p*w^0.3 + w/7",
    "present": "if keep then b/3 else c*0.1",
    "chosen": "0.1*(if z > 0.1 then 0.1 else 0.3)",
    "numbers": "(if t > 3 then 0.1 else 0.7)*(if w < 0 then p else 0.1) - p",
    "either": "(if keep then 0.1 else p) + (if keep then 0.7 else p)",
    "compared": "if p > 0.1 and not z >= 0.7 or keep == false then min(p, 0.1) else max(z, -0.1)^3",
    "periodic": "if t % 2 == 0 then p else -z",
    "infinite": "1/(p - p)",
    "large": "p*1e39",
}
TEXT = RULE + "".join(f"view {name} = {value}\n" for name, value in VIEWS.items())


@pytest.mark.parametrize("keep", [True, False])
def test_views_mean_what_they_say(target: str, dtype: np.dtype[np.floating], keep: bool) -> None:
    rule = rule_from(TEXT)
    x = np.linspace(-2, 2, 6).astype(dtype)
    optimizer: Any = loads(TEXT, target, exact=True)([x], keep=keep)
    chance = np.random.default_rng(1)
    hypers = {**evaluate.defaults(rule), "keep": keep}
    for t, name in product(range(1, 5), VIEWS):
        if name == "stored":
            optimizer.step([chance.standard_normal(6).astype(dtype)])
        states = {key: value.copy() for key, value in optimizer.state["0"].items()}
        states["w"] = float(states["w"])
        with np.errstate(all="ignore"):
            expected = evaluate.view(rule, name, Arrays(dtype), hypers, x.copy(), states, t)
        (seen,) = optimizer.view(name)
        assert (seen.dtype, seen.shape) == (dtype, x.shape), name
        np.testing.assert_array_equal(seen.view(f"i{dtype.itemsize}"), expected.view(f"i{dtype.itemsize}"), name)


def test_a_rule_has_the_view_that_is_asked_for() -> None:
    with pytest.raises(KeyError):
        evaluate.view(rule_from(TEXT), "nothing", Arrays(np.float64), {}, np.ones(2), {}, 1)


def test_before_the_first_step_the_interpreter_sees_the_parameter() -> None:
    x = np.arange(3.0)
    assert evaluate.view(rule_from(TEXT), "constant", Arrays(np.float64), {"lr": 0.3}, x, {}, 0) is x


def test_views_are_no_part_of_what_a_checkpoint_is_known_by() -> None:
    assert python.digest(rule_from(TEXT)) == python.digest(rule_from(RULE))
