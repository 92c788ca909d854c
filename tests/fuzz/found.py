"""Rules that failed once, kept small in files: what was wrong stands in comments above the rule."""

from __future__ import annotations

import re
from pathlib import Path

from .trial import Failure
from .workers import Job

FOLDER = Path(__file__).resolve().parents[1] / "regressions" / "found"

_INPUTS = re.compile(r"^# inputs (\d+)$", re.MULTILINE)


def keep(folder: Path, name: str, text: str, failure: Failure, job: Job) -> Path:
    """Write a rule that fails to a file, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.opt"
    said = " ".join(str(failure).split())
    path.write_text(f"# {said}\n# rule {job.number} of seed {job.seed}\n# inputs {job.number}\n{text}", "utf-8")
    return path


def files(folder: Path = FOLDER) -> list[Path]:
    """Return the rules that were kept, in order of their names."""
    return sorted(folder.glob("*.opt"))


def inputs(text: str) -> int:
    """Return the seed of the numbers with which a rule failed; 0 where its file doesn't say."""
    match = _INPUTS.search(text)
    return int(match[1]) if match else 0
