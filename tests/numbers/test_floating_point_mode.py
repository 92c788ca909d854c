"""The processor's floating-point mode is the same before and after everything that is done here, on every thread."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

CONTROL = {"x86_64": ((0, 2, 0xFFFF), (28, 4, 0xFFFFFFC0)), "AMD64": (), "aarch64": ((0, 4, 0xFFFFFFFF),)}
"""Where in what `fegetenv` writes the control words lie: offset, bytes, and the bits that don't say what happened.

On x86-64 these are the x87 control word and MXCSR, on AArch64 FPCR."""

SCRIPT = """
import ctypes, ctypes.util, sys, threading
libm = ctypes.CDLL(ctypes.util.find_library("m"))
def mode():
    room = (ctypes.c_ubyte * 512)()
    assert libm.fegetenv(room) == 0
    return [int.from_bytes(bytes(room[at:at + size]), "little") & mask for at, size, mask in {control}]
modes = {{"start": mode()}}
def other(name):
    threads = threading.Thread(target=lambda: modes.__setitem__(name, mode()))
    threads.start(), threads.join()
import numpy as np
small, wide = np.float32(2e-40), np.float64(2e-310)
products = small * np.float32(0.5), wide * 0.5
modes["numpy"] = mode()
import optdsl
from optdsl.loading import load, loads
modes["import"] = mode()
text = "rule Sum(x, g)\\nhyper\\n  lr = 0.5\\nstate\\n  m = 0\\nupdate\\n  m' = g + m\\n  x' = x - lr*m'\\n"
made = [loads(text, {target!r}), load("adam", {target!r}), load("lamb", {target!r})]
modes["load"] = mode()
other("thread after load")
def steps(seen):
    seen.append(mode())
    for each in made:
        for size in (7, 3 << 20):
            x, g = np.full(size, 1e-40, np.float32), np.full(size, 1e-40, np.float32)
            opt = each([x], lr=0.5, **({{}} if each is made[0] else {{"clip_norm": 1.0, "nonfinite": "raise"}}))
            for _ in range(2):
                opt.step([g])
                seen.append(mode())
            if each is made[0]:
                assert (x == np.float32(1e-40) - np.float32(0.5) * (g + (g + g))).all() and (x != 0).all()
                assert (opt.state["0"]["m"] == g + g).all()
seen = []
steps(seen)
worker = threading.Thread(target=steps, args=(seen,))
worker.start(), worker.join()
modes.update(enumerate(seen))
other("thread after steps")
assert len(seen) == 26, len(seen)
assert all(value == modes["start"] for value in modes.values()), modes
assert small * np.float32(0.5) == products[0] != 0 and wide * 0.5 == products[1] != 0
print("same", made[0].kernel.target)
"""

LOOSE = "-Ofast -ffast-math -funsafe-math-optimizations -ffp-contract=fast -fassociative-math -ffinite-math-only"


@pytest.fixture
def control() -> tuple[tuple[int, int, int], ...]:
    """Where the control words lie on this machine."""
    words = CONTROL.get(platform.machine(), ())
    library = ctypes.util.find_library("m")
    if not words or library is None or platform.libc_ver()[0] != "glibc":
        pytest.skip("where the C library keeps the floating-point mode is known for glibc on x86-64 and AArch64 only")
    return words


def test_the_mode_is_seen(control: tuple[tuple[int, int, int], ...], run: Callable[..., str]) -> None:
    """What reads the mode would notice a change of it: of the direction of rounding."""
    script = SCRIPT.format(control=control, target="numpy").split("import numpy as np\n")[0]
    toward_zero = 0xC00 if platform.machine() == "x86_64" else 0xC00000
    script += f"libm.fesetround({toward_zero}); after = mode(); libm.fesetround(0); print(modes['start'] != after)"
    assert run(script).strip() == "True"


@pytest.mark.parametrize("flags", ["", LOOSE], ids=["plain", "loose"])
def test_the_mode_is_never_changed(
    flags: str, target: str, control: tuple[tuple[int, int, int], ...], tmp_path: Path, run: Callable[..., str]
) -> None:
    """By importing, compiling, loading and stepping, on one thread and on several, whatever flags the user has set."""
    script = SCRIPT.format(control=control, target=target)
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    environment = dict.fromkeys(("CFLAGS", "CPPFLAGS", "LDFLAGS"), flags) if flags else {}
    fresh = {"OPTDSL_CACHE_DIR": str(cache)} if flags else {}
    assert run(script, OPTDSL_NUM_THREADS="3", **environment, **fresh).split() == ["same", target]


def test_flags_within_the_name_of_a_compiler(
    both_targets: None, control: tuple[tuple[int, int, int], ...], tmp_path: Path, run: Callable[..., str]
) -> None:
    """`CC` may hold flags, which a compiler is started with: those that loosen arithmetic are taken back."""
    from optdsl.runtime import toolchain

    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    compiler = f"{toolchain.find_compiler().name} {LOOSE}"
    script = SCRIPT.format(control=control, target="c")
    assert run(script, OPTDSL_NUM_THREADS="3", OPTDSL_CACHE_DIR=str(cache), CC=compiler).split() == ["same", "c"]
