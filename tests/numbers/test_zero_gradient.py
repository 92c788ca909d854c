"""A gradient of zeros makes no NaN: in any bundled rule, of any element type, on any target."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from optdsl import bundled
from optdsl.ir.nodes import Rule
from optdsl.loading import load, loads
from optdsl.runtime.optimizer import Optimizer
from tests.targets.support import option_sets, rule_from, rule_named

TYPES = [np.dtype(kind) for kind in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)]
STEPS = 4


def assert_stays_finite(made: type[Optimizer], rule: Rule) -> None:
    """Step parameters that are zero, and ones that aren't, with gradients of zero, from states as they begin."""
    for options in option_sets(rule):
        start = [np.zeros(5), np.linspace(-2, 2, 6).reshape(2, 3), np.array(0.0), np.zeros((2, 2)), np.array([1e-5])]
        arrays = [value.astype(kind) for kind in TYPES for value in start]
        optimizer = made(arrays, **options)
        for step in range(1, STEPS + 1):
            optimizer.step([np.zeros_like(array) for array in arrays])
            for index, array in enumerate(arrays):
                held: dict[str, Any] = {rule.parameter.name: array, **optimizer.state[str(index)]}
                for name, value in held.items():
                    assert not np.isnan(value).any(), (options, array.dtype, step, index, name, value)


@pytest.mark.filterwarnings("ignore:step .* by too little")
def test_bundled_rules(rule: str, target: str) -> None:
    assert_stays_finite(load(rule, target), rule_named(rule))


@pytest.mark.filterwarnings("ignore:step .* by too little")
@pytest.mark.parametrize("transform", bundled.transforms())
@pytest.mark.parametrize("behind", ["sgd", "adam"])
def test_bundled_transforms(transform: str, behind: str, target: str) -> None:
    text = f"rule Chain(x, g) = {transform} |> {behind}\n"
    assert_stays_finite(loads(text, target), rule_from(text))
