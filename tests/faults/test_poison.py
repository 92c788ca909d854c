"""Attempts to have the cache run what somebody else put there. Each plants code that writes a file if it is run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from optdsl import building
from optdsl.runtime import cache
from optdsl.runtime.entries import MANIFEST

from . import support

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions, links and pipes are POSIX's")


class Scene:
    """A cache with a rule in it, a current folder, and a file that planted code would write."""

    def __init__(self, folder: Path, target: str) -> None:
        self.folder, self.target = folder, target
        self.cache, self.here, self.marker = folder / "cache", folder / "here", folder / "marker"
        self.here.mkdir()
        self.environment = {"OPTDSL_CACHE_DIR": str(self.cache)}
        self.entry = Path()

    @property
    def python(self) -> str:
        """Code that writes the file."""
        return f"open({str(self.marker)!r}, 'w').close()\nraise RuntimeError('planted')\n"

    def library(self, path: Path) -> None:
        """Build a library that writes the file when it is loaded."""
        source = path.with_suffix(".planted.c")
        lines = [
            "#include <stdio.h>",
            "__attribute__((constructor)) static void run(void) {",
            f'    fclose(fopen("{self.marker}", "w"));',
            "}",
            *(f"int {name}(void) {{ return 0; }}" for name in building.FUNCTIONS),
        ]
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        path.unlink(missing_ok=True)
        subprocess.run([support.compiler(), "-shared", "-fPIC", "-o", str(path), str(source)], check=True)
        source.unlink()
        path.chmod(0o600)

    def run(self, text: str = support.RULE) -> list[float]:
        """Load the rule in a process of its own, in the current folder, and return the parameter after a step."""
        said = self.folder / "said"
        said.unlink(missing_ok=True)

        def work() -> None:
            support.generated_before()
            os.chdir(self.here)
            said.write_text(json.dumps(support.answer(self.target, text, "ignore")), encoding="utf-8")

        assert support.ended(support.forked(work, self.environment, self.folder / "log"), 300) is not None, "it hangs"
        assert said.exists(), (self.folder / "log").read_text(encoding="utf-8")
        found: list[float] = json.loads(said.read_text(encoding="utf-8"))
        return found

    def run_apart(self) -> list[float]:
        """Do that in another Python, which reads its environment and its path anew."""
        code = (
            "import sys; sys.path.append(sys.argv[1])\nfrom tests.faults import support\n"
            "print(support.answer(sys.argv[2], how='ignore'))"
        )
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, str(Path(__file__).parents[2]), self.target], cwd=self.here,
            capture_output=True, text=True, check=True, env={**os.environ, **self.environment},
        )  # fmt: skip
        found: list[float] = json.loads(done.stdout)
        return found

    def rewrite(self) -> None:
        """Make the manifest anew, with the hashes that the files have by now."""
        files = [path for path in sorted(self.entry.iterdir()) if path.name != MANIFEST]
        hashes = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]
        lines = [f"# {self.entry.name}", *hashes]
        (self.entry / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def generated() -> None:
    """Generate the files once for all processes that are forked from this one."""
    for target in ("numpy", "c"):
        support.generated(support.RULE, target)
        support.generated(support.OTHER, target)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a cache that has the rule for a target, made once."""
    folders: dict[str, Path] = {}

    def cached(target: str) -> Path:
        if target not in folders:
            scene = Scene(tmp_path_factory.mktemp(target), target)
            assert scene.run() == support.ANSWER
            folders[target] = scene.cache
        return folders[target]

    return cached


def scene_of(folder: Path, target: str, made: Callable[[str], Path]) -> Scene:
    scene = Scene(folder, target)
    shutil.copytree(made(target), scene.cache)
    (module,) = scene.cache.glob("*/rule.py")
    scene.entry = module.parent
    return scene


def changed_module(scene: Scene) -> None:
    (scene.entry / "rule.py").write_text(scene.python, encoding="utf-8")


def hash_of_another_key(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    manifest = scene.entry / MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(scene.entry.name, "0" * 40), encoding="utf-8")


def whole_entry_of_another_rule(scene: Scene) -> None:
    assert scene.run(support.OTHER) == [0.75, 0.75]
    other = next(path.parent for path in scene.cache.glob("*/rule.py") if path.parent != scene.entry)
    shutil.rmtree(scene.entry)
    other.rename(scene.entry)


def module_cut_short(scene: Scene) -> None:
    module = scene.entry / "rule.py"
    module.write_text(scene.python + module.read_text(encoding="utf-8")[:100], encoding="utf-8")


def flipped_bit(scene: Scene) -> None:
    module = scene.entry / "rule.py"
    data = bytearray(module.read_bytes())
    data[len(data) // 2] ^= 1
    module.write_bytes(bytes(data))


def no_manifest(scene: Scene) -> None:
    changed_module(scene)
    (scene.entry / MANIFEST).unlink()


def emptied_manifest(scene: Scene) -> None:
    changed_module(scene)
    (scene.entry / MANIFEST).write_bytes(b"")


def manifest_of_no_file(scene: Scene) -> None:
    changed_module(scene)
    (scene.entry / MANIFEST).write_text(f"# {scene.entry.name}\n", encoding="utf-8")


def listed(scene: Scene, name: str, planted: Path) -> None:
    """List a file outside of the entry in the manifest."""
    planted.write_text(scene.python, encoding="utf-8")
    with (scene.entry / MANIFEST).open("a", encoding="utf-8") as manifest:
        manifest.write(f"{hashlib.sha256(planted.read_bytes()).hexdigest()}  {name}\n")


def path_upwards(scene: Scene) -> None:
    listed(scene, "../../planted.py", scene.folder / "planted.py")


def absolute_path(scene: Scene) -> None:
    listed(scene, str(scene.folder / "planted.py"), scene.folder / "planted.py")


def linked_entry(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    scene.entry.rename(scene.folder / "elsewhere")
    scene.entry.symlink_to(scene.folder / "elsewhere")


def linked_file(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    (scene.entry / "rule.py").rename(scene.folder / "planted.py")
    (scene.entry / "rule.py").symlink_to(scene.folder / "planted.py")


def file_of_two_names(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    os.link(scene.entry / "rule.py", scene.folder / "planted.py")


def linked_manifest(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    (scene.entry / MANIFEST).rename(scene.folder / "planted.txt")
    (scene.entry / MANIFEST).symlink_to(scene.folder / "planted.txt")


def pipe_for_a_module(scene: Scene) -> None:
    (scene.entry / "rule.py").unlink()
    os.mkfifo(scene.entry / "rule.py", 0o600)


def pipe_for_a_manifest(scene: Scene) -> None:
    (scene.entry / MANIFEST).unlink()
    os.mkfifo(scene.entry / MANIFEST, 0o600)


def endless_file(scene: Scene) -> None:
    changed_module(scene)
    os.truncate(scene.entry / "rule.py", 1 << 40)


def entry_that_others_write(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    scene.entry.chmod(0o777)


def file_that_others_write(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    (scene.entry / "rule.py").chmod(0o666)


def cache_that_others_write(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    scene.cache.chmod(0o777)


def linked_cache(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    scene.cache.rename(scene.folder / "elsewhere")
    scene.cache.symlink_to(scene.folder / "elsewhere")


def foreign(path: Path) -> None:
    """Give a file or folder to another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(path, 12345, 12345)


def entry_of_another_user(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    foreign(scene.entry)


def file_of_another_user(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    foreign(scene.entry / "rule.py")


def cache_of_another_user(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    foreign(scene.cache)


def cache_in_the_current_folder(scene: Scene) -> None:
    changed_module(scene)
    scene.rewrite()
    scene.cache.rename(scene.here / "cache")
    scene.environment["OPTDSL_CACHE_DIR"] = "cache"


def bytecode_beside_the_module(scene: Scene) -> None:
    """Plant bytecode that says it is of this very source, by its time and size."""
    planted, module = scene.folder / "rule.py", scene.entry / "rule.py"
    planted.write_text(scene.python, encoding="utf-8")
    code = (
        "import importlib.util, os, py_compile, sys\nplanted, module = sys.argv[1:]\n"
        "target = importlib.util.cache_from_source(module)\npy_compile.compile(planted, target)\n"
        "data = bytearray(open(target, 'rb').read())\nstate = os.stat(module)\n"
        "data[8:12] = int(state.st_mtime).to_bytes(4, 'little')\ndata[12:16] = state.st_size.to_bytes(4, 'little')\n"
        "open(target, 'wb').write(data)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(planted), str(module)], check=True)
    assert list(scene.entry.glob("__pycache__/rule.*.pyc"))


def modules_beside_the_module(scene: Scene) -> None:
    for folder in (scene.entry, scene.cache, scene.here):
        for name in ("numpy", "optdsl", "sitecustomize", "pathlib", "rule"):
            (folder / f"{name}.py").write_text(scene.python, encoding="utf-8")


def changed_library(scene: Scene) -> None:
    scene.library(scene.entry / "librule.so")


def linked_library(scene: Scene) -> None:
    scene.library(scene.folder / "librule.so")
    (scene.entry / "librule.so").unlink(missing_ok=True)
    (scene.entry / "librule.so").symlink_to(scene.folder / "librule.so")
    scene.rewrite()


def library_of_another_name(scene: Scene) -> None:
    scene.library(scene.here / "librule.so")
    shutil.copy(scene.here / "librule.so", scene.cache / "librule.so")
    scene.environment["LD_LIBRARY_PATH"] = str(scene.here)


def compiler_in_the_current_folder(scene: Scene) -> None:
    for name in ("cc", "gcc", "clang", "as", "ld"):
        (scene.here / name).write_text(f"#!/bin/sh\ntouch {scene.marker}\n", encoding="utf-8")
        (scene.here / name).chmod(0o755)
    shutil.rmtree(scene.cache)
    scene.environment["PATH"] = f".::{os.environ['PATH']}"
    for variable in ("CC", "OPTDSL_CC"):
        scene.environment[variable] = ""


ANY = [
    changed_module,
    hash_of_another_key,
    whole_entry_of_another_rule,
    module_cut_short,
    flipped_bit,
    no_manifest,
    emptied_manifest,
    manifest_of_no_file,
    path_upwards,
    absolute_path,
    linked_entry,
    linked_file,
    file_of_two_names,
    linked_manifest,
    pipe_for_a_module,
    pipe_for_a_manifest,
    endless_file,
    entry_that_others_write,
    file_that_others_write,
    cache_that_others_write,
    linked_cache,
    entry_of_another_user,
    file_of_another_user,
    cache_of_another_user,
    cache_in_the_current_folder,
]
BESIDE = [bytecode_beside_the_module, modules_beside_the_module]
LIBRARY = [changed_library, linked_library, library_of_another_name, compiler_in_the_current_folder]


@pytest.mark.parametrize("poison", ANY, ids=lambda poison: poison.__name__)
def test_nothing_planted_is_run(poison: Callable[[Scene], None], tmp_path: Path, made: Callable[[str], Path]) -> None:
    scene = scene_of(tmp_path, "numpy", made)
    poison(scene)
    assert scene.run() == support.ANSWER
    assert not scene.marker.exists()


@pytest.mark.parametrize("poison", BESIDE, ids=lambda poison: poison.__name__)
def test_nothing_planted_beside_it_is_run(
    poison: Callable[[Scene], None], tmp_path: Path, made: Callable[[str], Path]
) -> None:
    scene = scene_of(tmp_path, "numpy", made)
    poison(scene)
    assert scene.run_apart() == support.ANSWER
    assert not scene.marker.exists()


@pytest.mark.parametrize("poison", LIBRARY, ids=lambda poison: poison.__name__)
def test_no_library_or_compiler_that_was_planted_is_run(
    poison: Callable[[Scene], None], tmp_path: Path, made: Callable[[str], Path], both_targets: None
) -> None:
    scene = scene_of(tmp_path, "c", made)
    poison(scene)
    assert scene.run_apart() == support.ANSWER
    assert not scene.marker.exists()


def test_what_is_planted_would_be_seen_to_run(tmp_path: Path, made: Callable[[str], Path]) -> None:
    """An entry that its own user wrote, with the hashes that belong to it, is believed: that is where the line is."""
    scene = scene_of(tmp_path, "numpy", made)
    changed_module(scene)
    scene.rewrite()
    with pytest.raises(AssertionError, match="RuntimeError: planted"):
        scene.run()
    assert scene.marker.exists()


def test_a_library_that_is_planted_would_be_seen_to_run(
    tmp_path: Path, made: Callable[[str], Path], both_targets: None
) -> None:
    scene = scene_of(tmp_path, "c", made)
    changed_library(scene)
    scene.rewrite()
    scene.run()
    assert scene.marker.exists()


def test_a_compiler_that_is_planted_would_be_seen_to_run(tmp_path: Path, made: Callable[[str], Path]) -> None:
    scene = scene_of(tmp_path, "c", made)
    compiler_in_the_current_folder(scene)
    scene.environment["OPTDSL_CC"] = "./cc"
    with pytest.raises(AssertionError, match="ToolchainError"):
        scene.run()
    assert scene.marker.exists()


def test_a_folder_that_is_put_in_place_of_the_cache_is_not_looked_into(tmp_path: Path) -> None:
    """What was judged is what is read, though its path leads elsewhere by then."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system has no /proc, by which an open folder is named")
    root = tmp_path / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTDSL_CACHE_DIR", str(root))
        name = cache.key(kind="test")
        cache.remember(name, "a.txt", "ours")
        with cache.opened() as entries:
            root.rename(tmp_path / "away")
            shutil.copytree(tmp_path / "away", root)
            (root / name / "a.txt").write_text("theirs", encoding="utf-8")
            found = entries.get(name)
            assert found == {"a.txt": b"ours"}
            assert Path(entries.entry(name, found).folder, "a.txt").read_text(encoding="utf-8") == "ours"


def test_an_entry_that_nobody_touched_is_found(
    tmp_path: Path, made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the attempts would go at an entry that nobody wants."""
    scene = scene_of(tmp_path, "numpy", made)
    monkeypatch.setattr(support, "generated_before", lambda: None)
    monkeypatch.setattr("optdsl.pipeline.compile_source", None)
    assert scene.run() == support.ANSWER
    changed_module(scene)
    with pytest.raises(AssertionError, match="'NoneType' object is not callable"):
        scene.run()


def test_there_are_twenty_attempts() -> None:
    assert len({*ANY, *BESIDE, *LIBRARY}) >= 20
