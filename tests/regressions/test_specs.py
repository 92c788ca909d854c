"""Rules from strangers: text is never run, and no rule makes the compiler run out of stack or time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import optdsl
from optdsl.cli import main
from optdsl.diagnostics import CompileError

from .elsewhere import elsewhere
from .support import python

HOSTILE = """\
# */ int planted = system("touch MARKER"); /* \\
rule Named(x, g)
  "''' + __import__('os').system('touch MARKER') + ''' \\n \\\\ */ #include <evil.h> \\"
  cite "%s{0}{x}" "'); import os; os.system('touch MARKER'); ('"

hyper
  eval   = 0.5 in [0, inf)  "rate */ system(1);"
  exec   = 0   in [0, 1)
  print  = 0   in [0, inf)
  system = 1   in (0, inf)

state
  open = 0

update
  open' = exec*open + g
  x'    = x - eval*open'/system - print*x
"""


@elsewhere("sympy/sympy#24990", "sympy/sympy#10805", "sympy/sympy#12524")
def test_names_and_texts_of_a_rule_are_never_code(target: str, tmp_path: Path) -> None:
    """Names, comments and texts of a rule may say anything; they reach neither Python nor C nor SymPy as code.

    Functions that turn text, or the names of symbols, into expressions run what the text says; who uses them is told
    that it is like handing out a shell.
    """
    marker = tmp_path / "marker"
    text = HOSTILE.replace("MARKER", str(marker))
    x = np.array([1.0, 2.0])
    optdsl.loads(text, target=target)([x]).step([np.array([1.0, 4.0])])
    assert x.tolist() == [0.5, 0.0]
    assert not marker.exists()


@pytest.mark.parametrize(
    "expression",
    [
        'x - __import__("os").system("touch MARKER")', "x - `touch MARKER`", "x - $(touch MARKER)", "x - g; import os",
        "x - g.__class__.__base__", "x - g[0]", "(lambda: x)()", "x - (x := g)", "x - 'g'", "x - g if g else x",
    ],
)  # fmt: skip
@elsewhere("CVE-2021-29454")
def test_an_expression_is_arithmetic_and_nothing_else(expression: str, tmp_path: Path) -> None:
    """An equation holds the language's arithmetic; other calls, attributes, strings and statements are findings.

    A template engine passed the text of a mathematical expression on to the language it was made of, and ran it.
    """
    marker = tmp_path / "marker"
    with pytest.raises(CompileError) as refused:
        optdsl.loads(f"rule R(x, g)\nupdate\n  x' = {expression.replace('MARKER', str(marker))}\n", target="numpy")
    assert {problem.slug for problem in refused.value.problems} <= {"syntax", "undefined-name", "unknown-function"}
    assert not marker.exists()


CALL = "__import__('os').system('touch marker')"


@elsewhere("CVE-2021-41228")
def test_arguments_of_the_command_line_are_not_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers and names given on the command line are read as such; anything else is wrong usage, exit status 2.

    A command evaluated the text of an argument as Python to find out the value of an input.
    """
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["diff", "adam", "adamw", "--when", f"weight_decay={CALL}"],
        ["run", CALL],
        ["run", "adam", "--steps", CALL],
        ["show", "adam", "--as", CALL],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2, result.output
    assert os.listdir(tmp_path) == []


@elsewhere("CVE-2023-29374")
def test_settings_in_a_chain_are_not_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component of a chain may set options to numbers; an expression in its place is refused and not run.

    Text that was to hold arithmetic was run as Python, whatever it held.
    """
    monkeypatch.chdir(tmp_path)
    for limit in (CALL, "open('marker', 'w')", "1 if exit() else 2"):
        with pytest.raises((CompileError, ValueError)):
            optdsl.chain(f"clip_value(limit = {limit})", "sgd", target="numpy")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("opening", ["(", "sqrt(", "-", "if x > 0 then "])
@elsewhere("lark-parser/lark#181")
def test_deep_nesting_is_a_finding(opening: str) -> None:
    """Nesting of any depth is read or refused with the limit named, and never exhausts the stack.

    A parser took deep input, and the walk over its tree then ran into the limit on recursion.
    """
    closing = {"(": ")", "sqrt(": ")", "-": "", "if x > 0 then ": " else 0"}[opening]
    for depth in (2_000, 50_000):
        text = f"rule R(x, g)\nupdate\n  x' = {opening * depth}g{closing * depth}\n"
        expected = {"too-complex"} if opening != "(" else {"too-complex", None}  # brackets around brackets don't nest
        assert problem_in(text) in expected


def problem_in(text: str) -> str | None:
    """Return the slug of the only kind of problem that keeps a rule from being compiled, or None."""
    try:
        optdsl.loads(text, target="numpy")
    except CompileError as refused:
        (slug,) = {problem.slug for problem in refused.problems}
        return slug
    return None


@elsewhere("brian-team/brian2#384", "sympy/sympy#19136")
def test_no_rule_waits_for_a_simplification_without_end(tmp_path: Path) -> None:
    """Checking and compiling end within a limit of processor time, also where simplifying an expression wouldn't.

    A code generator simplified whole expressions by computer algebra, which could take very long or for ever.
    """
    lines = [f"  e{k} = e{k - 1}*e{k - 1} + sqrt(abs(sin(e{k - 1})))/(1 + e{k - 1}^2)" for k in range(1, 25)]
    text = "\n".join(["rule Long(x, g)", "update", "  e0 = g", *lines, "  x' = x - e24", ""])
    (tmp_path / "long.opt").write_text(text, encoding="utf-8")
    done = python(
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (30, 30)); from optdsl.cli import main; main()",
        arguments=["check", str(tmp_path / "long.opt")],
    )
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
