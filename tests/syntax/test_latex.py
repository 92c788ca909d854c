"""LaTeX that LaTeX, KaTeX and MathJax typeset, and that says what the equation says."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optdsl import bundled
from optdsl.pipeline import analyse
from optdsl.show import latex
from optdsl.source import SourceFile
from optdsl.syntax.latex import LATEX, latex_function, latex_name
from optdsl.syntax.names import KEYWORDS
from optdsl.syntax.parser import parse
from optdsl.syntax.printer import UNICODE, render

EXPRESSIONS = {
    "v'^2": r"{v'}^{2}",
    "v^2": "v^{2}",
    "beta1'^2 + x2^3": r"{\beta_{1}'}^{2} + x_{2}^{3}",
    "v'^beta1'": r"{v'}^{\beta_{1}'}",
    "(a^b)^c": r"\left(a^{b}\right)^{c}",
    "a^b^c": "a^{b^{c}}",
    "(-a)^2": r"\left(-a\right)^{2}",
    "-a^2": "-a^{2}",
    "a^-b": "a^{-b}",
    "(a/b)^2": r"\left(\frac{a}{b}\right)^{2}",
    "1e-8^2": r"\left(10^{-8}\right)^{2}",
    "1.5e-8^2": r"\left(1.5 \cdot 10^{-8}\right)^{2}",
    "2*1.50e3*a": r"2 \, \left(1.50 \cdot 10^{3}\right) \, a",
    "10e3": r"10 \cdot 10^{3}",
    "0.5*0.96^k": r"0.5 \cdot 0.96^{k}",
    "a*-b": r"a \, \left(-b\right)",
    "a - -b": r"a - \left(-b\right)",
    "a + -b*c": r"a + \left(-b \, c\right)",
    "--a": r"-\left(-a\right)",
    "-a*b": r"-a \, b",
    "a/b/c": r"\frac{a}{b \, c}",
    "a/b*c/d": r"\frac{a \, c}{b \, d}",
    "a/(b/c)": r"\frac{a}{\frac{b}{c}}",
    "(a + b)/c*d": r"\frac{a + b}{c} \, d",
    "(a + b)*c/d": r"\frac{\left(a + b\right) \, c}{d}",
    "a/(b*-c)": r"\frac{a}{b \, \left(-c\right)}",
    "weight_decay*lr": r"\mathrm{weight\_decay} \, \mathrm{lr}",
    "sqrt(abs(a'))": r"\sqrt{\left|a'\right|}",
    "cbrt(norm(a)^2)": r"\sqrt[3]{\left\lVert a\right\rVert^{2}}",
    "norm1(a)^2": r"\left\lVert a\right\rVert_{1}^{2}",
    "floor(a/b)": r"\left\lfloor \frac{a}{b}\right\rfloor",
    "max(a, min(b, inf))": r"\max\left(a, \min\left(b, \infty\right)\right)",
    "ema(m, g^2, beta2)": r"\operatorname{ema}\left(m, g^{2}, \beta_{2}\right)",
    "log1p(expm1(a))": r"\operatorname{log1p}\left(\operatorname{expm1}\left(a\right)\right)",
    "mu(k) + f(k) + f2(k) + two_words(k)": (
        r"\mu\left(k\right) + f\left(k\right) + f_{2}\left(k\right) + \operatorname{two\_words}\left(k\right)"
    ),
    "dot(a, b) + sum(a) + mean(a) + amax(a) + rms(a) + size(a)": (
        r"\operatorname{dot}\left(a, b\right) + \operatorname{sum}\left(a\right) + \operatorname{mean}\left(a\right)"
        r" + \operatorname{amax}\left(a\right) + \operatorname{rms}\left(a\right) + \operatorname{size}\left(a\right)"
    ),
    "mean(a, axes=rest) + dot(a, b, axes=rest)": (
        r"\operatorname{mean}_{\mathrm{rest}}\left(a\right) + \operatorname{dot}_{\mathrm{rest}}\left(a, b\right)"
    ),
    "norm(a, axes=rest)/norm1(a, axes=rest)": (
        r"\frac{\left\lVert a\right\rVert_{\mathrm{rest}}}{\left\lVert a\right\rVert_{1, \mathrm{rest}}}"
    ),
    "if t == 1 then a else b": r"\begin{cases} a & \text{if } t = 1 \\ b & \text{otherwise} \end{cases}",
    "if a > 0 then 1 elif a < 0 then -1 else 0": (
        r"\begin{cases} 1 & \text{if } a > 0 \\ -1 & \text{if } a < 0 \\ 0 & \text{otherwise} \end{cases}"
    ),
    "lr*(if a then b else c)/d": (
        r"\frac{\mathrm{lr} \, \left(\begin{cases} b & \text{if } a \\ c & \text{otherwise} \end{cases}\right)}{d}"
    ),
    "if a >= 1 and not (b != 2 or c <= 3) then true else false": (
        r"\begin{cases} \mathrm{true} & \text{if } a \ge 1 \land \lnot \left(b \ne 2 \lor c \le 3\right) \\ "
        r"\mathrm{false} & \text{otherwise} \end{cases}"
    ),
    "if not a > b then 1 else 0": (
        r"\begin{cases} 1 & \text{if } \lnot \left(a > b\right) \\ 0 & \text{otherwise} \end{cases}"
    ),
    "a^(if b then c else d)": r"a^{\begin{cases} c & \text{if } b \\ d & \text{otherwise} \end{cases}}",
    "sign(exp(log(sin(cos(tanh(a))))))": (
        r"\operatorname{sign}\left(\exp\left(\log\left(\sin\left(\cos\left(\tanh\left(a\right)\right)\right)\right)\right)"
        r"\right)"
    ),
    "eps + epsilon + lam + Delta + x_1 + x1 + _": (
        r"\varepsilon + \epsilon + \lambda + \Delta + \mathrm{x\_}_{1} + x_{1} + \mathrm{\_}"
    ),
}
"""What an author may write, and its LaTeX."""


def rendered(text: str) -> str:
    """Return the LaTeX of an expression; it is only parsed, so names need no declaration."""
    tree, problems = parse(SourceFile("r.opt", f"rule R(x, g)\nupdate\n  x' = {text}\n"))
    assert not problems
    return render(tree.equations[0].value, LATEX)


def documents() -> dict[str, str]:
    """Return the LaTeX of every bundled rule, by its name, and of EXPRESSIONS."""
    found = {text: rendered(text) for text in EXPRESSIONS}
    for name in bundled.files():
        path = bundled.folder() / f"{name}.opt"
        source = SourceFile(str(path), path.read_text(encoding="utf-8"))
        rule = analyse(source).rule
        assert rule is not None
        found[name] = latex(source, rule, False)
    return found


@pytest.mark.parametrize(("text", "expected"), EXPRESSIONS.items())
def test_expressions(text: str, expected: str) -> None:
    assert rendered(text) == expected


# Structure: what any TeX refuses, found without one

COMMANDS = {
    "frac", "sqrt", "left", "right", "begin", "end", "text", "mathrm", "operatorname", "cdot", "le", "ge", "ne", "land",
    "lor", "lnot", "infty", "lVert", "rVert", "lfloor", "rfloor", "max", "min", "exp", "log", "sin", "cos", "tanh",
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu",
    "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi",
    "Sigma", "Phi", "Psi", "Omega", "bmod",
}  # fmt: skip
"""Commands that LaTeX with amsmath, KaTeX and MathJax all have."""
_TOKEN = re.compile(r"\\([A-Za-z]+|.)|.", re.DOTALL)


def faults(text: str) -> Iterator[str]:
    """Yield what TeX would refuse: unknown commands, unbalanced groups, two superscripts on one base."""
    open_groups: list[str] = []
    scripts: set[str] = set()  # on the base last read; a group is left as one base
    outside: list[set[str]] = []
    script_opens = False
    tokens = [(match.group(0), match.group(1)) for match in _TOKEN.finditer(text)]
    for index, (token, command) in enumerate(tokens):
        if command is not None and command.isalpha() and command not in COMMANDS:
            yield f"unknown command {token}"
        if token in ("^", "_", "'"):
            kind = "_" if token == "_" else "^"
            if kind in scripts:
                yield f"two {kind} on one base before {text[:40]!r} token {index}"
            scripts.add(kind)
            script_opens = token != "'"
        elif token == "{":
            open_groups.append("{")
            outside.append(scripts if script_opens else set())
            scripts, script_opens = set(), False
        elif token == "}":
            if not open_groups or open_groups.pop() != "{":
                yield "a } too many"
                return
            scripts = outside.pop()
        elif token in ("\\left", "\\begin"):
            open_groups.append(token)
        elif token in ("\\right", "\\end"):
            if not open_groups or open_groups.pop() != {"\\right": "\\left", "\\end": "\\begin"}[token]:
                yield f"{token} without its other half"
                return
            scripts = set()
        elif not token.isspace():
            scripts = set()
            if script_opens:
                yield "a script without braces"
                script_opens = False
    if open_groups:
        yield f"{open_groups[-1]} is not closed"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("v'^{2}", True), ("{v'}^{2}", False), ("v^{2}_{1}", False), ("v^{2}^{3}", True), ("v_{1}_{2}", True),
        ("v_{1}'", False), (r"\frac{a}{b", True), (r"\left(a", True), (r"a\right)", True), (r"\foo", True),
        (r"\left(a\right)^{2}", False), ("a}", True), ("a^2", True), (r"\sqrt{v'}^{2}", False), ("v^{a^{b}}", False),
    ],
)  # fmt: skip
def test_faults_are_seen(text: str, found: bool) -> None:
    assert bool(list(faults(text))) is found


def test_all_latex_is_well_formed() -> None:
    for name, text in documents().items():
        assert list(faults(text)) == [], name


def test_the_file_is_ascii_so_that_every_typesetter_reads_it() -> None:
    assert all(text.isascii() for text in documents().values())


# Names


NAMES = [
    "eps", "epsilon", "lam", "lambda_", "Lam", "beta", "beta1", "beta_1", "beta01", "Beta", "x", "x1", "x_1", "x_", "_",
    "_1", "__", "X", "weight_decay", "weightdecay", "mu", "Mu", "varepsilon", "infty", "exp_", "a1b", "a1b2",
]  # fmt: skip


@given(st.tuples(*[st.from_regex(r"\A[a-zA-Z_]\w{0,5}\Z", fullmatch=True)] * 2).filter(lambda pair: pair[0] != pair[1]))
def test_different_names_look_different(pair: tuple[str, str]) -> None:
    first, second = (name.encode("ascii", "ignore").decode() or "x" for name in pair)
    if first != second:
        assert latex_name(first) != latex_name(second)


def test_names_that_are_alike_look_different() -> None:
    for first, second in itertools.combinations([name for name in NAMES if name not in KEYWORDS], 2):
        assert latex_name(first) != latex_name(second), (first, second)
        assert latex_function(first) != latex_function(second), (first, second)


def test_a_function_looks_the_same_where_it_is_defined_and_where_it_is_called() -> None:
    text = "rule R(x, g)\ndef mu(k) = 2*k\ndef two_k(k) = 2*k\nupdate\n  x' = x - mu(g) - two_k(g)\n"
    source = SourceFile("r.opt", text)
    rule = analyse(source).rule
    assert rule is not None
    lines = latex(source, rule, False).splitlines()
    assert lines[1].startswith(r"  \mu\left(k\right) &= ")
    assert lines[2].startswith(r"  \operatorname{two\_k}\left(k\right) &= ")
    assert r"\mu\left(g\right) - \operatorname{two\_k}\left(g\right)" in lines[3]


def test_unicode_writes_the_same_operators() -> None:
    tree, _ = parse(SourceFile("r.opt", "rule R(x, g)\nupdate\n  x' = a*-b - (-c)^2*floor(norm(v'^2))\n"))
    assert render(tree.equations[0].value, UNICODE) == "a·(−b) − (−c)²·⌊‖v′²‖⌋"


# KaTeX itself


@cache
def katex() -> Path | None:
    """Return a folder of node modules that has KaTeX: OPTDSL_KATEX, or the global one."""
    if shutil.which("node") is None:
        return None
    folders = [os.environ.get("OPTDSL_KATEX", "")]
    if not folders[0] and shutil.which("npm") is not None:
        done = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=False, timeout=60)
        folders.append(done.stdout.strip())
    return next((Path(f) for f in folders if f and (Path(f) / "katex" / "package.json").is_file()), None)


SCRIPT = """
const katex = require(process.argv[1]);
const formulas = JSON.parse(require("fs").readFileSync(0, "utf8"));
const errors = {};
for (const [name, text] of Object.entries(formulas)) {
  try { katex.renderToString(text, {displayMode: true, throwOnError: true, strict: "error"}); }
  catch (error) { errors[name] = error.message; }
}
console.log(JSON.stringify(errors));
"""


def refused(formulas: dict[str, str]) -> dict[str, str]:
    """Return what KaTeX says of the formulas that it refuses."""
    folder = katex()
    if folder is None:
        pytest.skip("no node with KaTeX; OPTDSL_KATEX names a folder of node modules that has it")
    done = subprocess.run(
        ["node", "-e", SCRIPT, str(folder / "katex")],
        input=json.dumps(formulas), capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def test_katex_typesets_every_bundled_rule_and_every_construct() -> None:
    names = {f"name {name}": f"{latex_name(name, True)} {latex_function(name)}" for name in NAMES}
    assert refused({**documents(), **names}) == {}


def test_katex_refuses_what_is_wrong() -> None:
    assert set(refused({"prime": "v'^{2}'^{3}", "right": r"{v'}^{2}", "command": r"\foo"})) == {"prime", "command"}
