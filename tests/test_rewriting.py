"""`optdsl fmt`: what is written where, exit statuses, and files that must not be harmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from optdsl.cli import main
from optdsl.rewriting import rewritten
from optdsl.source import SourceFile
from optdsl.template import text_for

UNTIDY = "rule R(x,g)\nupdate\nx'=x-g # why\n"
TIDY = "rule R(x, g)\n\nupdate\n  x' = x - g  # why\n"
SIGNS = "rule R(x, g)\n\nupdate\n  x′ = x − g  # why\n"
BROKEN = "rule R(x,g)\nupdate\nx'=(x\n"


def fmt(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["fmt", *map(str, arguments)], input=stdin)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an untidy rule, and in a folder of its own a tidy one."""
    (tmp_path / "untidy.opt").write_text(UNTIDY, encoding="utf-8")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "tidy.opt").write_text(TIDY, encoding="utf-8")
    return tmp_path


def test_files_of_a_folder_are_rewritten_and_counted(folder: Path) -> None:
    result = fmt(folder)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "1 file reformatted, 1 file left unchanged\n", "")
    assert (folder / "untidy.opt").read_text(encoding="utf-8") == TIDY
    assert sorted(path.name for path in folder.rglob("*")) == ["inner", "tidy.opt", "untidy.opt"]
    assert fmt(folder).stdout == "2 files left unchanged\n"


def test_a_tidy_file_is_not_touched(folder: Path) -> None:
    path = folder / "inner" / "tidy.opt"
    os.utime(path, ns=(1, 1))
    assert fmt(path).exit_code == 0
    assert path.stat().st_mtime_ns == 1


def test_check_names_what_would_change_and_writes_nothing(folder: Path) -> None:
    result = fmt("--check", folder)
    assert result.exit_code == 1
    assert result.stdout == (
        f"Would reformat: {folder / 'untidy.opt'}\n1 file would be reformatted, 1 file already formatted\n"
    )
    assert (folder / "untidy.opt").read_text(encoding="utf-8") == UNTIDY
    assert fmt("--check", folder / "inner").exit_code == 0


def test_diff_shows_what_would_change_and_writes_nothing(folder: Path) -> None:
    path = folder / "untidy.opt"
    result = fmt("--diff", folder)
    assert result.exit_code == 1
    assert result.stdout == (
        f"--- {path}\n+++ {path}\n@@ -1,3 +1,4 @@\n-rule R(x,g)\n+rule R(x, g)\n+\n"
        " update\n-x'=x-g # why\n+  x' = x - g  # why\n"
    )
    assert result.stderr == "1 file would be reformatted, 1 file already formatted\n"
    assert path.read_text(encoding="utf-8") == UNTIDY
    assert fmt("--diff", folder / "inner").stdout == ""


def test_signs_and_back(folder: Path) -> None:
    path = folder / "untidy.opt"
    assert fmt("--unicode", path).exit_code == 0
    assert path.read_text(encoding="utf-8") == SIGNS
    assert fmt("--unicode", "--check", path).exit_code == 0
    assert fmt(path).exit_code == 0
    assert path.read_text(encoding="utf-8") == TIDY


def test_standard_input_goes_to_standard_output() -> None:
    result = fmt("-", stdin=UNTIDY)
    assert (result.exit_code, result.stdout, result.stderr) == (0, TIDY, "")
    assert fmt("-", "--unicode", stdin=UNTIDY).stdout == SIGNS
    assert fmt("-", "--check", stdin=UNTIDY).exit_code == 1
    assert fmt("-", "--check", stdin=TIDY).exit_code == 0


def test_a_file_with_syntax_errors_stays_and_the_others_are_formatted(folder: Path) -> None:
    path = folder / "broken.opt"
    path.write_text(BROKEN, encoding="utf-8")
    result = fmt(folder)
    assert result.exit_code == 1
    assert f"{path}:3:4" in result.stderr
    assert result.stdout == "1 file reformatted, 1 file left unchanged\n"
    assert path.read_text(encoding="utf-8") == BROKEN
    assert fmt("--check", path).exit_code == fmt("--diff", path).exit_code == 1


def test_standard_input_with_syntax_errors_gives_no_output() -> None:
    result = fmt("-", stdin=BROKEN)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "<stdin>:3:4" in result.stderr


def test_what_cannot_be_read_is_wrong_usage_and_the_others_are_formatted(folder: Path) -> None:
    (folder / "latin.opt").write_bytes(b"rule R(x, g) # \xe9\n")
    result = fmt(folder / "untidy.opt", folder / "latin.opt", folder / "absent.opt")
    assert result.exit_code == 2
    assert "latin.opt is not UTF-8 text" in result.stderr
    assert "absent.opt: No such file" in result.stderr
    assert (folder / "untidy.opt").read_text(encoding="utf-8") == TIDY
    assert fmt().exit_code == 2


def test_line_ends_and_the_byte_order_mark_are_settled(tmp_path: Path) -> None:
    path = tmp_path / "windows.opt"
    path.write_bytes(b"\xef\xbb\xbf" + TIDY.replace("\n", "\r\n").encode())
    assert fmt("--check", path).exit_code == 1
    assert fmt(path).exit_code == 0
    assert path.read_bytes() == TIDY.encode()


def test_a_missing_line_end_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "short.opt"
    path.write_text(TIDY.removesuffix("\n"), encoding="utf-8")
    assert fmt("--diff", path).stdout.endswith(
        "-  x' = x - g  # why\n\\ No newline at end of file\n+  x' = x - g  # why\n"
    )


def test_permissions_and_links_stay(folder: Path) -> None:
    path, link = folder / "untidy.opt", folder / "link.opt"
    path.chmod(0o640)
    link.symlink_to("untidy.opt")
    assert fmt(link).exit_code == 0
    assert link.is_symlink()
    assert path.read_text(encoding="utf-8") == TIDY
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_written_stays_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    result = fmt(folder / "untidy.opt")
    assert result.exit_code == 3
    assert result.stderr == f"optdsl: {folder / 'untidy.opt'}: No space left on device\n"
    assert (folder / "untidy.opt").read_text(encoding="utf-8") == UNTIDY
    assert sorted(path.name for path in folder.iterdir()) == ["inner", "untidy.opt"]


def test_a_file_that_is_read_only_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write everywhere
    result = fmt(folder / "untidy.opt")
    assert result.exit_code == 3
    assert "Permission denied" in result.stderr
    assert (folder / "untidy.opt").read_text(encoding="utf-8") == UNTIDY


def test_a_rewritten_text_knows_whether_it_changes() -> None:
    assert rewritten(SourceFile("<stdin>", UNTIDY)).changes
    assert not rewritten(SourceFile("<stdin>", TIDY)).changes
    assert rewritten(SourceFile("<stdin>", TIDY)).difference() == ""
    assert not rewritten(SourceFile("<stdin>", BROKEN)).changes


def test_the_starting_file_is_tidy() -> None:
    text = text_for("my_rule")
    assert rewritten(SourceFile("<stdin>", text)).text == text
