"""Signatures and documentation made from the rule."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys

import numpy as np
import pytest

from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.rule import RuleInfo

from .handmade import SGD, Adam, Mixed


def test_the_signature_lists_every_option_with_its_default() -> None:
    assert str(inspect.signature(Adam)) == (
        "(params=None, *, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, amsgrad=False, betas=None, clip_norm=None, "
        "clip_value=None, nonfinite='propagate', maximize=False, master_weights=False)"
    )
    assert list(inspect.signature(Mixed).parameters)[1:4] == ["lr", "lambda_", "double"]
    assert inspect.signature(Mixed).parameters["double"].default == 1.0
    assert list(inspect.signature(SGD).parameters).count("maximize") == 1


@pytest.mark.parametrize("rule", [Adam, SGD, Mixed])
def test_everything_in_the_signature_is_accepted(rule: type[Optimizer]) -> None:
    parameters = inspect.signature(rule).parameters.values()
    options = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    rule([np.ones(1)], **options)


def test_the_documentation_reads_like_a_hand_written_one() -> None:
    doc = inspect.getdoc(Adam)
    assert doc is not None
    lines = doc.splitlines()
    assert lines[0] == "Adam: steps scaled by bias-corrected running moments of the gradient."
    for line in (
        "    m' = ema(m, g, beta1)",
        "    lr: Learning rate. Default 0.001, in [0, inf).",
        "    amsgrad: Default False.",
        "    betas: The tuple (beta1, beta2).",
        "    m: Shaped like the parameter.",
        "    Kingma & Ba 2015: arXiv:1412.6980",
        "    >>> opt = Adam([W, b])",
    ):
        assert line in lines
    assert [line for line in lines if line.endswith(":") and not line.startswith(" ")][1:] == [
        "Args:", "States:", "Citation:", "Example:"
    ]  # fmt: skip
    assert max(map(len, lines)) <= 100
    assert "lr=0.001" in pydoc.plain(pydoc.render_doc(Adam))


def test_the_example_runs() -> None:
    doc = inspect.getdoc(Adam)
    assert doc is not None
    source = "\n".join(line.split(">>> ")[1] for line in doc.splitlines() if ">>> " in line)
    code = f"import numpy as np\nfrom runtime.handmade import Adam\n{source}\nassert opt.step_count('0') == 1"
    root = __file__.split("/tests/runtime/")[0]
    path = ":".join([root, f"{root}/tests"])
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path}, cwd=root)


def test_a_docstring_of_ones_own_is_kept() -> None:
    assert SGD.__doc__ == "Momentum, with a rule's own `maximize`."


def test_a_bare_rule_has_documentation_too() -> None:
    class Bare(Optimizer):
        rule = RuleInfo("Bare", (), (), ())
        kernel = SGD.kernel

    assert Bare.__doc__ is not None
    assert Bare.__doc__.startswith("The rule Bare.\n")


def test_importing_the_runtime_loads_no_compiler_and_no_file_format() -> None:
    code = (
        "import sys, optdsl.runtime.optimizer\n"
        "loaded = {'sympy', 'lark', 'optree', 'safetensors', 'ml_dtypes', 'torch', 'numpy.ma'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    root = __file__.split("/tests/runtime/")[0]
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": root}, cwd=root)
