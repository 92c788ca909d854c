"""Chains of transforms and rules: they mean what their components mean one after the other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optdsl
from optdsl import bases, bundled, pipeline
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import defaults, initial_states, step
from optdsl.ir.nodes import Rule
from optdsl.ir.show import show
from optdsl.source import SourceFile, read

RULES = ("sgd", "adam", "lion", "rprop", "nadam", "momentum", "adamax", "flux/adam")
SHAPE = (4, 3)
WATCHERS = ("ema",)
"""Transforms that read the parameter after the step."""


def chain(text: str, name: str = "<string>") -> Rule:
    return pipeline.rule_of(SourceFile(name, f"rule R(x, g) = {text}\n"))


@cache
def component(name: str) -> Rule:
    path = bundled.path(f"transforms/{name}") or bundled.path(name)
    assert path is not None
    return pipeline.rule_of(read(path))


def course(rule: Rule, start: Any, gradients: Sequence[Any]) -> list[Any]:
    """Return the parameter after each step of a rule at its defaults."""
    arithmetic, hypers, x = Arrays(np.float64), defaults(rule), start
    states = initial_states(rule, arithmetic, hypers, x, SHAPE)
    values = []
    for t, g in enumerate(gradients, 1):
        outcome = step(rule, arithmetic, hypers, x, g, states, t, SHAPE)
        x, states = outcome.parameter, outcome.states
        values.append(x)
    return values


class OneByOne:
    """Applies the components of a chain one after the other, each with states of its own."""

    def __init__(self, names: Sequence[str], start: Any) -> None:
        self.rules = [component(name) for name in names]
        self.names = names
        self.arithmetic = Arrays(np.float64)
        self.hypers = [defaults(rule) for rule in self.rules]
        self.states = [
            initial_states(rule, self.arithmetic, hypers, start, SHAPE)
            for rule, hypers in zip(self.rules, self.hypers, strict=True)
        ]

    def outcome(self, number: int, x: Any, g: Any, t: int) -> Any:
        return step(self.rules[number], self.arithmetic, self.hypers[number], x, g, self.states[number], t, SHAPE)

    def step(self, x: Any, g: Any, t: int) -> Any:
        """Return the parameter after a step."""
        after, outcomes, result, changed = False, [], x, False
        for number, rule in enumerate(self.rules):
            outcome = self.outcome(number, x, g, t)
            outcomes.append(outcome.states)
            new = [value for symbol, value in outcome.values.items() if symbol.name == f"{rule.gradient.name}'"]
            if not rule.transform:
                after, result, g = True, outcome.parameter, x - outcome.parameter
            elif new:
                g, changed = new[0], changed or after
        result = x - g if changed else result
        for number, name in enumerate(self.names):
            watches = name in WATCHERS
            self.states[number] = self.outcome(number, x, x - result, t).states if watches else outcomes[number]
        return result


def by_hand(names: Sequence[str], start: Any, gradients: Sequence[Any]) -> list[Any]:
    """Return the parameter after each step of a chain whose components are applied one by one."""
    parts, x, values = OneByOne(names, start), start, []
    for t, g in enumerate(gradients, 1):
        x = parts.step(x, g, t)
        values.append(x)
    return values


def chains(count: int, seed: int) -> list[list[str]]:
    """Return chains by chance: transforms before and after a rule."""
    chance = random.Random(seed)
    result = []
    for _ in range(count):
        before, after = (
            [chance.choice(bundled.transforms()) for _ in range(chance.randrange(most))] for most in (4, 3)
        )
        result.append([*before, chance.choice(RULES), *after])
    return result


def data(seed: int) -> tuple[Any, list[Any]]:
    chance = np.random.default_rng(seed)
    return chance.standard_normal(12), [chance.standard_normal(12) * 3.0 ** chance.integers(-3, 3) for _ in range(14)]


@pytest.mark.parametrize("names", chains(60, 1), ids=" ".join)
def test_a_chain_is_its_components_one_by_one(names: list[str]) -> None:
    start, gradients = data(len(names))
    expected = by_hand(names, start, gradients)
    for ours, theirs in zip(course(chain(" |> ".join(names)), start, gradients), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("names", chains(8, 2), ids=" ".join)
def test_a_compiled_chain_is_its_components_one_by_one(names: list[str], target: str) -> None:
    start, gradients = data(len(names))
    x = start.copy().reshape(SHAPE)
    optimizer = optdsl.chain(*names, target=target, name="Chained", exact=True)(x)
    for g, expected in zip(gradients, by_hand(names, start, gradients), strict=True):
        optimizer.step(g.reshape(SHAPE))
        np.testing.assert_allclose(x.ravel(), expected, rtol=1e-9, atol=1e-13)


def test_every_transform_is_in_a_chain_of_the_property() -> None:
    assert {name for names in chains(60, 1) for name in names} >= {*bundled.transforms(), *RULES}


def test_a_rule_alone_is_itself_to_the_bit() -> None:
    start, gradients = data(0)
    for text in ("adam", "ema |> adam", "adam |> ema"):
        ours = course(chain(text), start, gradients)
        assert all((a == b).all() for a, b in zip(ours, course(component("adam"), start, gradients), strict=True)), text


def test_later_reads_of_the_parameter_see_the_whole_step(tmp_path: Path) -> None:
    """A rule's own `x'` is where it would go itself, that of a transform where the chain goes."""
    (tmp_path / "far.opt").write_text(
        "rule Far(w, d)\nstate\n  seen = 0\nupdate\n  w' = w - d\n  seen' = w'\n", encoding="utf-8"
    )
    (tmp_path / "half.opt").write_text("rule Half(y, e)\nupdate\n  e' = e/2\n", encoding="utf-8")
    (tmp_path / "watch.opt").write_text(
        "rule Watch(y, e)\nstate\n  end = 0\n  way = 0\nupdate\n  end' = y'\n  way' = e\n", encoding="utf-8"
    )
    path = tmp_path / "chain.opt"
    path.write_text("rule Chain(x, g) = watch |> half |> far |> half |> watch\n", encoding="utf-8")
    rule = pipeline.rule_of(read(path))
    outcome = step(rule, Arrays(np.float64), {}, np.array([1.0]), np.array([8.0]), dict.fromkeys(
        ("watch_end", "watch_way", "seen", "watch2_end", "watch2_way"), np.zeros(1)
    ), 1)  # fmt: skip
    assert outcome.parameter[0] == 1 - 2
    states = {name: value[0] for name, value in outcome.states.items()}
    assert states == {"watch_end": -1, "watch_way": 8, "seen": -3, "watch2_end": -1, "watch2_way": 2}


# Names


def hypers_of(text: str) -> list[str]:
    return [hyper.symbol.name for hyper in chain(text).hypers]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clip_value |> sgd(momentum = 0.9)", ["limit", "lr", "momentum"]),
        ("clip_value |> clip_norm |> lion", ["clip_value_limit", "clip_norm_limit", "lr"]),
        ("clip_value |> clip_value |> lion", ["clip_value_limit", "clip_value2_limit", "lr"]),
        ("weight_decay |> lion", ["weight_decay_weight_decay", "lr"]),
        ("trace |> sgd", ["trace_momentum", "trace_nesterov", "lr", "momentum"]),
        ("ema |> sign_decay |> lion", ["ema_decay", "sign_decay_decay", "lr"]),
    ],
)
def test_names_are_plain_where_they_are_the_only_ones(text: str, expected: list[str]) -> None:
    assert hypers_of(text)[: len(expected)] == expected


def test_states_views_and_aliases_are_carried_along() -> None:
    rule = chain("ema |> adam |> ema")
    assert [state.name for state in rule.states] == ["ema_avg", "m", "v", "vmax", "ema2_avg"]
    assert [(view.name, show(view.value)) for view in rule.views] == [
        ("ema_average", "ema_avg"), ("ema2_average", "ema2_avg"),
    ]  # fmt: skip
    assert rule.aliases == (("betas", ("beta1", "beta2")),)
    assert [view.name for view in chain("adam |> ema").views] == ["average"]


def test_intermediates_give_way_to_what_callers_see(tmp_path: Path) -> None:
    """A transform's function, its argument and its intermediate are called like parts of the rule."""
    (tmp_path / "odd.opt").write_text(
        "rule Odd(a, b)\nhyper\n  mean1 = 2\n"
        "def f(m, g) = m*g + mean1*b\nupdate\n  v = f(b, 3)\n  lr = 1\n  b' = v*lr\n",
        encoding="utf-8",
    )
    path = tmp_path / "chain.opt"
    path.write_text("rule Chain(x, g) = odd |> adam\n", encoding="utf-8")
    rule = pipeline.rule_of(read(path))
    assert [equation.text for equation in rule.equations][:3] == [
        "odd_v = f(g, 3)", "odd_lr = 1", "g_odd = odd_v*odd_lr",
    ]  # fmt: skip
    assert show(rule.equations[0].value) == "g*3 + mean1*g"
    assert [hyper.symbol.name for hyper in rule.hypers][:2] == ["mean1", "lr"]


def test_the_chain_names_the_arrays(tmp_path: Path) -> None:
    (tmp_path / "own.opt").write_text("rule Own(g, x)\nupdate\n  g' = g - x\n", encoding="utf-8")
    path = tmp_path / "chain.opt"
    path.write_text("rule Chain(x, g) = scale |> own |> scale\n", encoding="utf-8")
    rule = pipeline.rule_of(read(path))
    assert [equation.text for equation in rule.equations] == [
        "g_scale = scale_factor*g", "x_own = x - g_scale", "step_own = x - x_own",
        "step_scale2 = scale2_factor*step_own", "x' = x - step_scale2",
    ]  # fmt: skip


# Defaults


def test_defaults_and_intervals_are_given_again(tmp_path: Path) -> None:
    text = (
        "rule R(x, g) = clip_value(limit = 0.5) |> adam(eps = 1e-6) |> ema\n"
        "hyper\n  lr = 2*eps in [0, 1]\n  decay = 0.5\n"
    )
    rule = pipeline.rule_of(SourceFile("<string>", text))
    hypers = {hyper.symbol.name: hyper for hyper in rule.hypers}
    assert defaults(rule) == {
        "limit": 0.5, "lr": 2e-6, "beta1": 0.9, "beta2": 0.999, "eps": 1e-6, "amsgrad": False, "decay": 0.5,
    }  # fmt: skip
    assert (str(hypers["lr"].interval), str(hypers["decay"].interval)) == ("[0, 1]", "[0, 1)")
    assert hypers["lr"].doc == "learning rate"


def test_what_a_chain_says_of_itself() -> None:
    rule = chain("clip_norm |> adam |> ema")
    assert rule.doc == "R: clip_norm, then adam, then ema."
    assert rule.family == "Adam"
    assert [cite[0] for cite in rule.cites][:2] == ["Pascanu et al. 2013", "Kingma & Ba 2015"]


# Transforms by themselves and in transforms


def test_a_transform_is_checked_but_not_compiled() -> None:
    source = SourceFile("halved.opt", "rule Halved(x, g)\nupdate\n  g' = g/2\n")
    checked = pipeline.check(source)
    assert checked.rule is not None
    assert checked.rule.transform
    assert checked.problems == ()
    with pytest.raises(optdsl.CompileError, match=r"halved \|> adam"):
        pipeline.compile_source(source, "numpy", "halved")
    with pytest.raises(optdsl.CompileError, match="put a rule that steps into the chain"):
        optdsl.loads("rule R(x, g) = clip_value |> ema\n", target="numpy")


@pytest.mark.parametrize("name", bundled.transforms())
def test_a_bundled_transform_has_no_findings(name: str) -> None:
    path = bundled.path(f"transforms/{name}")
    assert path is not None
    checked = pipeline.check(read(path))
    assert checked.rule is not None
    assert checked.rule.transform
    assert checked.rule.doc
    assert checked.rule.family == "transform"
    assert checked.problems == ()


def test_a_rule_whose_step_was_forgotten_is_no_transform() -> None:
    text = "rule R(x, g)\nstate\n  m = 0\nupdate\n  m' = m + g\n"
    assert [problem.slug for problem in pipeline.analyse(SourceFile("r.opt", text)).problems] == ["missing-equation"]


def test_a_chain_of_transforms_is_a_transform(tmp_path: Path) -> None:
    (tmp_path / "both.opt").write_text("rule Both(x, g) = clip_value |> trace |> ema\n", encoding="utf-8")
    assert pipeline.rule_of(read(tmp_path / "both.opt")).transform
    (tmp_path / "whole.opt").write_text("rule Whole(x, g) = both |> adam\n", encoding="utf-8")
    start, gradients = data(3)
    ours = course(pipeline.rule_of(read(tmp_path / "whole.opt")), start, gradients)
    for a, b in zip(ours, course(chain("clip_value |> trace |> adam |> ema"), start, gradients), strict=True):
        assert (a == b).all()


def test_a_rule_is_made_from_a_chain_and_a_transform_from_a_transform(tmp_path: Path) -> None:
    (tmp_path / "strong.opt").write_text("rule Strong(x, g) from scale\nupdate\n  g' = 3*base\n", encoding="utf-8")
    (tmp_path / "line.opt").write_text("rule Line(x, g) = strong |> flux/descent\n", encoding="utf-8")
    path = tmp_path / "made.opt"
    path.write_text("rule Made(x, g) from Line\nhyper\n  eta = 0.25\n", encoding="utf-8")
    rule = pipeline.rule_of(read(path))
    assert defaults(rule) == {"factor": 1, "eta": 0.25}
    assert course(rule, np.ones(12), [np.ones(12)])[0][0] == 1 - 0.75


# Mistakes

FILES = {
    "loop.opt": "rule Loop(x, g) = clip_value |> other\n",
    "other.opt": "rule Other(x, g) = trace |> loop\n",
    "wrong.opt": "rule Wrong(x, g)\nupdate\n  g' = gg\n",
    "broken.opt": "rule Broken(x, g)\nupdate\n  g' = (g\n",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("= clip_valu |> adam\n", [("unknown-base", "case.opt", 1)]),
        ("= flux/nothing |> adam\n", [("unknown-base", "case.opt", 1)]),
        ("= case |> adam\n", [("unknown-base", "case.opt", 1)]),
        ("= adam |> clip_norm |> sgd\n", [("bad-chain", "case.opt", 1)]),
        ("= loop |> adam\n", [("cyclic-definition", "other.opt", 1)]),
        ("= wrong |> adam\n", [("undefined-name", "wrong.opt", 3)]),
        ("= broken |> adam\n", [("syntax", "broken.opt", 3)]),
        ("= clip_value(lim = 1) |> adam\n", [("undefined-name", "case.opt", 1)]),
        ("= clip_value(limit = 1, limit = 2) |> adam\n", [("duplicate-name", "case.opt", 1)]),
        ("= clip_value(limit = -1) |> adam\n", [("default-out-of-range", "case.opt", 1)]),
        ("= clip_value |> adam(amsgrad = 1)\n", [("wrong-kind", "case.opt", 1)]),
        ("= clip_value |> adam(lr = t)\n", [("not-constant", "case.opt", 1)]),
        ("= clip_value |> adam\nhyper\n  lrr = 1\n", [("undefined-name", "case.opt", 3)]),
        ("= clip_value |> adam\nhyper\n  amsgrad = 1\n", [("wrong-kind", "case.opt", 3)]),
        ("= clip_value |> adam\nstate\n  k = 1\n", [("syntax", "case.opt", 2)]),
        ("= clip_value |> adam\nupdate\n  x' = x\n", [("syntax", "case.opt", 2)]),
        ("= clip_value adam\n", [("syntax", "case.opt", 1)]),
        ("= clip_value | adam\n", [("syntax", "case.opt", 1)]),
        ("= \n", [("syntax", "case.opt", 1)]),
        ("\nupdate\n  g' = norm(g)\n", [("wrong-kind", "case.opt", 3)]),
        ("\nupdate\n  g' = x'\n", [("cyclic-definition", "case.opt", 3)]),
        ("\nupdate\n  g' = g\n  x' = x - g\n", [("not-a-state", "case.opt", 3)]),
    ],
)
def test_mistakes_are_found_where_they_are(text: str, expected: list[tuple[str, str, int]], tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    path = tmp_path / "case.opt"
    path.write_text(f"rule Case(x, g) {text}", encoding="utf-8")
    checked = pipeline.analyse(read(path))
    assert [
        (problem.slug, Path(checked.source.file(problem.span[0])).name, checked.source.position(problem.span[0]).line)
        for problem in checked.problems
    ] == expected


def test_a_name_of_the_rule_cannot_be_that_of_an_array() -> None:
    (problem,) = pipeline.analyse(SourceFile("r.opt", "rule R(x, m) = clip_value |> adam\n")).problems
    assert problem.slug == "duplicate-name"


def test_chains_of_chains_end(tmp_path: Path) -> None:
    (tmp_path / "c0.opt").write_text("rule C0(x, g) = ema |> ema\n", encoding="utf-8")
    for number in range(1, 12):
        text = f"rule C{number}(x, g) = c{number - 1} |> c{number - 1}\n"
        (tmp_path / f"c{number}.opt").write_text(text, encoding="utf-8")
    problems = pipeline.analyse(read(tmp_path / "c11.opt")).problems
    assert [problem.slug for problem in problems] == ["too-complex"]
    names = [f"t{number}" for number in range(bases.MOST_FILES + 1)]
    for name in names:
        (tmp_path / f"{name}.opt").write_text(f"rule {name}(x, g)\nupdate\n  g' = 2*g\n", encoding="utf-8")
    (tmp_path / "long.opt").write_text(f"rule Long(x, g) = {' |> '.join(names)}\n", encoding="utf-8")
    (problem,) = pipeline.analyse(read(tmp_path / "long.opt")).problems
    assert problem.slug == "too-complex"
    assert str(bases.MOST_FILES) in problem.message


def test_a_finding_in_a_component_is_said_in_the_words_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "part.opt").write_text("rule Part(a, b)\nhyper\n  lr = 1\nupdate\n  b' = lr*bb\n", encoding="utf-8")
    path = tmp_path / "case.opt"
    path.write_text("rule Case(x, g) = part |> part |> adam\n", encoding="utf-8")
    (problem,) = pipeline.analyse(read(path)).problems
    assert "`bb` is not defined" in problem.message


def test_what_a_component_leaves_unused_is_no_finding_of_the_chain(tmp_path: Path) -> None:
    (tmp_path / "part.opt").write_text("rule Part(a, b)\nhyper\n  idle = 1\nupdate\n  b' = b\n", encoding="utf-8")
    path = tmp_path / "case.opt"
    path.write_text("rule Case(x, g) = part |> adam\n", encoding="utf-8")
    assert pipeline.check(read(path)).problems == ()


# LAMB


def test_lamb_is_adam_with_decay_and_a_trust_ratio(tmp_path: Path) -> None:
    """The trust ratio takes the size of the step out, so the learning rate comes after it."""
    sample = Path(__file__).parent / "samples" / "lamb.opt"
    (tmp_path / "lamb.opt").write_text(sample.read_text(encoding="utf-8"), encoding="utf-8")
    path = tmp_path / "lambchain.opt"
    path.write_text(
        "rule LambChain(x, g) = adamw(lr = 1) |> trust_ratio |> scale(factor = 1e-3)\n\nclaim\n"
        "  equals LAMB with lr = factor when lr = 1 and trust_coefficient = 1 and trust_ratio_eps = 0"
        " and amsgrad = false for 2 steps\n",
        encoding="utf-8",
    )  # fmt: skip
    assert pipeline.check(read(path)).problems == ()
    path.write_text(path.read_text(encoding="utf-8").replace("lr = 1 and ", ""), encoding="utf-8")
    assert [problem.slug for problem in pipeline.check(read(path)).problems] == ["false-claim"]
