"""The list of faults that no test notices, and why."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("survivors.txt")


def reasons() -> dict[str, str]:
    """Return why each listed fault isn't noticed, by the fault's key; "equivalent: …" where nothing could notice it."""
    found = {}
    for record in FILE.read_text(encoding="utf-8").split("\n\n"):
        lines = [line.strip() for line in record.strip().split("\n") if not line.startswith("#")]
        if lines and lines[0]:
            path, fault, *reason = lines
            if not reason:
                raise ValueError(f"{FILE.name} gives no reason for {path} {fault}")
            found[f"{path} {fault}"] = " ".join(reason)
    return found
