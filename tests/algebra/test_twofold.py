"""Numbers with their rounding: what is clear is told, what rounding decides isn't."""

from __future__ import annotations

from fractions import Fraction

import pytest

from optdsl.algebra.twofold import Doubtful, Pair, Twofold
from optdsl.ir.evaluate import constant
from optdsl.ir.nodes import Apply

from .support import rule

TWOFOLD = Twofold()


def value(text: str) -> Pair | bool:
    """Return the value of a constant expression."""
    made = rule(f"rule R(x, g)\nupdate\n  x' = x - ({text})\n").equations[-1].value
    assert isinstance(made, Apply)
    result: Pair | bool = constant(made.args[1], {}, TWOFOLD)
    return result


CLEAR = [
    ("if 0.1 < 0.3 then 1 else 0", 1),
    ("if 0.1 == 0.1 then 1 else 0", 1),
    ("if 1e-300 > 0 then 1 else 0", 1),
    ("sign(1e30 + 1e-10 - 1e30)", 1),
    ("sign(0.5 - 0.25 - 0.25)", 0),
    ("sqrt(4)", 2),
    ("floor(2.5)", 2),
    ("floor(-0.1)", -1),
    ("floor(3)", 3),
    ("log(1)", 0),
    ("min(2, 3) + max(2, 3)", 5),
    ("0.5^2/0.25", 1),
]


@pytest.mark.parametrize(("text", "expected"), CLEAR)
def test_what_is_clear(text: str, expected: float) -> None:
    assert float(value(text)) == expected


DOUBTFUL = [
    "if 0.1*3 - 0.3 > 0 then 1 else 0",
    "if sqrt(2)^2 == 2 then 1 else 0",
    "sign(sqrt(2)^2 - 2)",
    "sqrt(sqrt(2)*sqrt(2) - 2)",
    "floor(sqrt(2)*sqrt(2))",
    "sign(1e300 + 1e-300 - 1e300)",
    "log(sqrt(2)^2 - 2)",
    "log1p(sqrt(2)^2 - 3)",
    "1/(1/45*45 - 1)",
    "(sqrt(2)^2 - 2)^(1/3)",
    "9^(9^9)",
    "exp(exp(10))",
    "exp(700)*exp(700)",
]


@pytest.mark.parametrize("text", DOUBTFUL)
def test_what_rounding_decides(text: str) -> None:
    with pytest.raises(Doubtful):
        value(text)


def test_numbers_apart() -> None:
    one, more, root = TWOFOLD.literal(Fraction(1)), value("1 + 1e-30"), value("sqrt(2)^2/2")
    infinite = TWOFOLD.literal(float("inf"))
    assert isinstance(more, Pair)
    assert isinstance(root, Pair)
    assert (TWOFOLD.apart(more, one), TWOFOLD.apart(one, more)) == (1, -1)
    assert TWOFOLD.apart(root, one) == 0
    assert (TWOFOLD.apart(infinite, one), TWOFOLD.apart(infinite, infinite)) == (1, 0)
