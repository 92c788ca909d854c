"""The view of a rule for people: its equations, its tables, what a step costs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from optdsl import bundled, pipeline
from optdsl.cli import main
from optdsl.ir.arithmetic import Arrays
from optdsl.ir.evaluate import defaults, initial_states, present_states
from optdsl.show import math, moved_bytes, traffic
from optdsl.source import SourceFile

LAMB = Path(__file__).parent / "samples" / "lamb.opt"
WORDS = "second of two, told in so many words that they can't all stand in a single line of the table"
STORED = f"""\
rule Stored(x, g)
hyper
  lr    = 0.1   in [0, inf)   "learning rate"
  eps   = 1e-8  in [0, inf)   "first of two"
  epsilon = 1   in [0, inf)   "{WORDS}"
state
  m: f64 = 0
  v: f32 = 0
  n: scalar = 0
  p = 0 when lr > 1
update
  m' = m + g
  v' = v + g^2
  n' = n + 1
  p' = p + g
  x' = x - lr*m'/(sqrt(v') + eps + epsilon)*(if lr > 1 then p' else 1)
"""


def invoke(*arguments: str, **settings: object) -> Result:
    return CliRunner().invoke(main, ("show", *arguments), **settings)  # type: ignore[arg-type]


def source_of(name: str) -> SourceFile:
    path = bundled.folder() / f"{name}.opt"
    return SourceFile(str(path), path.read_text(encoding="utf-8"))


def section(text: str, title: str) -> list[str]:
    """Return the lines of the section whose title begins so, its title left out."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(title))
    end = next((index for index in range(start + 1, len(lines)) if not lines[index]), len(lines))
    return lines[start + 1 : end]


def test_adam() -> None:
    text = invoke("adam").stdout
    assert text.startswith("Adam: steps scaled by bias-corrected running moments of the gradient.\n")
    assert "  x′    = x − lr·debias(m′, β₁)/(√(debias(if amsgrad then vmax′ else v′, β₂)) + ε)\n" in text
    assert [line.split() for line in section(text, "states, bytes per parameter:")] == [
        ["float32", "float64"],
        ["m", "=", "0", "4", "8", "first", "moment"],
        ["v", "=", "0", "4", "8", "second", "moment"],
        ["vmax", "=", "0", "4", "8", "when", "amsgrad:", "largest", "second", "moment", "so", "far"],
    ]
    usual, other = section(text, "a step,")[2:]
    assert usual.split() == ["m,", "v", "12", "(14)", "2", "(4)", "1", "28", "56", "1.40", "2.80"]
    assert other.split() == ["m,", "v,", "vmax", "13", "(15)", "2", "(4)", "1", "36", "72", "1.80", "3.60"]
    last = "28 bytes moved per parameter at float32 (4 reads, 3 writes): 1.40 ms per million parameters at 20 GB/s\n"
    assert text.endswith(last)


def test_the_sentence_is_about_the_defaults() -> None:
    text = invoke("sgd").stdout
    assert text.splitlines()[-1].startswith("12 bytes moved per parameter at float32 (2 reads, 1 write): 0.600 ms")
    kept = source_of("sgd").text.replace("momentum     = 0 ", "momentum     = 0.9 ")
    last = invoke("-", input=kept).stdout.splitlines()[-1]
    assert last.startswith("20 bytes moved per parameter at float32 (3 reads, 2 writes): 1.00 ms")


def test_a_reduction_takes_a_second_pass() -> None:
    row = section(invoke(str(LAMB)).stdout, "a step,")[2].split()
    assert row[6:9] == ["2", "40", "80"]


def test_declared_types_and_scalars() -> None:
    text = invoke("-", input=STORED).stdout
    states = [line.split() for line in section(text, "states, bytes per parameter:")[1:]]
    assert states == [
        ["m", "=", "0", "8", "8"],
        ["v", "=", "0", "4", "4"],
        ["n", "=", "0", "8", "per", "tensor", "8", "per", "tensor"],
        ["p", "=", "0", "4", "8", "when", "lr", ">", "1"],
    ]
    # x, g, m, v read, x, m, v written: 3 of the parameter's type, m twice in float64, v twice in float32.
    row = section(text, "a step,")[2].split()
    assert row[:3] == ["m,", "v,", "n"]
    assert row[8:10] == [str(3 * 4 + 2 * 8 + 2 * 4), str(3 * 8 + 2 * 8 + 2 * 4)]


def test_names_that_look_the_same_stay_as_they_are() -> None:
    assert "(√v′ + eps + epsilon)" in invoke("-", input=STORED).stdout
    assert "+ ε)" in invoke("adam").stdout


def test_long_words_go_on_in_further_lines() -> None:
    text = invoke("-", input=STORED).stdout
    lines = section(text, "hyperparameters:")
    assert len(lines) == 4
    assert lines[3].strip() in WORDS
    assert max(map(len, text.splitlines())) <= 105


def test_bandwidth() -> None:
    text = invoke("adam", "--bandwidth", "3350").stdout
    assert "where memory moves 3350 GB/s" in text
    assert text.splitlines()[-1].endswith(": 0.00836 ms per million parameters at 3350 GB/s")
    assert " 280 ms per million parameters at 0.1 GB/s" in invoke("adam", "--bandwidth", "0.1").stdout


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_bandwidth_is_above_0(value: str) -> None:
    result = invoke("adam", "--bandwidth", value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"--bandwidth {value} is no number of GB/s above 0" in result.stderr


def test_every_bundled_rule_fits(rule: str) -> None:
    source = source_of(rule)
    analysed = pipeline.rule_of(source)
    text = math(source, analysed, False)
    tables = [line for title in ("states", "a step,") for line in section(text, title)]
    assert max(map(len, tables), default=0) <= 110
    assert all(line == line.rstrip() for line in text.splitlines())


def test_bytes_moved_are_those_of_the_arrays_a_step_touches(rule: str) -> None:
    """Every present array is read and written once in a single pass, the parameter too, and the gradient is read."""
    import numpy as np

    analysed = pipeline.rule_of(source_of(rule))
    program = pipeline.kernels(analysed)
    present = present_states(analysed, defaults(analysed))
    kernel = next(one for one in program.kernels if one.present == present)
    if len(kernel.phases) > 1:
        pytest.skip("the rule reads arrays in several passes")
    states = initial_states(analysed, Arrays(np.float32), defaults(analysed), np.zeros(1, np.float32))
    arrays = [value.nbytes for value in states.values() if isinstance(value, np.ndarray)]
    reads, writes = traffic(kernel)
    assert len(reads) <= len(arrays) + 2
    assert sorted(writes) == sorted([analysed.parameter.name, *(s.name for s in present if not s.scalar)])
    assert moved_bytes(kernel, 4) <= 2 * sum(arrays) + 3 * 4
    assert moved_bytes(kernel, 4) >= sum(arrays) + 2 * 4


def test_the_other_views_have_no_use_for_a_bandwidth() -> None:
    assert json.loads(invoke("adam", "--as", "json", "--bandwidth", "5").stdout)["name"] == "Adam"


FOLLOWED = (
    "rule F(x, g)\nhyper\n  lr = 0.1\n  keep = 0.9 in [0, 1)\nstate\n  a = x when keep != 0\nupdate\n  x' = x - lr*g\n"
    "  a' = ema(a, x', keep)\nview middle = if keep != 0 then a else x\n"
)


def test_a_state_that_follows_the_parameter_is_shown(tmp_path: Path) -> None:
    """It needs no variant, but its equation, its operations and its bytes are there."""
    path = tmp_path / "f.opt"
    path.write_text(FOLLOWED, encoding="utf-8")
    run = CliRunner()
    table = run.invoke(main, ["show", str(path)]).stdout
    assert re.search(r"no state +2 \(2\) +0 \(0\) +1 +12 +24 ", table)
    assert re.search(r"\n  a +5 \(5\) +0 \(0\) +1 +20 +40 ", table)
    assert "20 bytes moved per parameter at float32 (3 reads, 2 writes)" in table
    shown = run.invoke(main, ["show", str(path), "--as", "kernel"]).stdout
    assert "after it, where a exists:\n  a' = keep*a + c0*x'  [element]\n  store a'\n" in shown
    assert "5 element operations" in shown
