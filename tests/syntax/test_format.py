"""The canonical layout: a fixed point, which says what the author said.

`case.opt` in the folder `format` is laid out as in `case.ascii` and, with signs, as in `case.unicode`. `pytest
--update-golden` writes these anew; read the difference before keeping it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from optdsl import bundled
from optdsl.source import SourceFile
from optdsl.syntax import format as format_module
from optdsl.syntax.format import formatted
from optdsl.syntax.names import spell, unicode_name
from optdsl.syntax.parser import LARGEST_SOURCE, parse
from optdsl.syntax.tokens import Entry

from .generate import Surface
from .support import RULE, shape

CASES = sorted((Path(__file__).parent / "format").glob("*.opt"))
SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("*.opt"))
RULES_PER_TEST = 100


def tree(text: str) -> object:
    """Return the tree of a text that is well formed, without places."""
    parsed, problems = parse(SourceFile("case.opt", text))
    assert not problems, [problem.message for problem in problems]
    return shape(parsed)


def fmt(text: str, unicode: bool = False) -> str:
    """Return a well-formed text in its canonical layout."""
    result, problems = formatted(SourceFile("case.opt", text), unicode=unicode)
    assert not problems, [problem.message for problem in problems]
    return result


def update(*lines: str) -> str:
    """Return a rule with these lines in the section `update`."""
    return "rule R(x, g)\n\nupdate\n" + "".join(f"  {line}\n" for line in lines)


def check_all(text: str) -> tuple[str, str]:
    """Check what must hold of both layouts of a text, and return them."""
    plain, signs = fmt(text), fmt(text, unicode=True)
    assert tree(plain) == tree(signs) == tree(text)
    assert fmt(plain) == fmt(signs) == plain
    assert fmt(signs, unicode=True) == signs
    assert not any(line != line.rstrip() for line in plain.split("\n"))
    assert plain.endswith("\n")
    assert not plain.endswith("\n\n")
    return plain, signs


@pytest.mark.parametrize("name", bundled.files())
def test_the_bundled_rules(name: str) -> None:
    path = bundled.path(name)
    assert path is not None
    check_all(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_samples(path: Path) -> None:
    check_all(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("first", range(0, 1000, RULES_PER_TEST))
def test_generated_rules(first: int) -> None:
    for seed in range(first, first + RULES_PER_TEST):
        text = Surface(seed).rule()
        plain, signs = fmt(text), fmt(text, unicode=True)
        before = tree(text)
        assert tree(plain) == before, text
        assert tree(signs) == before, text
        assert fmt(plain) == plain, text
        assert fmt(signs) == plain, text


def test_the_generated_rules_hold_what_is_hard() -> None:
    text = "".join(Surface(seed).rule() for seed in range(100))
    for part in ("#", "√", "²", "β₁", "from", "|>", "claim", "def ", "alias", "\t", "\r\n", "elif", '"', "≤", "--"):
        assert part in text
    assert len({Surface(seed).rule() for seed in range(100)}) > 95


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_layout_is_the_golden_one(case: Path, golden: Callable[[Path, str], None]) -> None:
    plain, signs = check_all(case.read_bytes().decode("utf-8"))
    golden(case.with_suffix(".ascii"), plain)
    golden(case.with_suffix(".unicode"), signs)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 12
    for suffix in ("ascii", "unicode"):
        assert {path.stem for path in CASES[0].parent.glob(f"*.{suffix}")} == {case.stem for case in CASES}


SPACED = {
    "a+b-c": "a + b - c",
    "a * b / c ^ 2": "a*b/c^2",
    "- a - - b*-c": "-a - -b*-c",
    "2 ^ - a": "2^-a",
    "not(a)and b<c": "not (a) and b < c",
    "if(a)then(b)else(c)": "if (a) then (b) else (c)",
    "f ( a,b ,c )": "f(a, b, c)",
    "((a)) + (b*c)": "((a)) + (b*c)",
    "m '": "m'",
    "1.10E-1": "1.10E-1",
    "a²^3": "(a^2)^3",
    "f(a)²^b": "(f(a)^2)^b",
    "a^b²": "a^b^2",
    "√a^2": "sqrt(a)^2",
    "√a²": "sqrt(a^2)",
    "√(a + b)": "sqrt(a + b)",
    "√(a + b)²": "sqrt((a + b)^2)",
    "√√√a'": "sqrt(sqrt(sqrt(a')))",
}


@pytest.mark.parametrize("text", SPACED)
def test_blanks_and_signs(text: str) -> None:
    assert fmt(update(f"x' = {text}")) == update(f"x' = {SPACED[text]}")


SIGNS = {
    "a*b - c/d": "a·b − c/d",
    "a^2*b^10": "a²·b¹⁰",
    "a^2^3": "a^2³",
    "a^b^2": "a^b²",
    "a^2.0 + a^1234 + a^-2": "a^2.0 + a^1234 + a^−2",
    "sqrt(a)": "√a",
    "sqrt(a + b)": "√(a + b)",
    "sqrt(a)^2 + sqrt(a)^b": "sqrt(a)² + sqrt(a)^b",
    "sqrt(a, b) + sqrt()": "sqrt(a, b) + sqrt()",
    "beta1 + epsilon + eps + lam + t0": "β₁ + ε + eps + λ + t₀",
    "norm1(a) + log1p(a) + eta_minus + omicron": "norm1(a) + log1p(a) + eta_minus + omicron",
    "if a <= b and c != inf then d else e": "if a ≤ b and c ≠ ∞ then d else e",
}


@pytest.mark.parametrize("text", SIGNS)
def test_signs(text: str) -> None:
    assert fmt(update(f"x' = {text}"), unicode=True) == update(f"x′ = {SIGNS[text]}")
    assert fmt(update(f"x′ = {SIGNS[text]}")) == update(f"x' = {text}")


def test_a_name_in_signs_spells_the_name() -> None:
    letters = {spell(chr(code)) for code in (*range(ord("α"), ord("ω") + 1), *range(ord("Α"), ord("Ω") + 1))}
    names = [f"{stem}{digits}" for stem in sorted(letters - {chr(0x3A2)}) for digits in ("", "1", "20", "_hat")]
    assert len(names) > 150
    assert all(spell(unicode_name(name)) == name for name in [*names, "x1", "_1", "f32", "lambda", "eps"])
    assert unicode_name("sigma") == "σ"


def test_the_names_of_rules_and_types_stay() -> None:
    text = "rule Delta(x, g) from Phi\n\nstate\n  m: f32 = 0\n\nupdate\n  m' = g\n\nclaim\n  equals Psi\n"
    assert fmt(text, unicode=True) == text.replace("'", "′")
    assert fmt("rule Delta(x, g) from  phi / Psi\n") == "rule Delta(x, g) from phi/Psi\n"
    assert fmt("rule Delta(x, g) from phi÷Psi\n", unicode=True) == "rule Delta(x, g) from phi/Psi\n"


def test_a_name_that_spells_a_keyword_stays() -> None:
    text = "rule R(x, g)\n\nhyper\n  ｉｎ = 1\n\nupdate\n  x' = x - ｉｎ\n\nclaim\n  still when ｆｏｒ = 0\n"
    assert fmt(text) == text


def test_what_fits_is_joined_and_what_does_not_keeps_its_lines() -> None:
    name = "a" * 44
    assert fmt(update(f"x' = ({name}\n + {name})")) == update(f"x' = ({name} + {name})")
    longer = fmt(update(f"x' = ({name}aaa\n + {name})"))
    assert longer == update(f"x' = ({name}aaa", f"  + {name})")
    assert fmt(longer, unicode=True) == longer.replace("'", "′")
    assert fmt(update(f"x' = {name} + {name} + {name}")) == update(f"x' = {name} + {name} + {name}")


def test_a_file_with_errors_stays() -> None:
    text = "rule R(x,g)\nupdate\nx'=(x\n"
    result, problems = formatted(SourceFile("case.opt", text))
    assert result == text
    assert [problem.slug for problem in problems] == ["syntax"]


def test_a_file_that_would_be_too_long_stays() -> None:
    filler = "c" * ((LARGEST_SOURCE - 12_000) // 390)
    text = "rule R(x,g)\nhyper\n" + "".join(f"a{i}=1#{filler}\n" for i in range(390)) + f"{'b' * 40}=2\nupdate\nx'=x\n"
    assert len(text) <= LARGEST_SOURCE
    result, problems = formatted(SourceFile("case.opt", text))
    assert [problem.slug for problem in problems] == ["too-complex"]
    assert result == text


def test_a_layout_that_would_lose_something_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(entry: Entry, indent: int) -> list[str]:
        return [" " * indent + "rule R(x, y)"]

    assert fmt(RULE)
    monkeypatch.setattr(format_module, "broken_lines", forgetful)
    with pytest.raises(RuntimeError, match="left as it was"):
        fmt(RULE)
