"""Files and their canonical layout: what would change, as a difference, and writing it."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from optdsl.diagnostics import Problem
from optdsl.source import SourceFile
from optdsl.syntax.format import formatted

_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_NO_LINE_END = r"\ No newline at end of file"


@dataclass(frozen=True)
class Rewritten:
    """A file as it is stored, the text it should hold, and the syntax errors that keep it from being formatted."""

    source: SourceFile
    stored: str
    text: str
    problems: tuple[Problem, ...]

    @property
    def changes(self) -> bool:
        """Whether writing the text would change the file."""
        return self.stored != self.text

    def difference(self) -> str:
        """Return the change as a unified diff."""
        before, after = _LINES.findall(self.stored), _LINES.findall(self.text)
        lines = difflib.unified_diff(before, after, self.source.name, self.source.name)
        return "".join(line if line.endswith("\n") else f"{line}\n{_NO_LINE_END}\n" for line in lines)


def rewritten(source: SourceFile, *, unicode: bool = False) -> Rewritten:
    """Return a file with its canonical layout. One with syntax errors stays as it is.

    Raises OSError where the file can't be read again.
    """
    standard_input = source.name == "<stdin>"
    stored = source.text if standard_input else Path(source.name).read_bytes().decode("utf-8")
    text, problems = formatted(source, unicode=unicode)
    return Rewritten(source, stored, stored if problems else text, tuple(problems))


def write(path: Path, text: str) -> None:
    """Replace the text of a file all at once, with Unix line ends. A link is followed; permissions stay.

    Raises OSError where it can't be written.
    """
    target = Path(os.path.realpath(path))
    if not os.access(target, os.W_OK):
        raise PermissionError(13, "Permission denied", str(path))
    with tempfile.NamedTemporaryFile("wb", dir=target.parent, prefix=f".{target.name}-", delete=False) as file:
        try:
            file.write(text.encode("utf-8"))
            file.flush()
            shutil.copymode(target, file.name)
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
