"""From the surface tree to the typed rule: names, kinds, rates, functions and states that may not exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from optdsl import bundled, pipeline
from optdsl.functions import FUNCTIONS, SIZE, STEP_NUMBER
from optdsl.ir import nodes as ir
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import constant, defaults, initial_states, step
from optdsl.ir.nodes import Kind, Op, Rate, Role, Rule
from optdsl.pipeline import analyse
from optdsl.source import SourceFile, read

HYPER = "hyper\n  lr = 0.1 in [0, inf)\n  momentum = 0.9 in [0, inf)\n  flag = false\n"


def rule_of(text: str) -> Rule:
    """Return the rule in a text that has no mistake."""
    checked = analyse(SourceFile("case.opt", text))
    assert checked.rule is not None, [problem.message for problem in checked.problems]
    assert not checked.problems
    return checked.rule


def slugs(text: str) -> list[str]:
    """Return the slugs of the findings in a text."""
    return [problem.slug for problem in analyse(SourceFile("case.opt", text)).problems]


def value_of(text: str, defs: str = "") -> ir.Expr:
    """Return the typed form of an expression over x, g, a state m, a scalar s, t and the hyperparameters."""
    state = "state\n  m = 0\n  s: scalar = 0\n"
    rule = rule_of(f"rule R(x, g)\n{HYPER}{state}{defs}update\n  m' = m\n  s' = s\n  y = {text}\n  x' = x\n")
    return next(equation.value for equation in rule.equations if equation.target.name == "y")


RATES = {
    "1": Rate.CONST,
    "lr*2 + 1": Rate.CONST,
    "flag": Rate.CONST,
    "inf": Rate.CONST,
    "t": Rate.STEP,
    "lr^t": Rate.STEP,
    "size(x)": Rate.STEP,
    "s": Rate.STEP,
    "s' + lr": Rate.STEP,
    "if t == 1 then 1 else 2": Rate.STEP,
    "norm(x)": Rate.TENSOR,
    "t*sum(g*m)": Rate.TENSOR,
    "if norm(x) > 0 then 1 else 2": Rate.TENSOR,
    "dot(x, g)/s": Rate.TENSOR,
    "mean(g)": Rate.TENSOR,
    "x": Rate.ELEMENT,
    "g": Rate.ELEMENT,
    "m": Rate.ELEMENT,
    "m' - norm(x)": Rate.ELEMENT,
    "if g > 0 then 1 else 2": Rate.ELEMENT,
    "if flag then x else 2": Rate.ELEMENT,
    "g > 0": Rate.ELEMENT,
    "norm(g)*x": Rate.ELEMENT,
    "debias(m, momentum)": Rate.ELEMENT,
    "debias(lr, momentum)": Rate.STEP,
}


@pytest.mark.parametrize("text", RATES)
def test_rates_are_inferred(text: str) -> None:
    assert ir.rate(value_of(text)) is RATES[text]


def test_an_intermediate_has_the_rate_and_kind_of_its_value() -> None:
    rule = rule_of(
        "rule R(x, g)\nupdate\n  a = t + 1\n  b = norm(g)*a\n  c = b*g\n  d = c > 0\n  x' = if d then c else x\n"
    )
    found = {equation.target.name: (equation.target.rate, equation.target.kind) for equation in rule.equations}
    assert found == {
        "a": (Rate.STEP, Kind.NUMBER), "b": (Rate.TENSOR, Kind.NUMBER), "c": (Rate.ELEMENT, Kind.NUMBER),
        "d": (Rate.ELEMENT, Kind.BOOLEAN), "x": (Rate.ELEMENT, Kind.NUMBER),
    }  # fmt: skip


def test_a_scalar_state_read_from_a_reduction_is_of_tensor_rate_after_the_step() -> None:
    rule = rule_of(
        "rule R(x, g)\nstate\n  n: scalar = 0\n  k: scalar = 1\nupdate\n  n' = norm(g)\n  k' = 2\n  x' = x - n'*k'\n"
    )
    after = {
        equation.target.name: equation.target.rate for equation in rule.equations if equation.target.role is Role.NEW
    }
    assert after == {"n": Rate.TENSOR, "k": Rate.STEP, "x": Rate.ELEMENT}
    assert all(state.symbol.rate is Rate.STEP for state in rule.states)


def test_old_and_new_are_different_symbols() -> None:
    rule = rule_of("rule R(x, g)\nstate\n  m = 0\nupdate\n  x' = x - m'\n  m' = m + g\n")
    reads = ir.operands(next(equation.value for equation in rule.equations if equation.target.name == "x"))
    assert [part.symbol.role for part in reads if isinstance(part, ir.Ref)] == [Role.OLD, Role.NEW]


def test_the_order_of_equations_means_nothing() -> None:
    lines = ["  m' = m + d", "  d = if flag then -g else g", "  x' = x - lr*m'"]
    rules = [
        rule_of(f"rule R(x, g)\n{HYPER}state\n  m = 0\nupdate\n" + "\n".join(order))
        for order in (lines, lines[::-1], [lines[1], lines[2], lines[0]])
    ]
    assert len({frozenset(rule.equations) for rule in rules}) == 1


def test_built_in_functions_expand_to_their_meaning() -> None:
    for name, function in FUNCTIONS.items():
        arguments = ["g", "x", "lr"][: len(function.arguments)]
        if name == "where":
            arguments = ["flag", "x", "g"]
        symbols = {
            "g": ir.Symbol(Role.GRADIENT, "g", Rate.ELEMENT), "x": ir.Symbol(Role.OLD, "x", Rate.ELEMENT),
            "lr": ir.Symbol(Role.HYPER, "lr", Rate.CONST),
            "flag": ir.Symbol(Role.HYPER, "flag", Rate.CONST, Kind.BOOLEAN),
        }  # fmt: skip
        expected = function.build(*(ir.Ref(symbols[argument]) for argument in arguments))
        assert value_of(f"{name}({', '.join(arguments)})") == expected


def test_definitions_are_expanded_where_they_are_used() -> None:
    defs = "def twice(a) = a + a\ndef four(b) = twice(twice(b))\ndef decay(k) = momentum^k\n"
    assert value_of("four(g*2)", defs) == value_of("((g*2 + g*2) + (g*2 + g*2))")
    assert value_of("decay(t + 1)*g", defs) == value_of("momentum^(t + 1)*g")


def test_the_arguments_of_a_definition_are_its_own() -> None:
    """They hide names of the rule in its body, and do not make a cycle."""
    assert value_of("f(g)", "def f(m) = 2*m\n") == value_of("2*g")
    assert value_of("f(g)", "def f(y) = 2*y\n") == value_of("2*g")
    assert value_of("f(x)", "def f(a) = a + m\n") == value_of("x + m")


def test_a_definition_takes_truth_values_and_elements() -> None:
    defs = "def pick(c, a, b) = if c then a else b\ndef length(a) = norm(a)\n"
    assert value_of("pick(flag, x, g)", defs) == value_of("if flag then x else g")
    assert value_of("length(g)", defs) == value_of("norm(g)")


def test_a_definition_that_nobody_calls_is_looked_at() -> None:
    text = "rule R(x, g)\ndef f(a, c) = if c then norm(a) else {0}\nupdate\n  x' = x\n"
    assert slugs(text.format("1")) == []
    assert slugs(text.format("undefined")) == ["undefined-name"]
    assert slugs(text.format("sqrt(a, a)")) == ["wrong-argument-count"]
    assert slugs(text.format("f(a, c)")) == ["cyclic-definition"]


def test_step_number_and_size() -> None:
    assert value_of("t") == STEP_NUMBER
    assert value_of("size(x)") == SIZE
    assert value_of("size(g)") == SIZE


def test_truth_values_can_be_compared() -> None:
    rule = rule_of("rule R(x, g)\nhyper\n  p = true\n  q = false\nupdate\n  x' = if p != q then x - g else x\n")
    chosen = next(iter(rule.equations)).value
    assert isinstance(chosen, ir.Select)
    for p in (True, False):
        for q in (True, False):
            assert constant(chosen.condition, {"p": p, "q": q}) == (p != q)


def test_spans_are_those_of_the_author() -> None:
    text = "rule R(x, g)\nhyper\n  lr = 0.1\nupdate\n  x' = x - lr*ema(x, g, 0.5)\n"
    value = rule_of(text).equations[0].value
    assert isinstance(value, ir.Apply)
    assert value.span is not None
    assert text[slice(*value.span)] == "x - lr*ema(x, g, 0.5)"
    product = value.args[1]
    assert isinstance(product, ir.Apply)
    expanded = product.args[1]
    assert isinstance(expanded, ir.Apply)
    assert expanded.op is Op.ADD
    assert expanded.span is not None
    assert text[slice(*expanded.span)] == "ema(x, g, 0.5)"


# Hyperparameters


def test_defaults_follow_from_earlier_ones() -> None:
    rule = rule_of(
        "rule R(x, g)\nhyper\n  a = 2\n  b = sqrt(a*8)\n  c = if a > 1 then -b else inf\n  p = a > 3\n  q = not p\n"
        "def h(k) = k + 1\nupdate\n  x' = x*a*b*c\n"
    )
    assert defaults(rule) == {"a": 2.0, "b": 4.0, "c": -4.0, "p": False, "q": True}
    assert [hyper.symbol.kind for hyper in rule.hypers] == [Kind.NUMBER] * 3 + [Kind.BOOLEAN] * 2


@pytest.mark.parametrize(
    ("interval", "default", "fine"),
    [
        ("[0, 1)", "0", True), ("(0, 1)", "0", False), ("[0, 1)", "1", False), ("[0, 1]", "1", True),
        ("(-inf, inf)", "-5", True), ("[-1, 2*3]", "6", True), ("[0, inf)", "inf", False),
        ("[0, inf]", "inf", True), ("[-inf, 0]", "-inf", True), ("[1, 1]", "1", True),
        ("[0, 1]", "inf - inf", False), ("[0, 1]", "1e-320", True), ("[0, 1.7e308]", "1.7e308", True),
    ],
)  # fmt: skip
def test_a_default_lies_in_its_interval(interval: str, default: str, fine: bool) -> None:
    text = f"rule R(x, g)\nhyper\n  a = {default} in {interval}\nupdate\n  x' = a*x\n"
    assert slugs(text) == ([] if fine else ["default-out-of-range"])


@pytest.mark.parametrize("interval", ["[1, 0]", "(0, 0]", "(inf, inf]", "(-inf, -inf)", "(1, 1)"])
def test_an_interval_makes_sense(interval: str) -> None:
    assert "bad-interval" in slugs(f"rule R(x, g)\nhyper\n  a = 0 in {interval}\nupdate\n  x' = a*x\n")


# States


def test_a_state_starts_from_hyperparameters_and_the_parameter() -> None:
    rule = rule_of("rule R(x, g)\nhyper\n  lr = 0.5\nstate\n  z = x*2\n  e = lr\n  n: scalar = norm(x)\nupdate\n"
                   "  z' = z\n  e' = e\n  n' = n\n  x' = x\n")  # fmt: skip
    assert initial_states(rule, Floats(), {"lr": 0.5}, [3.0, 4.0]) == {"z": [6.0, 8.0], "e": [0.5, 0.5], "n": 5.0}


SGD = """\
rule SGD(x, g)
hyper
  lr = 1e-3 in [0, inf)
  momentum = 0 in [0, inf)
  nesterov = false
state
  b = 0 when {when}
update
  b' = if t == 1 then g else momentum*b + g
  u  = {u}
  x' = x - lr*u
"""

PRESENT = [
    ("momentum != 0", "if momentum == 0 then g elif nesterov then g + momentum*b' else b'"),
    ("momentum != 0", "if momentum != 0 then b' else g"),
    ("momentum != 0", "if momentum > 0 then b' else g"),
    ("momentum != 0", "if not momentum == 0 then b' else g"),
    ("momentum != 0", "if momentum <= 0 then g else b'"),
    ("momentum != 0", "if nesterov and momentum > 0.5 then b' else g"),
    ("momentum != 0", "if momentum == 0 or nesterov then g else b'"),
    ("momentum > 0", "if momentum != 0 then b' else g"),
    ("momentum > 0", "if 0 < momentum then b else g"),
    ("momentum >= 0", "b'"),
    ("momentum != 0", "if momentum >= 0 then g else b'"),
    ("momentum != 0", "if momentum < 0 then b' else g"),
    ("nesterov", "if nesterov then b' else g"),
    ("not nesterov", "if nesterov then g else b'"),
    ("nesterov == true", "if nesterov then b' else g"),
    ("nesterov", "if nesterov == true then b' else g"),
    ("nesterov and momentum != 0", "if momentum != 0 and nesterov then b' else g"),
    ("nesterov or momentum != 0", "if nesterov then b' else g"),
    ("momentum > lr", "if momentum > lr then b' else g"),
    ("momentum*lr > 0", "if momentum*lr > 0 then b' else g"),
    ("momentum != 0", "where(momentum != 0, b', g)"),
]
ABSENT = [
    ("momentum != 0", "b'"),
    ("momentum != 0", "if momentum == 0 then b' else g"),
    ("momentum != 0", "if momentum >= 0 then b' else g"),
    ("momentum != 0", "if nesterov then b' else g"),
    ("momentum != 0", "if momentum != 0 or nesterov then b' else g"),
    ("momentum != 0", "if norm(b) > 0 then g else x"),
    ("momentum > 0.5", "if momentum > 0.4 then b' else g"),
    ("nesterov", "if not nesterov then b' else g"),
    ("nesterov and momentum != 0", "if nesterov then b' else g"),
    ("momentum > lr", "if momentum >= lr then b' else g"),
    ("momentum > lr", "b'"),
    ("momentum != 0", "if momentum == 0 then b else b'"),
]


@pytest.mark.parametrize(("when", "u"), PRESENT)
def test_a_state_may_be_read_where_it_exists(when: str, u: str) -> None:
    assert slugs(SGD.format(when=when, u=u)) == []


@pytest.mark.parametrize(("when", "u"), ABSENT)
def test_a_state_is_not_read_where_it_may_not_exist(when: str, u: str) -> None:
    assert slugs(SGD.format(when=when, u=u)) == ["absent-state"]


def test_an_absent_state_is_seen_through_intermediates_and_functions() -> None:
    text = SGD.replace("update\n", "def look(a) = a + b\nupdate\n  far = near\n  near = {near}\n")
    fine, wrong = "if momentum != 0 then look(far) else g", "look(far)"
    assert slugs(text.format(when="momentum != 0", near="g", u=fine)) == []
    assert slugs(text.format(when="momentum != 0", near="g", u=wrong)) == ["absent-state"]
    assert slugs(text.format(when="momentum != 0", near="b*1", u="if momentum != 0 then far else g")) == []
    assert slugs(text.format(when="momentum != 0", near="b*1", u="far")) == ["absent-state"]


def test_one_conditional_state_may_feed_another() -> None:
    text = (
        f"rule R(x, g)\n{HYPER}state\n  a = 0 when momentum > 0\n  b = 0 when momentum > {{0}}\nupdate\n"
        "  a' = a + g\n  b' = b + a'\n  x' = x - lr*g\n"
    )
    assert slugs(text.format("0.5")) == []
    assert slugs(text.format("-1")) == ["absent-state"]


def test_the_condition_shown_is_the_authors() -> None:
    checked = analyse(SourceFile("case.opt", SGD.format(when="momentum  !=\t0", u="b'")))
    assert "where `momentum != 0` fails" in checked.problems[0].message


# Names


ODD = [
    "linux", "I", "lambda", "n", "expf", "double", "class", "None", "self", "np", "h", "x_new", "c0", "w0",
    "hypers", "int", "for", "import", "_", "__init__", "e", "pi", "E", "True_", "states", "scalars", "numpy",
    "printf", "main", "float", "restrict", "NULL", "unix", "i", "size_t", "out", "step", "Rule", "kernel", "isnan",
    "restore",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_only_a_name(name: str) -> None:
    rule = rule_of(f"rule R(x, g)\nhyper\n  {name} = 0.1\nupdate\n  x' = x - {name}*g\n")
    assert rule.hypers[0].symbol.name == name
    assert step(rule, Floats(), {name: 0.5}, [1.0], [1.0], {}, 1).parameter == [0.5]
    as_state = rule_of(f"rule R(x, g)\nstate\n  {name} = 0\nupdate\n  {name}' = {name} + g\n  x' = x - {name}'\n")
    assert step(as_state, Floats(), {}, [1.0], [1.0], {name: [1.0]}, 1).parameter == [-1.0]
    assert rule_of(f"rule R({name}, g)\nupdate\n  {name}' = {name} - g\n").parameter.name == name
    assert rule_of(f"rule {name}(x, g)\nupdate\n  x' = x - g\n").name == name


@pytest.mark.parametrize("name", ["t", "size", "base", "sqrt", "sum", "ema"])
def test_a_word_of_the_language_is_not_defined_again(name: str) -> None:
    assert slugs(f"rule R(x, g)\nhyper\n  {name} = 1\nupdate\n  x' = x - {name}*g\n") == ["reserved-name"]
    assert slugs(f"rule R(x, g)\nstate\n  {name} = 1\nupdate\n  {name}' = {name}\n  x' = x - {name}*g\n") == [
        "reserved-name"
    ]
    assert slugs(f"rule R(x, g)\nupdate\n  {name} = g\n  x' = x - {name}*g\n") == ["reserved-name"]
    assert slugs(f"rule R(x, g)\ndef f({name}) = {name}\nupdate\n  x' = x - f(g)\n") == ["reserved-name"]


def test_a_duplicate_state_is_not_also_said_to_lack_an_equation() -> None:
    text = "rule R(x, g)\nhyper\n  lr = 0.1\nstate\n  m = 0\n  m = 0\n  lr = 0\nupdate\n  m' = m\n  x' = x - lr*m\n"
    assert slugs(text) == ["duplicate-name", "duplicate-name"]


def test_an_undeclared_state_is_one_finding() -> None:
    assert slugs("rule R(x, g)\nupdate\n  m' = 0.9*m + g\n  x' = x - m' - m\n") == ["not-a-state"]


def test_a_line_that_cannot_be_read_has_no_follow_ups() -> None:
    text = (
        "rule R(x, g)\nhyper\n  lr = 0.1 0.2\nstate\n  m = *\n  n = 0\ndef f(a = a\nupdate\n  m' = m + lr\n  n' = n +\n"
        "  d = f(g) +\n  x' = x - lr*m'*d*n'*f(d)\n"
    )
    assert slugs(text) == ["syntax"] * 5


@pytest.mark.parametrize("name", bundled.names())
def test_the_bundled_rules_resolve(name: str) -> None:
    path = bundled.path(name)
    assert isinstance(path, Path)
    rule = pipeline.rule_of(read(path))
    assert rule.doc
    assert rule.cites
    assert all(hyper.doc for hyper in rule.hypers)
