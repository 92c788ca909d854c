"""How `optdsl show` says a rule is related to others."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from optdsl.catalogue import Claim, Entry
from optdsl.cli import main
from optdsl.relations import relations, sentences


def entry(name: str, parts: tuple[str, ...] = (), claims: tuple[Claim, ...] = (), chained: bool = False) -> Entry:
    return Entry(name, name.rpartition("/")[2].title(), "", "", (), parts, chained, (), claims, {})


AMONG = {
    one.name: one
    for one in (
        entry("adam"),
        entry("adamw", ("adam",), (Claim("adam", "when weight_decay = 0"),)),
        entry("row", ("transforms/clip", "adam"), chained=True),
        entry("flux/adam", (), (Claim("adam", "with lr = eta"), Claim("Elsewhere", "for 1 step"))),
        entry("keras/other", ("adam",)),
        entry("transforms/clip"),
    )
}


def told(name: str) -> list[str]:
    return sentences(relations(AMONG[name], AMONG), AMONG[name].chained)


def relations_shown(*arguments: str) -> list[str]:
    lines = CliRunner().invoke(main, ("show", *arguments)).stdout.splitlines()
    if "relations:" not in lines:
        return []
    start = lines.index("relations:") + 1
    return [line.strip() for line in lines[start : lines.index("", start)]]


def test_both_sides_are_told() -> None:
    assert told("adam") == [
        "Adamw equals it when weight_decay = 0",
        "flux/adam equals it with lr = eta",
        "Adamw and Row are made from it",
        "libraries' forms: flux/adam, keras/other",
    ]
    assert told("adamw") == ["made from Adam", "equals Adam when weight_decay = 0"]


def test_chains_and_transforms() -> None:
    assert told("row") == ["a chain of clip, Adam"]
    assert told("transforms/clip") == ["Row is made from it"]


def test_a_librarys_form_names_the_rule_and_what_it_equals() -> None:
    assert told("flux/adam") == ["a library's form of Adam", "equals Adam with lr = eta", "equals Elsewhere for 1 step"]
    assert told("keras/other") == ["made from Adam", "a library's form of Adam"]


def test_show_tells_the_relations_of_a_bundled_rule() -> None:
    assert "AdamW equals it when weight_decay = 0" in relations_shown("adam")
    assert relations_shown("flux/adam")[0] == "a library's form of Adam"
    assert "torch/radam equals it" in relations_shown("radam")
    assert relations_shown("optimisers/momentum")[:2] == ["made from flux/momentum", "a library's form of Momentum"]
    assert "relations:" not in CliRunner().invoke(main, ("show", "transforms/zero_nans")).stdout


def test_show_tells_the_relations_that_a_file_states(tmp_path: Path) -> None:
    path = tmp_path / "mine.opt"
    claims = "claim\n  equals Adam with eps = 1 when eps = 1\n  still when lr = 0\n"
    path.write_text(f"rule Mine(x, g) from Adam\nhyper\n  eps = 1\n{claims}", encoding="utf-8")
    assert relations_shown(str(path)) == ["made from Adam", "equals Adam with eps = 1 when eps = 1"]
    record = json.loads(CliRunner().invoke(main, ("show", str(path), "--as", "json")).stdout)
    assert record["family"] == "Adam"
    assert record["relations"] == [
        {"kind": "made-from", "rule": "Adam"},
        {"kind": "equals", "rule": "Adam", "claim": "with eps = 1 when eps = 1"},
    ]
