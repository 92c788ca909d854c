"""Loading rules through the cache, and doing without it."""

from __future__ import annotations

import importlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl import bundled, loading
from optdsl.runtime import cache, toolchain

RULE = "rule Tiny(x, g)\nhyper\n  lr = 0.5 in [0, inf)\nupdate\n  x' = x - lr*g\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("OPTDSL_CACHE_DIR", str(folder))
    return folder


def stepped(optimizer: type[optdsl.Optimizer]) -> list[float]:
    """Return 1, 1 after a step along a gradient of 1, 1."""
    x = np.ones(2)
    optimizer([x]).step([np.ones(2)])
    return x.tolist()


def test_text_and_file_and_name_load(tmp_path: Path) -> None:
    path = tmp_path / "tiny.opt"
    path.write_text(RULE, encoding="utf-8")
    assert stepped(optdsl.loads(RULE, target="numpy")) == [0.5, 0.5]
    assert stepped(optdsl.load(path, target="numpy")) == [0.5, 0.5]
    assert optdsl.load("flux/descent", target="numpy").rule.name == "Descent"


def test_a_file_wins_over_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("adam").write_text(RULE, encoding="utf-8")
    assert optdsl.load("adam", target="numpy").rule.name == "Tiny"


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.opt"
    path.write_bytes(b"\xef\xbb\xbf" + RULE.replace("\n", "\r\n").encode())
    assert stepped(optdsl.load(path, target="numpy")) == [0.5, 0.5]


def test_unknown_names_say_what_was_meant() -> None:
    with pytest.raises(FileNotFoundError, match="did you mean 'rmsprop'"):
        optdsl.load("rmspro")
    with pytest.raises(ValueError, match="expected one of auto, numpy, c"):
        optdsl.load("adam", target="cuda")
    with pytest.raises(AttributeError, match="did you mean 'RMSprop'"):
        getattr(optdsl.optimizers, "RMSProp")  # noqa: B009 - the type checker must not see it
    with pytest.raises(optdsl.CompileError, match="undefined-name"):
        optdsl.loads("rule Bad(x, g)\nupdate\n  x' = x - lr*g\n")


def test_bundled_rules_are_attributes() -> None:
    from optdsl.optimizers import Lion, flux

    assert Lion.rule.source == str(bundled.path("lion"))
    assert flux.ADAM.rule.name == "ADAM"
    assert "AMSGrad" in dir(flux)
    assert "Adam" in dir(optdsl.optimizers)
    assert len(dir(optdsl.optimizers)) == len([name for name in bundled.names() if "/" not in name])


def test_every_folder_of_bundled_rules_is_a_module() -> None:
    folders = dict.fromkeys(name.split("/")[0] for name in bundled.names() if "/" in name)
    assert {"flux", "keras", "optax", "optimisers", "timm"} <= folders.keys()
    for folder in folders:
        members = dir(importlib.import_module(f"optdsl.optimizers.{folder}"))
        assert len(members) == len([name for name in bundled.names() if name.startswith(f"{folder}/")])


def test_a_cached_rule_is_loaded_without_the_compiler(own_cache: Path) -> None:
    code = (
        "import sys, numpy as np\nfrom optdsl.optimizers import Adam\nx = np.ones(2)\nAdam([x]).step([np.ones(2)])\n"
        "print([name for name in ('sympy', 'lark', 'optdsl.pipeline') if name in sys.modules])"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert "lark" in outputs[0]
    assert outputs[1] == "[]\n"


SLOW = (
    "sympy",
    "lark",
    "optree",
    "safetensors",
    "ml_dtypes",
    "json",
    "platformdirs",
    "subprocess",
    "shutil",
    "tempfile",
)


def test_a_cached_class_is_ready_with_little_loaded_and_nothing_started() -> None:
    if loading.resolve_target("auto") != "c":
        pytest.skip("no C compiler on this machine")
    code = (
        "import os, sys, numpy\nbefore = set(sys.modules)\nstarted = []\n"
        "sys.addaudithook(lambda event, _: started.append(event) if event in ('os.posix_spawn', 'os.fork',"
        " 'subprocess.Popen', 'os.system') else None)\n"
        "from optdsl.optimizers import Adam\nafter = set(sys.modules) - before\n"
        f"print(Adam.kernel.target, started, sorted(after & set({SLOW!r})), len(after))"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert "subprocess" in " ".join(outputs[0])
    compiler = Path(shutil.which(toolchain.find_compiler().command[0]) or "").resolve()
    if toolchain._entry(("cc",), str(compiler)) is None:
        pytest.skip(f"{compiler} may start another compiler, and is asked what it is in each process")
    assert outputs[1][:3] == ["c", "[]", "[]"]
    assert int(outputs[1][3]) <= 60


def test_the_cache_folder_is_private(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # none is kept beside the module nevertheless
    optdsl.loads(RULE.replace("0.5", "0.125"), target="numpy")  # which no other test has imported
    assert stat.S_IMODE(own_cache.stat().st_mode) == 0o700
    (entry,) = (path for path in own_cache.iterdir() if path.name != ".work")
    assert sorted(path.name for path in entry.iterdir()) == ["manifest.txt", "rule.py"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in entry.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (entry, own_cache / ".work")} == {0o700}
    assert list((own_cache / ".work").iterdir()) == []


def test_a_changed_file_in_the_cache_is_not_loaded(own_cache: Path) -> None:
    optdsl.loads(RULE, target="numpy")
    (module,) = own_cache.glob("*/rule.py")
    module.write_text("raise SystemExit('poisoned')", encoding="utf-8")
    assert cache.contents(module.parent.name) is None
    code = f"import optdsl; print(optdsl.loads({RULE!r}, target='numpy').__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Tiny\n"
    assert "poisoned" not in module.read_text(encoding="utf-8"), "the entry was made again"


@pytest.mark.skipif(os.name != "posix", reason="permissions and links are POSIX's")
@pytest.mark.parametrize("spoil", ["shared", "link", "file"])
def test_a_cache_that_others_could_write_to_is_not_used(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    if spoil == "shared":
        own_cache.mkdir()
        own_cache.chmod(0o777)
    elif spoil == "link":
        (tmp_path / "elsewhere").mkdir()
        own_cache.symlink_to(tmp_path / "elsewhere")
    else:
        own_cache.write_text("in the way", encoding="utf-8")
    with pytest.raises(cache.CacheUnusable, match="cache folder"), cache.opened(make=True):
        pass
    with pytest.warns(RuntimeWarning, match=f"cache folder {own_cache} .*; rules are compiled again in each process"):
        optimizer = optdsl.loads(RULE.replace("0.5", "0.25"), target="numpy")
    assert stepped(optimizer) == [0.75, 0.75]
    left = list((tmp_path / "elsewhere").iterdir()) if spoil == "link" else []
    assert left == []


def test_without_a_compiler_auto_is_numpy_and_c_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTDSL_CC", "no-such-compiler")
    assert optdsl.loads(RULE).kernel.target == "numpy"
    with pytest.raises(optdsl.ToolchainError, match="no-such-compiler"):
        optdsl.loads(RULE, target="c")


def test_a_compiler_that_fails_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "fake-cc"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo fake && exit 0\necho "x.c:1: error: no"\nexit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("OPTDSL_CC", str(fake))
    with pytest.raises(optdsl.ToolchainError, match=r"failed with exit status 1: x\.c:1: error: no"):
        optdsl.loads(RULE, target="c")
    with pytest.warns(RuntimeWarning, match="running on NumPy"):
        assert optdsl.loads(RULE).kernel.target == "numpy"


def test_compilers_are_looked_for_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("gcc", "clang", "mine"):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\necho {name} 1.0\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("OPTDSL_CC", raising=False)
    monkeypatch.delenv("CC", raising=False)
    assert toolchain.find_compiler().command == ("gcc",)
    monkeypatch.setenv("CC", "clang -O1")
    assert toolchain.find_compiler().command == ("clang", "-O1")
    monkeypatch.setenv("OPTDSL_CC", "mine")
    assert toolchain.find_compiler().version == "mine 1.0"


def test_strict_floating_point_whatever_cflags_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"} & set(toolchain.FLAGS)
    if loading.resolve_target("auto") != "c":
        pytest.skip("no C compiler on this machine")
    monkeypatch.setenv("CFLAGS", "-Ofast")
    assert stepped(optdsl.loads(RULE, target="c")) == [0.5, 0.5]
    tiny = np.array([2e-40], np.float32)
    assert (tiny * np.float32(0.5)).item() != 0.0, "subnormals must survive the loading of a library"
