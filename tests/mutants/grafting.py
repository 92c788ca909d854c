"""Putting a changed module in the place of one that is imported already, without importing anything again."""

from __future__ import annotations

import ast
import functools
import gc
import sys
import types
from collections.abc import Iterable
from typing import Any

from optdsl.targets import c

from .python_faults import Fault


class NotGrafted(Exception):
    """A fault changes what can't be changed in a module that is in use."""


def graft(module: types.ModuleType, tree: ast.Module, fault: Fault) -> None:
    """Give the functions of a module the code of a changed one, or a constant the changed value.

    Functions stay the objects that others have imported. Raises NotGrafted, and whatever the changed module does when
    it is run.
    """
    fresh = types.ModuleType(module.__name__)
    fresh.__dict__.update({name: value for name, value in vars(module).items() if name.startswith("__")})
    exec(compile(tree, str(module.__file__), "exec"), fresh.__dict__)
    if fault.function.isupper():
        _replace(fault.function, getattr(module, fault.function), getattr(fresh, fault.function))
        return
    for name, old in list(vars(module).items()):
        new = vars(fresh).get(name)
        if new is not None and getattr(old, "__module__", None) == module.__name__:
            _graft(old, new)


def graft_skeleton(text: str) -> None:
    """Have the C target read another skeleton."""

    class Files:
        def joinpath(self, _: str) -> Files:
            return self

        def read_text(self, encoding: str) -> str:
            return text

    vars(c)["files"] = lambda _: Files()


def remembering() -> list[functools._lru_cache_wrapper[Any]]:
    """Return the functions of ours and of the tests that remember what they returned."""
    found = [one for one in gc.get_objects() if isinstance(one, functools._lru_cache_wrapper)]
    return [one for one in found if str(getattr(one, "__module__", "")).startswith(("optdsl", "tests"))]


def forget(functions: Iterable[functools._lru_cache_wrapper[Any]]) -> None:
    """Have functions remember nothing, and no generated module be imported."""
    for function in functions:
        function.cache_clear()
    for name in [name for name in sys.modules if name.startswith("optdsl_rules")]:
        del sys.modules[name]


def _graft(old: Any, new: Any) -> None:
    """Give a function, or what is made of one, or the members of a class, the code of another."""
    if isinstance(old, types.FunctionType) and isinstance(new, types.FunctionType):
        if hasattr(old, "__wrapped__") and hasattr(new, "__wrapped__"):
            _graft(old.__wrapped__, new.__wrapped__)
        elif old.__code__.co_freevars != new.__code__.co_freevars:
            raise NotGrafted(old.__qualname__)
        else:
            old.__code__ = new.__code__
    elif isinstance(old, property) and isinstance(new, property):
        _graft(old.fget, new.fget)
    elif isinstance(old, classmethod | staticmethod) and isinstance(new, classmethod | staticmethod):
        _graft(old.__func__, new.__func__)
    elif isinstance(old, functools.cached_property) and isinstance(new, functools.cached_property):
        _graft(old.func, new.func)
    elif isinstance(old, functools._lru_cache_wrapper) and isinstance(new, functools._lru_cache_wrapper):
        _graft(old.__wrapped__, new.__wrapped__)
    elif isinstance(old, type) and isinstance(new, type):
        for name, member in list(vars(new).items()):
            if name in vars(old) and getattr(member, "__module__", old.__module__) == old.__module__:
                _graft(vars(old)[name], member)


def _replace(name: str, old: Any, new: Any) -> None:
    """Put a constant in the place of another wherever it was imported."""
    if isinstance(old, dict):
        old.clear()
        old.update(new)
        return
    for module in list(sys.modules.values()):
        if module.__name__.startswith(("optdsl", "tests")) and vars(module).get(name) is old:
            setattr(module, name, new)
