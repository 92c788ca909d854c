"""The promises that are fuzzed hold for the seeds and for every input that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.coverage_fuzz import targets
from tests.coverage_fuzz.targets import TARGETS, Broken, kept, seeds, stem

KEPT = sorted(path for path in kept().glob("*-*") if path.is_file())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_a_kept_input_breaks_nothing(path: Path) -> None:
    TARGETS[stem(path)](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_break_nothing(target: str) -> None:
    given = list(seeds(target))
    assert len(given) > 1
    for seed in given[:: max(1, len(given) // 6)]:
        TARGETS[target](seed)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"rule", b'{"a"', b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_what_is_no_input_breaks_nothing(data: bytes) -> None:
    for target in TARGETS.values():
        target(data)


def test_a_broken_promise_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = next(iter(seeds("formatter")))
    monkeypatch.setattr(targets, "formatted", lambda source, unicode=False: (source.text + "#\n", []))
    with pytest.raises(Broken):
        targets.formatter(seed)
    targets.checkpoint(b"no file")
    monkeypatch.setattr(targets, "_bytes", lambda document: repr(id(document)).encode())
    with pytest.raises(Broken):
        targets.checkpoint(b"no file")
