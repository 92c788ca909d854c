"""Every example runs as a script and shows what its docstring says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TESTED = {
    "autograd_gradients", "batches", "chain", "linear_regression_flux", "linear_regression_torch", "new_rule",
    "per_layer_learning_rates",
}  # fmt: skip


@pytest.fixture
def environment() -> dict[str, str]:
    """Return an environment, the session's cache in it, where the checkout is found whether installed or not."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def output(name: str, environment: dict[str, str], cwd: Path) -> str:
    """Return what an example prints; it must succeed, say nothing on standard error, and be short."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        env=environment,
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) < 30
    return done.stdout


def fits(text: str) -> dict[str, tuple[int, float]]:
    """Return steps and loss by the way of fitting, from a table of the linear regressions."""
    rows = re.findall(r"^(.+?) +(\d+) steps   loss ([\d.]+)", text, re.MULTILINE)
    return {way: (int(steps), float(loss)) for way, steps, loss in rows}


def test_every_example_is_tested_and_listed() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == TESTED
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("rules/*.opt")):
        assert f"({path.relative_to(EXAMPLES).as_posix()})" in readme


def test_linear_regression_flux(environment: dict[str, str], tmp_path: Path) -> None:
    table = fits(output("linear_regression_flux", environment, tmp_path))
    assert len(table) == 4
    assert table["before"] > (0, 5.0)
    assert all(loss < 0.021 for way, (_, loss) in table.items() if way != "before")
    assert table["opt([gw, gb])"] == table["optdsl.update(opt, w, gw)"] != table["before"]
    assert table["optdsl.train(…, batch_size=20)"][0] == 300


def test_linear_regression_torch(environment: dict[str, str], tmp_path: Path) -> None:
    table = fits(output("linear_regression_torch", environment, tmp_path))
    assert len(table) == 4
    assert table["before"] > (0, 5.0)
    assert all(loss < 0.021 for way, (_, loss) in table.items() if way != "before")


def test_batches(environment: dict[str, str], tmp_path: Path) -> None:
    text = output("batches", environment, tmp_path)
    rows = re.findall(r"^ *(whole|mini, 32|one) +([\d.]+) +(\d+) +([\d.]+) +([\d.]+) +(\S+)$", text, re.MULTILINE)
    assert [(row[0], int(row[2])) for row in rows] == [("whole", 20), ("mini, 32", 320), ("one", 10240)]
    first = [float(row[3]) for row in rows]
    above = [float(row[5]) for row in rows]
    assert first == sorted(first, reverse=True)  # more steps go further in the first epoch,
    assert 0 < above[1] < above[2] < 0.01  # and single examples end in a wider cloud


def test_per_layer_learning_rates(environment: dict[str, str], tmp_path: Path) -> None:
    text = output("per_layer_learning_rates", environment, tmp_path)
    trained, fresh, again = (float(share) for share in re.findall(r"([\d.]+)% right", text))
    assert trained > 94
    assert fresh < 40
    assert again > 90
    moved = re.search(r"the first layer moved by ([\d.]+)%; W2 has made 300 steps", text)
    assert moved is not None
    assert 0 < float(moved.group(1)) < 5


def test_new_rule(environment: dict[str, str], tmp_path: Path) -> None:
    text = output("new_rule", environment, tmp_path)
    assert "error[undefined-name]: `beta_1` is not defined" in text
    assert "did you mean `beta1`?" in text
    assert "warning[ascends]" in text
    assert "cautious_adam.opt: 0 findings" in text
    rows = re.findall(r"^(\w+) +digits .* ([\d.]+)% right, .* Rosenbrock after 2,000: (\S+)$", text, re.MULTILINE)
    assert [row[0] for row in rows] == ["Adam", "CautiousAdam"]
    for _, right, value in rows:
        assert float(right) > 94
        assert float(value) < 0.2


def test_chain(environment: dict[str, str], tmp_path: Path) -> None:
    text = output("chain", environment, tmp_path)
    assert "  m' = ema(m, g_clip_value, beta1)\n" in text
    plain, clipped, average = (float(distance) for distance in re.findall(r"distance ([\d.]+)", text))
    assert plain > 1 > 0.5 > clipped > average


def test_autograd_gradients(environment: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("autograd", reason="the example takes its gradients from the package autograd")
    text = output("autograd_gradients", environment, tmp_path)
    errors = [float(error) for error in re.findall(r"mean squared error ([\d.]+)", text)]
    assert len(errors) == 5
    assert errors[-1] < 1e-3 < errors[0]
