"""The sanitizers see the faults they are there for, and see none in a few rules; all rules take a command."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .building import SANITIZERS, build
from .cases import bundled_cases, random_cases
from .running import findings

RULES = ("adam", "lamb", "sgdgc", "rprop")
THREADED = ("sgd", "lamb")

SHARE = "const int64_t lo = split_in(from - at, n), hi = split_in(to - at, n);"
PLANTED = {
    "a loop that goes one element too far": (
        "both", "AddressSanitizer: heap-buffer-overflow", "i < run + length; ++i", "i <= run + length; ++i",
    ),
    "a share that ends behind the tensor": (
        "both", "AddressSanitizer: heap-buffer-overflow", "place >= n ? n :", "place >= n ? n + 1 :",
    ),
    "a state that is written an element late": (
        "both", "AddressSanitizer: heap-buffer-overflow", "b_at[i] =", "b_at[i + 1] =",
    ),
    "memory that each step keeps": ("both", "bytes behind", "free(s->c), free(s->scalars),", "free(s->c),"),
    "a shift by the width of the number": (
        "undefined", "shift exponent", "place & ~(int64_t)63", "place & -((int64_t)1 << (64 + (int)(place & 1)))",
    ),
    "a load off its alignment": (
        "undefined", "misaligned address", "(uintptr_t)row[GRADIENT] + lo", "(uintptr_t)(row[GRADIENT] + 2) + lo",
    ),
    "a float that no integer holds": (
        "undefined", "outside the range of representable", "elements / WORTH + 1", "(int64_t)(1e300 * (1 + elements))",
    ),
    "two threads that write the same elements": (
        "thread", "data race", SHARE, SHARE[6:-1] + " + (to - at > 64 && to - at < n - 64 ? 64 : 0);",
    ),
    "a static that callers share": (
        "thread", "data race", "    step_f64 wide;", "    step_f64 wide; static int64_t n; if (++n < 0) return 1;",
    ),
}  # fmt: skip
"""Faults of each kind: what must find it and what it says, and what is replaced in the C file of `momentum` by what."""


@cache
def trouble(how: str) -> str:
    """Return why a sanitizer can't be used here; asked once."""
    with TemporaryDirectory() as folder:
        return SANITIZERS[how].trouble(Path(folder))


def require(how: str) -> None:
    """Skip, by name, where a sanitizer can't be used."""
    if why := trouble(how):
        pytest.skip(why)


@pytest.mark.parametrize("fault", PLANTED)
def test_faults_are_found(fault: str, tmp_path: Path) -> None:
    """Each kind of fault, planted in the generated loop or in the skeleton, ends the process with its name."""
    how, says, old, new = PLANTED[fault]
    require(how)
    (case,) = bundled_cases(["momentum"])
    build(tmp_path, how, case, [(old, new)])
    # Whether two callers meet is up to the system: one who waits for the other until it is done races with nobody.
    tries = (findings(tmp_path, how, [case.stem]) for _ in range(10 if how == "thread" else 1))
    (finding,) = next(filter(None, tries), [])
    assert finding.stem == case.stem
    assert says in finding.headline
    assert "gather.c" not in finding.headline  # which is the same for every rule, and would hide what was planted


def test_a_few_rules_are_clean(tmp_path: Path) -> None:
    """One pass and several, rows and whole tensors, and a random rule step without a finding."""
    require("both")
    cases = [*bundled_cases(RULES), *random_cases(1, 5)]
    for case in cases:
        build(tmp_path, "both", case)
    assert findings(tmp_path, "both", [case.stem for case in cases]) == []


def test_threads_are_clean(tmp_path: Path) -> None:
    """Steps on eight threads, and two optimizers at once, have no data race."""
    require("thread")
    for case in bundled_cases(THREADED):
        build(tmp_path, "thread", case)
    assert findings(tmp_path, "thread", list(THREADED)) == []


def test_a_fault_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A fault to plant must be in the text, or nothing would be tried."""
    (case,) = bundled_cases(["momentum"])
    with pytest.raises(ValueError, match="isn't in the C file"):
        build(tmp_path, "both", case, [("no such text", "")])


def test_random_rules_do_not_depend_on_the_range() -> None:
    """Rule number k of a seed is the same whichever is the first, and another seed has others."""
    assert list(random_cases(3, 7))[2] == next(random_cases(1, 7, 2))
    assert next(random_cases(1, 8, 2)).source != next(random_cases(1, 7, 2)).source
