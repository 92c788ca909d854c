"""Findings in full, on one line and as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import ClassVar

import pytest

from optdsl.diagnostics import (
    CompileError,
    Fix,
    Note,
    Problem,
    Severity,
    as_records,
    closest,
    in_order,
    render,
    render_concise,
    render_json,
)
from optdsl.source import SourceFile

SOURCE = SourceFile("a.opt", "first line\nsecond line\n\tthird 学習 line\n")


@dataclass(frozen=True, kw_only=True)
class Wrong(Problem):
    """A finding to show."""

    slug: ClassVar[str] = "wrong"
    text: str = "this is wrong"
    beside: str = ""
    others: tuple[Note, ...] = ()
    mend: str = ""
    mended: Fix | None = None

    @property
    def message(self) -> str:
        """What is wrong."""
        return self.text

    @property
    def label(self) -> str:
        """What stands beside the carets."""
        return self.beside

    @property
    def notes(self) -> tuple[Note, ...]:
        """Other places."""
        return self.others

    @property
    def help(self) -> str:
        """How to mend it."""
        return self.mend

    @property
    def fix(self) -> Fix | None:
        """The replacement."""
        return self.mended


@dataclass(frozen=True, kw_only=True)
class Doubtful(Wrong):
    """A warning to show."""

    slug: ClassVar[str] = "doubtful"
    severity: ClassVar[Severity] = "warning"


def test_a_finding_in_full() -> None:
    problem = Wrong(span=(18, 22), beside="here", mend="mend it\nlike this")
    assert render(SOURCE, [problem]).split("\n") == [
        "error[wrong]: this is wrong",
        " --> a.opt:2:8",
        "  |",
        "2 | second line",
        "  |        ^^^^ here",
        "  |",
        "  = help: mend it",
        "          like this",
    ]


def test_places_are_shown_in_the_order_of_the_file() -> None:
    notes = (Note(span=(0, 5), label="before"), Note(span=(11, 17), label="beside"))
    assert render(SOURCE, [Wrong(span=(24, 29), others=notes)]).split("\n")[3:] == [
        "1 | first line",
        "  | ----- before",
        "2 | second line",
        "  | ------ beside",
        "3 |     third 学習 line",
        "  |     ^^^^^",
    ]


def test_lines_left_out_are_marked() -> None:
    shown = render(SOURCE, [Wrong(span=(24, 29), others=(Note(span=(0, 5), label="before"),))])
    assert "  | ----- before\n...\n3 |" in shown


def test_two_places_of_one_line_show_it_once() -> None:
    shown = render(SOURCE, [Wrong(span=(18, 22), others=(Note(span=(11, 17), label="beside"),))])
    assert shown.count("second line") == 1
    assert "  |        ^^^^\n  | ------ beside" in shown


def test_carets_stand_below_wide_characters() -> None:
    assert render(SOURCE, [Wrong(span=(30, 32))]).split("\n")[-2:] == ["3 |     third 学習 line", "  |           ^^^^"]


def test_a_span_over_several_lines_is_marked_on_its_first() -> None:
    assert render(SOURCE, [Wrong(span=(6, 17))]).split("\n")[-1] == "  |       ^^^^"


def test_an_empty_span_has_one_caret() -> None:
    assert render(SOURCE, [Wrong(span=(10, 10))]).split("\n")[-1] == "  |           ^"


def test_a_long_line_is_cut_round_the_place() -> None:
    source = SourceFile("a.opt", "a" * 5_000 + "HERE" + "b" * 5_000)
    line, marks = render(source, [Wrong(span=(5_000, 5_004))]).split("\n")[3:]
    assert len(line) < 180
    assert line[marks.index("^") :].startswith("HEREb")
    assert line.startswith("1 | ...a")
    assert line.endswith("b...")


@pytest.mark.parametrize("hidden", ["\x1b[31m", "\x00", "\u202e", "\ud800", "\u2028", "\u200b", "\r"])
def test_nothing_hidden_reaches_the_terminal(hidden: str) -> None:
    source = SourceFile(f"a{hidden}.opt", f"one {hidden} two {hidden}x")
    problem = Wrong(span=(0, len(source.text)), text=f"m{hidden}", beside=f"l{hidden}", mend=f"h{hidden}")
    for shown in (render(source, [problem]), render_concise(source, [problem])):
        assert hidden[0] not in shown
        assert f"\\u{ord(hidden[0]):04x}" in shown


def test_colour_only_when_asked() -> None:
    problem = Wrong(span=(18, 22), beside="here", mend="mend it", others=(Note(span=(0, 5), label="before"),))
    plain, painted = render(SOURCE, [problem]), render(SOURCE, [problem], color=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31merror[wrong]\x1b[0m" in painted
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain


def test_warnings_say_so() -> None:
    assert render(SOURCE, [Doubtful(span=(0, 1))]).startswith("warning[doubtful]: ")


def test_findings_come_in_the_order_of_their_places() -> None:
    late, early, same = Wrong(span=(9, 10)), Wrong(span=(2, 3), text="b"), Wrong(span=(2, 3), text="a")
    assert in_order([late, early, same]) == [same, early, late]
    assert render(SOURCE, [late, early]) == render(SOURCE, [early]) + "\n\n" + render(SOURCE, [late])


def test_one_line_each() -> None:
    assert render_concise(SOURCE, [Wrong(span=(18, 22)), Doubtful(span=(0, 5), text="hm")]).split("\n") == [
        "a.opt:1:1: warning[doubtful]: hm",
        "a.opt:2:8: error[wrong]: this is wrong",
    ]


def test_nothing_found_is_nothing_said() -> None:
    assert render(SOURCE, []) == ""
    assert render_concise(SOURCE, []) == ""
    assert json.loads(render_json(as_records(SOURCE, []))) == []


def test_json() -> None:
    problem = Wrong(span=(6, 17), mend="mend it", mended=Fix(span=(6, 10), text="λ"))
    text = render_json(as_records(SOURCE, [problem, Doubtful(span=(18, 22))]))
    assert "λ" in text
    assert json.loads(text) == [
        {
            "slug": "wrong", "severity": "error", "message": "this is wrong", "file": "a.opt",
            "line": 1, "column": 7, "end_line": 2, "end_column": 7, "help": "mend it",
            "fix": {"line": 1, "column": 7, "end_line": 1, "end_column": 11, "text": "λ"},
        },
        {
            "slug": "doubtful", "severity": "warning", "message": "this is wrong", "file": "a.opt",
            "line": 2, "column": 8, "end_line": 2, "end_column": 12, "help": None, "fix": None,
        },
    ]  # fmt: skip


def test_a_compile_error_shows_its_errors_only() -> None:
    error = CompileError(SOURCE, [Doubtful(span=(0, 5), text="hm"), Wrong(span=(18, 22))])
    assert len(error.problems) == 2
    assert "error[wrong]" in str(error)
    assert "hm" not in str(error)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("beta", "beta1"), ("LR", "lr"), ("lrr", "lr"), ("momentm", "momentum"), ("zzz", None), ("", None)],
)
def test_what_a_misspelt_name_meant(name: str, meant: str | None) -> None:
    assert closest(name, ["lr", "beta1", "momentum"]) == meant
