"""`optdsl diff`: whether two rules are the same, and where they part."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from optdsl.cli import main


def diff(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["diff", *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        ("adam", "adam"),
        ("adam", "adamw", "--when", "weight_decay=0"),
        ("adamw", "adam", "--when", "weight_decay=0"),
        ("flux/adam", "adam"),
        ("adam", "amsgrad", "--when", "amsgrad = true"),
        ("momentum", "sgd", "--when", "momentum = 0.5 and nesterov = false"),
        ("flux/nesterov", "nesterov", "--with", "momentum=rho"),
        ("flux/descent", "sgd", "--when", "lr=0.5"),
    ],
    ids=" ".join,
)
def test_rules_that_are_the_same(arguments: tuple[str, ...]) -> None:
    result = diff(*arguments)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{arguments[0]} and {arguments[1]} are the same.\nProved for ")


def test_what_was_assumed_is_said() -> None:
    lines = diff("adam", "adamw", "--when", "weight_decay=0").output.splitlines()
    assert lines[2:] == ["with weight_decay = 0", "taken equal: lr, beta1, beta2, eps, amsgrad"]
    lines = diff("flux/descent", "sgd", "--when", "eta=0.5").output.splitlines()
    assert lines[2:] == [
        "with eta = 0.5",
        "taken equal: lr = eta",
        "at the defaults of sgd: momentum = 0, dampening = 0, weight_decay = 0, nesterov = false, maximize = false",
    ]


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (("flux/nadam", "nadam"), 1),
        (("adam", "adamw"), 1),
        (("adam", "adamax"), 2),
        (("momentum", "nesterov"), 1),
    ],
)
def test_rules_that_part(arguments: tuple[str, ...], step: int) -> None:
    result = diff(*arguments)
    assert result.exit_code == 1
    first, second = arguments[:2]
    assert result.output.startswith(f"{first} and {second} part at step {step}, where x = ")
    assert "\n  x' is " in result.output
    assert f"\nThey part in\n  {first}, " in result.output
    assert f"\n  {second}, " in result.output


def test_rules_that_start_with_other_states() -> None:
    result = diff("amsgrad", "flux/amsgrad")
    assert result.exit_code == 1
    assert (
        "\nThey start with other states: m = 0 and epsilon, v = 0 and epsilon, vmax = 0 and epsilon\n" in result.output
    )


def test_a_proof_for_some_steps_says_so(tmp_path: Path) -> None:
    path = tmp_path / "late.opt"
    path.write_text(
        "rule Late(x, g)\nhyper\n  lr = 1e-3 in [0, inf)\nupdate\n  x' = x - lr*(if t > 7 then 2*g else g)\n"
    )
    result = diff(str(path), "sgd")
    assert (result.exit_code, result.output.splitlines()[0]) == (0, f"{path} and sgd are the same for 4 steps.")
    assert diff(str(path), "sgd", "--steps", "8").output.startswith(
        f"{path} and sgd part at step 8, where x = 0, g1 = "
    )


def test_other_defaults_of_what_is_taken_equal_are_said() -> None:
    assert "though their defaults differ: amsgrad (false and true)" in diff("adam", "amsgrad").output


def test_the_difference_is_simplified() -> None:
    result = diff("momentum", "nesterov", "--when", "momentum=0.5")
    assert "The difference of the two x' is " in result.output
    assert "lr" in result.output.split("The difference")[1].splitlines()[0]


def test_a_later_step_has_its_gradients(tmp_path: Path) -> None:
    (tmp_path / "late.opt").write_text(
        "rule Late(x, g)\nhyper\n  lr = 1e-3\n  momentum = 0.9\nstate\n  b = 0\n"
        "update\n  b' = momentum*b + (1 - momentum)*g\n  x' = x - lr*(if t > 2 then b' else g + momentum*b)\n"
    )
    (tmp_path / "soon.opt").write_text(
        "rule Soon(x, g)\nhyper\n  lr = 1e-3\n  momentum = 0.9\nstate\n  b = 0\n"
        "update\n  b' = momentum*b + (1 - momentum)*g\n  x' = x - lr*(g + momentum*b)\n"
    )
    late, soon = str(tmp_path / "late.opt"), str(tmp_path / "soon.opt")
    assert diff(late, soon, "--steps", "2").exit_code == 0
    result = diff(late, soon)
    assert result.exit_code == 1
    assert f"{late} and {soon} part at step 3, where x = 0, g1 = " in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("adam", "adamx"), "there is no file and no bundled rule called 'adamx'; did you mean 'adamax'?"),
        (("adam", "adamw", "--when", "weight_deca=0"), "neither adam nor adamw has a hyperparameter 'weight_deca'"),
        (("adam", "adamw", "--when", "beta1=1"), "beta1 = 1 is outside [0, 1)"),
        (("adam", "adamw", "--when", "beta1"), "'beta1' is not `name = value`"),
        (("adam", "nadam", "--with", "momentun_decay=lr"), "did you mean 'momentum_decay'?"),
        (("adam", "nadam", "--with", "lr"), "'lr' is not `name = name`"),
        (
            ("flux/momentum", "momentum", "--with", "rho=momentum"),
            "--with names the second rule's hyperparameter",
        ),
        (("adam", "amsgrad", "--with", "amsgrad=lr"), "amsgrad is a truth value and lr a number"),
        (("adam", "adamw", "--steps", "17"), "17 is not in the range 1<=x<=16"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = diff(*arguments)
    assert result.exit_code == 2
    assert message.lower() in result.output.lower()


def test_a_rule_with_errors_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "wrong.opt"
    path.write_text("rule Wrong(x, g)\nupdate\n  x' = y\n")
    result = diff("adam", str(path))
    assert result.exit_code == 1
    assert "error[undefined-name]: `y` is not defined" in result.output
