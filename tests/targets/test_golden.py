"""Generated code, read and kept: the same bytes for the same rule, everywhere.

`pytest --update-golden tests/targets/test_golden.py` writes the files anew; the difference is to be read. That this
code computes the right numbers is tested beside it.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from optdsl import bundled, targets
from optdsl.pipeline import compile_source
from optdsl.runtime import toolchain
from optdsl.source import SourceFile

from .rules import NAMED, SAMPLES
from .support import GOLDEN

ROOT = Path(__file__).resolve().parents[2]


def source(name: str) -> Path:
    """Return the file of a rule that has golden code."""
    path = SAMPLES / "lamb.opt" if name == "lamb" else bundled.path(name)
    assert path is not None
    return path


@pytest.mark.parametrize("kind", targets.BUNDLED)
@pytest.mark.parametrize("name", ["adam", "sgd", "lion", "lamb"])
def test_golden(name: str, kind: str, golden: Callable[[Path, str], None]) -> None:
    """The code of a rule is what was read and kept."""
    text = source(name).read_text(encoding="utf-8")
    for file, code in compile_source(SourceFile(f"{name}.opt", text), kind, name).items():
        # The version of the generator is written into every file and says nothing about the code.
        golden(GOLDEN / kind / f"{file}.golden", re.sub(r"optdsl \d+\.\d+\.\d+\w*", "optdsl VERSION", code))


SCRIPT = """
import hashlib, sys
from pathlib import Path
from optdsl import bundled
from optdsl.pipeline import compile_source
from optdsl.source import SourceFile
digest = hashlib.sha256()
texts = [(str(bundled.path(name)), bundled.path(name).read_text(encoding="utf-8")) for name in bundled.names()[::5]]
texts += [(path.name, path.read_text(encoding="utf-8")) for path in sorted(Path("tests/samples").glob("*.opt"))]
for name, text in texts:
    for target in ("numpy", "c"):
        for exact in (False, True):
            for file, code in compile_source(SourceFile(name, text), target, "rule", exact=exact).items():
                digest.update(file.encode() + code.encode())
print(digest.hexdigest())
"""


def test_code_does_not_follow_the_hash_seed() -> None:
    """Python's hashes, which differ from run to run, leave no trace."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT], env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE,
            text=True, cwd=ROOT,
        )
        for seed in ("0", "1", "2")
    ]  # fmt: skip
    said = {process.communicate(timeout=600)[0] for process in started}
    assert all(process.returncode == 0 for process in started)
    assert len(said) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", said.pop())


def test_code_does_not_follow_the_folder(rule: str) -> None:
    """Nor does the place where a file lies."""
    path = bundled.path(rule)
    assert path is not None
    text = path.read_text(encoding="utf-8")
    if "/" in rule and re.search(r"^rule\b.*\bfrom ", text, re.MULTILINE):
        pytest.skip("a rule made from another needs it beside itself")
    for kind in targets.BUNDLED:
        near, far = (compile_source(SourceFile(place, text), kind, "rule") for place in ("a.opt", "/far/away/a.opt"))
        assert near == far


def test_modules_load_no_compiler(rule: str, tmp_path: Path) -> None:
    """A generated module needs NumPy and the runtime: neither SymPy nor Lark, nor what stands before the runtime."""
    path = bundled.path(rule)
    assert path is not None
    files = compile_source(SourceFile(str(path), path.read_text(encoding="utf-8")), "numpy", "made")
    (tmp_path / "made.py").write_text(files["made.py"], encoding="utf-8")
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(files["made.py"]))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= {"numpy", "optdsl.runtime", "optdsl.runtime.blocks"}


def test_importing_a_module_loads_no_compiler(tmp_path: Path) -> None:
    """And importing one doesn't bring SymPy, Lark or a stage of the compiler in by another way."""
    text = source("adam").read_text(encoding="utf-8")
    (tmp_path / "made.py").write_text(
        compile_source(SourceFile("adam.opt", text), "numpy", "made")["made.py"], encoding="utf-8"
    )
    script = "import sys, numpy, made; print(*sorted(m for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip
    loaded = set(done.stdout.split())
    assert "made" in loaded
    assert not [m for m in loaded if m.split(".")[0] in ("sympy", "lark", "mpmath", "click", "rich")]
    stages = ("pipeline", "resolve", "syntax", "checks", "algebra", "passes", "targets", "functions")
    assert not [m for m in loaded if m.startswith(tuple(f"optdsl.{stage}" for stage in stages))]


GREEK = 'rule R(θ, ∇)\n  "naïve √ 🙂 \u0301"\nhyper\n  β₁ = 0.9 in [0, 1) "ß"\nupdate\n  θ′ = θ − β₁·g² # λ\n'.replace(
    "∇", "g"
)


@pytest.mark.parametrize("text", [GREEK, *NAMED.values()])
def test_code_is_text(text: str) -> None:
    """Code is valid UTF-8 without control characters, and Python that parses; identifiers are ASCII."""
    for kind in targets.BUNDLED:
        for file, code in compile_source(SourceFile("naïve.opt", text), kind, "rule").items():
            assert code.encode("utf-8").decode("utf-8") == code
            assert all(c == "\n" or c.isprintable() for c in code)
            assert code.endswith("\n")
            if file.endswith(".py"):
                tree = ast.parse(code)
                assert all(node.id.isascii() for node in ast.walk(tree) if isinstance(node, ast.Name))


@pytest.mark.parametrize(
    "rule_text", [GREEK, (SAMPLES / "lamb.opt").read_text(encoding="utf-8"), NAMED["hypers"], NAMED["states"]]
)
def test_c_compiles_without_a_warning(rule_text: str, both_targets: None, tmp_path: Path) -> None:
    """The C is such that a strict compiler has nothing to say."""
    code = compile_source(SourceFile("rule.opt", rule_text), "c", "rule")["rule.c"]
    (tmp_path / "rule.c").write_text(code, encoding="utf-8")
    command = [
        *toolchain.find_compiler().command,
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-fsyntax-only",
        str(tmp_path / "rule.c"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [line for line in done.stderr.split("\n") if "warning" in line and "-Wunused" not in line]
    assert not said
