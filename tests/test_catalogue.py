"""What the patterns of the catalogue tell of the bundled rules is what the compiler tells."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import optdsl
from optdsl import bundled, pipeline
from optdsl.catalogue import FAMILIES, Entry, StateBytes, dialects, entries, find
from optdsl.ir.claims import Equals
from optdsl.ir.evaluate import defaults, present_states
from optdsl.ir.nodes import Rule
from optdsl.ir.storage import storage_type
from optdsl.source import read

known = cache(entries)


@cache
def compiled(name: str) -> Rule:
    return pipeline.rule_of(read(bundled.folder() / f"{name}.opt"))


def entry(states: tuple[StateBytes, ...] = (), **hypers: str) -> Entry:
    return Entry("r", "R", "R: words.", "", (), (), False, states, (), hypers)


def float32_bytes(rule: Rule, present: bool) -> int:
    """Return the bytes of the states of a rule, those alone that exist at its defaults where `present`."""
    states = present_states(rule, defaults(rule)) if present else rule.states
    widths = [
        4 if state.storage is None else storage_type(state.storage).itemsize for state in states if not state.scalar
    ]
    return sum(widths)


@pytest.mark.parametrize("name", bundled.files())
def test_an_entry_says_what_the_compiler_says(name: str) -> None:
    found, rule = known()[name], compiled(name)
    assert (found.title, found.doc, found.family, found.cites) == (rule.name, rule.doc, rule.family, rule.cites)
    assert sorted(state.bytes for state in found.states) == sorted(
        0 if state.scalar else 4 if state.storage is None else storage_type(state.storage).itemsize
        for state in rule.states
    )
    assert found.bytes_at_defaults() == float32_bytes(rule, present=True)
    assert found.bytes_at_defaults() + sum(found.optional_bytes().values()) == float32_bytes(rule, present=False)
    claims = [claim for claim in rule.claims if isinstance(claim, Equals)]
    assert [claim.rest for claim in found.claims] == [claim.text.partition(claim.other)[2].strip() for claim in claims]
    assert all(claim.other in known() for claim in found.claims)
    assert found.transform == rule.transform


def test_every_bundled_rule_has_one_of_the_families() -> None:
    assert {name: one.family for name, one in known().items() if one.family not in FAMILIES} == {}


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the bundled rules."""
    monkeypatch.setattr(bundled, "folder", lambda: tmp_path)
    return tmp_path


def families(rules: Path, files: dict[str, str]) -> dict[str, str]:
    """Return the family of each bundled rule, `files` being all there is, as both find it."""
    for name, text in files.items():
        (rules / name).parent.mkdir(exist_ok=True)
        (rules / f"{name}.opt").write_text(f"rule {text}\n", encoding="utf-8")
    found = {name: one.family for name, one in entries().items()}
    for name in files:
        rule = pipeline.analyse(read(rules / f"{name}.opt")).rule
        assert rule is None or rule.family == found[name], name
    return found


def test_a_form_of_a_rule_has_its_family_unless_it_names_one(rules: Path) -> None:
    step, kept = "update\n  x' = x - g", "update\n  g' = g"
    assert families(
        rules,
        {
            "a": f'A(x, g)\nfamily "F"\n{step}',
            "b": "B(x, g) from A",
            "lib/a": f"A(x, g)\n{step}",
            "lib/b": f"B(x, g)\n{step}",
            "lib/c": "C(x, g) from A",
            "lib/d": f"D(x, g)\n{step}",
            "other/a": f'A(x, g)\nfamily "G"\n{step}',
            "other/b": "B(x, g) from other/A",
            "transforms/a": f"A(x, g)\n{kept}",
        },
    ) == {
        "a": "F", "b": "F", "lib/a": "F", "lib/b": "F", "lib/c": "F", "lib/d": "", "other/a": "G", "other/b": "F",
        "transforms/a": "transform",
    }  # fmt: skip


def test_a_family_is_looked_for_once(rules: Path) -> None:
    step = "update\n  x' = x - g"
    assert families(rules, {"a": "A(x, g) from lib/A", "lib/a": f"A(x, g)\n{step}"}) == {"a": "", "lib/a": ""}


def test_the_compiled_rule_knows_that_its_namesake_has_another_family(rules: Path) -> None:
    for family in ("F", "G"):
        step = "update\n  x' = x - g"
        families(rules, {"a": f'A(x, g)\nfamily "{family}"\n{step}', "lib/a": f"A(x, g)\n{step}"})
        assert optdsl.load("lib/a", target="numpy").rule.family == family


def test_reading_the_rules_loads_neither_compiler_nor_numpy() -> None:
    code = (
        "import sys; from optdsl import catalogue; assert catalogue.entries(); "
        "print([name for name in ('numpy', 'sympy', 'lark', 'optdsl.pipeline') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("condition", "at_defaults"),
    [
        ("a", True),
        ("not a", False),
        ("b", False),
        ("n != 0", True),
        ("z != 0", False),
        ("n > z", True),
        ("a and b", False),
        ("a or b", True),
        ("not b and z == 0", True),
        ("expression > 0", False),
        ("max(n, 1) > 0", False),
    ],
)
def test_a_state_counts_where_the_defaults_meet_its_condition(condition: str, at_defaults: bool) -> None:
    states = (StateBytes("m", 4, ""), StateBytes("v", 8, condition))
    one = entry(states, a="true", b="false", n="0.5", z="0", expression="1/3")
    assert one.bytes_at_defaults() == (12 if at_defaults else 4)
    assert one.optional_bytes() == ({} if at_defaults else {condition: 8})


def test_a_name_means_what_it_means_to_the_compiler() -> None:
    names = ["adam", "clip", "flux/adam", "flux/adamw", "transforms/clip"]
    assert find("Adam", "adamw", names) == "adam"
    assert find("ADAM", "flux/adamw", names) == "flux/adam"
    assert find("Adam", "flux/adam", names) == "adam"
    assert find("clip", "mine", names) == "clip"
    assert find("clip", "flux/adam", names) == "transforms/clip"
    assert find("flux/adam", "mine", names) == "flux/adam"
    assert find("Nothing", "mine", names) is None


def test_dialects_have_the_name_or_are_made_from_it() -> None:
    among = known()
    assert "flux/adam" in dialects(among["adam"], among)
    assert dialects(among["flux/adam"], among) == []
    assert dialects(among["lion"], {"lion": among["lion"], "flux/adam": among["flux/adam"]}) == []
