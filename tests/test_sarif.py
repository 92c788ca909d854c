"""Findings as SARIF: the structure that the standard and code hosts ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from optdsl.cli import main
from optdsl.version import __version__

WRONG = """\
rule Wrong(x, g)

hyper
  lr = 1.5 in [0, 1)

update
  x' = x - 𝜆*lrr*{g)
"""
LOST = """\
rule Lost(x, g)

hyper
  lr = 0.5 in [0, 1)

update
  x' = x - lrr*g
"""
IDLE = "rule Idle(x, g)\nhyper\n  lr = 1 in [0, 1]\n  idle = 2 in [0, 2]\nupdate\n  x' = x - lr*g\n"


def invoke(*arguments: str, **settings: object) -> Result:
    return CliRunner().invoke(main, arguments, **settings)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with rules in it, and one beside it."""
    inside = tmp_path / "here"
    (inside / "sub folder").mkdir(parents=True)
    (inside / "lost.opt").write_text(LOST, encoding="utf-8")
    (inside / "sub folder" / "wröng.opt").write_text(WRONG, encoding="utf-8")
    (tmp_path / "idle.opt").write_text(IDLE, encoding="utf-8")
    monkeypatch.chdir(inside)
    return inside


def run_of(*arguments: str, status: int = 1, **settings: object) -> dict[str, Any]:
    """Return the one run in what a command writes."""
    result = invoke(*arguments, "--output-format", "sarif", **settings)
    assert (result.exit_code, result.stderr) == (status, "")
    log = json.loads(result.stdout)
    assert list(log) == ["$schema", "version", "runs"]
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("/sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def test_a_result_says_what_and_where(folder: Path) -> None:
    run = run_of("check", "lost.opt")
    (result,) = run["results"]
    region = {"startLine": 7, "startColumn": 12, "endLine": 7, "endColumn": 15}
    file = {"uri": "lost.opt", "uriBaseId": "%SRCROOT%"}
    assert result == {
        "ruleId": "undefined-name",
        "ruleIndex": 0,
        "level": "error",
        "message": {
            "text": "`lrr` is not defined\nnot a hyperparameter, state or intermediate\nhelp: did you mean `lr`?"
        },
        "locations": [{"physicalLocation": {"artifactLocation": file, "region": region}}],
        "fixes": [
            {
                "description": {"text": "did you mean `lr`?"},
                "artifactChanges": [
                    {
                        "artifactLocation": file,
                        "replacements": [{"deletedRegion": region, "insertedContent": {"text": "lr"}}],
                    }
                ],
            }
        ],
    }
    assert run["columnKind"] == "unicodeCodePoints"


def test_the_driver_has_the_page_of_each_finding(folder: Path) -> None:
    driver = run_of("check", "lost.opt", "../idle.opt")["tool"]["driver"]
    assert (driver["name"], driver["semanticVersion"]) == ("optdsl", __version__)
    assert [rule["id"] for rule in driver["rules"]] == ["undefined-name", "unused-hyper"]
    for rule, level in zip(driver["rules"], ("error", "warning"), strict=True):
        assert rule["defaultConfiguration"] == {"level": level}
        assert rule["properties"]["problem.severity"] == level
        assert 0 < len(rule["shortDescription"]["text"]) <= 1024
        assert 0 < len(rule["fullDescription"]["text"]) <= 1024
        assert rule["help"]["markdown"].startswith(f"# {rule['id']}\n")
        assert "```" not in rule["help"]["text"]


def test_every_result_points_to_its_rule_and_to_a_place(folder: Path) -> None:
    run = run_of("check", ".", "../idle.opt")
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) >= 4
    assert [rule["id"] for rule in rules] == sorted({result["ruleId"] for result in run["results"]})
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert 1 <= region["startLine"] <= region["endLine"]
        assert region["startLine"] < region["endLine"] or 1 <= region["startColumn"] <= region["endColumn"]


def test_paths_are_addresses_below_the_working_directory_or_whole(folder: Path) -> None:
    run = run_of("check", ".", "../idle.opt")
    files = [result["locations"][0]["physicalLocation"]["artifactLocation"] for result in run["results"]]
    root = "%SRCROOT%"
    assert {"uri": "lost.opt", "uriBaseId": root} in files
    assert {"uri": "sub%20folder/wr%C3%B6ng.opt", "uriBaseId": root} in files
    assert {"uri": (folder.parent / "idle.opt").as_uri()} in files
    assert list(run["originalUriBaseIds"]) == [root]


def test_standard_input_has_a_name() -> None:
    (result,) = run_of("check", "-", input=LOST)["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "%3Cstdin%3E"}


def test_notes_are_related_locations(folder: Path) -> None:
    results = run_of("check", "sub folder")["results"]
    (result,) = (result for result in results if result["ruleId"] == "default-out-of-range")
    (related,) = result["relatedLocations"]
    assert related["message"] == {"text": "the interval it must lie in"}
    assert related["id"] == 1
    assert related["physicalLocation"]["region"]["startColumn"] == 15


def test_columns_count_characters_and_braces_are_doubled(folder: Path) -> None:
    results = run_of("check", "sub folder")["results"]
    (brace,) = (result for result in results if "{{" in result["message"]["text"])
    place = brace["locations"][0]["physicalLocation"]["region"]
    assert WRONG.splitlines()[place["startLine"] - 1][place["startColumn"] - 1] == "{"


def test_nothing_found_is_a_run_without_results(folder: Path) -> None:
    (folder / "lost.opt").write_text(LOST.replace("lrr", "lr"), encoding="utf-8")
    run = run_of("check", "lost.opt", status=0)
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []


def test_compile_writes_it_too(folder: Path) -> None:
    (result,) = run_of("compile", "lost.opt")["results"]
    assert result["ruleId"] == "undefined-name"
    (folder / "lost.opt").write_text(LOST.replace("lrr", "lr"), encoding="utf-8")
    assert run_of("compile", "lost.opt", status=0)["results"] == []
    assert (folder / "build" / "lost.py").is_file()
