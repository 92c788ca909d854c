"""Compiling through the cache, and many files in several processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import optdsl
from optdsl import building, jobs, pipeline
from optdsl.cli import main
from optdsl.runtime import cache
from optdsl.source import SourceFile, read

RULE = "rule {name}(x, g)\nhyper\n  lr = 0.5 in [0, inf)\nupdate\n  x' = x - lr*g\n"
IDLE = "rule Idle(x, g)\nhyper\n  lr = 0.5 in [0, inf)\n  idle = 2\nupdate\n  x' = x - lr*g\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("OPTDSL_CACHE_DIR", str(folder))
    return folder


def invoke(*arguments: str | Path) -> Result:
    """Run the command line in this process; standard output and error are kept apart."""
    return CliRunner().invoke(main, list(map(str, arguments)))


def files(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def no_compiler(*_: object, **__: object) -> None:
    raise AssertionError("nothing was to be compiled")


def test_what_was_compiled_before_is_copied(
    target: str, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = invoke("compile", "adam", "-t", target, "-o", tmp_path / "out")
    before = files(tmp_path / "out")
    modes = {path.name: path.stat().st_mode for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr("optdsl.pipeline.check", no_compiler)
    monkeypatch.setattr("optdsl.pipeline.compile_source", no_compiler)
    shutil.rmtree(tmp_path / "out")
    warm = invoke("compile", "adam", "-t", target, "-o", tmp_path / "out")
    assert (warm.exit_code, warm.stdout, warm.stderr) == (0, cold.stdout, "")
    assert files(tmp_path / "out") == before
    assert {path.name: path.stat().st_mode for path in (tmp_path / "out").iterdir()} == modes
    names = [Path(line).name for line in warm.stdout.splitlines()]
    mask = os.umask(0o022)
    os.umask(mask)
    assert [mode & 0o777 for name, mode in modes.items() if name == "libadam.so"] in ([], [0o777 & ~mask])
    assert names == (["adam.c", "adam.py", "libadam.so"] if target == "c" else ["adam.py"])


@pytest.mark.filterwarnings("always")
def test_without_a_cache_the_same_files_are_made(target: str, tmp_path: Path, own_cache: Path) -> None:
    invoke("compile", "lion", "-t", target, "-o", tmp_path / "cached")
    shutil.rmtree(own_cache)
    own_cache.write_text("in the way", encoding="utf-8")
    result = invoke("compile", "lion", "-t", target, "-o", tmp_path / "made")
    why = f"the cache folder {own_cache} is not a folder, or a link to one"
    said = f"optdsl: warning: {why}; rules are compiled again in each process\n"
    assert (result.exit_code, result.stderr) == (0, said)
    assert files(tmp_path / "made") == files(tmp_path / "cached")


def test_compiling_again_loads_no_compiler(tmp_path: Path) -> None:
    code = (
        "import sys; from optdsl.cli import main\n"
        f"main(['compile', 'adam', '-o', {str(tmp_path / 'out')!r}], standalone_mode=False)\n"
        "print([name for name in ('sympy', 'lark', 'optdsl.pipeline') if name in sys.modules])"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert "lark" in outputs[0]
    assert outputs[1].endswith("\n[]\n")


def test_loading_and_compiling_find_what_the_other_made(target: str, tmp_path: Path, own_cache: Path) -> None:
    optdsl.load("lion", target)
    entries = set(own_cache.iterdir())
    invoke("compile", "lion", "-t", target, "-o", tmp_path)
    assert {path.name for new in set(own_cache.iterdir()) - entries for path in new.iterdir()} == {
        "clean.txt",
        "manifest.txt",
    }
    (made,) = (path for path in own_cache.glob("*/lion.py"))
    assert made.read_bytes() == (tmp_path / "lion.py").read_bytes()


@pytest.mark.parametrize("file", ["clean.txt", "rule.py"])
def test_a_poisoned_entry_is_not_copied(tmp_path: Path, own_cache: Path, file: str) -> None:
    path = tmp_path / "rule.opt"
    path.write_text(RULE.format(name="Tiny"), encoding="utf-8")
    invoke("compile", path, "-o", tmp_path / "out")
    before = files(tmp_path / "out")
    (poisoned,) = own_cache.glob(f"*/{file}")
    poisoned.write_text("raise SystemExit('poisoned')", encoding="utf-8")
    assert cache.contents(poisoned.parent.name) is None
    assert invoke("compile", path, "-o", tmp_path / "out").exit_code == 0
    assert files(tmp_path / "out") == before
    assert "poisoned" not in poisoned.read_text(encoding="utf-8"), "the entry was made again"


def test_the_name_of_the_file_counts_as_it_stands_in_the_code(tmp_path: Path) -> None:
    for name in ("my-rule", "my_rule"):
        (tmp_path / f"{name}.opt").write_text(RULE.format(name="Tiny"), encoding="utf-8")
        invoke("compile", tmp_path / f"{name}.opt", "-o", tmp_path / "out")
        assert f"from {name}.opt" in (tmp_path / "out" / "my_rule.py").read_text(encoding="utf-8")


def test_warnings_are_shown_each_time(tmp_path: Path) -> None:
    path = tmp_path / "idle.opt"
    path.write_text(IDLE, encoding="utf-8")
    results = [invoke("compile", path, "-o", tmp_path / "out", *strict) for strict in ((), (), ("--strict",))]
    assert [result.exit_code for result in results] == [0, 0, 1]
    assert all("warning[unused-hyper]" in result.stderr for result in results)


def test_exact_files_are_not_taken_for_simplified_ones(tmp_path: Path) -> None:
    out = tmp_path / "out"
    invoke("compile", "nadam", "-o", out)
    simplified = files(out)
    invoke("compile", "nadam", "-o", out, "--exact")
    assert files(out) != simplified
    invoke("compile", "nadam", "-o", out)
    assert files(out) == simplified


def test_a_base_that_changes_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "tiny.opt").write_text(RULE.format(name="Tiny"), encoding="utf-8")
    (tmp_path / "mine.opt").write_text("rule Mine(x, g) from Tiny\n", encoding="utf-8")
    assert invoke("compile", tmp_path / "mine.opt", "-o", tmp_path / "out").exit_code == 0
    (tmp_path / "tiny.opt").write_text(IDLE.replace("Idle", "Tiny").replace("lr*g", "lr*gg"), encoding="utf-8")
    result = invoke("compile", tmp_path / "mine.opt", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "`gg` is not defined" in result.stderr


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    """Write five rules: the second has a warning."""
    paths = [tmp_path / f"rule{number}.opt" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_text(IDLE if number == 1 else RULE.format(name=f"Rule{number}"), encoding="utf-8")
    return paths


def both(verb: str, *arguments: str | Path, out: Path) -> tuple[Result, Result]:
    """Run a verb in one process and in two, each with an empty cache; compare what they say and what they write."""
    results = []
    for number in ("1", "2"):
        cache.clear()
        shutil.rmtree(out, ignore_errors=True)
        where: list[str | Path] = ["-o", out] if verb == "compile" else []
        result = invoke(verb, *arguments, *where, "--jobs", number)
        results.append((result, files(out) if out.exists() else {}))
    (one, alone), (two, shared) = results
    assert (one.exit_code, one.stdout, one.stderr) == (two.exit_code, two.stdout, two.stderr)
    assert alone == shared
    return one, two


def test_processes_write_and_say_the_same(target: str, many: list[Path], tmp_path: Path) -> None:
    one, _ = both("compile", "-t", target, *many, out=tmp_path / "out")
    assert one.exit_code == 0
    assert len(files(tmp_path / "out")) == 5 * (3 if target == "c" else 1)
    assert one.stderr.count("warning[unused-hyper]") == 1


@pytest.mark.parametrize("output_format", ["full", "json", "sarif"])
def test_findings_come_in_the_order_of_the_files(many: list[Path], tmp_path: Path, output_format: str) -> None:
    many[3].write_text("rule Three(x, g)\nupdate\n  x' = x -\n", encoding="utf-8")
    one, _ = both("check", *many, tmp_path / "missing.opt", "--output-format", output_format, out=tmp_path / "out")
    assert one.exit_code == 2
    assert "missing.opt: No such file" in one.stderr
    said = one.stderr if output_format == "full" else one.stdout
    assert -1 < said.index("rule1.opt") < said.index("rule3.opt")
    two, _ = both("compile", *many, out=tmp_path / "out")
    assert two.exit_code == 1
    assert "Found 1 error and 1 warning in 5 files." in two.stderr
    assert not (tmp_path / "out").exists()


def test_a_compiler_that_fails_at_one_file_is_an_error_after_the_files_before_it(
    many: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if real is None:
        pytest.skip("no C compiler on this machine")
    fake = tmp_path / "fake-cc"
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *rule3.c*) echo "rule3.c:1: error: no"; exit 1;; esac\nexec {real} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("OPTDSL_CC", str(fake))
    one, _ = both("compile", "-t", "c", *many, out=tmp_path / "out")
    assert one.exit_code == 3
    assert one.stderr.endswith("failed with exit status 1: rule3.c:1: error: no\n")
    assert {path.stem for path in (tmp_path / "out").glob("*.py")} == {"rule0", "rule1", "rule2"}


def test_every_finding_can_be_sent_between_processes() -> None:
    """Else its file would be checked a second time, by the process that shows it."""
    slugs = set()
    for path in sorted((Path(__file__).parent / "diagnostics").rglob("*.opt")):
        checked = pipeline.check(read(path), prove=False)
        found = jobs.Found(checked.source, checked.problems)
        assert ForkingPickler.loads(ForkingPickler.dumps(found)) == found
        slugs |= {problem.slug for problem in found.problems}
    assert len(slugs) > 30


def test_a_clean_rule_is_remembered_and_another_is_not(own_cache: Path) -> None:
    clean = jobs.check_once(SourceFile("<string>", RULE.format(name="Tiny")))
    assert (clean.problems, clean.errors) == ((), [])
    assert len(list(own_cache.glob("*/clean.txt"))) == 1
    idle = jobs.check_once(SourceFile("<string>", IDLE))
    assert [problem.slug for problem in idle.problems] == ["unused-hyper"]
    assert len(list(own_cache.glob("*/clean.txt"))) == 1
    assert building.generator() != building.generator(jobs.CHECKER)
