"""Places in a text."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optdsl import source
from optdsl.source import SourceFile, Span, read

TEXTS = st.text(st.sampled_from("ab\n\r\té😀\ufeff"), max_size=40)


def test_lines_and_columns_count_from_one() -> None:
    source = SourceFile("a.opt", "ab\nc\n")
    assert [tuple(source.position(offset)) for offset in range(6)] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)]


def test_columns_count_characters() -> None:
    assert SourceFile("a.opt", "é😀x").position(2) == (1, 3)


def test_a_line_has_no_end() -> None:
    source = SourceFile("a.opt", "ab\r\ncd\n")
    assert [source.line(offset) for offset in (0, 1, 4, 7)] == ["ab", "ab", "cd", ""]


def test_a_snippet_is_the_text_of_a_span() -> None:
    assert SourceFile("a.opt", "ab\ncd").snippet(Span(1, 4)) == "b\nc"


def test_a_byte_order_mark_belongs_to_no_line() -> None:
    source = SourceFile("a.opt", "\ufeffab\nc")
    assert source.line(1) == "ab"
    assert source.line(4) == "c"
    assert [tuple(source.position(offset)) for offset in range(5)] == [(1, 1), (1, 1), (1, 2), (1, 3), (2, 1)]


def test_an_empty_text_has_one_line() -> None:
    source = SourceFile("a.opt", "")
    assert source.position(0) == (1, 1)
    assert source.line(0) == ""


@given(TEXTS)
def test_a_position_leads_back_to_its_offset(text: str) -> None:
    source = SourceFile("a.opt", text)
    for offset in range(int(text.startswith("\ufeff")), len(text)):
        line, column = source.position(offset)
        before = [len(part) + 1 for part in text.split("\n")[: line - 1]]
        assert sum(before) + column - 1 + (line == 1 and text.startswith("\ufeff")) == offset
        if text[offset] not in "\r\n":
            assert source.line(offset)[column - 1] == text[offset]


def test_files_after_one_another_keep_their_own_places() -> None:
    own, base = (
        SourceFile("own.opt", "ab\nc"),
        SourceFile("base.opt", "d\nef\n").followed_by(SourceFile("far.opt", "g")),
    )
    both = own.followed_by(base)
    assert [both.snippet(both.extent(number)) for number in range(3)] == ["ab\nc", "d\nef\n", "g"]
    for offset in range(len(own.text) + 1):
        assert (both.file(offset), both.position(offset)) == ("own.opt", own.position(offset))
    start = both.text.index("d")
    assert (both.file(start), both.position(start), both.line(start)) == ("base.opt", (1, 1), "d")
    assert (both.position(start + 3), both.line(start + 3)) == ((2, 2), "ef")
    assert (both.file(len(both.text) - 1), both.position(len(both.text))) == ("far.opt", (1, 2))


def test_a_byte_order_mark_is_read_past_and_counted(tmp_path: Path) -> None:
    """It is no part of the text, but one of the bytes that a place in the file is told by."""
    path = tmp_path / "marked.opt"
    path.write_bytes(b"\xef\xbb\xbfab\r\nc")
    assert read(path).text == "ab\nc"
    path.write_bytes(b"\xef\xbb\xbfa\xff")
    with pytest.raises(ValueError, match="byte 4 is 0xff"):
        read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_nobody_writes_into_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PATIENCE", 0.05)
    os.mkfifo(tmp_path / "pipe.opt")
    with pytest.raises(TimeoutError, match="nobody wrote into"):
        read(tmp_path / "pipe.opt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe, text = tmp_path / "pipe.opt", "# comment\n" * 20_000  # more than a pipe holds at once
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(text))
    writer.start()
    assert read(pipe).text == text
    writer.join()
