"""The differences that are listed are there: in the libraries as installed, and not in the rules here."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from optdsl.loading import load

from .support import differences


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} isn't installed")


def test_each_is_said_once_and_whole() -> None:
    said = [(one.library, one.what) for one in differences.DIFFERENCES]
    assert len(set(said)) == len(said)
    for one in differences.DIFFERENCES:
        assert one.what.endswith(".")
        assert one.here.endswith(".")
        assert not one.known or one.known.startswith("https://github.com/")


def test_torch_stops_counting() -> None:
    torch = library("torch")
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.Adam([parameter])
    parameter.grad = torch.ones(1)
    optimizer.step()
    counter = optimizer.state[parameter]["step"]
    counter.fill_(2**24)
    optimizer.step()
    assert counter.item() == 2**24


def first_update(transform: Any, gradient: float) -> float:
    """Return the first update that an optax transformation makes of a gradient, at 1."""
    numbers = importlib.import_module("jax.numpy")
    value = numbers.asarray(1.0)
    return float(transform.update(numbers.asarray(gradient), transform.init(value), value)[0])


@pytest.mark.parametrize(("name", "options"), [("rprop", {"lr": 0.1}), ("adadelta", {})])
def test_the_rules_here_descend_at_once(name: str, options: dict[str, float]) -> None:
    x = np.ones(1)
    load(name, "numpy")(x, **options).step(np.ones(1))
    assert x[0] < 1


def test_the_first_step_of_rprop_in_optax_is_none() -> None:
    assert first_update(library("optax").rprop(0.1), 1.0) == 0


def test_adadelta_in_optax_climbs() -> None:
    assert first_update(library("optax").adadelta(), 1.0) > 0
    assert first_update(library("optax").adadelta(1.0), 1.0) < 0
