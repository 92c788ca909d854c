"""Pictures of runs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from optdsl.runtime.optimizer import Optimizer
from optdsl.trials import plot
from optdsl.trials.functions import FUNCTIONS
from optdsl.trials.run import run_digits, run_function

NEEDED = "pictures need matplotlib"


def colours(file: Path) -> int:
    """Return how many colours a picture has; an empty one has a single one."""
    image = pytest.importorskip("matplotlib.image", reason=NEEDED).imread(file)
    assert min(image.shape[:2]) > 400
    return len(np.unique(image.reshape(-1, image.shape[-1]), axis=0))


def test_a_curve(adam: type[Optimizer], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason=NEEDED)
    plot.plot(run_digits(adam, steps=100), tmp_path / "curve.png")
    assert colours(tmp_path / "curve.png") > 50


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_path(adam: type[Optimizer], name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason=NEEDED)
    plot.plot(run_function(adam, name, steps=50), tmp_path / "path.png")
    assert colours(tmp_path / "path.png") > 50


def test_what_a_picture_says(adam: type[Optimizer], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason=NEEDED)
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):  # text as text
        plot.plot(run_function(adam, "rosenbrock", steps=50), tmp_path / "path.svg")
        plot.plot(run_digits(adam, steps=50), tmp_path / "curve.svg")
    path, curve = ((tmp_path / name).read_text(encoding="utf-8") for name in ("path.svg", "curve.svg"))
    for words in ("Adam on rosenbrock", "start", "after 50 steps", "minimum", "value", "step"):
        assert f">{words}<" in path
    for words in ("Adam on handwritten digits", "mean cross-entropy", "training images", "test images", "step"):
        assert f">{words}<" in curve


def test_a_run_that_diverged_is_drawn_as_far_as_it_went(descent: type[Optimizer], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason=NEEDED)
    plot.plot(run_function(descent, "rosenbrock"), tmp_path / "path.png")
    plot.plot(run_digits(descent, {"eta": 1e30}), tmp_path / "curve.png")
    assert colours(tmp_path / "path.png") > 50
    assert colours(tmp_path / "curve.png") > 20


def test_a_file_that_could_not_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason=NEEDED)
    plot.check(tmp_path / "picture.PNG")
    with pytest.raises(ValueError, match=r"picture.foo should end in one of .*\.png"):
        plot.check(tmp_path / "picture.foo")
    with pytest.raises(ValueError, match="there is no folder"):
        plot.check(tmp_path / "missing" / "picture.png")


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(plot.PlotError, match=r"pip install 'optdsl\[plot\]'"):
        plot.check(tmp_path / "picture.png")
