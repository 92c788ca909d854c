"""The command line: exit statuses, where output goes, and no traceback for any input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from optdsl import bundled
from optdsl.cli import VIEWS, main
from optdsl.source import MOST_BYTES

WRONG = """\
rule Three(x, g)

hyper
  lr   = 1e-3 in [0, inf)
  beta = 1.5  in [0, 1)

state
  m = 0

update
  m' = betta*m + (1 - beta)*g
  x' = x - lr*sqrt(m', 2
"""


def invoke(*arguments: str, **settings: object) -> Result:
    """Run the command line in this process; standard output and error are kept apart."""
    return CliRunner().invoke(main, arguments, **settings)  # type: ignore[arg-type]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "three.opt"
    path.write_text(WRONG, encoding="utf-8")
    return path


def test_help_names_every_verb() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert len(main.commands) >= 12
    for verb in main.commands:
        assert f"  {verb} " in result.output


def test_help_loads_neither_compiler_nor_numpy() -> None:
    code = (
        "import sys; from optdsl.cli import main; main(['--help'], standalone_mode=False); "
        "print([name for name in ('numpy', 'sympy', 'lark', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_a_misspelt_verb_is_wrong_usage_with_a_hint() -> None:
    result = invoke("chekc")
    assert result.exit_code == 2
    assert "check" in result.stderr


def test_check_reports_three_mistakes_with_their_places(wrong: Path) -> None:
    result = invoke("check", str(wrong))
    assert result.exit_code == 1
    assert result.stdout == ""
    for place in ("5:10", "11:8", "12:19"):
        assert f"{wrong}:{place}" in result.stderr
    assert "help: did you mean `beta`?" in result.stderr
    assert "Found 3 errors in 1 file." in result.stderr


def test_check_writes_json_to_standard_output(wrong: Path) -> None:
    result = invoke("check", "--output-format", "json", str(wrong))
    assert result.exit_code == 1
    assert result.stderr == ""
    records = json.loads(result.stdout)
    assert [record["slug"] for record in records] == ["default-out-of-range", "undefined-name", "syntax"]
    keys = ["slug", "severity", "message", "file", "line", "column", "end_line", "end_column", "help", "fix"]
    assert list(records[1]) == keys
    assert (records[1]["line"], records[1]["column"], records[1]["end_column"]) == (11, 8, 13)
    assert records[1]["fix"] == {"line": 11, "column": 8, "end_line": 11, "end_column": 13, "text": "beta"}


def test_check_writes_a_line_a_finding(wrong: Path) -> None:
    lines = invoke("check", "--output-format", "concise", str(wrong)).stderr.splitlines()
    assert lines[1] == f"{wrong}:11:8: error[undefined-name]: `betta` is not defined"


def test_a_folder_is_checked_with_all_below_it() -> None:
    """Here one that is quick: every bundled rule is checked by itself, in tests/test_claims.py."""
    files = [name for name in bundled.files() if name.startswith(bundled.TRANSFORMS)]
    result = invoke("check", "--strict", str(bundled.folder() / bundled.TRANSFORMS))
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"Checked {len(files)} files: no findings." in result.stdout


def test_warnings_fail_only_when_strict(tmp_path: Path) -> None:
    path = tmp_path / "idle.opt"
    path.write_text("rule Idle(x, g)\nhyper\n  lr = 1\n  idle = 2\nupdate\n  x' = x - lr*g\n", encoding="utf-8")
    assert invoke("check", str(path)).exit_code == 0
    strict = invoke("check", "--strict", str(path))
    assert strict.exit_code == 1
    assert "warning[unused-hyper]" in strict.stderr


def test_standard_input_is_a_file(wrong: Path) -> None:
    result = invoke("check", "-", input=WRONG)
    assert result.exit_code == 1
    assert "<stdin>:11:8" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("check", "missing.opt"), 2, "missing.opt"),
        (("check", "empty"), 2, "no .opt file in this folder"),
        (("check", "binary.opt"), 2, "not UTF-8 text: byte 0 is 0xff"),
        (("show", "adma"), 2, "did you mean"),
        (("compile", "adam", "flux/adam"), 2, "would both be written to adam.py"),
        (("compile", "adam", "-t", "rust"), 2, "'rust' is not one of numpy, c"),
        (("run", "adma"), 2, "did you mean"),
        (("new", "bad name!"), 2, "can't name a rule"),
        (("compile", "adam", "-o", "binary.opt/x"), 3, "binary.opt"),
    ],
)
def test_errors_are_one_line_with_a_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary.opt").write_bytes(b"\xff\xfe\x00")
    result = invoke(*arguments)
    assert result.exit_code == status
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_no_compiler_is_a_failure_of_the_environment_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTDSL_CC", "no-such-compiler")
    result = invoke("compile", "adam", "-t", "c", "-o", str(tmp_path / "out"))
    assert result.exit_code == 3
    assert "no-such-compiler (OPTDSL_CC): not found" in result.stderr
    assert result.stderr.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_compile_writes_a_module_that_needs_no_compiler(tmp_path: Path) -> None:
    result = invoke("compile", str(bundled.path("adam")), "-o", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'adam.py'}\n")
    code = (
        "import sys, numpy as np\nfrom adam import Adam\nx = np.ones(3)\nAdam([x], lr=0.5).step([np.ones(3)])\n"
        "print(x.tolist(), 'sympy' in sys.modules, 'lark' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    values, sympy, lark = done.stdout.rsplit(" ", 2)
    assert json.loads(values) == pytest.approx([0.5, 0.5, 0.5])
    assert (sympy, lark) == ("False", "False\n")


def test_compile_gives_the_same_bytes_for_the_same_rule(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "optdsl", "compile", "nadam", "-o", str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True,
        )  # fmt: skip
    assert (tmp_path / "1" / "nadam.py").read_bytes() == (tmp_path / "2" / "nadam.py").read_bytes()


def test_compile_refuses_a_rule_with_errors(wrong: Path, tmp_path: Path) -> None:
    result = invoke("compile", str(wrong), "-o", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "undefined-name" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "asm"])
def test_every_view_of_a_rule(view: str) -> None:
    result = invoke("show", "nadam", "--as", view)
    assert result.exit_code == 0, result.stderr
    signs = {
        "math": "prod′ = prod·μ(t)", "latex": r"\begin{aligned}", "tree": "EquationEntry primed=True",
        "kernel": "element operations", "numpy": "class NAdam(Optimizer):", "c": "int optdsl_step(",
        "json": '"name": "NAdam"',
    }  # fmt: skip
    assert signs[view] in result.stdout


def test_show_json_is_json() -> None:
    record = json.loads(invoke("show", "flux/adam", "--as", "json").stdout)
    assert record["aliases"] == {"beta": ["beta1", "beta2"]}
    assert [hyper["name"] for hyper in record["hypers"]] == ["eta", "beta1", "beta2", "epsilon"]


def test_new_writes_a_rule_that_checks_and_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("new", "my_rule").exit_code == 0
    assert invoke("check", "--strict", "my_rule.opt").exit_code == 0
    assert invoke("new", "my_rule").exit_code == 2, "an existing file is kept"
    assert invoke("new", "my_rule", "--force").exit_code == 0
    assert invoke("compile", "my_rule.opt").exit_code == 0
    assert "class MyRule(Optimizer):" in (tmp_path / "build" / "my_rule.py").read_text(encoding="utf-8")


def test_doctor_tries_the_targets() -> None:
    result = invoke("doctor")
    assert result.exit_code == 0, result.output
    assert "a step of adam gives the right number" in result.stdout


def test_cache_verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optdsl.loading import load

    monkeypatch.setenv("OPTDSL_CACHE_DIR", str(tmp_path / "cache"))
    assert invoke("cache", "dir").stdout == f"{tmp_path / 'cache'}\n"
    assert "empty" in invoke("cache", "list").stderr
    load("flux/descent", "numpy")
    assert "descent.py" in invoke("cache", "list").stdout
    assert invoke("cache", "clear").stdout.startswith("removed 1 entry")
    assert list((tmp_path / "cache").iterdir()) == []
    other = tmp_path / "cache" / "0123"
    other.mkdir()
    (other / "manifest.txt").touch()
    assert invoke("cache", "clear").stdout.startswith("removed 0 entries")
    assert other.exists(), "it isn't named as an entry is"
    monkeypatch.setenv("OPTDSL_CACHE_DIR", "here")
    for verb in ("dir", "list", "clear"):
        result = invoke("cache", verb)
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr == "optdsl: the cache folder here is not an absolute path; set OPTDSL_CACHE_DIR to one\n"


def test_an_internal_error_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr("optdsl.pipeline.check", broken)
    result = invoke("check", str(bundled.path("adam")))
    assert result.exit_code == 3
    assert result.stderr == "optdsl: internal error: RuntimeError: oops; OPTDSL_BACKTRACE=1 shows where\n"
    monkeypatch.setenv("OPTDSL_BACKTRACE", "1")
    assert isinstance(invoke("check", str(bundled.path("adam"))).exception, RuntimeError)


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m optdsl show adam --as c | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_without_end_is_refused_for_its_length() -> None:
    zero = Path("/dev/zero")
    if not zero.exists():
        pytest.skip("this system has no /dev/zero")
    result = invoke("check", str(zero), "--output-format", "concise")
    assert result.exit_code == 1
    assert "too-complex" in result.stderr


def test_a_file_that_is_cut_within_a_character_is_still_text(tmp_path: Path) -> None:
    path = tmp_path / "long.opt"
    path.write_bytes(b"#" + "\u03b2".encode() * MOST_BYTES)
    result = invoke("check", str(path), "--output-format", "concise")
    assert (result.exit_code, "too-complex" in result.stderr) == (1, True)


def test_a_file_in_a_folder_that_cannot_be_read_hides_no_other(tmp_path: Path, wrong: Path) -> None:
    (tmp_path / "binary.opt").write_bytes(b"\xff\xfe")
    result = invoke("check", str(tmp_path))
    assert result.exit_code == 2
    assert "binary.opt is not UTF-8 text" in result.stderr
    assert "error[undefined-name]: `betta` is not defined" in result.stderr


def test_a_file_named_twice_is_checked_once(wrong: Path) -> None:
    assert invoke("check", str(wrong), str(wrong)).stderr.count("`betta` is not defined") == 1


@pytest.mark.parametrize("arguments", [("check", "-", "-"), ("diff", "-", "-")])
def test_standard_input_is_read_once(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments, input="rule R(x, g)\n")
    assert result.exit_code == 2
    assert "standard input can be read only once" in result.stderr


def test_a_bundled_name_where_a_file_is_wanted() -> None:
    result = invoke("check", "adam")
    assert result.exit_code == 2
    assert f"the bundled rule is {bundled.path('adam')}" in result.stderr
