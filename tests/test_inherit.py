"""Rules made from rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl import bases, bundled, pipeline
from optdsl.ir.arithmetic import Floats
from optdsl.ir.evaluate import defaults, initial_states, step
from optdsl.ir.nodes import Rule
from optdsl.ir.show import show
from optdsl.source import SourceFile

SAMPLES = Path(__file__).parent / "samples"
ADAMW = """\
rule AdamW(x, g) from Adam

hyper
  weight_decay = 1e-2 in [0, inf)

update
  x' = base - lr*weight_decay*x
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "adam.opt").write_text((SAMPLES / "adam.opt").read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def rule_in(folder: Path, name: str, text: str) -> Rule:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return pipeline.rule_of(SourceFile(str(path), text))


def findings(folder: Path, text: str) -> list[tuple[str, str, int]]:
    """Return slug, file and line of what is found in a rule that stands in a folder."""
    path = folder / "derived.opt"
    path.write_text(text, encoding="utf-8")
    checked = pipeline.analyse(SourceFile(str(path), text))
    return [
        (problem.slug, Path(checked.source.file(problem.span[0])).name, checked.source.position(problem.span[0]).line)
        for problem in checked.problems
    ]


def course(rule: Rule, gradients: list[float]) -> list[float]:
    """Return the parameter after each step."""
    hypers, x = defaults(rule), [1.0]
    states = initial_states(rule, Floats(), hypers, x)
    values = []
    for t, gradient in enumerate(gradients, 1):
        outcome = step(rule, Floats(), hypers, x, [gradient], states, t)
        x, states = outcome.parameter, outcome.states
        values.append(x[0])
    return values


@pytest.mark.parametrize("beside", [True, False], ids=["beside", "bundled"])
def test_the_sample_is_adam_with_decoupled_decay(folder: Path, beside: bool) -> None:
    if not beside:
        (folder / "adam.opt").unlink()
    rule = rule_in(folder, "adamw.opt", ADAMW)
    m = v = 0.0
    x, expected = 1.0, []
    gradients = [0.5, -2.0, 0.0, 3.0]
    for t, g in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x = x - 1e-3 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8) - 1e-3 * 1e-2 * x
        expected.append(x)
    assert course(rule, gradients) == pytest.approx(expected, rel=1e-14)


def test_what_is_given_again_replaces_what_the_base_has(folder: Path) -> None:
    text = "rule B(x, g) from Adam\nhyper\n  eps = 1e-3\n  lr = eps in [0, 1]\nstate\n  v = 1\nupdate\n  v' = v\n"
    rule = rule_in(folder, "b.opt", text)
    hypers = {hyper.symbol.name: hyper for hyper in rule.hypers}
    assert defaults(rule)["lr"] == defaults(rule)["eps"] == 1e-3
    assert (str(hypers["eps"].interval), hypers["eps"].doc) == ("[0, inf)", "added to the denominator")
    assert str(hypers["lr"].interval) == "[0, 1]"
    assert show(rule.state("v").init) == "1"
    new = next(equation for equation in rule.equations if equation.target.name == "v" and "'" in equation.text)
    assert show(new.value) == "v"


def test_new_entries_stand_before_the_next_that_is_given_again(folder: Path) -> None:
    text = "rule B(x, g) from Adam\nupdate\n  k = 2*g\n  v' = base + k - k\n  last = lr\n"
    assert [equation.target.name for equation in rule_in(folder, "b.opt", text).equations] == [
        "m", "k", "v", "mhat", "vhat", "x", "last",
    ]  # fmt: skip


def test_the_base_goes_by_the_names_of_the_rule(folder: Path) -> None:
    base = "rule Base(x, g)\ndef f(a, θ) = a + x*θ\nupdate\n  x' = x - f(g, 2)\n"
    (folder / "base.opt").write_text(base, encoding="utf-8")
    swapped = rule_in(folder, "swapped.opt", "rule Swapped(g, x) from Base\n")
    assert show(swapped.equations[0].value) == "g - (x + g*2)"
    greek = rule_in(folder, "greek.opt", "rule Greek(θ, d) from Base\nupdate\n  θ' = base - θ\n")
    assert show(greek.equations[0].value) == "theta - (d + theta*2) - theta"


def test_rules_are_made_one_from_another(folder: Path) -> None:
    (folder / "adamw.opt").write_text(ADAMW, encoding="utf-8")
    rule = rule_in(folder, "slow.opt", "rule Slow(x, g) from AdamW\nhyper\n  lr = 1e-4\n")
    assert [hyper.symbol.name for hyper in rule.hypers] == ["lr", "beta1", "beta2", "eps", "weight_decay"]
    assert [rule.place(equation.span[0]) for equation in rule.equations if equation.span] == [
        *((str(folder / "adam.opt"), line) for line in (17, 18, 19, 20)), (str(folder / "adamw.opt"), 7),
    ]  # fmt: skip


def test_a_file_can_be_made_from_the_bundled_rule_of_its_name(tmp_path: Path) -> None:
    rule = rule_in(tmp_path, "adam.opt", "rule Adam(x, g) from Adam\nhyper\n  lr = 1\n")
    assert "amsgrad" in defaults(rule)
    assert defaults(rule)["lr"] == 1


@pytest.mark.parametrize("path", ["flux/Momentum", "flux / Momentum", "flux÷Momentum", "flux/MOMENTUM"])
def test_a_base_in_a_folder_is_the_one_beside_or_the_bundled_one(tmp_path: Path, path: str) -> None:
    text = f"rule Mine(x, g) from {path}\n"
    assert defaults(rule_in(tmp_path, "mine.opt", text)) == {"eta": 0.01, "rho": 0.9}
    bundled_text = (bundled.folder() / "flux" / "momentum.opt").read_text(encoding="utf-8")
    assert bases.texts(SourceFile(str(tmp_path / "mine.opt"), text))[0] == bundled_text
    (tmp_path / "flux").mkdir()
    (tmp_path / "flux" / "momentum.opt").write_text("rule M(x, g)\nhyper\n  k = 2\nupdate\n  x' = x - k*g\n")
    assert defaults(rule_in(tmp_path, "mine.opt", text)) == {"k": 2}
    assert bases.texts(SourceFile(str(tmp_path / "mine.opt"), text)) == [
        "rule M(x, g)\nhyper\n  k = 2\nupdate\n  x' = x - k*g\n"
    ]


def test_a_folder_keeps_its_capitals(tmp_path: Path) -> None:
    (tmp_path / "Ours").mkdir()
    (tmp_path / "Ours" / "plain.opt").write_text("rule Plain(x, g)\nupdate\n  x' = x - g\n", encoding="utf-8")
    assert course(rule_in(tmp_path, "mine.opt", "rule Mine(x, g) from Ours/Plain\n"), [0.25]) == [0.75]


def test_rules_in_folders_can_go_in_a_circle(folder: Path) -> None:
    (folder / "ours").mkdir()
    (folder / "ours" / "derived.opt").write_text("rule Other(x, g) from ours/Third\n", encoding="utf-8")
    assert findings(folder, "rule D(x, g) from ours/Derived\n") == [("unknown-base", "derived.opt", 1)]
    (folder / "ours" / "ours").mkdir()
    (folder / "ours" / "ours" / "third.opt").write_text("rule Third(x, g) from Derived\n", encoding="utf-8")
    (folder / "ours" / "ours" / "derived.opt").write_text("rule Derived(x, g) from Third\n", encoding="utf-8")
    assert findings(folder, "rule D(x, g) from ours/Derived\n") == [("cyclic-definition", "derived.opt", 1)]


@pytest.mark.parametrize(
    ("path", "meant"),
    [("flux/Momentun", "flux/Momentum"), ("fulx/descent", "flux/Descent"), ("ours/Plian", "ours/Plain"), ("q/w", None)],
)
def test_a_base_in_a_folder_that_is_misspelt(folder: Path, path: str, meant: str | None) -> None:
    (folder / "ours").mkdir()
    (folder / "ours" / "plain.opt").write_text("rule Plain(x, g)\nupdate\n  x' = x - g\n", encoding="utf-8")
    (folder / "derived.opt").write_text(f"rule D(x, g) from {path}\n", encoding="utf-8")
    source = SourceFile(str(folder / "derived.opt"), f"rule D(x, g) from {path}\n")
    (problem,) = pipeline.analyse(source).problems
    assert problem.slug == "unknown-base"
    assert problem.help == (f"did you mean `{meant}`?" if meant else "`optdsl list` shows the bundled rules")


def test_a_changed_base_is_compiled_anew(folder: Path) -> None:
    (folder / "adamw.opt").write_text(ADAMW, encoding="utf-8")
    steps = []
    for lr in ("1e-3", "2e-3"):
        base = (SAMPLES / "adam.opt").read_text(encoding="utf-8").replace("1e-3 ", f"{lr} ")
        (folder / "adam.opt").write_text(base, encoding="utf-8")
        x = np.ones(3)
        optdsl.load(folder / "adamw.opt", target="numpy")(x).step(np.ones(3))
        steps.append(1 - x[0])
    assert steps[1] == pytest.approx(2 * steps[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rule B(x, g) from Adm\n", [("unknown-base", "derived.opt", 1)]),
        ("rule B(m, g) from Adam\n", [("duplicate-name", "derived.opt", 1)]),
        ("rule B(x, g) from Adam\nupdate\n  u = base\n", [("undefined-name", "derived.opt", 3)]),
        ("rule B(x, g)\nupdate\n  x' = base\n", [("undefined-name", "derived.opt", 3)]),
        ("rule B(x, g) from Adam\nhyper\n  m = 1\n", [("duplicate-name", "derived.opt", 3)]),
        ("rule B(x, g) from Adam\nhyper\n  beta1 = 2\n", [("default-out-of-range", "derived.opt", 3)]),
        ("rule B(x, g) from Wrong\n", [("syntax", "wrong.opt", 3)]),
        ("rule B(x, g) from Loop\n", [("cyclic-definition", "loop.opt", 1)]),
        ("rule B(x, g) from Bytes\n", [("unknown-base", "derived.opt", 1)]),
    ],
)  # fmt: skip
def test_findings_point_into_the_file_they_are_about(
    folder: Path, text: str, expected: list[tuple[str, str, int]]
) -> None:
    (folder / "wrong.opt").write_text("rule Wrong(x, g)\nupdate\n  x' = x +\n", encoding="utf-8")
    (folder / "loop.opt").write_text("rule Loop(x, g) from Derived\n", encoding="utf-8")
    (folder / "bytes.opt").write_bytes(b"\xff\xfe")
    assert findings(folder, text) == expected


def test_a_chain_has_an_end(folder: Path) -> None:
    for number in range(20):
        (folder / f"b{number}.opt").write_text(f"rule B{number}(x, g) from B{number + 1}\n", encoding="utf-8")
    assert findings(folder, "rule B(x, g) from B0\n") == [("too-complex", "b14.opt", 1)]


def test_base_put_in_again_and_again_meets_the_limit_on_nesting(folder: Path) -> None:
    deep = " + ".join(["g"] * 60)
    (folder / "b.opt").write_text(f"rule B(x, g)\nupdate\n  x' = x + {deep}\n", encoding="utf-8")
    text = f"rule D(x, g) from B\nupdate\n  x' = base + {deep}\n"
    assert findings(folder, text) == [("too-complex", "derived.opt", 3)]
