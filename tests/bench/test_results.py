"""Results: kept and read back, as tables, and drawn."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from optdsl.bench import plot, report
from optdsl.bench import results as kept

from .support import results, row

GOLDEN = Path(__file__).parent / "golden"


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(results().text(), encoding="utf-8")
    assert kept.read(file) == results()


def test_the_schema() -> None:
    found = json.loads(results().text())
    assert list(found) == ["format", "command", "machine", "left_out", "rows"]
    assert found["format"] == kept.FORMAT
    assert found["rows"][0] == {
        "rule": "adam", "size": "16M", "tensors": 1, "elements": 16_000_000, "gradients": "same", "contestant": "c",
        "median": 0.0062, "first_quartile": pytest.approx(0.00589), "third_quartile": pytest.approx(0.00651),
        "samples": 30, "bytes": 28, "agrees": None, "note": "",
    }  # fmt: skip


def broken(change: Callable[[Any], object]) -> str:
    found = json.loads(results().text())
    change(found)
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[]", "list indices"),
        ("{}", "there is no 'format' in it"),
        ("[" * 100_000, "recursion"),
        (broken(lambda found: found.update(format=2)), "its format is 2"),
        (broken(lambda found: found["rows"][0].pop("median")), "median"),
        (broken(lambda found: found["rows"][0].update(median=0)), "aren't all above 0"),
        (broken(lambda found: found["rows"][0].update(median="fast")), "aren't all above 0"),
        (broken(lambda found: found["rows"][0].update(rule=3)), "where a name should be"),
        (broken(lambda found: found.update(rows=[1])), "must be a mapping"),
    ],
)
def test_anything_else_is_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.json holds no results of optdsl bench") as caught:
        kept.read(file)
    assert words in str(caught.value)


def test_the_tables(golden: Callable[[Path, str], None]) -> None:
    console = Console(file=io.StringIO(), width=80)
    report.show(console, results())
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 80
    golden(GOLDEN / "tables.txt", text)


def test_derived_numbers() -> None:
    found = row("adam", "c", 6.4)
    assert found.nanoseconds == pytest.approx(0.4)
    assert found.bandwidth == pytest.approx(70.0)


def test_what_is_drawn() -> None:
    rules = plot.drawn(results())
    assert {rule: [row.contestant for row in rows] for rule, rows in rules.items()} == {
        "adam": ["c", "numpy", "torch-fused", "numpy-out", "floor"],
        "lion": ["c", "optax", "floor"],
    }
    assert {row.size for rows in rules.values() for row in rows} == {"16M"}
    with pytest.raises(ValueError, match="no results to draw"):
        plot.drawn(kept.Results({}, "", ()))


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_picture(ending: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    file = tmp_path / f"results.{ending}"
    plot.draw(results(), file)
    first = file.read_bytes()
    assert len(first) > 5000
    plot.draw(results(), file)
    assert file.read_bytes() == first


def test_the_picture_has_a_bar_for_each_and_stands_on_any_ground(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image", reason="pictures need matplotlib")
    file = tmp_path / "results.png"
    plot.draw(results(), file)
    pixels = image.imread(file)
    assert pixels[0, 0, 3] == 0
    for name in ("optdsl c", "optdsl numpy", "torch", "optax", "numpy"):
        colour = [int(plot.LIBRARIES[name][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(pixels[..., :3] - colour).max(axis=2) < 0.01).sum() > 500
