"""`optdsl list`: the bundled rules by family."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from optdsl import bundled
from optdsl.catalogue import FAMILIES, Claim, Entry, StateBytes, entries
from optdsl.cli import main
from optdsl.listing import as_json, by_family, chosen, state_bytes, text


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("list", *arguments))


def entry(name: str, family: str = "Adam", doc: str = "", parts: tuple[str, ...] = (), **more: object) -> Entry:
    title = name.rpartition("/")[2].title()
    values = {"states": (), "claims": (), "hypers": {}, "cites": (), **more}
    return Entry(name=name, title=title, doc=doc, family=family, parts=parts, chained=False, **values)  # type: ignore[arg-type]


def among(*listed: Entry) -> dict[str, Entry]:
    return {one.name: one for one in listed}


RULES = among(
    entry("adam", doc="Adam: steps by moments.", cites=(("Kingma & Ba 2015", "arXiv:1412.6980"), ("Other 2018",))),
    entry("mine", family="zebra", claims=(Claim("adam", ""),)),
    entry("sgd", family="gradient descent", doc="SGD: a step."),
    entry("flux/adam", doc="ADAM: as elsewhere."),
    entry("flux/descent", family="gradient descent"),
    entry("keras/own", parts=("adam",)),
)


def test_every_rule_is_listed_once_as_a_rule_or_as_a_form_of_one() -> None:
    result = invoke()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    rows = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]
    forms = [name.strip() for line in lines if line.startswith("      also ") for name in line[11:].split(",")]
    names = [name.removeprefix(bundled.TRANSFORMS) for name in bundled.files()]
    assert set(rows) | set(forms) >= set(names) - {"lookahead"}  # a transform and a rule
    assert len(rows) == len(set(rows) - {"lookahead"}) + rows.count("lookahead")


def test_families_come_in_their_order_and_unknown_ones_last() -> None:
    assert list(by_family(RULES.values())) == ["gradient descent", "Adam", "zebra"]
    headings = [
        line.lower() for line in invoke().stdout.splitlines() if line[:1].strip() and not line.startswith("Num")
    ]
    assert headings == [family.lower() for family in FAMILIES if family.lower() in headings]
    assert "transform" in headings


def test_a_row_tells_bytes_origin_and_forms() -> None:
    assert text(chosen(RULES, "adam"), RULES, 80).splitlines()[:4] == [
        "Adam",
        "  adam  0  Kingma & Ba 2015",
        "      steps by moments",
        "      also flux/adam, keras/own",
    ]


@pytest.mark.parametrize(("cited", "short"), [
    ("Kingma & Ba 2015", "Kingma & Ba 2015"), ("Chen et al. 2023", "Chen et al. 2023"), ("Anonymous", "Anonymous"),
    ("Duchi, Hazan & Singer 2011", "Duchi et al. 2011"), ("Lecture 6, part 5", "Lecture 6, part 5"),
])  # fmt: skip
def test_of_several_authors_the_first_is_named(cited: str, short: str) -> None:
    assert entry("r", cites=((cited,),)).origin == short


def test_optional_states_are_told_by_their_condition() -> None:
    states = (StateBytes("m", 4, ""), StateBytes("v", 4, "momentum != 0"), StateBytes("n", 0, "amsgrad"))
    assert state_bytes(entry("r", states=states, hypers={"momentum": "0"})) == "4 (+4 momentum)"
    assert state_bytes(entry("r", states=states, hypers={"momentum": "0.9"})) == "8"
    assert state_bytes(entry("r")) == "0"


@pytest.mark.parametrize("width", [60, 80, 100, 300])
def test_lines_keep_to_the_width(width: int) -> None:
    found = entries()
    lines = text(chosen(found, ""), found, width).splitlines()
    prose = [line for line in lines if line.startswith(("      ", "Num"))]
    assert max(map(len, prose)) <= min(width, 100)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(("word", "names"), [
    ("ADAM", ["adam"]), ("zebra", ["mine"]), ("elsewhere", ["flux/adam"]), ("flux/", ["flux/adam", "flux/descent"]),
    ("descent", ["sgd", "flux/descent"]),
])  # fmt: skip
def test_a_word_chooses_by_name_family_and_documentation(word: str, names: list[str]) -> None:
    assert [one.name for one in chosen(RULES, word)] == names


def test_a_word_that_no_rule_has_is_wrong_usage_with_a_hint() -> None:
    result = invoke("addam")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "optdsl: no bundled rule has 'addam' in its name, family or documentation; did you mean 'adam'?\n"
    )


def test_json_has_every_rule() -> None:
    records = json.loads(invoke("--json").stdout)
    assert [record["name"] for record in records] == bundled.files()
    adam = next(record for record in records if record["name"] == "adam")
    assert (adam["class"], adam["family"], adam["state"], adam["state_bytes"]) == ("Adam", "Adam", "8 (+4 amsgrad)", 8)
    assert adam["optional_state_bytes"] == {"amsgrad": 4}
    assert adam["cites"][0] == ["Kingma & Ba 2015", "arXiv:1412.6980"]
    assert "flux/adam" in adam["dialects"]
    assert json.loads(as_json([RULES["keras/own"]], RULES))[0]["made_from"] == ["adam"]
    assert [record["name"] for record in json.loads(invoke("flux/", "--json").stdout)] == [
        name for name in bundled.names() if name.startswith("flux/")
    ]
