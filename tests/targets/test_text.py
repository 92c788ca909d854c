"""Whatever the names, comments and doc strings of a rule are, its code has the same structure, and compiles."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from optdsl.diagnostics import CompileError
from optdsl.loading import loads
from optdsl.pipeline import compile_source
from optdsl.resolve.names import RESERVED
from optdsl.runtime import toolchain
from optdsl.source import SourceFile
from optdsl.syntax.layout import hidden_characters
from tests.hostile.names import C_WORDS, PAYLOADS, PYTHON_WORDS

# Words of the language, and options of every optimizer: a hyperparameter of their name takes their place.
TAKEN = RESERVED | {"params", "base", "clip_norm", "clip_value", "ema", "gradient_scale", "master_weights", "maximize",
                    "nonfinite", "weight_decay"}  # fmt: skip
WORDS = sorted({word for word in (*C_WORDS, *PYTHON_WORDS) if word.isascii() and word.isidentifier()} - TAKEN)
NAMES = st.one_of(st.sampled_from(WORDS), st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)).filter(
    lambda name: name not in TAKEN
)
TEXTS = [payload.replace("\n", " ") for payload in PAYLOADS]
HIDING = [text for text in TEXTS if list(hidden_characters(SourceFile("rule.opt", f"# {text}")))]
LINES = st.one_of(
    st.sampled_from([text for text in TEXTS if text not in HIDING]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp"]), max_size=60),
    st.text(st.sampled_from("*/\\?\"'%{}$#<>` "), max_size=20),
)


def rule(names: list[str], comment: str, doc: str) -> str:
    """Return a rule with some names in every role, and some text wherever text is free."""
    title, x, g, hyper, state, scalar, local, function, argument, view = names
    doc = doc.replace('"', "'")
    return (
        f'# {comment}\nrule {title}({x}, {g})  # {comment}\n  "{doc}"\n  cite "{doc}" "{doc}"\nhyper\n'
        f'  {hyper} = 0.1 in [0, inf)   "{doc}"\nstate\n  {state} = 0   "{doc}"\n  {scalar}: scalar = 1\n'
        f"def {function}({argument}) = {argument}*2 + {hyper}\nupdate\n  # {comment}\n  {scalar}' = {scalar}*0.5\n"
        f"  {local} = (  # {comment}\n    {function}({g})  # {comment}\n    *{scalar}' + {g})  # {comment}\n"
        f"  {state}' = {state} + {local}*norm({g})\n  {x}' = {x} - {hyper}*{state}'*{local}\n"
        f'view {view} = {state}   "{doc}"\n'
    )


def code(text: str, target: str) -> dict[str, str]:
    return compile_source(SourceFile("rule.opt", text), target, "rule")


def python_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a module is made of: its nodes in order, and the identifiers and texts in them."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        yield "node", type(node).__name__
        for field, value in ast.iter_fields(node):
            if isinstance(value, str):
                # An attribute, as in `np.maximum`, or `scalar=True` is no name of the rule's, though spelled like one.
                theirs = isinstance(node, ast.Attribute | ast.keyword)
                yield "text" if isinstance(node, ast.Constant) else "outside" if theirs else "name", value
            elif not isinstance(value, ast.AST | list) and field != "kind":
                yield "value", repr(value)


_C = re.compile(
    r'(?P<comment>/\*.*?\*/|//[^\n]*|\#line[^\n]*)|(?P<text>"(?:\\.|[^"\\\n])*")|(?P<name>[A-Za-z_]\w*)|(?P<node>\S)',
    re.DOTALL,
)


def c_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield the tokens of a C file without its comments."""
    for match in _C.finditer(text):
        if match.lastgroup != "comment":
            yield str(match.lastgroup), match.group()


def assert_same_structure(one: Iterator[tuple[str, str]], other: Iterator[tuple[str, str]]) -> None:
    """Compare two programs: they are the same but for names, each of which stands for one name of the other's."""
    there: dict[str, str] = {}
    back: dict[str, str] = {}
    for first, second in zip_longest(one, other, fillvalue=("end", "")):
        assert first[0] == second[0]
        if first[0] == "name":
            assert there.setdefault(first[1], second[1]) == second[1]
            assert back.setdefault(second[1], first[1]) == first[1]
        elif first[0] != "text":
            assert first == second


NASTY = "*/ int injected(void) { return 1; } /* \\ ??/ \"\"\" ''' %s {} ???/"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.lists(NAMES, min_size=10, max_size=10, unique_by=str), LINES, LINES)
@example(["linux", "I", "errno", "double", "expf", "NULL", "INFINITY", "assert", "unix", "M_PI"], NASTY, NASTY)
@example(["lambda", "self", "np", "__class__", "print", "None", "kernel", "ieee", "numpy", "_"], NASTY, NASTY)
def test_no_text_of_a_rule_changes_the_structure_of_its_code(names: list[str], comment: str, doc: str) -> None:
    # Names that mean nothing to anyone and come in the same order as the odd ones, by which code is in part ordered.
    harmless = [f"{name}0" for name in names]
    plain = rule(harmless, "a comment", "a doc string" if doc.strip() else "")  # an empty one isn't in the code
    odd = rule(names, comment, doc)
    for target in ("numpy", "c"):
        expected, found = code(plain, target), code(odd, target)
        assert expected.keys() == found.keys()
        for file, text in found.items():
            tokens = python_tokens if file.endswith(".py") else c_tokens
            assert_same_structure(tokens(text), tokens(expected[file]))


@pytest.mark.parametrize("text", HIDING, ids=ascii)
def test_text_with_characters_that_cant_be_seen_is_refused(text: str) -> None:
    for comment, doc in ((text, ""), ("", text)):
        with pytest.raises(CompileError, match="holds a character that can't be seen, U\\+"):
            code(rule([f"name{letter}" for letter in "abcdefghij"], comment, doc), "numpy")


@pytest.mark.parametrize(
    "names", [WORDS[start : start + 10] for start in range(0, 120, 10)], ids=lambda names: names[0]
)
def test_the_code_of_odd_names_compiles_without_a_warning(names: list[str], tmp_path: Path, both_targets: None) -> None:
    files = code(rule(names, NASTY, NASTY), "c")
    path = tmp_path / "rule.c"
    path.write_text(files["rule.c"], encoding="utf-8")
    compiler = toolchain.find_compiler()
    flags = [
        "-fsyntax-only",
        "-std=c11",
        "-Wall",
        "-Wno-unused-function",
        "-Wno-unknown-pragmas",
        "-Werror",
        "-D_GNU_SOURCE",
    ]
    done = subprocess.run([*compiler.started, *flags, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["__all__", "__debug__", "__file__", "bool", "float", "np", "lambda", "print", "_step_0"]
)
def test_rules_called_like_what_their_module_uses_step(name: str, target: str) -> None:
    made = loads(
        f"rule {name}(x, g)\nhyper\n  b = 0.5\nstate\n  s: scalar = 1\n  m = x when b != 0\n"
        "update\n  s' = s*0.5\n  m' = m + g\n  x' = x - g*s'\n",
        target,
    )
    x = np.ones(3)
    optimizer = made([x])
    optimizer.step([np.ones(3)])
    assert (x.tolist(), made.__name__.rstrip("_")) == ([0.5] * 3, name.rstrip("_"))


def test_another_structure_is_seen() -> None:
    with pytest.raises(AssertionError):
        assert_same_structure(c_tokens("int a = b;"), c_tokens("int a = b; int c;"))
    with pytest.raises(AssertionError):
        assert_same_structure(python_tokens("a = b + b"), python_tokens("a = b + c"))
