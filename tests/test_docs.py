"""The documents say what is true: their code runs, and what is made from the code is up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from optdsl import pipeline
from optdsl.bundled import path
from optdsl.cli import main
from optdsl.source import SourceFile

ROOT = Path(__file__).resolve().parent.parent


def blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "docs/python.md"])
def test_the_python_in_the_documents_runs(name: str) -> None:
    code = "\n".join(blocks(name, "python"))
    assert code.count("import optdsl") >= 1
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("1 0 (2, 5)\n" if name == "README.md" else "")


def test_what_is_made_from_the_code_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "update.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "up to date\n"), f"{done.stdout}{done.stderr}: run docs/update.py"


def test_the_rule_in_the_readme_is_the_bundled_one_and_its_c_is_what_is_generated() -> None:
    rule = next(block for block in blocks("README.md", "") if block.startswith("rule Lion"))
    lion = path("lion")
    assert lion is not None
    shown = pipeline.rule_of(SourceFile("lion.opt", rule))
    ours = pipeline.rule_of(SourceFile("lion.opt", lion.read_text(encoding="utf-8")))
    assert shown.equations == ours.equations
    generated = [line.strip() for line in pipeline.emit(shown, "c", "lion")["lion.c"].split("\n")]
    for line in blocks("README.md", "c")[0].strip().split("\n"):
        assert line.strip() in generated


def test_every_slug_and_verb_is_documented() -> None:
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "optdsl").rglob("*.py"))
    slugs = set(re.findall(r'slug: ClassVar\[str\] = "([a-z-]+)"', source))
    assert len(slugs) >= 20
    assert [slug for slug in sorted(slugs) if f"`{slug}`" not in text] == []
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert [verb for verb in main.commands if f"`{verb}`" not in changes] == []


RELIABILITY = re.findall(r"^(?:python|pytest) .*$", "\n".join(blocks("docs/reliability.md", "")), re.MULTILINE)


@pytest.mark.parametrize("command", [line for line in RELIABILITY if line.startswith("python -m ")])
def test_commands_of_the_reliability_page_take_what_they_are_given(command: str) -> None:
    words = command.split()[1:]
    first = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    asked = [sys.executable, *words[:first], "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    assert [word for word in words if word.startswith("--") and word not in done.stdout] == []


def test_files_that_the_reliability_page_names_exist() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|benchmarks|optdsl)/[\w/.]*)`", text)
    named += [word for line in RELIABILITY for word in line.split() if re.match(r"(?:tests|benchmarks)/", word)]
    assert len(named) >= 8
    assert sorted({name for name in named if not (ROOT / name).exists()}) == []


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
