"""From a rule's text to a class that steps parameters, through the cache.

A rule that is in the cache is loaded without the compiler: neither SymPy nor Lark is imported.
"""

from __future__ import annotations

import hashlib
import keyword
import os
import re
import sys
import warnings
from dataclasses import replace
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from optdsl import building, bundled
from optdsl.runtime import cache, toolchain
from optdsl.runtime.optimizer import Optimizer
from optdsl.source import SourceFile, read

TARGETS = ("auto", "numpy", "c")


def load(rule: str | Path, target: str = "auto", *, exact: bool = False) -> type[Optimizer]:
    """Return the optimizer class of a rule file or of a bundled rule.

    `rule` is a path to a `.opt` file, or a bundled name such as `"adam"` or `"flux/adam"`; a path wins. `target` is
    `"c"`, `"numpy"`, or `"auto"`: C where a compiler can be had, else NumPy. `exact` keeps the author's form of every
    equation. The result is cached by content; later loads don't compile.

    Raises FileNotFoundError for an unknown name, CompileError for a rule with errors, ToolchainError where `"c"` was
    asked for and can't be had, ValueError for an unknown target.
    """
    path = find(str(rule))
    return load_source(read(path), path.stem, target, exact)


def loads(text: str, target: str = "auto", *, exact: bool = False) -> type[Optimizer]:
    """Return the optimizer class of a rule given as text. See `load`."""
    return load_source(SourceFile("<string>", text.replace("\r\n", "\n")), "rule", target, exact)


def find(rule: str) -> Path:
    """Return the file of a path or a bundled name. Raises FileNotFoundError with what was meant, perhaps."""
    if Path(rule).is_file():
        return Path(rule)
    path = bundled.path(rule)
    if path is not None:
        return path
    from optdsl.diagnostics import closest

    if rule.endswith(".opt"):
        raise FileNotFoundError(f"there is no file {rule}")
    near = closest(rule, [*bundled.names(), *bundled.transforms()])
    hint = f"; did you mean {near!r}?" if near else "; `optdsl list` shows the bundled ones"
    raise FileNotFoundError(f"there is no file and no bundled rule called {rule!r}{hint}")


def module_stem(name: str) -> str:
    """Return the nearest name that Python can import and that hides no module the generated one needs."""
    stem = re.sub(r"\W", "_", name, flags=re.ASCII) or "rule"
    stem = f"_{stem}" if stem[0].isdigit() else stem
    return f"{stem}_" if keyword.iskeyword(stem) or stem in ("numpy", "optdsl") else stem


def resolve_target(target: str) -> str:
    """Return the target to use: `auto` is C where a compiler can be had, else NumPy."""
    if target != "auto":
        return target
    try:
        toolchain.find_compiler()
    except toolchain.ToolchainError:
        return "numpy"
    return "c"


def load_source(source: SourceFile, name: str, target: str, exact: bool) -> type[Optimizer]:
    """Return the optimizer class of a rule's text; `name` is that of the module it becomes. See `load`."""
    if target not in TARGETS:
        from optdsl import targets

        if target not in targets.names():
            raise ValueError(f"unknown target {target!r}; expected one of {', '.join(['auto', *targets.names()])}")
    chosen = resolve_target(target)
    try:
        return _from(source.name, _compiled(source, name, chosen, exact))
    except toolchain.ToolchainError as error:
        if target != "auto":
            raise
        warnings.warn(f"running on NumPy, because no C library could be built: {error}", RuntimeWarning, stacklevel=3)
        return _from(source.name, _compiled(source, name, "numpy", exact))


def _from(shown: str, optimizer: type[Optimizer]) -> type[Optimizer]:
    """Say where a rule was read from; generated code names the file alone, to be the same everywhere."""
    optimizer.rule = replace(optimizer.rule, source=shown)
    return optimizer


def _compiled(source: SourceFile, name: str, target: str, exact: bool) -> type[Optimizer]:
    stem = module_stem(name)
    key = building.key(source, stem, target, exact)
    fresh = []

    def load(entry: cache.Entry) -> type[Optimizer]:
        fresh.append(entry.fresh)
        return _class_in(_import(entry, stem, key))

    optimizer = building.obtain(source, stem, target, exact, load)
    if target == "c" and any(fresh):
        from optdsl.runtime import gather

        gather.function()  # built now rather than in the middle of a step
    return optimizer


def load_outside_the_cache(rule: str, target: str, folder: Path) -> type[Optimizer]:
    """Compile a rule afresh into a folder and load it from there. Errors are those of `load`."""
    path = find(rule)
    stem = module_stem(path.stem)
    building.write(folder, building.texts(read(path), stem, target, False), target, stem)
    module = (folder / f"{stem}.py").read_bytes()
    return _class_in(_import(cache.Entry({f"{stem}.py": module}, str(folder), folder), stem, str(folder)))


class _Loader(SourceFileLoader):
    """Loads a module from text that was read before. Nothing else is: no file, and no bytecode kept beside one."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self.text = text

    def path_stats(self, path: str | bytes) -> NoReturn:
        raise OSError("a text without a file, whose bytecode is neither looked for nor kept")

    def get_data(self, path: str | bytes) -> bytes:
        return self.text


def _import(entry: cache.Entry, stem: str, key: str) -> ModuleType:
    """Import the generated module of an entry, under a name of its own."""
    name = f"optdsl_rules.{stem}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    file = f"{stem}.py"
    path = str(entry.path / file) if entry.path else os.path.join(entry.folder, f"{file} (not kept)")
    loader = _Loader(name, path, entry.files[file])
    module = module_from_spec(ModuleSpec(name, loader, origin=path))
    module.__file__ = str(Path(entry.folder, file))  # where its library lies for sure, while it is loaded
    loader.exec_module(module)
    module.__file__ = path
    sys.modules[name] = module
    return module


def _class_in(module: ModuleType) -> type[Optimizer]:
    optimizer: type[Optimizer] = getattr(module, module.__all__[0])
    return optimizer
