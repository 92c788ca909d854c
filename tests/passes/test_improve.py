"""What is taken and what stays out, equation by equation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Collection, Iterable

import pytest

from optdsl.ir.kernel import Kernel
from optdsl.ir.nodes import Apply, Expr, Op, Rate, Role, Rule, Select, Symbol, operands, rate, rebuild
from optdsl.ir.show import show
from optdsl.passes import improve
from optdsl.passes.cost import kernel_counts
from optdsl.passes.simplify import Positive, simplify
from optdsl.passes.tally import tallies
from optdsl.pipeline import as_written, kernels, rule_of
from optdsl.source import SourceFile

from .support import EVERY, rule_called

Change = Callable[[Expr], Expr]

HEAD = """rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
  k  = 1   in [0, inf)
  c  = 0.5 in (0, 1]
state
  v = 0
update
"""


def rule(*equations: str, head: str = HEAD) -> Rule:
    """Return a rule with some equations."""
    return rule_of(SourceFile("rule.opt", head + "".join(f"  {line}\n" for line in equations)))


def value(kernel: Kernel, name: str) -> str:
    """Return what a kernel assigns to a new value, as text."""
    (let,) = (let for let in kernel.lets() if let.symbol.name == name and let.symbol.role is Role.NEW)
    return show(let.value)


def nothing(expr: Expr, positive: Collection[Symbol]) -> Iterable[Expr]:
    """Propose nothing."""
    return ()


def spoil(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Make our own rewrites change every part of what they return."""

    def everywhere(expr: Expr) -> Expr:
        return change(rebuild(expr, tuple(everywhere(part) for part in operands(expr))))

    def spoilt(expr: Expr, positive: Positive) -> Expr:
        return everywhere(simplify(expr, positive))

    monkeypatch.setattr(improve, "simplify", spoilt)


def roots_joined(expr: Expr) -> Expr:
    """Take one root of a product for a product of roots: right but for what overflows."""
    match expr:
        case Apply(Op.MUL, (Apply(Op.SQRT, (a,)), Apply(Op.SQRT, (b,)))):
            return Apply(Op.SQRT, (Apply(Op.MUL, (a, b)),))
    return expr


def root_lost(expr: Expr) -> Expr:
    """Leave a root out."""
    return expr.args[0] if isinstance(expr, Apply) and expr.op is Op.SQRT else expr


def largest_lost(expr: Expr) -> Expr:
    """Take the second of two for the larger."""
    return expr.args[1] if isinstance(expr, Apply) and expr.op is Op.MAX else expr


def test_a_wrong_form_of_one_equation_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the equation whose form is wrong keeps the author's, and the reason names it."""
    given = rule("v' = v + (g*lr)*k", "x' = x - sqrt(v)*sqrt(g)")
    spoil(monkeypatch, roots_joined)
    program = kernels(given)
    assert program.simplified
    assert value(program.kernels[0], "v") == "v + c0*g"
    assert value(program.kernels[0], "x") == "x - sqrt(v)*sqrt(g)"
    (reason,) = program.rejected
    assert reason.startswith("x': a form with 1 operation fewer, 1 of them divides or roots, stays out, because it is ")
    assert " at x = " in reason


@pytest.mark.parametrize("name", ["adam", "flux/rmsprop", "sample/lamb", "flux/adagrad"])
def test_spoilt_rewrites_leave_the_author_s_form(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every rewrite is wrong, the kernels are those that the author wrote."""
    assert not kernels(rule_called(name)).rejected
    spoil(monkeypatch, root_lost)
    program = kernels(rule_called(name))
    assert program.rejected
    for kernel, written in zip(program.kernels, as_written(rule_called(name)), strict=True):
        assert value(kernel, "x") == value(written, "x")


def test_a_wrong_variant_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a variant that the defaults don't ask for is found too, and costs the others nothing."""
    text = HEAD.replace("state\n", "  f = false\nstate\n  b = 0 when f\n")
    given = rule("v' = v + g*g", "b' = max(lr*b, k*g)", "x' = x - lr*(k*(if f then b' else g))", head=text)
    spoil(monkeypatch, largest_lost)
    without, with_b = kernels(given).kernels
    assert kernel_counts(without) == (4, 0)
    assert value(with_b, "b") == "max(lr*b, k*g)"
    assert kernel_counts(with_b) == (7, 0)


ROOT = ("v' = v + g*g", "x' = x - lr*g/(sqrt(k*v') + 1)")


def test_a_root_moved_over_zero_stays_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A factor that may be zero isn't pulled out of a denominator; were it, the result would stop being finite."""
    assert not kernels(rule(*ROOT)).rejected
    monkeypatch.setattr("optdsl.passes.domain.Domain.positive", lambda *arguments: True)
    program = kernels(rule(*ROOT))
    assert value(program.kernels[0], "x") == "x - lr*g/(sqrt(k*v') + 1)"
    (reason,) = program.rejected
    assert "because it is no longer finite at " in reason
    assert "k = 0" in reason


def test_wrong_proposals_stay_out() -> None:
    """Whatever computer algebra proposes is judged like our own rewrites."""

    def leaves(expr: Expr, positive: Collection[Symbol]) -> Iterable[Expr]:
        while operands(expr):
            expr = operands(expr)[0]
            yield expr

    given = rule("v' = v + g*g", "x' = x - lr*(g + k*x)")
    program = kernels(given, propose=leaves)
    assert program.kernels == kernels(given, propose=nothing).kernels
    assert program.rejected
    assert all(reason.startswith("x': ") and "is another function" in reason for reason in program.rejected)


FOUND = {
    # What only computer algebra finds, with what the rule's own operations become.
    "one term for each element": ("x - lr*(g + k*x)", (4, 0), (3, 0)),
    "one term for each scalar": ("3*x + 3*g + v", (4, 0), (3, 0)),
    "powers joined": ("x*x*x*x", (3, 0), (2, 0)),
    "exponentials joined": ("exp(x/10)*exp(g/10)", (5, 2), (3, 0)),
    "positive factor of a magnitude": ("k*abs(c*x)", (3, 0), (2, 0)),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_computer_algebra_finds(name: str) -> None:
    """Each transformation that is asked for, by what it saves."""
    form, before, after = FOUND[name]
    given = rule("v' = v", f"x' = {form}")
    assert kernel_counts(as_written(given)[0]) == before
    assert kernel_counts(kernels(given, propose=nothing).kernels[0])[0] > after[0]
    assert kernel_counts(kernels(given).kernels[0]) == after


def test_a_sum_that_may_overflow_stays_out() -> None:
    """Two shares of huge numbers may have a sum where the numbers themselves have none."""
    given = rule("v' = v", "x' = lr*x + lr*g")
    program = kernels(given)
    assert program.kernels == as_written(given)
    assert "is no longer finite" in program.rejected[0]


def test_computer_algebra_is_loaded_when_it_may_help() -> None:
    """Adam compiles without SymPy; in Lion, which reads the parameter twice, it is asked."""
    script = (
        "import sys\nfrom optdsl import bundled, pipeline\nfrom optdsl.source import SourceFile\n"
        "for name in sys.argv[1:]:\n    path = bundled.path(name)\n"
        "    pipeline.kernels(pipeline.rule_of(SourceFile(str(path), path.read_text(encoding='utf-8'))))\n"
        "    print(name, 'sympy' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, "adam", "rmsprop", "sgd", "lion"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[:-1] == ["adam False", "rmsprop False", "sgd False", "lion True"]


def test_what_a_decision_hangs_on_is_kept() -> None:
    """Rounding could tip a floor or a comparison, and so could a NaN: what they are given keeps the author's form."""
    given = rule("v' = floor(lr*(c*g))", "e = lr*(k*g)", "x' = if e > 0.5 then e else x")
    assert kernels(given).kernels == as_written(given)
    # 0 times infinity isn't 0, and NaN isn't above 0.
    idle = rule("v' = v", "e = k*g*0", "x' = if e >= 0 then x else g")
    assert kernels(idle).kernels == as_written(idle)
    # Where all but rounding cancels in a reduction, it decides the sign of what follows from it.
    folded = rule("v' = v", "e = sqrt(amax(lr*g - (g + x))*g^2)", "x' = if e > v then x else g")
    assert kernels(folded).kernels == as_written(folded)


QUOTIENTS = {
    "times": ("(g/(abs(v) + 1))/t*(x/c)", "c0*(g/(abs(v) + 1))*x"),
    "of-quotients": ("lr*(g/(abs(v) + 1)/k*(x/(abs(g) + 1)))", "c0*(g/(abs(v) + 1))*(x/(abs(g) + 1))"),
}


@pytest.mark.parametrize("name", QUOTIENTS)
def test_elements_are_divided_before_others_are_multiplied(name: str) -> None:
    """Where the author has it so: a product of two large ones overflows, and the quotient of one doesn't."""
    written, simplified = QUOTIENTS[name]
    assert value(kernels(rule("v' = v", f"x' = {written}")).kernels[0], "x") == simplified


DIVIDED = {
    "denominator": ("v' = v + (lr*(k*x) - g)", "x' = g/v'", False),
    "behind-another": ("v' = v + lr*(k*x)", "e = v' - g", "x' = e + x/e", False),
    "logarithm": ("v' = v + (lr*(k*x) - g)", "x' = x + log(v')", False),
    "negative-power": ("v' = v + (lr*(k*x) - g)", "x' = x + v'^(-k)", False),
    "numerator": ("v' = v + (lr*(k*x) - g)", "x' = v'/(x*x + 1)", True),
    "sum-of-squares": ("v' = lr*(k*x^2) + g^2", "x' = g/v'", True),
}


@pytest.mark.parametrize("name", DIVIDED)
def test_what_a_denominator_hangs_on_is_kept(name: str) -> None:
    """Where terms may cancel: rounding says then whether it is 0. What can't be negative has nothing to cancel."""
    *equations, changes = DIVIDED[name]
    given = rule(*map(str, equations))
    found = [next(let.value for let in k.lets() if let.symbol.name == "v") for k in (
        kernels(given).kernels[0], as_written(given)[0],
    )]  # fmt: skip
    assert (found[0] != found[1]) is changes


def test_dead_terms_are_dropped() -> None:
    """Where a hyperparameter can have one value only, in a variant or by its interval, its idle terms go."""
    text = HEAD.replace("state\n", "  mu = 0 in [0, inf)\n  eps = 0 in [0, 0]\nstate\n  b = 0 when mu != 0\n")
    equations = ("v' = v + eps*x", "b' = mu*b + g", "u = if mu != 0 then b' else g + mu*x", "x' = x - lr*(u + eps)")
    without, with_b = kernels(rule(*equations, head=text)).kernels
    assert (value(without, "v"), value(without, "x")) == ("v", "x - lr*g")
    assert (value(with_b, "v"), value(with_b, "x")) == ("v", "x - lr*b'")
    written, _ = as_written(rule(*equations, head=text))
    assert value(written, "v") == "v + eps*x"


def test_reductions_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reduction adds up is simplified, and judged, by itself."""
    given = rule("v' = v", "x' = x - sum(lr*(k*g))*sqrt(abs(g))")
    assert kernel_counts(as_written(given)[0]) == (6, 1)
    assert kernel_counts(kernels(given).kernels[0]) == (5, 1)
    both = rule("v' = v", "x' = x - sum(sqrt(abs(g)))*sum(sqrt(abs(g)))*g")
    spoil(monkeypatch, root_lost)
    program = kernels(both)
    assert program.kernels == as_written(both)
    assert program.rejected


def test_a_reduction_of_its_own_is_kept() -> None:
    """A scalar state that is a reduction and nothing else stays, however cheap the rule were without it."""
    text = HEAD.replace("  v = 0\n", "  v = 0\n  r: scalar = 0\n")
    (kernel,) = kernels(rule("v' = v", "r' = norm1(g)", "x' = x - lr*(k*g)", head=text)).kernels
    assert [symbol.name for symbol in kernel.scalar_stores] == ["r"]
    assert any(let.symbol.name == "r" for let in kernel.lets())


def test_what_is_reduced_stays_an_element() -> None:
    """A sum of what is the same for all elements is as many of it as there are elements."""
    given = rule("v' = v", "p = 0*g > lr", "x' = x - sum(k + 0*g)*where(p, x, g)")
    (kernel,) = kernels(given).kernels
    (reduction,) = (let for phase in kernel.phases for let in phase.reductions)
    assert [rate(part) for part in operands(reduction.value)] == [Rate.ELEMENT]
    ends = rule("v' = 0*g + k", "x' = x - lr*(0*g)")
    assert [value(kernels(ends).kernels[0], name) for name in ("v", "x")] == ["k", "x"]


def test_arms_are_regions_of_their_own() -> None:
    """What stands in the arms of a condition is simplified there."""
    given = rule("v' = v", "x' = if x > g then lr*(k*x) else g/c")
    (let,) = (let for let in kernels(given).kernels[0].lets() if let.symbol.name == "x")
    assert isinstance(let.value, Select)
    assert kernel_counts(kernels(given).kernels[0]) == (4, 0)


@pytest.mark.parametrize("name", EVERY)
def test_tallies_add_up(name: str) -> None:
    """Every equation is in one line of the table, and the lines add up to the totals."""
    given = rule_called(name)
    for kernel, written in zip(kernels(given).kernels, as_written(given), strict=True):
        found = tallies(written, kernel)
        numbers = [number for tally in found for number in tally.equations]
        assert len(numbers) == len(set(numbers))
        for side, whole in (("written", written), ("simplified", kernel)):
            totals = [getattr(tally, side) for tally in found]
            assert (sum(n for n, _ in totals), sum(slow for _, slow in totals)) == kernel_counts(whole)
        stored = {symbol for phase in kernel.phases for symbol in phase.stores}
        assert stored <= {given.equations[number].target for number in numbers}


def test_exact_kernels_are_not_simplified() -> None:
    """Who asks for exact arithmetic gets the author's form, and is told so."""
    for name in EVERY:
        program = kernels(rule_called(name), exact=True)
        assert not program.simplified
        assert "exact" in program.reason
        assert program.kernels == as_written(rule_called(name))
