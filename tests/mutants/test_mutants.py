"""Faults are what they say, and the command that tries them tells one that is noticed from one that isn't."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from . import c_faults, python_faults
from .survivors import reasons
from .trying import ROOT, SKELETON, mutants_of

SOURCE = '''"""A module."""
TABLE = {"a": 1, "b": 2}


def least(a, b):
    """Return the lesser."""
    for _ in range(2):
        if a < b and not b:
            continue
    return a if a < b else b


class Counter:
    def add(self, n):
        self.n += n
        match n:
            case 0:
                return None
            case _:
                return self.n
'''


def test_faults_are_of_many_kinds() -> None:
    """Comparisons, conditions, loops, returns, statements, cases and tables are changed, docstrings aren't."""
    made = [fault.key for fault in python_faults.faults(SOURCE)]
    for expected in (
        "least: a < b -> a <= b", "least: a < b -> a >= b", "least: a < b and (not b) -> a < b or not b",
        "least: a < b and (not b) -> a < b", "least: not b -> b", "least: continue -> break", "least: 2 -> 3",
        "least: a if a < b else b -> a", "least: return a if a < b else b -> return None",
        "Counter.add: self.n += n -> pass", "TABLE: {'a': 1, 'b': 2} -> {'a': 2, 'b': 1}",
    ):  # fmt: skip
        assert expected in made, expected
    assert not [key for key in made if "Return the lesser" in key]


def test_each_fault_changes_the_code() -> None:
    """The tree with a fault is another than without, is Python, and has what the fault says."""
    plain = ast.dump(ast.parse(SOURCE))
    for fault in python_faults.faults(SOURCE):
        tree = python_faults.with_fault(SOURCE, fault)
        compile(tree, "module.py", "exec")
        assert ast.dump(tree) != plain, fault
        assert fault.after.split(" with ")[0] in " ".join(ast.unparse(tree).split()), fault


def test_faults_of_c() -> None:
    """Operators, numbers and statements of code are changed; comments and what divides the skeleton aren't."""
    text = "/* a < b */\n/* ---- part ---- */\nstatic int f(int a) {\n    a = a + 1;\n    return a < 0;\n}\n"
    made = list(c_faults.faults(text))
    assert {fault.key for fault in made} == {
        "f: a = a + 1; -> a = a - 1;", "f: a = a + 1; -> a = a + 2;", "f: a = a + 1; -> ",
        "f: return a < 0; -> return a <= 0;", "f: return a < 0; -> return a < 1;",
    }  # fmt: skip
    for fault in made:
        changed = c_faults.with_fault(text, fault)
        assert "/* ---- part ---- */" in changed
        assert fault.after in changed


def test_there_are_faults_in_every_file() -> None:
    """The compiler's files have thousands of faults to choose from, the skeleton hundreds."""
    assert len(mutants_of(SKELETON)) > 300
    assert len(mutants_of("optdsl/passes/schedule.py")) > 200


def test_survivors_are_faults_that_there_are() -> None:
    """What the list explains can still be put into the code: an entry whose line is gone is to be taken out."""
    paths = {key.partition(" ")[0] for key in reasons()}
    there = {mutant.key for path in paths for mutant in mutants_of(path)}
    assert set(reasons()) - there == set()


SAMPLE = """
from optdsl.targets.text import one_line

def test_one_line():
    assert one_line("a" + chr(10) + "b") == "a b"
"""
SCRIPT = """
import sys
from tests.mutants.trying import mutants_of, tried
every = mutants_of("optdsl/targets/text.py")
mutants = [mutant for mutant in every if mutant.fault.function in ("one_line", "Names.of")]
for mutant, outcome in tried(mutants, sys.argv[1:], 2, 20.0, lambda *_: None).outcomes.items():
    print(f"{outcome} | {mutant.fault.key}")
"""


def test_a_fault_is_noticed_or_not(tmp_path: Path) -> None:
    """A fault in what a test looks at is noticed; one in what no test runs isn't, and says so."""
    (tmp_path / "test_sample.py").write_text(SAMPLE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(" | ") for line in done.stdout.strip().split("\n")]
    outcomes = {key: outcome for outcome, key in lines}
    assert any(outcome == "killed" for key, outcome in outcomes.items() if key.startswith("one_line: return"))
    ours = {outcome for key, outcome in outcomes.items() if key.startswith("Names.of")}
    assert ours == {"not run by any test"}
