"""How `a % b` is grouped and written."""

from __future__ import annotations

import pytest

from optdsl.source import SourceFile
from optdsl.syntax.latex import LATEX
from optdsl.syntax.parser import parse
from optdsl.syntax.printer import ASCII, UNICODE, render


@pytest.mark.parametrize(
    ("text", "plain", "signs", "latex"),
    [
        ("t % k == 0", "t % k == 0", "t mod k = 0", r"t \bmod k = 0"),
        ("a*b % c", "a*b % c", "a·b mod c", r"a \, b \bmod c"),
        ("a % b*c", "(a % b)*c", "(a mod b)·c", r"\left(a \bmod b\right) \, c"),
        ("a % (b*c)", "a % (b*c)", "a mod (b·c)", r"a \bmod \left(b \, c\right)"),
        ("a % b % c", "(a % b) % c", "(a mod b) mod c", r"\left(a \bmod b\right) \bmod c"),
        ("a + b % c", "a + b % c", "a + b mod c", r"a + b \bmod c"),
        ("-a % b^2", "-a % b^2", "−a mod b²", r"-a \bmod b^{2}"),
    ],
)
def test_it_is_written_so_that_it_can_not_be_misread(text: str, plain: str, signs: str, latex: str) -> None:
    tree, problems = parse(SourceFile("r.opt", f"rule R(x, g)\nupdate\n  y = {text}\n"))
    assert problems == []
    value = tree.equations[0].value
    assert [render(value, style) for style in (ASCII, UNICODE, LATEX)] == [plain, signs, latex]
