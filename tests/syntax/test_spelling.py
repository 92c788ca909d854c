"""Greek letters and mathematical signs are the same language."""

from __future__ import annotations

import pytest

from optdsl.syntax.names import is_valid, spell

from .support import analysed, expression, slugs, stripped

SAME = {
    "β₁·m + (1 − β₁)·g²": "beta1*m + (1 - beta1)*g^2",
    "√v": "sqrt(v)",
    "√v′": "sqrt(v')",
    "√v²": "sqrt(v^2)",
    "√(a + b)/c": "sqrt(a + b)/c",
    "√√v": "sqrt(sqrt(v))",
    "-√v": "-sqrt(v)",
    "a × b ⋅ c ÷ d": "a * b * c / d",
    "a ≤ b": "a <= b",
    "a ≥ b": "a >= b",
    "a ≠ b": "a != b",
    "-∞": "-inf",
    "m′ + v’": "m' + v'",
    "g¹⁰": "g^10",
    "m'²": "m'^2",
    "a^b²": "a^b^2",
    "θ·ϑ": "theta*theta",
    "ϵ + ε": "epsilon + epsilon",
    "λ": "lam",
    "Δ₁₂": "Delta12",
    "σ + ς": "sigma + sigma",
    "µ": "mu",
    "x₁": "x1",
    "𝑔 + ℓ": "g + l",
}


@pytest.mark.parametrize("text", SAME)
def test_a_sign_is_its_ascii_form(text: str) -> None:
    assert stripped(expression(text)) == stripped(expression(SAME[text]))


def test_all_greek_letters_have_a_name() -> None:
    letters = [chr(code) for code in (*range(ord("α"), ord("ω") + 1), *range(ord("Α"), ord("Ω") + 1)) if code != 0x3A2]
    assert all(is_valid(spell(letter)) for letter in letters)
    assert {spell("λ"), spell("Λ"), spell("η"), spell("θ")} == {"lam", "Lam", "eta", "theta"}


def test_a_whole_rule_in_signs_is_the_rule_in_ascii() -> None:
    signs = (
        "rule Adam(θ, g)\nhyper\n  η = 1e-3 ∈ [0, ∞)\n  β₁ = 0.9 ∈ [0, 1)\n  ϵ = 1e-8\nstate\n  m = 0\nupdate\n"
        "  m′ = β₁·m + (1 − β₁)·g²\n  θ′ = θ − η·m′/(√m′ + ε)\n"
    )
    ascii_form = (
        "rule Adam(theta, g)\nhyper\n  eta = 1e-3 in [0, inf)\n  beta1 = 0.9 in [0, 1)\n  epsilon = 1e-8\nstate\n"
        "  m = 0\nupdate\n  m' = beta1*m + (1 - beta1)*g^2\n  theta' = theta - eta*m'/(sqrt(m') + epsilon)\n"
    )
    assert analysed(signs).rule == analysed(ascii_form).rule
    assert analysed(signs).rule is not None


def test_two_spellings_of_one_name_are_a_duplicate() -> None:
    assert slugs("rule R(x, g)\nhyper\n  ε = 1\n  epsilon = 2\nupdate\n  x' = x - ε*g\n") == ["duplicate-name"]


@pytest.mark.parametrize("name", ["шаг", "学習", "x̂", "é", "ß"])
def test_other_letters_are_no_name(name: str) -> None:
    assert slugs(f"rule R(x, g)\nhyper\n  {name} = 1\nupdate\n  x' = x - {name}*g\n") == ["syntax"]


def test_digits_of_other_scripts_are_no_number() -> None:
    assert slugs("rule R(x, g)\nupdate\n  x' = x - ٣*g\n") == ["syntax"]
