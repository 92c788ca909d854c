"""What `optdsl run` prints, returns and refuses."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import click
import pytest
from rich.console import Console

from optdsl.runtime import toolchain
from optdsl.trials import command
from optdsl.trials.command import parse_options

ADAM = Path(__file__).parents[2] / "rules" / "adam.opt"


class Printed:
    """A console of a common width, and what was printed on it."""

    def __init__(self) -> None:
        self.console = Console(file=io.StringIO(), width=100)

    @property
    def text(self) -> str:
        """What was printed."""
        file = self.console.file
        assert isinstance(file, io.StringIO)
        return file.getvalue()


@pytest.fixture
def printed() -> Printed:
    return Printed()


def test_digits(target: str, printed: Printed) -> None:
    assert command.run("adam", target=target, console=printed.console)
    lines = printed.text.splitlines()
    assert lines[0].startswith("adam on C (" if target == "c" else "adam on NumPy")
    train, test = (next(line for line in lines if line.startswith(f"│ {name}")) for name in ("train", "test"))
    assert float(train.split("│")[3].split()[0]) >= 98
    assert float(test.split("│")[3].split()[0]) >= 96
    assert "1,800 steps in " in printed.text
    code = lines[-1].removeprefix("generated code: ").removesuffix(" and adam.c")
    assert Path(code).name == "adam.py"
    assert Path(code).is_file()
    assert lines[-1].endswith("adam.c") == (target == "c")


def test_a_function_and_a_picture(printed: Printed, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    picture = tmp_path / "path.png"
    assert command.run(
        "flux/adam", "booth", 300, picture, "numpy", ["eta=0.1", "beta=(0.9, 0.99)"], console=printed.console
    )
    assert printed.text.startswith("flux/adam on NumPy\n")
    assert "ADAM on booth" in printed.text
    assert "distance to the minimum" in printed.text
    assert "300 steps in " in printed.text
    assert printed.text.endswith(f"picture: {picture}\n")
    assert picture.stat().st_size > 10_000


def test_without_a_compiler_it_runs_on_numpy_and_says_so(monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    monkeypatch.setenv("OPTDSL_CC", "/nowhere/cc")
    assert command.run("adam", "booth", 10, console=printed.console)
    assert printed.text.splitlines()[0] == "no C compiler found: adam runs on NumPy"
    with pytest.raises(toolchain.ToolchainError):
        command.run("adam", "booth", 10, target="c")


def test_a_compiler_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, printed: Printed, tmp_path: Path) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo broken 1.0\n', encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("OPTDSL_CC", str(broken))
    assert command.run("adam", "booth", 10, console=printed.console)
    first, second = printed.text.splitlines()[:2]
    assert "running on NumPy" in first
    assert "broken-cc" in first
    assert second == "adam on NumPy"


def test_a_rule_on_standard_input(monkeypatch: pytest.MonkeyPatch, printed: Printed) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(ADAM.read_text(encoding="utf-8")))
    assert command.run("-", "booth", 10, target="numpy", console=printed.console)
    assert printed.text.startswith("Adam on NumPy\n")


def test_code_that_could_not_be_kept_is_not_pointed_to(
    monkeypatch: pytest.MonkeyPatch, printed: Printed, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPTDSL_CACHE_DIR", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("in the way of a folder", encoding="utf-8")
    fresh = tmp_path / "fresh.opt"
    fresh.write_text(ADAM.read_text(encoding="utf-8") + "# unlike any that was loaded before\n", encoding="utf-8")
    assert command.run(str(fresh), "booth", 10, target="numpy", console=printed.console)
    assert "generated code: not kept" in printed.text


@pytest.mark.parametrize("on", ["rosenbrock", "digits"])
def test_divergence_is_said_and_returned(on: str, printed: Printed) -> None:
    assert not command.run("flux/descent", on, target="numpy", options=["eta=1e30"], console=printed.console)
    assert "the loss is no longer a finite number; another learning rate may help: -O eta=…" in printed.text


def test_a_gradient_that_raises_is_divergence(printed: Printed) -> None:
    options = ["eta=1e80", "nonfinite=raise"]
    assert not command.run("flux/descent", "rosenbrock", target="numpy", options=options, console=printed.console)
    assert "diverged" in printed.text


def test_a_loss_that_rises_is_said(printed: Printed) -> None:
    assert command.run("sgd", "digits", 50, target="numpy", options=["lr=100"], console=printed.console)
    assert "the loss did not fall: it went from " in printed.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on": "rosenbrok"}, "there is no problem 'rosenbrok'; did you mean 'rosenbrock'?"),
        ({"on": "mnist"}, "of digits, rosenbrock"),
        ({"steps": 0}, "steps = 0 is below 1"),
        ({"seed": -1}, "seed = -1 is below 0"),
        ({"options": ["lrr=1"]}, "Adam has no option 'lrr'; did you mean 'lr'?"),
        ({"options": ["beta1=2"]}, "beta1 = 2 is outside [0, 1)"),
        ({"options": ["lr=fast"]}, "lr takes a number or a callable of the step number; got 'fast'"),
        ({"options": ["lr"]}, "'lr' is not an option with its value, such as lr=0.01"),
        ({"options": ["lr=1", "lr=2"]}, "lr is given twice"),
        ({"plot": "/nowhere/at/all.png"}, "there is no folder /nowhere/at"),
        ({"plot": "picture.foo"}, "should end in one of"),
    ],
)
def test_wrong_usage(settings: dict[str, object], message: str, printed: Printed) -> None:
    if "plot" in settings:
        pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    with pytest.raises(click.UsageError) as caught:
        command.run("adam", target="numpy", console=printed.console, **settings)  # type: ignore[arg-type]
    assert message in caught.value.message
    assert printed.text == ""


def test_options_are_read_as_python_values() -> None:
    numbers, words = ["lr=1e-3", "t0=inf"], ["amsgrad=True", "nesterov=false", "clip_norm=none", "nonfinite=skip"]
    assert parse_options([*numbers, *words, "betas=0.9,0.99", "beta=(0.5, 1)", "c=[2]"]) == {
        "lr": 1e-3,
        "amsgrad": True,
        "nesterov": False,
        "betas": (0.9, 0.99),
        "beta": (0.5, 1.0),
        "c": (2.0,),
        "clip_norm": None,
        "nonfinite": "skip",
        "t0": float("inf"),
    }
    assert parse_options(["x=" + "(" * 5000 + ")" * 5000])["x"][0].startswith("((((")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("cc (Debian 12.2.0-14+deb12u1) 12.2.0", "12.2.0"),
        ("Debian clang version 14.0.6", "14.0.6"),
        ("clang version 20.1.2 (https://github.com/ziglang/zig-bootstrap 7ef74e656c)", "20.1.2"),
        ("unknown version", "unknown version"),
    ],
)
def test_the_version_of_a_compiler(said: str, version: str) -> None:
    assert command._version(said) == version


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command.run("adam", "booth", 300, target="numpy")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # which rich takes for a terminal
    command.run("adam", "booth", 300, target="numpy")
    shown = capsys.readouterr()
    assert "Adam on booth" in shown.err
    assert "300/300" in shown.err
    assert "generated code" in shown.out


def test_the_command_loads_neither_compiler_nor_plotting() -> None:
    program = "import sys, optdsl.trials.command; print(*{'sympy', 'lark', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
