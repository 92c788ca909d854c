"""Chains put together in Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import optdsl
from optdsl import CompileError
from optdsl.cli import main


def test_a_chain_is_the_rule_of_its_text(target: str) -> None:
    made = optdsl.chain("clip_value", "adam(lr = 0.1)", "ema", target=target)
    text = "rule ClipValueAdamEma(x, g) = clip_value |> adam(lr = 0.1) |> ema\n"
    written = optdsl.loads(text, target=target)
    assert made.__name__ == "ClipValueAdamEma"
    assert made.rule.equations == written.rule.equations
    x, y = np.ones(3), np.ones(3)
    first, second = made(x, limit=0.5, decay=0.9), written(y, limit=0.5, decay=0.9)
    for g in np.random.default_rng(0).standard_normal((5, 3)):
        first.step(g)
        second.step(g)
    assert (x == y).all()
    assert (first.view("average") == second.view("average")).all()
    assert first.state["0"]["m"].shape == (3,)


def test_files_are_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their paths, wherever they lie, and two of one name are told apart."""
    for number, folder in enumerate(("a", "b"), 2):
        (tmp_path / folder).mkdir()
        text = f"rule Times{number}(x, g)\nhyper\n  k = {number} in (0, inf)\nupdate\n  g' = k*g\n"
        (tmp_path / folder / "my-times.opt").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    made = optdsl.chain("a/my-times.opt", tmp_path / "b" / "my-times.opt", "flux/descent", target="numpy", name="Timed")
    assert made.__name__ == "Timed"
    assert [hyper.name for hyper in made.rule.hypers][:2] == ["my_times_k", "my_times2_k"]
    x = np.zeros(1)
    made(x, eta=1).step(np.ones(1))
    assert x[0] == -6
    (tmp_path / "a" / "my-times.opt").write_text("rule Times(x, g)\nupdate\n  g' = -g\n", encoding="utf-8")
    x = np.zeros(1)
    optdsl.chain(Path("a/my-times.opt"), "b/my-times.opt", "flux/descent", target="numpy", name="Timed")(
        x, eta=1
    ).step(np.ones(1))  # fmt: skip
    assert x[0] == 3


def test_a_changed_component_of_a_file_is_compiled_anew(tmp_path: Path) -> None:
    path = tmp_path / "chain.opt"
    path.write_text(
        "rule Chain(x, g) = twice( # why\n    k = 2) |> sub/half |> flux/descent(eta = 1)\n", encoding="utf-8"
    )
    (tmp_path / "sub").mkdir()
    steps = []
    for factor in (2, 3):
        for name in ("twice", "sub/half"):
            text = f"rule Part(x, g)\nhyper\n  k = 1 in (0, inf)\nupdate\n  g' = {factor}*k*g\n"
            (tmp_path / f"{name}.opt").write_text(text, encoding="utf-8")
        x = np.zeros(1)
        optdsl.load(path, target="numpy")(x).step(np.ones(1))
        steps.append(x[0])
    assert steps == [-8, -18]


def test_options_act_before_the_chain(target: str) -> None:
    """The norm of all gradients is held first, then the transform works on what is left."""
    x, y = np.zeros(3), np.zeros(2)
    made = optdsl.chain("trace", "flux/descent", target=target)
    opt = made([x, y], eta=1, clip_norm=1.0, momentum=0.5)
    opt.step([np.array([3.0, 0, 0]), np.array([4.0, 0])])
    np.testing.assert_allclose((x[0], y[0]), (-0.6, -0.8), rtol=1e-12)
    opt.step([np.array([0.3, 0, 0]), np.array([0.4, 0])])
    np.testing.assert_allclose((x[0], y[0]), (-0.6 - 0.3 - 0.3, -0.8 - 0.4 - 0.4), rtol=1e-12)


@pytest.mark.parametrize(
    ("components", "kind", "words"),
    [
        ((), ValueError, "a chain needs components"),
        (("clip_valu", "adam"), FileNotFoundError, "did you mean 'clip_value'"),
        (("nowhere.opt", "adam"), FileNotFoundError, "there is no file nowhere.opt"),
        (("clip value", "adam"), FileNotFoundError, "clip value"),
        (("clip_value", "ema"), CompileError, "put a rule that steps into the chain"),
        (("adam", "sgd"), CompileError, "is the second"),
        (("clip_value(limi = 1)", "adam"), CompileError, "did you mean `limit`"),
        (("clip_value(limit = )", "adam"), CompileError, "expected a value"),
    ],
)
def test_mistakes_are_told(components: tuple[str, ...], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        optdsl.chain(*components, target="numpy")
    assert words in str(caught.value)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be the name of a class"):
        optdsl.chain("clip_value", "adam", name="my rule")


def test_a_cached_chain_loads_no_compiler() -> None:
    code = (
        "import sys, optdsl\nmade = optdsl.chain('clip_value', 'sgd', target='numpy')\n"
        "print(any(name in sys.modules for name in ('lark', 'sympy', 'optdsl.pipeline')))"
    )
    results = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert results == ["True", "False"]


def test_the_verbs_take_chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clipped.opt").write_text("rule Clipped(x,g)=clip_value(limit=2)|>flux/descent |> ema\n", encoding="utf-8")
    formatted = "rule Clipped(x, g) = clip_value(limit = 2) |> flux/descent |> ema\n"
    done = {
        words: CliRunner().invoke(main, words.split())
        for words in (
            "fmt clipped.opt", "check --strict clipped.opt", "show clipped.opt", "show clipped.opt --as latex",
            "show clipped.opt --as json", "compile clipped.opt -o build", "diff clipped.opt clipped.opt --steps 1",
            "run clipped.opt --on rosenbrock --steps 20 -t numpy", "stability clipped.opt",
        )
    }  # fmt: skip
    assert {words: result.exit_code for words, result in done.items() if result.exit_code} == {}
    assert Path("clipped.opt").read_text(encoding="utf-8") == formatted
    assert "g_clip_value = clip(g, −limit, limit)" in done["show clipped.opt"].stdout
    assert Path("build/clipped.py").exists()


def test_a_transform_is_shown_but_not_run() -> None:
    shown = CliRunner().invoke(main, ["show", "clip_value"])
    assert shown.exit_code == 0
    assert "g′ = clip(g, −limit, limit)" in shown.stdout
    assert "a gradient transform" in shown.stdout
    for words in (["compile", "clip_value"], ["run", "clip_value"], ["show", "clip_value", "--as", "c"]):
        result = CliRunner().invoke(main, words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "error[transform-alone]" in result.stderr
