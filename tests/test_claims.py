"""Claims: what is wrong with how they are written, and what is found out about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from optdsl import bundled, pipeline
from optdsl.diagnostics import Problem, render
from optdsl.source import SourceFile, read

RULE = """\
rule R(x, g)
hyper
  lr   = 1e-3  in [0, inf)
  beta = 0.9   in [0, 1)
  flip = false
state
  m = 0
update
  m' = beta*m + (if flip then -g else g)
  x' = x - lr*m'
claim
  """


def found(claim: str) -> list[Problem]:
    return list(pipeline.check(SourceFile("r.opt", f"{RULE}{claim}\n")).problems)


@pytest.mark.parametrize(
    "claim",
    [
        "equals Momentum with momentum = beta when flip = false",
        "equals SGD with lr = lr and momentum = 0 when beta = 0 and flip = false",
        "equals Momentum with momentum = beta and lr = -lr when flip = true for 6 steps",
        "equals SGD with momentum = 1/2 when beta = 0.5 and flip = false",
        "invariant g -> c*g and lr -> lr/c for c > 0",
        "invariant g -> -g and flip -> not flip",
        "invariant g -> c*g and lr -> lr/c for c > 1 and c < 2 for 2 steps",
        "descends when flip = false",
        "still when lr = 0",
    ],
)
def test_a_true_claim_is_no_finding(claim: str) -> None:
    assert [problem.message for problem in found(claim)] == []


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("equals Momentum when flip = false", "at step 2 x' is 0 here and"),
        ("equals Momentum with momentum = beta", "at step 1 x' is"),
        ("equals SGD when beta = 0.5 and flip = false", "at step 2 x' is"),
        ("invariant g -> c*g for c > 0", "at step 1 x' is"),
        ("descends", "the first step goes along the gradient, from"),
        ("still", "at step 1 x goes from"),
    ],
)
def test_a_false_claim_is_an_error_with_its_values(claim: str, message: str) -> None:
    (problem,) = found(claim)
    assert (problem.slug, problem.severity) == ("false-claim", "error")
    assert problem.message.startswith(f"`{claim}` is false: ")
    assert "g = " in problem.label or "g1 = " in problem.label


@pytest.mark.parametrize(
    ("value", "g"), [("clip(g, -10, 10)", "g = 20"), ("(if g == 0.7312 then 0 else g)", "g = 0.7312")]
)
def test_numbers_that_a_rule_clips_and_compares_with_are_tried(value: str, g: str) -> None:
    text = f"rule R(x, g)\nhyper\n  lr = 1e-3 in [0, inf)\nupdate\n  x' = x - lr*{value}\nclaim\n  equals SGD\n"
    (problem,) = pipeline.check(SourceFile("r.opt", text)).problems
    assert problem.slug == "false-claim"
    assert problem.label == f"x = 0, {g}"


@pytest.mark.parametrize(
    ("claim", "slug", "message"),
    [
        ("equals Adm", "unknown-base", "there is no rule `Adm`"),
        ("equals SGD with lrr = lr", "undefined-name", "`lrr` is not a hyperparameter of `SGD`"),
        ("equals SGD with nesterov = 1", "wrong-kind", "expected a truth value, found a number"),
        ("equals SGD with lr = eta", "undefined-name", "`eta` is not defined"),
        ("equals SGD with lr = 1 and lr = 2", "duplicate-name", "`lr` is defined twice"),
        ("equals SGD when momentum = 0", "undefined-name", "`momentum` is not a hyperparameter of this rule"),
        ("equals SGD when beta = 1", "default-out-of-range", "`beta` can't be 1, which is outside [0, 1)"),
        ("equals SGD when flip = 0", "wrong-kind", "expected a truth value, found a number"),
        ("equals SGD for 17 steps", "syntax", "a claim is about 1 to 16 steps"),
        ("equals SGD for 0 steps", "syntax", "a claim is about 1 to 16 steps"),
        ("invariant x -> 2*x", "undefined-name", "`x` is not the gradient or a hyperparameter"),
        ("invariant g -> c*g", "undefined-name", "`c` is not defined"),
        ("invariant lr -> g*lr", "not-constant", "what replaces `lr` can't depend on `g`"),
        ("invariant g -> c*g for c != 0", "bad-interval", "`!=` doesn't say from where to where `c` goes"),
        ("invariant g -> c*g for c > 1 and c < 1", "bad-interval", "no number is left for `c`"),
        ("invariant g -> m*g for m > 0", "duplicate-name", "`m` is defined twice"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(claim: str, slug: str, message: str) -> None:
    (problem,) = found(claim)
    assert (problem.slug, problem.message) == (slug, message)


def test_the_counterexample_points_into_both_files() -> None:
    checked = pipeline.check(SourceFile("r.opt", f"{RULE}equals Momentum when flip = false\n"))
    shown = render(checked.source, checked.problems)
    assert "--> r.opt:12:3" in shown
    assert f"::: {bundled.path('momentum')}:" in shown


def test_a_word_of_claims_is_no_word_elsewhere() -> None:
    text = "rule R(x, g)\nhyper\n  steps = 1\n  still = 1\nupdate\n  equals = steps*still*g\n  x' = x - equals\n"
    assert pipeline.analyse(SourceFile("r.opt", text)).rule is not None


@pytest.mark.parametrize("name", bundled.files())
def test_bundled_rules_have_no_finding_and_their_claims_are_proved(name: str) -> None:
    checked = pipeline.check(read(bundled.folder() / f"{name}.opt"))
    assert checked.rule is not None
    assert [problem.message for problem in checked.problems] == []


def test_the_bundled_rules_state_how_they_are_related() -> None:
    stated = {
        name: [claim.text for claim in pipeline.rule_of(SourceFile(str(path), path.read_text(encoding="utf-8"))).claims]
        for name in bundled.names()
        if (path := bundled.path(name)) is not None
    }
    for name, claim in (
        ("adamw", "equals Adam when weight_decay = 0"), ("nadam", "equals Adam"), ("amsgrad", "equals Adam"),
        ("adabelief", "equals SGD"), ("momentum", "equals SGD"), ("nesterov", "equals SGD"),
        ("flux/nesterov", "equals SGD with"), ("flux/momentum", "equals SGD"), ("adam", "invariant g -> c*g for c > 0"),
        ("lion", "invariant g -> c*g for c > 0"), ("rprop", "invariant g -> c*g for c > 0"),
    ):  # fmt: skip
        assert any(text.startswith(claim) for text in stated[name]), name


def test_every_bundled_rule_checks_its_own_folder_first() -> None:
    path = Path(str(bundled.path("flux/adam")))
    rule = pipeline.rule_of(SourceFile(str(path), "rule X(x, g) from Momentum\n"))
    assert "rho" in {hyper.symbol.name for hyper in rule.hypers}
