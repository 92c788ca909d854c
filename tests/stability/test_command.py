"""What `optdsl stability` prints, draws and refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from optdsl.cli import main
from optdsl.stability import plot
from optdsl.stability.region import region
from optdsl.stability.report import formula

from .support import TEXTS, load


def invoke(*arguments: str, **settings: object) -> Result:
    return CliRunner().invoke(main, ("stability", *arguments), **settings)  # type: ignore[arg-type]


HEAVY_BALL = """\
Momentum on f(x) = h·x²/2, where g = h·x, with lr > 0 and h > 0

  ⎡x′⎤ = ⎡1 − lr·h   −lr·momentum⎤ ⎡x⎤
  ⎣b′⎦   ⎣h          momentum    ⎦ ⎣b⎦
  stable where lr·h < 2(1 + momentum)
           and momentum < 1

at the defaults (momentum = 0.9): lr·h < 3.8; at lr = 0.001: h < 3800
exact: there, and nowhere else, every eigenvalue of the matrix is below 1 in size
"""


def test_heavy_ball() -> None:
    result = invoke("momentum")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == HEAVY_BALL


def test_the_forms_of_sgd() -> None:
    lines = invoke("sgd").stdout.splitlines()
    assert lines[1] == "by default: nesterov = false, maximize = false"
    assert "where momentum = 0:" in lines
    assert "where momentum ≠ 0, at late steps, t → ∞:" in lines
    assert "  stable where lr·(h + weight_decay) < 2" in lines
    assert "  stable where lr·(h + weight_decay) < 2(1 + momentum)/(1 − dampening)" in lines
    assert any(line.endswith("lr·h < 2; at lr = 0.001: h < 2000") for line in lines)


def test_what_is_given() -> None:
    text = invoke("sgd", "--when", "momentum=0.9 and nesterov=true", "--when", "weight_decay=0.5,dampening=0").stdout
    assert "given: momentum = 0.9, nesterov = true, weight_decay = 0.5, dampening = 0\n" in text
    assert "  stable where lr·(0.5 + h) < 19/14\n" in text
    assert "in numbers: lr·(0.5 + h) < 1.35714; at lr = 0.001: h < 1356.64\n" in text


def test_never_and_always(tmp_path: Path) -> None:
    assert "\n  never stable\n" in invoke("sgd", "--when", "maximize=true, weight_decay=0").stdout
    still = "rule Half(x, g)\nhyper\n  lr = 1 in [0, inf)\nupdate\n  x' = 0.5*x + 0*lr*g\n"
    assert "\n  always stable\n" in invoke("-", input=still).stdout


def test_numbers_where_there_is_no_formula() -> None:
    text = invoke("-", input=f"rule Thrice(x, g)\n{TEXTS['thrice']}").stdout
    assert "that has no closed form" in text
    assert "spectral radius, numerically" in text
    assert [line.split()[0] for line in text.splitlines()[-5:]] == ["0.01", "0.1", "1", "10", "100"]


def test_a_rule_that_is_not_linear_is_simulated_and_says_so() -> None:
    text = invoke("lion").stdout
    assert "no exact region: x′ isn't linear in the parameter and the states\n" in text
    assert "by simulation, at the defaults (β₁ = 0.9, β₂ = 0.99, weight_decay = 0):\n" in text
    assert "1,000 steps in float64 from x = 1, stable where |x| never exceeds 10." in text
    assert "exact:" not in text
    # A step of lr in the wrong direction at 1, in ten such steps at most: lr = 9 keeps |x| within 10 only just.
    assert text.splitlines()[-1].split() == ["100", "9"]


def test_without_a_learning_rate_the_curvature_is_limited() -> None:
    assert "\nlargest stable h: above 10000\n" in invoke("flux/adadelta").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sgd", "--when", "momentun=0.9"), "SGD has no hyperparameter 'momentun'; did you mean 'momentum'?"),
        (("sgd", "--when", "momentum=-1"), "momentum = -1 is outside [0, inf)"),
        (("sgd", "--when", "momentum is high"), "'momentum is high' is not `name = value`"),
        (("sgd", "--when", "nesterov=1"), "nesterov takes true or false; got 1"),
        (("nothing",), "no bundled rule called 'nothing'"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_rule_with_errors_is_a_finding() -> None:
    result = invoke("-", input="rule R(x, g)\nupdate\n  x' = x - q*g\n")
    assert result.exit_code == 1
    assert "undefined-name" in result.stderr


@pytest.mark.parametrize(("name", "when"), [("momentum", {}), ("momentum", {"lr": 0.5}), ("lion", {}), ("thrice", {})])
def test_a_picture(name: str, when: dict[str, float], tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image", reason="pictures need matplotlib")
    file = tmp_path / "region.png"
    plot.draw(region(load(name), when), file)
    pixels = image.imread(file)[..., :3].reshape(-1, 3)
    assert min(image.imread(file).shape[:2]) > 400
    edge = np.all(np.abs(pixels - np.array([0xC2, 0x27, 0x1A]) / 255) < 0.01, axis=1)
    shade = np.all(np.abs(pixels - 0xD9 / 255) < 0.01, axis=1)
    assert edge.sum() > 500
    assert 0.05 < shade.mean() < 0.7


def test_the_command_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    file = tmp_path / "region.svg"
    result = invoke("sgd", "--plot", str(file))
    assert result.exit_code == 0
    assert result.stdout.endswith(f"\npicture: {file}\n")
    assert "<svg" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rule", "file", "words"),
    [
        ("sgd", "region.doc", "should end in one of"),
        ("sgd", "no/folder/region.png", "there is no folder"),
        ("flux/adadelta", "region.png", "a picture is drawn over the learning rate, and ADADelta has none"),
    ],
)
def test_what_can_not_be_drawn_is_said_at_once(rule: str, file: str, words: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    result = invoke(rule, "--plot", str(tmp_path / file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = invoke("sgd", "--plot", str(tmp_path / "a.png"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "pip install 'optdsl[plot]'" in result.stderr


def test_formulas_keep_their_meaning() -> None:
    step = region(load("sgd"), {"momentum": 0.9, "lr": 0.3}).forms[0].step
    assert step is not None
    assert [formula(entry) for entry in step.matrix[0]] == [
        "1 − 0.3(1 − dampening)·(h + weight_decay)", "−0.27",
    ]  # fmt: skip
