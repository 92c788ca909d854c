"""Values of hyperparameters as people type them."""

from __future__ import annotations

import math

import pytest

from optdsl.pipeline import rule_of
from optdsl.settings import check_settings, parse_settings, shown
from optdsl.source import SourceFile

RULE = rule_of(
    SourceFile(
        "r.opt",
        "rule R(x, g)\nhyper\n  lr = 1 in [0, inf)\n  beta1 = 0.9 in [0, 1)\n  nesterov = false\n"
        "update\n  x' = if nesterov then x else x - lr*beta1*g\n",
    )
)


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        ((), {}),
        (("momentum=0.9",), {"momentum": 0.9}),
        (("momentum = 0.9 and nesterov = true",), {"momentum": 0.9, "nesterov": True}),
        (("a=1,b=2", "c=-3e-2"), {"a": 1.0, "b": 2.0, "c": -0.03}),
        (("β₁=0.9", "lambda_=−1"), {"beta1": 0.9, "lambda_": -1.0}),
        (("a == 1 and a=1",), {"a": 1.0}),
        (("t=inf, u=-inf, v=FALSE",), {"t": math.inf, "u": -math.inf, "v": False}),
        (("brand=1 and band=2",), {"brand": 1.0, "band": 2.0}),
    ],
)
def test_what_is_understood(texts: tuple[str, ...], values: dict[str, float | bool]) -> None:
    parsed = parse_settings(texts)
    assert parsed == values
    assert [type(value) for value in parsed.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("momentum",), "'momentum' is not `name = value`"),
        (("0.9=momentum",), "'0.9=momentum' is not `name = value`"),
        (("",), "'' has nothing before or after"),
        (("a=1 and",), "'a=1 and' has nothing before or after"),
        (("a=",), "a takes a number, true or false; got nothing"),
        (("a=high",), "a takes a number, true or false; got 'high'"),
        (("a=nan",), "got 'nan'"),
        (("a=1_000",), "got '1_000'"),
        (("a=1=2",), "got '1=2'"),
        (("a=1e999",), "a = 1e999 is a number too large for float64"),
        (("a=1", "a=2"), "a is given twice, as 1 and as 2"),
        (("a=1 and a=true",), "a is given twice, as 1 and as true"),
    ],
)
def test_what_is_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=r"^.+$") as caught:
        parse_settings(texts)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"beta": 0.5}, "R has no hyperparameter 'beta'; did you mean 'beta1'?"),
        ({"weight": 0.5}, "R has no hyperparameter 'weight'; its hyperparameters are lr, beta1, nesterov"),
        ({"beta1": 1.0}, "beta1 = 1 is outside [0, 1)"),
        ({"lr": math.inf}, "lr = inf is outside [0, inf)"),
        ({"nesterov": 1.0}, "nesterov takes true or false; got 1"),
        ({"lr": True}, "lr takes a number; got true"),
    ],
)
def test_what_a_rule_refuses(values: dict[str, float | bool], words: str) -> None:
    with pytest.raises(ValueError, match=r"^.+$") as caught:
        check_settings(RULE, values)
    assert str(caught.value) == words


def test_what_a_rule_takes() -> None:
    check_settings(RULE, {"lr": 0.0, "beta1": 0.5, "nesterov": True})


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (1.0, "1"), (-0.5, "-0.5"), (1e-08, "1e-08")])
def test_values_are_shown_as_they_are_typed(value: float | bool, text: str) -> None:
    assert shown(value) == text
